import { element } from "./page.js";

const SHOWN_MS = 6_000;
const LINES = 5;
/** News that come together are told together. */
const GATHER_MS = 400;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let hiding;

/**
 * Tell how something ended that the person has just done: for eyes and for screen readers.
 * @param {string} text
 * @param {{keep?: boolean}} [options] `keep`: until there is another notice
 */
export function notify(text, { keep = false } = {}) {
  element("notice").textContent = text;
  clearTimeout(hiding);
  if (!keep) {
    hiding = setTimeout(() => {
      element("notice").textContent = "";
    }, SHOWN_MS);
  }
}

/**
 * Tell screen readers what eyes see anyway.
 * @param {string} text
 */
export function announce(text) {
  const line = document.createElement("p");
  line.textContent = text;
  const log = element("announcements");
  log.append(line);
  while (log.childElementCount > LINES) log.firstElementChild.remove();
}

/** Announces names one by one, or only how many they are when they come in a crowd. */
export class Gathered {
  /** @type {Set<string>} */
  #names = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {(name: string) => string} one
   * @param {(count: number) => string} many
   */
  constructor(one, many) {
    this.one = one;
    this.many = many;
  }

  /** @param {string} name */
  add(name) {
    this.#names.add(name);
    this.#timer ??= setTimeout(() => {
      const names = [...this.#names];
      this.#names.clear();
      this.#timer = undefined;
      if (names.length > 3) announce(this.many(names.length));
      else for (const each of names) announce(this.one(each));
    }, GATHER_MS);
  }
}

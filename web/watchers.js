import { timeOfDay } from "./page.js";
import { texts } from "./texts.js";

/** How many names are kept: some clients leave while this one is away, and nobody tells. */
const MAX_NAMES = 1_000;

/** Who watches this camera, and what they say. */
export class Watchers {
  #list;
  /** What clients call themselves, by client id. @type {Map<string, string>} */
  #names = new Map();
  /** @type {Map<string, HTMLLIElement>} */
  #items = new Map();
  /** @type {Map<string, HTMLAudioElement>} */
  #voices = new Map();

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
  }

  /** @param {{clientId: string, meta?: Record<string, any>}} client that has come into the room */
  know({ clientId, meta }) {
    if (typeof meta?.name !== "string") return;
    this.#names.set(clientId, meta.name);
    if (this.#names.size > MAX_NAMES) this.#names.delete(this.#names.keys().next().value);
  }

  /** @param {{clientId: string}} client that has left the room; whether it still watches is another matter */
  forget({ clientId }) {
    this.#names.delete(clientId);
  }

  /** @param {string[]} viewers by client id */
  show(viewers) {
    for (const [clientId, item] of this.#items) {
      if (viewers.includes(clientId)) continue;
      item.remove();
      this.#items.delete(clientId);
      this.#silence(clientId);
    }
    for (const clientId of viewers) {
      if (this.#items.has(clientId)) continue;
      const item = document.createElement("li");
      item.textContent = texts.watcher(this.#names.get(clientId), timeOfDay(new Date()));
      this.#items.set(clientId, item);
      this.#list.append(item);
    }
  }

  /**
   * @param {string} clientId
   * @param {MediaStream} stream
   */
  hear(clientId, stream) {
    this.#silence(clientId);
    const voice = new Audio();
    voice.srcObject = stream;
    this.#voices.set(clientId, voice);
    // The press that has started the camera lets the page play.
    voice.play().catch(() => {});
  }

  clear() {
    this.show([]);
    for (const clientId of [...this.#voices.keys()]) this.#silence(clientId);
  }

  /** @param {string} clientId */
  #silence(clientId) {
    const voice = this.#voices.get(clientId);
    if (voice) voice.srcObject = null;
    this.#voices.delete(clientId);
  }
}

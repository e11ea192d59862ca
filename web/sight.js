/** How long a tile may be out of sight before it pauses: who scrolls by must not stop and start cameras. */
const PATIENCE_MS = 3_000;
/** What is seen less of is not seen. */
const LEAST_PART = 0.02;

/** Tells of elements whether somebody can see them: on the screen, in a window that is not hidden. */
export class Sight {
  /** @type {Map<Element, {onScreen: boolean, timer?: ReturnType<typeof setTimeout>}>} */
  #elements = new Map();
  #onChange;
  #observer = new IntersectionObserver(
    (entries) => {
      for (const { target, intersectionRatio } of entries) {
        const known = this.#elements.get(target);
        // What only touches the edge counts as intersecting.
        if (known) known.onScreen = intersectionRatio >= LEAST_PART;
        this.#look(target);
      }
    },
    { threshold: LEAST_PART },
  );

  /** @param {(element: Element, isSeen: boolean) => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    document.addEventListener("visibilitychange", () => {
      for (const element of this.#elements.keys()) this.#look(element);
    });
  }

  /** @param {Element} element */
  watch(element) {
    this.#elements.set(element, { onScreen: false });
    this.#observer.observe(element);
  }

  /** @param {Element} element */
  forget(element) {
    clearTimeout(this.#elements.get(element)?.timer);
    this.#elements.delete(element);
    this.#observer.unobserve(element);
  }

  /** @param {Element} element */
  #look(element) {
    const known = this.#elements.get(element);
    if (!known) return;
    clearTimeout(known.timer);
    if (known.onScreen && document.visibilityState === "visible") this.#onChange(element, true);
    else known.timer = setTimeout(() => this.#onChange(element, false), PATIENCE_MS);
  }
}

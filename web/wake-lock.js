/** Keeps the screen on: a phone that goes to sleep is no camera any more. */
export class WakeLock {
  #isWanted = false;
  /** @type {WakeLockSentinel | null} */
  #lock = null;
  #onChange;

  /** @param {(isAwake: boolean) => void} onChange whether the screen stays on by itself */
  constructor(onChange) {
    this.#onChange = onChange;
    // Browsers take it away whenever the page is hidden.
    document.addEventListener("visibilitychange", () => this.#request());
  }

  hold() {
    this.#isWanted = true;
    this.#request();
  }

  release() {
    this.#isWanted = false;
    this.#lock?.release().catch(() => {});
    this.#lock = null;
  }

  async #request() {
    if (!this.#isWanted || document.visibilityState !== "visible") return;
    try {
      this.#lock = await navigator.wakeLock.request("screen");
      if (!this.#isWanted) this.release();
      this.#onChange(true);
    } catch {
      // Old browsers, pages that are not secure, and phones that save power have none.
      this.#onChange(false);
    }
  }
}

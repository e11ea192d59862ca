/** How long the microphone stays open after the last word: the next press is answered at once. */
const KEEP_MS = 10_000;
const VOICE = { audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } };

/** Push to talk: the microphone of this device goes to a camera for as long as something is pressed. */
export class Talk {
  #send;
  #devices;
  /** @type {MediaStreamTrack | null} */
  #track = null;
  #isPressed = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #closing;

  /**
   * @param {(track: MediaStreamTrack | null) => Promise<void>} send
   * @param {MediaDevices | undefined} [devices]
   */
  constructor(send, devices = globalThis.navigator?.mediaDevices) {
    this.#send = send;
    this.#devices = devices;
  }

  /** Whether it is pressed. */
  get active() {
    return this.#isPressed;
  }

  /**
   * Rejects with what `getUserMedia` rejects with, with a "NotSupportedError" where browsers give no access,
   * and with the error of `send`.
   */
  async press() {
    this.#isPressed = true;
    clearTimeout(this.#closing);
    try {
      const track = this.#track ?? (await this.#open());
      this.#track = track;
      // It may have been released while the browser asked for permission.
      if (this.#isPressed) await this.#send(track);
      else this.#closeSoon();
    } catch (error) {
      this.release();
      throw error;
    }
  }

  release() {
    if (!this.#isPressed) return;
    this.#isPressed = false;
    this.#send(null).catch(() => {}); // What is gone sends nothing.
    this.#closeSoon();
  }

  /** Switch the microphone off for good. */
  dispose() {
    this.release();
    clearTimeout(this.#closing);
    this.#close();
  }

  async #open() {
    // Browsers hide the devices from pages that are not secure.
    if (!this.#devices) throw new DOMException("This page is not secure.", "NotSupportedError");
    const [track] = (await this.#devices.getUserMedia(VOICE)).getAudioTracks();
    return track;
  }

  #closeSoon() {
    clearTimeout(this.#closing);
    this.#closing = setTimeout(() => this.#close(), KEEP_MS);
  }

  #close() {
    this.#track?.stop();
    this.#track = null;
  }
}

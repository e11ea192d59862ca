import { attemptsFor, openWithLess, videoConstraints } from "./constraints.js";

/** Errors of the microphone that leave the camera usable. */
const WITHOUT_SOUND = new Set(["NotFoundError", "NotReadableError", "NotAllowedError", "OverconstrainedError"]);
const VOICE = { echoCancellation: true, noiseSuppression: true };

/**
 * @typedef {object} Settings
 * @property {string} [deviceId] the browser's choice by default
 * @property {string} [facing] "user" or "environment", in place of a device
 * @property {number} height in pixels
 * @property {number} frameRate
 * @property {boolean} microphone
 */

/** The camera and the microphone of this device, as one stream. */
export class Devices {
  /** @type {MediaStreamTrack | null} */
  #video = null;
  /** @type {MediaStreamTrack | null} */
  #audio = null;
  #onEnded;
  /** What the camera cannot do of the settings, so that it was opened without. @type {import("./constraints.js").Lowered[]} */
  lowered = [];

  /**
   * @param {Settings} settings
   * @param {() => void} onEnded the browser or the system has taken the camera away
   */
  constructor(settings, onEnded) {
    this.settings = settings;
    this.#onEnded = onEnded;
  }

  /** The track of the camera. */
  get video() {
    return this.#video;
  }

  get hasMicrophone() {
    return this.#audio !== null;
  }

  /** A new stream of what is open now. */
  get stream() {
    return new MediaStream([this.#video, this.#audio].filter((track) => track !== null));
  }

  /** Whether the light of the camera can be switched. */
  get hasTorch() {
    return /** @type {any} */ (this.#video?.getCapabilities?.() ?? {}).torch === true;
  }

  /**
   * Open what the settings say, or as much of it as the camera can do: `lowered` says what was given up. Rejects as
   * `getUserMedia` does; without a microphone it goes on.
   */
  async open() {
    await this.#open(attemptsFor(this.settings), this.settings.microphone);
  }

  /**
   * Change how the camera takes pictures; what cannot be done leaves everything as it was, and rejects.
   * @param {Partial<Settings>} changes
   */
  async change(changes) {
    const before = this.settings;
    this.settings = { ...before, ...changes };
    try {
      if ("deviceId" in changes || "facing" in changes) await this.#reopen();
      else await this.#apply();
    } catch (error) {
      this.settings = before;
      if (this.#video?.readyState === "ended") await this.#reopen();
      throw error;
    }
  }

  /**
   * Off is off: the browser shows that nobody listens.
   * @param {boolean} isOn
   */
  async setMicrophone(isOn) {
    this.#audio?.stop();
    this.#audio = null;
    if (isOn) [this.#audio] = (await navigator.mediaDevices.getUserMedia({ audio: VOICE })).getAudioTracks();
    this.settings.microphone = isOn;
  }

  /** @param {boolean} isOn */
  async setTorch(isOn) {
    await this.#video?.applyConstraints(/** @type {any} */ ({ advanced: [{ torch: isOn }] }));
  }

  close() {
    for (const track of [this.#video, this.#audio]) track?.stop();
    this.#video = this.#audio = null;
  }

  async #apply() {
    await this.#video?.applyConstraints(/** @type {MediaTrackConstraints} */ (videoConstraints(this.settings)));
    this.lowered = [];
  }

  /** The camera anew; phones open no second one before the first is closed. */
  async #reopen() {
    this.#video?.stop();
    await this.#open(attemptsFor(this.settings, true), false);
  }

  /**
   * @param {ReturnType<typeof attemptsFor>} attempts
   * @param {boolean} isHeard
   */
  async #open(attempts, isHeard) {
    const devices = navigator.mediaDevices;
    const { opened, lowered } = await openWithLess(attempts, async (video) => {
      try {
        return await devices.getUserMedia({ video, audio: isHeard && VOICE });
      } catch (error) {
        if (!isHeard || !WITHOUT_SOUND.has(error.name)) throw error;
        return devices.getUserMedia({ video });
      }
    });
    this.lowered = lowered;
    this.#take(opened);
  }

  /** @param {MediaStream} opened */
  #take(opened) {
    const [video] = opened.getVideoTracks();
    this.#video = video;
    video.addEventListener("ended", () => {
      if (video === this.#video) this.#onEnded();
    });
    this.#audio = opened.getAudioTracks()[0] ?? this.#audio;
  }
}

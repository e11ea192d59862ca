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

  /** Open what the settings say. Rejects as `getUserMedia` does; without a microphone it goes on. */
  async open() {
    const video = videoConstraints(this.settings);
    const devices = navigator.mediaDevices;
    try {
      const audio = this.settings.microphone && VOICE;
      this.#take(await devices.getUserMedia({ video, audio }));
    } catch (error) {
      if (!this.settings.microphone || !WITHOUT_SOUND.has(error.name)) throw error;
      this.#take(await devices.getUserMedia({ video }));
    }
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
      else await this.#video?.applyConstraints(videoConstraints(this.settings));
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

  /** The camera anew; phones open no second one before the first is closed. */
  async #reopen() {
    this.#video?.stop();
    const video = videoConstraints(this.settings);
    this.#take(await navigator.mediaDevices.getUserMedia({ video }));
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

/**
 * @param {Settings} settings
 * @returns {MediaTrackConstraints}
 */
function videoConstraints({ deviceId, facing, height, frameRate }) {
  return {
    width: { ideal: Math.round((height * 16) / 9) },
    height: { ideal: height },
    frameRate: { ideal: frameRate, max: frameRate },
    ...(deviceId ? { deviceId: { exact: deviceId } } : facing ? { facingMode: { ideal: facing } } : {}),
  };
}

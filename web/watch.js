import { JpegScreen } from "./jpeg-screen.js";

/**
 * How it stands with one camera on the wall.
 * @typedef {"paused" | "connecting" | "live" | "noPicture" | "noSignal" | "reconnecting" | "gone" | "absent"
 *   | "offline" | "stopped" | "busy" | "noAnswer" | "failed" | "relayNeeded" | "relayFailed" | "notSecured"
 *   | "noCodec" | "notAccepted"} WatchState
 */

/** How it stands after a session that did not come about, by its reason. @type {Record<string, WatchState>} */
const STATE_AFTER = {
  noAnswer: "noAnswer",
  dtlsFailed: "notSecured",
  noMedia: "noPicture",
  noCodec: "noCodec",
  limitExceeded: "notAccepted",
};
/** States in which the camera is asked again by and by, while there is no picture. */
const RETRIED = new Set([
  ...["stopped", "busy", "failed", "relayNeeded", "relayFailed"],
  ...Object.values(STATE_AFTER),
]);
const FIRST_RETRY_MS = 4_000;
const LAST_RETRY_MS = 30_000;

/**
 * One camera that a person wants to see, through all that happens to it: asked for, lost, found again, and
 * left alone while nobody looks. The viewer asks again for a stream that it once had; this also asks for
 * those that it never had, and knows why there is no picture.
 */
export class Watch {
  /** @type {import("/client/index.js").ViewerClient} */
  #viewer;
  #onChange;
  #isWanted = false;
  #wasSeen = false;
  #attempt = 0;
  #prefersJpeg;
  /** What the viewer gave for the stream. @type {MediaStream | import("/client/index.js").Pictures | null} */
  #received = null;
  /** @type {JpegScreen | null} */
  #screen = null;
  /** Counts requests, so that the answer to an older one can tell. */
  #request = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;

  /**
   * @param {import("/client/index.js").ViewerClient} viewer
   * @param {string} cameraId
   * @param {(watch: Watch) => void} onChange of state or stream
   * @param {boolean} [prefersJpeg] whether to ask for JPEGs where the camera has them
   */
  constructor(viewer, cameraId, onChange, prefersJpeg = false) {
    this.#prefersJpeg = prefersJpeg;
    this.cameraId = cameraId;
    this.#viewer = viewer;
    this.#onChange = onChange;
    /** @type {WatchState} */
    this.state = "paused";
    /** @type {MediaStream | null} */
    this.stream = null;
    /** When the camera went, if it was seen before. @type {Date | null} */
    this.goneSince = null;
    /** When the picture was asked for, by the clock of `performance`. */
    this.askedAt = 0;
  }

  /** Whether the camera is asked again by and by. */
  get isRetried() {
    return !this.stream && RETRIED.has(this.state);
  }

  /** Somebody looks: ask for the picture. */
  want() {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.retry();
  }

  /** Nobody looks: let the camera rest. */
  rest() {
    if (!this.#isWanted) return;
    this.#isWanted = false;
    this.#request++;
    clearTimeout(this.#retryTimer);
    this.#drop();
    this.#viewer.stopViewing(this.cameraId);
    this.#become("paused");
  }

  /** Ask again now. */
  retry() {
    this.#attempt = 0;
    this.#ask("connecting");
  }

  // --- what the viewer says ------------------------------------------------------------------------

  /** The camera has come into the room. */
  appeared() {
    this.#wasSeen = true;
    this.goneSince = null;
    this.returned();
  }

  /** This client has come into the room. */
  returned() {
    if (this.#isWanted && !this.stream) this.retry();
  }

  /** The camera has left the room. */
  disappeared() {
    this.goneSince = new Date();
    // A picture that still flows, after both have lost the server, is better than a sentence.
    if (this.#isWanted && !this.stream) this.#become("gone");
  }

  /** The connection to the server is gone. */
  serverLost() {
    if (!this.#isWanted || this.stream) return;
    clearTimeout(this.#retryTimer);
    this.#become("offline");
  }

  /** @param {MediaStream | import("/client/index.js").Pictures} received */
  received(received) {
    if (!this.#isWanted || received === this.#received) return;
    this.#wasSeen = true;
    clearTimeout(this.#retryTimer);
    this.#attempt = 0;
    this.#drop();
    this.#received = received;
    this.#screen = "onpicture" in received ? new JpegScreen(received) : null;
    this.stream = this.#screen?.stream ?? /** @type {MediaStream} */ (received);
    this.#become("live");
  }

  /** @param {string} reason */
  lost(reason) {
    if (!this.#isWanted) return;
    this.#drop();
    /** @type {Record<string, WatchState>} */
    const states = { cameraStopped: "stopped", cameraUnavailable: "gone" };
    // It had hardly begun: asked at once, it would end as soon, and so on.
    if (STATE_AFTER[reason]) this.#failed({ reason });
    else this.#ask(states[reason] ?? "reconnecting");
  }

  /** @param {boolean} isInterrupted whether packets come no more, which may pass */
  interrupted(isInterrupted) {
    if (this.stream) this.#become(isInterrupted ? "reconnecting" : "live");
  }

  /**
   * @param {boolean} isMoving whether the picture has changed of late
   * @param {boolean} [hasPicture] whether there has been any
   */
  moves(isMoving, hasPicture = true) {
    if (!this.stream) return;
    const isStill = this.state === "noSignal" || this.state === "noPicture";
    if (isMoving && isStill) this.#become("live");
    if (!isMoving && this.state === "live") this.#become(hasPicture ? "noSignal" : "noPicture");
  }

  // --- asking --------------------------------------------------------------------------------------

  /** @param {WatchState} state until it is answered */
  async #ask(state) {
    clearTimeout(this.#retryTimer);
    const request = ++this.#request;
    this.askedAt = performance.now();
    this.#become(state);
    try {
      const received = await this.#requestPicture();
      if (request === this.#request) this.received(received);
    } catch (error) {
      if (request === this.#request && !this.stream) this.#failed(error, true);
    }
  }

  #requestPicture() {
    const pictures = this.#viewer.cameras.get(this.cameraId)?.meta?.pictures;
    const has = (/** @type {string} */ kind) => Array.isArray(pictures) && pictures.includes(kind);
    const isJpeg = has("jpeg") && (this.#prefersJpeg || !has("video"));
    return isJpeg ? this.#viewer.requestPictures(this.cameraId) : this.#viewer.requestStream(this.cameraId);
  }

  #drop() {
    this.#screen?.end();
    this.stream = this.#received = this.#screen = null;
  }

  /**
   * @param {any} error
   * @param {boolean} [isNew] whether nobody has heard of it yet
   */
  #failed(error, isNew = false) {
    const state = this.#stateAfter(error);
    // The tile says it for people; this, for who looks into it.
    if (isNew && RETRIED.has(state)) console.warn(`${error.name}: ${error.message}`);
    if (state === "gone") this.goneSince ??= new Date();
    if (RETRIED.has(state)) {
      // Full jitter, as in the client's own retry.js: a camera that restarts is not asked by all in one instant.
      const delay = Math.random() * Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#attempt++);
      this.#retryTimer = setTimeout(() => this.#ask(state), delay);
    }
    this.#become(state);
  }

  /**
   * @param {any} error
   * @returns {WatchState}
   */
  #stateAfter(error) {
    const { cameras, iceServers, state } = this.#viewer;
    if (state !== "connected" || error.name === "ConnectionError") return "offline";
    if (error.name === "CameraNotFoundError" || !cameras.has(this.cameraId)) {
      return this.#wasSeen ? "gone" : "absent";
    }
    if (error.name === "CameraBusyError") return "busy";
    if (error.name === "ICEFailedError") return hasRelay(iceServers) ? "relayFailed" : "relayNeeded";
    if (error.reason === "cameraStopped" || this.state === "stopped") return "stopped";
    return STATE_AFTER[error.reason] ?? (error.name === "TimeoutError" ? "noAnswer" : "failed");
  }

  /** @param {WatchState} state */
  #become(state) {
    this.state = state;
    this.#onChange(this);
  }
}

/** @param {RTCIceServer[]} [servers] */
function hasRelay(servers = []) {
  return servers.flatMap(({ urls }) => urls).some((url) => /^turns?:/.test(url));
}

import { CancelledError, ConnectionError, SessionFailedError, TimeoutError } from "./errors.js";
import { Session } from "./session.js";
import { WebRTCCCTVClient } from "./signaling.js";

/** Ends that the client itself asked for. */
const OWN_ENDS = new Set(["stopped", "leftRoom", "closed"]);

/** @typedef {import("./signaling.js").CameraInfo} CameraInfo */
/**
 * @typedef {"stopped" | "cameraStopped" | "cameraUnavailable" | "failed" | "leftRoom" | "closed"} EndReason
 *
 * @typedef {object} Watch one camera that is watched, or about to be
 * @property {string} cameraId
 * @property {Session} session
 * @property {MediaStream | null} arriving it has been agreed on, but nothing flows yet
 * @property {MediaStream | null} stream
 * @property {Promise<MediaStream>} promise
 * @property {(stream: MediaStream) => void} resolve
 * @property {(error: Error) => void} reject
 */

/**
 * Watches the cameras of a room.
 *
 * Besides the events of `WebRTCCCTVClient`: `streamReceived` `{cameraId, clientId, stream}` and, for a
 * stream that was received, `streamEnded` `{cameraId, reason}` with an `EndReason`.
 */
export class ViewerClient extends WebRTCCCTVClient {
  /** By camera id. @type {Map<string, Watch>} */
  #watches = new Map();
  /** Cameras seen since this connection joined. @type {Set<string>} */
  #seen = new Set();

  /** @param {import("./signaling.js").ClientOptions} [options] */
  constructor(options = {}) {
    super(options);
    /** The cameras of the room. It stays as it was while the connection is lost. @type {Map<string, CameraInfo>} */
    this.cameras = new Map();
  }

  /**
   * Watch a camera. The promise always settles: with its stream once media flows, or with an error, such as
   * `CameraNotFoundError`, `CameraBusyError`, `TimeoutError`, `ConnectionError`, `SessionFailedError` or,
   * after `stopViewing` or `close`, `CancelledError`.
   * @param {string} cameraId
   * @param {{timeout?: number}} [options] `timeout` in milliseconds
   * @returns {Promise<MediaStream>}
   */
  requestStream(cameraId, { timeout = 15_000 } = {}) {
    const before = this.#watches.get(cameraId);
    if (before) return before.promise;
    const asked = this._ask({ type: "requestStream", cameraId, ack: true }, "ack", timeout);
    const watch = this.#newWatch(cameraId);
    const timer = setTimeout(() => {
      this.#fail(watch, new TimeoutError(`Camera ${cameraId} did not answer in time.`), true);
    }, timeout);
    // That the request was handed over says nothing about the stream.
    asked.catch((error) => {
      if (!(error instanceof TimeoutError)) this.#fail(watch, error);
    });
    const done = () => clearTimeout(timer);
    watch.promise.then(done, done);
    return watch.promise;
  }

  /**
   * Stop watching a camera, or waiting for it.
   * @param {string} cameraId
   */
  stopViewing(cameraId) {
    this.#watches.get(cameraId)?.session.end("stopped", true);
  }

  /** End everything. */
  close() {
    this.#endAll("closed", true);
    super.close();
    this.cameras.clear();
  }

  // --- what happens --------------------------------------------------------------------------------

  /** @param {Record<string, any>} message */
  _receive(message) {
    switch (message.type) {
      case "joined":
        this.#compareCameras();
        break;
      case "cameraAvailable":
        return this.#onCamera(message);
      case "cameraUnavailable":
        return this.#onNoCamera(message.cameraId, message.clientId);
      case "offer":
        this.#sessionWith(message.sender)?.acceptOffer(message.sdp);
        break;
      case "iceCandidate":
        this.#sessionWith(message.sender)?.addCandidate(message.candidate);
        break;
      case "bye":
        this.#sessionWith(message.sender)?.end("cameraStopped");
        break;
    }
  }

  _leaving() {
    this.#endAll("leftRoom", false);
    for (const { cameraId, clientId } of [...this.cameras.values()]) {
      this.cameras.delete(cameraId);
      this._emit("cameraUnavailable", { cameraId, clientId });
    }
  }

  _lost() {
    for (const watch of [...this.#watches.values()]) {
      if (watch.stream) watch.session.detach();
      else this.#fail(watch, new ConnectionError("The connection to the server was lost."));
    }
  }

  // --- cameras -------------------------------------------------------------------------------------

  /**
   * After `joined` the server names every camera that is there. The answer to another question says when it
   * is done; whatever it did not name by then went while this client was away.
   */
  #compareCameras() {
    const seen = new Set();
    this.#seen = seen;
    const compare = () => {
      if (this.#seen !== seen || this.state !== "connected") return;
      for (const { cameraId, clientId } of [...this.cameras.values()]) {
        if (!seen.has(cameraId) && this.#onNoCamera(cameraId, clientId)) {
          this._emit("cameraUnavailable", { cameraId, clientId });
        }
      }
    };
    this.getAvailableCameras().then(compare, compare);
  }

  /**
   * @param {Record<string, any>} message
   * @returns {boolean} whether it is news
   */
  #onCamera({ cameraId, clientId, meta }) {
    const isNew = !this.cameras.has(cameraId);
    this.#seen.add(cameraId);
    this.cameras.set(cameraId, { cameraId, clientId, meta });
    const watch = this.#watches.get(cameraId);
    // It was asked for before it was known who it is, or by an id from before it came back.
    if (watch && !watch.stream) watch.session.peerId = clientId;
    return isNew;
  }

  /**
   * @param {string} cameraId
   * @param {string} clientId
   * @returns {boolean} whether it is news
   */
  #onNoCamera(cameraId, clientId) {
    this.#seen.delete(cameraId);
    const session = this.#sessionWith(clientId);
    if (session && !session.detached) session.end("cameraUnavailable");
    return this.cameras.delete(cameraId);
  }

  // --- watching ------------------------------------------------------------------------------------

  /** @param {string} clientId */
  #sessionWith(clientId) {
    // Nobody but the camera that was asked has a say in its session.
    for (const { session } of this.#watches.values()) if (session.peerId === clientId) return session;
    return undefined;
  }

  /**
   * @param {string} cameraId
   * @returns {Watch}
   */
  #newWatch(cameraId) {
    /** @type {any} */
    const watch = { cameraId, arriving: null, stream: null };
    watch.promise = new Promise((resolve, reject) => Object.assign(watch, { resolve, reject }));
    watch.session = new Session(this.cameras.get(cameraId)?.clientId ?? "", {
      send: (message) => this._send(message),
      newPeerConnection: () => this._newPeerConnection(),
      onStream: (_, stream) => {
        watch.arriving = stream;
        this.#received(watch);
      },
      onState: () => this.#received(watch),
      onEnd: (_, reason) => this.#ended(watch, reason),
    });
    this.#watches.set(cameraId, watch);
    return watch;
  }

  /** @param {Watch} watch */
  #received(watch) {
    if (watch.stream || !watch.arriving || !watch.session.connected) return;
    watch.stream = watch.arriving;
    const { cameraId, session, stream } = watch;
    this._emit("streamReceived", { cameraId, clientId: session.peerId, stream });
    watch.resolve(stream);
  }

  /**
   * @param {Watch} watch
   * @param {string} reason
   */
  #ended(watch, reason) {
    const { cameraId } = watch;
    if (this.#watches.get(cameraId) === watch) this.#watches.delete(cameraId);
    if (watch.stream) {
      this._emit("streamEnded", { cameraId, reason });
    } else if (OWN_ENDS.has(reason)) {
      watch.reject(new CancelledError(`Camera ${cameraId} is not wanted any more.`));
    } else {
      watch.reject(new SessionFailedError(`There is no picture of camera ${cameraId}: ${reason}.`, reason));
    }
  }

  /**
   * @param {Watch} watch
   * @param {Error} error
   * @param {boolean} [tell]
   */
  #fail(watch, error, tell = false) {
    if (watch.stream) return;
    watch.reject(error); // Of the two rejections, the first counts.
    watch.session.end("failed", tell);
  }

  /**
   * @param {EndReason} reason
   * @param {boolean} tell
   */
  #endAll(reason, tell) {
    for (const { session } of [...this.#watches.values()]) session.end(reason, tell);
  }
}

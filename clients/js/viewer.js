import { PEER_CLOSED, failureSaid, isFailure } from "./diagnosis.js";
import { ClientError, ConnectionError, ControlRefusedError } from "./errors.js";
import { canonicalName } from "./protocol.js";
import { WebRTCCCTVClient } from "./signaling.js";
import { Viewing } from "./viewing.js";

/** @typedef {import("./control.js").CameraState} CameraState */
/** @typedef {import("./control.js").Control} Control */
/** @typedef {import("./control.js").ControlValue} ControlValue */
/** @typedef {import("./pictures.js").Pictures} Pictures */
/** @typedef {import("./signaling.js").CameraInfo} CameraInfo */
/** @typedef {import("./stats.js").StreamStats} StreamStats */
/** @typedef {import("./viewing.js").EndReason} EndReason */
/**
 * @typedef {object} OwnEvents
 * @property {{cameraId: string, clientId: string, stream: MediaStream}} streamReceived
 * @property {{cameraId: string, clientId: string, pictures: Pictures}} picturesReceived
 * @property {{cameraId: string, state: "live" | "interrupted" | "noMedia"}} streamState "noMedia": it is
 *   connected, and nothing has come yet
 * @property {{cameraId: string, reason: EndReason}} streamLost
 * @property {{cameraId: string, state: CameraState | null, controls: Control[]}} controlsChanged
 *
 * @typedef {import("./signaling.js").ClientEvents & OwnEvents} ViewerEvents
 */

/**
 * Watches the cameras of a room.
 *
 * Besides the events of `WebRTCCCTVClient`: `streamReceived` `{cameraId, clientId, stream}`, or where those were
 * asked for `picturesReceived` `{cameraId, clientId, pictures}`; after that `streamState` `{cameraId, state}` with
 * "interrupted" or "live" again, and `streamLost` `{cameraId, reason}` with an `EndReason`. What was lost is asked
 * for again, and received again, until `stopViewing`. `controlsChanged` `{cameraId, state, controls}` is what a
 * camera with settings says of itself.
 * @extends {WebRTCCCTVClient<ViewerEvents>}
 */
export class ViewerClient extends WebRTCCCTVClient {
  /** By camera id. @type {Map<string, Viewing>} */
  #viewings = new Map();
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
   * `CameraNotFoundError`, `CameraBusyError`, `TimeoutError`, `ConnectionError`, a `SessionFailedError`
   * (`ICEFailedError`, `DTLSFailedError`, `NoCommonCodecError`, `NoMediaError`, `LimitExceededError`) or, after
   * `stopViewing` or `close`, `CancelledError`. For a camera that was lost and is being asked again, it is the
   * promise of its next stream.
   * @param {string} cameraId
   * @param {{timeout?: number}} [options] `timeout` in milliseconds
   * @returns {Promise<MediaStream>}
   */
  requestStream(cameraId, { timeout = 15_000 } = {}) {
    return /** @type {Promise<MediaStream>} */ (this.#view(canonicalName(cameraId), false, timeout));
  }

  /**
   * Watch a camera by its JPEGs, over a data channel and without any encoding: cameras have them that name
   * "jpeg" among the `pictures` of their `meta`. Otherwise it is the same as `requestStream`, with `Pictures` in
   * place of a `MediaStream`.
   * @param {string} cameraId
   * @param {{timeout?: number}} [options] `timeout` in milliseconds
   * @returns {Promise<Pictures>}
   */
  requestPictures(cameraId, { timeout = 15_000 } = {}) {
    return /** @type {Promise<Pictures>} */ (this.#view(canonicalName(cameraId), true, timeout));
  }

  /**
   * Change a setting of a camera that is watched: one of those that `controlsChanged` told of. Rejects with
   * `ControlRefusedError` or `TimeoutError`.
   * @param {string} cameraId
   * @param {string} name
   * @param {ControlValue} value
   * @returns {Promise<void>}
   */
  async setControl(cameraId, name, value) {
    const viewing = this.#viewings.get(canonicalName(cameraId));
    if (!viewing) throw new ControlRefusedError(`Camera ${cameraId} is not watched.`);
    await viewing.control.set(name, value);
  }

  /**
   * Stop watching a camera, or waiting for it.
   * @param {string} cameraId
   */
  stopViewing(cameraId) {
    this.#viewings.get(canonicalName(cameraId))?.end("stopped", true);
  }

  /**
   * How the stream of a camera does: rates are those since the last time, so ask again after a second.
   * @param {string} cameraId
   * @returns {Promise<StreamStats | null>} null while there is none
   */
  async stats(cameraId) {
    return (await this.#viewings.get(canonicalName(cameraId))?.stats()) ?? null;
  }

  /**
   * Send sound to a camera that accepts it (`acceptsAudio` in its `meta`), or no more. Rejects with a
   * `ClientError` where the camera takes none, or is not watched.
   * @param {string} cameraId
   * @param {MediaStreamTrack | null} track
   * @returns {Promise<void>}
   */
  async talk(cameraId, track) {
    const isTaken = await this.#viewings.get(canonicalName(cameraId))?.talk(track);
    if (track && !isTaken) throw new ClientError(`Camera ${cameraId} does not take sound from viewers.`);
  }

  /** End everything. */
  close() {
    this.#endAll("closed", true);
    super.close();
    this.cameras.clear();
  }

  // --- what happens --------------------------------------------------------------------------------

  /** @protected @param {Record<string, any>} message */
  _receive(message) {
    switch (message.type) {
      case "joined":
        this.#compareCameras();
        break;
      case "cameraAvailable":
        return this.#onCamera(message);
      case "cameraUnavailable":
        return this.#onNoCamera(message.cameraId, message.clientId);
      case "answer":
        this.#sessionWith(message.sender)?.acceptAnswer(message.sdp);
        break;
      case "offer":
        this.#sessionWith(message.sender)?.acceptOffer(message.sdp);
        break;
      case "iceCandidate":
        this.#sessionWith(message.sender)?.addCandidate(message.candidate);
        break;
      case "bye":
        this.#onBye(message);
        break;
    }
  }

  /** @protected */
  _leaving() {
    this.#endAll("leftRoom", false);
    for (const { cameraId, clientId } of [...this.cameras.values()]) {
      this.cameras.delete(cameraId);
      this._emit("cameraUnavailable", { cameraId, clientId });
    }
  }

  /** @protected */
  _lost() {
    const error = new ConnectionError("The connection to the server was lost.");
    for (const viewing of [...this.#viewings.values()]) viewing.serverLost(error);
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
    this.#viewings.get(cameraId)?.found(clientId);
    return isNew;
  }

  /**
   * @param {string} cameraId
   * @param {string} clientId
   * @returns {boolean} whether it is news
   */
  #onNoCamera(cameraId, clientId) {
    this.#seen.delete(cameraId);
    const isNews = this.cameras.delete(cameraId);
    const session = this.#sessionWith(clientId);
    if (session && !session.detached) session.end("cameraUnavailable");
    return isNews;
  }

  /** @param {Record<string, any>} message */
  #onBye({ sender, reason }) {
    const session = this.#sessionWith(sender);
    // To a session that has not begun, nobody can say that: it is about the one before.
    if (!session || (reason === PEER_CLOSED && !session.isDescribed)) return;
    const cause = typeof reason === "string" && reason ? new Error(`the camera said: ${reason.slice(0, 200)}`) : undefined;
    if (reason === "cameraStopped") session.end(reason);
    else if (session.isConnecting) session.end(failureSaid(reason, session.problem), false, cause);
    // What cameras say is for people, save some words.
    else session.end(reason === "failed" || isFailure(reason) ? reason : "cameraStopped", false, cause);
  }

  // --- watching ------------------------------------------------------------------------------------

  /** @param {string} clientId */
  #sessionWith(clientId) {
    // Nobody but the camera that was asked has a say in its session, and nobody while it is not known who that is.
    if (!clientId) return undefined;
    for (const { session } of this.#viewings.values()) if (session?.peerId === clientId) return session;
    return undefined;
  }

  /**
   * @param {string} cameraId
   * @param {boolean} asJpeg
   * @param {number} timeout
   */
  #view(cameraId, asJpeg, timeout) {
    let viewing = this.#viewings.get(cameraId);
    if (viewing?.asJpeg !== asJpeg) {
      viewing?.end("stopped", true);
      viewing = this.#newViewing(cameraId, asJpeg);
      this.#viewings.set(cameraId, viewing);
    }
    return viewing.next(timeout);
  }

  /**
   * @param {string} cameraId
   * @param {boolean} asJpeg
   */
  #newViewing(cameraId, asJpeg) {
    /** @type {Viewing} */
    const viewing = new Viewing(cameraId, asJpeg, {
      request: (timeout) => this._ask({ type: "requestStream", cameraId, ack: true }, "ack", timeout),
      find: () => {
        const camera = this.cameras.get(cameraId);
        return camera ? { clientId: camera.clientId, acceptsAudio: camera.meta?.acceptsAudio === true } : null;
      },
      send: (message) => this._send(message),
      newPeerConnection: () => this._newPeerConnection(),
      iceServers: () => this.iceServers,
      emit: (type, detail) => this._emit(type, detail),
      onGivenUp: () => {
        if (this.#viewings.get(cameraId) === viewing) this.#viewings.delete(cameraId);
      },
    });
    return viewing;
  }

  /**
   * @param {EndReason} reason
   * @param {boolean} tell
   */
  #endAll(reason, tell) {
    for (const viewing of [...this.#viewings.values()]) viewing.end(reason, tell);
  }
}

import { isFailure } from "./diagnosis.js";
import { fromEnd } from "./errors.js";
import { Session } from "./session.js";
import { WebRTCCCTVClient } from "./signaling.js";

/** How long a viewer has until media flows. */
const CONNECT_MS = 15_000;

/**
 * @typedef {import("./signaling.js").ClientOptions & {
 *   cameraId: string, deviceKey?: string, maxViewers?: number, acceptsAudio?: boolean
 * }} CameraOptions `acceptsAudio`: viewers may talk, and know it by `acceptsAudio` in the camera's `meta`;
 *   `deviceKey`: a secret of 16 to 256 characters. From its first use on, nobody without it can take the camera id.
 *
 * @typedef {object} OwnEvents
 * @property {{viewers: string[]}} viewersChanged
 * @property {{viewerId: string, stream: MediaStream}} audioReceived
 * @property {{viewerId: string, error: import("./errors.js").ClientError}} viewerFailed
 *
 * @typedef {import("./signaling.js").ClientEvents & OwnEvents} CameraEvents
 */

/**
 * A camera of a room, for any number of viewers. It makes an offer to each that asks, and answers those that
 * make one themselves.
 *
 * Besides the events of `WebRTCCCTVClient`: `viewersChanged` `{viewers}`, `viewerFailed` `{viewerId, error}` for a
 * viewer that asked and could not be shown anything and, where it accepts audio, `audioReceived`
 * `{viewerId, stream}` when a viewer can be heard.
 * @extends {WebRTCCCTVClient<CameraEvents>}
 */
export class CameraClient extends WebRTCCCTVClient {
  /** By the client id of the viewer. @type {Map<string, Session>} */
  #sessions = new Map();
  /** Who asked before there was a stream, with the offer if there was one. @type {Map<string, any>} */
  #waiting = new Map();
  /** @type {MediaStream | null} */
  #stream = null;
  /** By its id viewers know that tracks which come later belong to those they have. @type {MediaStream | null} */
  #label = null;
  /** @type {string[]} */
  #viewers = [];
  #acceptsAudio;

  /** @param {CameraOptions} options */
  constructor(options) {
    super(options);
    if (!options?.cameraId) throw new TypeError("A camera needs the option cameraId.");
    this.#acceptsAudio = options.acceptsAudio === true;
    this.cameraId = options.cameraId;
  }

  /**
   * Connect and be a camera of the room. Rejects with `CameraIdInUseError`, `ForbiddenError` where
   * the id belongs to another `deviceKey`, `InvalidMessageError`, `ConnectionError` ...
   * @returns {Promise<void>}
   */
  register() {
    return this.connect();
  }

  /**
   * Show this stream to all viewers, those to come and those who are there.
   * @param {MediaStream} stream
   */
  startStreaming(stream) {
    this.#stream = stream;
    this.#label ??= stream;
    for (const session of this.#sessions.values()) session.replaceTracks(stream, this.#label);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const [viewerId, description] of waiting) this.#show(viewerId, description);
  }

  /** End all sessions; the camera stays registered. */
  stopStreaming() {
    this.#stream = null;
    this.#waiting.clear();
    this.#endAll("cameraStopped", true);
  }

  /** Who is watching, by client id. */
  get viewers() {
    return [...this.#viewers];
  }

  /** End everything. */
  close() {
    this.stopStreaming();
    super.close();
  }

  // --- what happens --------------------------------------------------------------------------------

  /** @protected */
  _joinFields() {
    const { deviceKey, maxViewers } = /** @type {CameraOptions} */ (this.options);
    const meta = this.#acceptsAudio ? { ...this.options.meta, acceptsAudio: true } : this.options.meta;
    return { room: this.room, deviceType: "camera", cameraId: this.cameraId, deviceKey, meta, maxViewers };
  }

  /** @protected @param {Record<string, any>} message */
  _receive(message) {
    const session = this.#sessions.get(message.sender ?? message.clientId);
    switch (message.type) {
      case "viewerRequest":
        this.#show(message.viewerId, null);
        break;
      case "offer":
        if (session) session.acceptOffer(message.sdp);
        else this.#show(message.sender, message.sdp);
        break;
      case "answer":
        session?.acceptAnswer(message.sdp);
        break;
      case "iceCandidate":
        session?.addCandidate(message.candidate);
        break;
      case "bye":
        this.#waiting.delete(message.sender);
        session?.end(isFailure(message.reason) ? message.reason : "viewerStopped");
        break;
      case "clientDisconnected":
        this.#waiting.delete(message.clientId);
        // The viewer may only have lost the server.
        session?.detach();
        break;
    }
  }

  /** @protected */
  _leaving() {
    this.#waiting.clear();
    this.#endAll("leftRoom", false);
  }

  /** @protected */
  _lost() {
    this.#waiting.clear();
    for (const session of [...this.#sessions.values()]) session.detach();
  }

  // --- sessions ------------------------------------------------------------------------------------

  /**
   * @param {string} viewerId
   * @param {RTCSessionDescriptionInit | null} description the viewer's own offer, if it made one
   */
  #show(viewerId, description) {
    const stream = this.#stream;
    if (!stream) {
      this.#waiting.set(viewerId, description);
      return;
    }
    this.#sessions.get(viewerId)?.end("replaced");
    const session = new Session(viewerId, {
      send: (message) => this._send(message),
      newPeerConnection: () => {
        const peer = this._newPeerConnection();
        for (const track of stream.getTracks()) peer.addTrack(track, this.#label ?? stream);
        const isSilent = stream.getTracks().every(({ kind }) => kind !== "audio");
        if (this.#acceptsAudio && isSilent) peer.addTransceiver("audio", { direction: "recvonly" });
        return peer;
      },
      iceServers: () => this.iceServers,
      onStream: (_, received) => {
        if (this.#acceptsAudio) this._emit("audioReceived", { viewerId, stream: received });
      },
      onState: () => this.#viewersChanged(),
      onEnd: (_, reason, cause) => {
        clearTimeout(deadline);
        if (this.#sessions.get(viewerId) === session) this.#sessions.delete(viewerId);
        this.#viewersChanged();
        const hasFailed = isFailure(reason) || cause !== undefined;
        if (hasFailed) this._emit("viewerFailed", { viewerId, error: fromEnd(`viewer ${viewerId}`, reason, cause) });
      },
    });
    const deadline = setTimeout(() => {
      if (!session.connected) session.end(session.problem, true);
    }, CONNECT_MS);
    this.#sessions.set(viewerId, session);
    if (description) session.acceptOffer(description);
    else session.offer();
  }

  #viewersChanged() {
    const viewers = [...this.#sessions].filter(([, session]) => session.connected).map(([id]) => id);
    if (viewers.join() === this.#viewers.join()) return;
    this.#viewers = viewers;
    this._emit("viewersChanged", { viewers: this.viewers });
  }

  /**
   * @param {string} reason
   * @param {boolean} tell
   */
  #endAll(reason, tell) {
    for (const session of [...this.#sessions.values()]) session.end(reason, tell);
  }
}

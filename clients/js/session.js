import {
  MAX_CANDIDATES,
  MAX_EARLY_CANDIDATES,
  excessOf,
  isTooLong,
  originOf,
  rejectedCodecs,
} from "./descriptions.js";
import { dtlsTransports, problemOf } from "./diagnosis.js";

/** How many messages of the other side wait while the browser works on one. */
const MAX_WAITING_STEPS = 2 * MAX_EARLY_CANDIDATES;
/** How often the other side may begin anew before anything has flowed: each time costs a peer connection. */
const MAX_RENEWALS = 8;
/** How long a camera has to restart ICE from the moment its viewer knows that there is no path any more. */
const RESTART_MS = 3_000;

/**
 * @typedef {object} SessionHooks
 * @property {(message: Record<string, unknown>) => boolean} send to the server
 * @property {() => RTCPeerConnection} newPeerConnection ready to negotiate: a camera adds its tracks
 * @property {() => RTCIceServer[]} iceServers those of now, for a restart of ICE
 * @property {(peer: RTCPeerConnection, offer: RTCSessionDescriptionInit) => void} [beforeAnswer] say what this
 *   side sends
 * @property {(peer: RTCPeerConnection) => void} [beforeOffer] what a first offer is to have
 * @property {(session: Session, stream: MediaStream) => void} [onStream]
 * @property {(session: Session, channel: RTCDataChannel) => void} [onChannel] the other side has opened it
 * @property {(session: Session) => void} [onState] connected, or no longer
 * @property {(session: Session, reason: string, cause?: unknown) => void} onEnd once; `cause` is what the
 *   WebRTC of this side threw, if it did
 */

/**
 * One peer connection with one other client, and the signaling for it.
 *
 * Everything runs in the order in which it came: browsers refuse an offer while they still work on an
 * answer, and a candidate before its description.
 */
export class Session {
  /** @type {RTCPeerConnection | null} */
  #peer = null;
  /** @type {SessionHooks} */
  #hooks;
  #work = Promise.resolve();
  /** How many steps wait for their turn. */
  #waiting = 0;
  /** How many candidates came since the last description. */
  #taken = 0;
  #renewals = 0;
  /** @type {(RTCIceCandidateInit | null)[]} */
  #candidates = [];
  /** @type {string | null} */
  #remoteOrigin = null;
  #wasConnected = false;
  /** Whether ICE has failed and may yet be restarted. */
  #isRecovering = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #recoveryTimer;

  /**
   * @param {string} peerId the client id of the other side
   * @param {SessionHooks} hooks
   */
  constructor(peerId, hooks) {
    /** @type {string} */
    this.peerId = peerId;
    this.#hooks = hooks;
    this.ended = false;
    /**
     * The two sides can no longer signal, because one of them has another client id by now. What flows,
     * flows on.
     */
    this.detached = false;
  }

  /** @returns {boolean} */
  get connected() {
    return this.#peer?.connectionState === "connected";
  }

  /** Whether the other side has described itself. */
  get isDescribed() {
    return this.#peer?.remoteDescription != null;
  }

  /** Whether the two have agreed, and are looking for a path. @returns {boolean} */
  get isConnecting() {
    return !this.#wasConnected && this.isDescribed;
  }

  /** What is still missing. @returns {import("./diagnosis.js").Failure} */
  get problem() {
    return problemOf(this.#peer);
  }

  /** @returns {Promise<RTCStatsReport> | undefined} */
  getStats() {
    return this.#peer?.getStats();
  }

  /**
   * Make an offer with the tracks of this side.
   * @param {RTCOfferOptions} [options]
   */
  offer(options) {
    this.#run(async () => {
      const peer = this.#open();
      if (options?.iceRestart) this.#renewIceServers(peer);
      if (!peer.localDescription) this.#hooks.beforeOffer?.(peer);
      await peer.setLocalDescription(await peer.createOffer(options));
      this.#send("offer", { sdp: plain(peer.localDescription) });
    });
  }

  /**
   * Answer an offer of the other side.
   * @param {RTCSessionDescriptionInit} description
   */
  acceptOffer(description) {
    if (this.#isExcessive(description)) return;
    this.#run(async () => {
      const origin = originOf(description);
      // Another origin is another peer connection over there, and needs another one here.
      const isNew = this.#remoteOrigin === null ? this.#peer?.localDescription : this.#remoteOrigin !== origin;
      if (isNew) {
        if (++this.#renewals > MAX_RENEWALS) return this.#exceed(`more than ${MAX_RENEWALS} sessions in one`);
        this.#discard();
      }
      const peer = this.#open();
      this.#remoteOrigin = origin;
      if (this.#isRecovering) this.#renewIceServers(peer);
      await peer.setRemoteDescription(description);
      await this.#addCandidates(true);
      this.#hooks.beforeAnswer?.(peer, description);
      await peer.setLocalDescription(await peer.createAnswer());
      const answer = plain(peer.localDescription);
      if (this.#isRejected(description.sdp, answer.sdp, "video")) return;
      this.#watchDtls(peer);
      this.#send("answer", { sdp: answer });
    });
  }

  /**
   * The answer of the other side to an offer of this one.
   * @param {RTCSessionDescriptionInit} description
   */
  acceptAnswer(description) {
    if (this.#isExcessive(description)) return;
    this.#run(async () => {
      const peer = this.#peer;
      if (peer?.signalingState !== "have-local-offer") return; // To an offer that is no more.
      this.#remoteOrigin = originOf(description);
      await peer.setRemoteDescription(description);
      // Who takes the sound alone may have wanted no more.
      if (this.#isRejected(peer.localDescription?.sdp, description.sdp, "media")) return;
      this.#watchDtls(peer);
      await this.#addCandidates(true);
    });
  }

  /**
   * A candidate of the other side; it waits for the description if it came first.
   * @param {RTCIceCandidateInit | null} candidate
   */
  addCandidate(candidate) {
    if (isTooLong(candidate)) return;
    this.#run(async () => {
      if (this.#candidates.length < MAX_EARLY_CANDIDATES) this.#candidates.push(candidate);
      if (this.#peer?.remoteDescription) await this.#addCandidates();
    });
  }

  /**
   * Send other tracks from now on.
   * @param {MediaStream} stream
   * @param {MediaStream} label the stream as which the other side is to see them
   */
  replaceTracks(stream, label) {
    this.#run(async () => {
      if (!this.#peer) return;
      const unused = new Set(this.#peer.getTransceivers());
      let needsOffer = false;
      for (const track of stream.getTracks()) {
        const transceiver = [...unused].find(({ receiver }) => receiver.track.kind === track.kind);
        if (!transceiver) {
          this.#peer.addTrack(track, label);
          needsOffer = true;
          continue;
        }
        unused.delete(transceiver);
        await transceiver.sender.replaceTrack(track);
        if (transceiver.direction.startsWith("send")) continue;
        setDirection(transceiver, "sendrecv");
        transceiver.sender.setStreams?.(label);
        needsOffer = true;
      }
      for (const { sender } of unused) await sender.replaceTrack(null);
      if (needsOffer && !this.detached) this.offer();
    });
  }

  /**
   * Nobody can reach the other side through the server any more. Media that flows may go on; without it
   * there is nothing left to wait for.
   */
  detach() {
    this.detached = true;
    const state = this.#peer?.connectionState;
    if (state !== "connected" && state !== "disconnected") this.end("failed");
  }

  /**
   * @param {string} reason
   * @param {boolean} [tell] whether the other side is to hear it
   * @param {unknown} [cause]
   */
  end(reason, tell = false, cause = undefined) {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.#recoveryTimer);
    if (tell) this.#send("bye", { reason });
    this.#discard();
    this.#hooks.onEnd(this, reason, cause);
  }

  /** @returns {RTCPeerConnection} */
  #open() {
    if (this.#peer) return this.#peer;
    const peer = this.#hooks.newPeerConnection();
    this.#peer = peer;
    peer.onicecandidate = ({ candidate }) => {
      this.#send("iceCandidate", { candidate: candidate ? (candidate.toJSON?.() ?? candidate) : null });
    };
    peer.ontrack = ({ streams, track }) => {
      this.#hooks.onStream?.(this, streams[0] ?? new MediaStream([track]));
    };
    peer.ondatachannel = ({ channel }) => {
      if (this.#hooks.onChannel) this.#hooks.onChannel(this, channel);
      else channel.close();
    };
    peer.onconnectionstatechange = () => this.#onState(peer.connectionState);
    return peer;
  }

  /**
   * Notice when the other side closes its end without a word: ICE would take half a minute.
   * @param {RTCPeerConnection} peer
   */
  #watchDtls(peer) {
    for (const transport of dtlsTransports(peer)) {
      transport.onstatechange ??= () => {
        if (peer !== this.#peer || transport.state !== "closed") return;
        // BUNDLE closes those that it makes needless.
        if (dtlsTransports(peer).every(({ state }) => state === "closed")) this.end("failed", true);
      };
    }
  }

  /** @param {RTCPeerConnectionState} state */
  #onState(state) {
    if (state === "closed") return this.end("failed", true);
    if (state === "failed") return this.#onFailed();
    if (state === "connected") {
      this.#wasConnected = true;
      this.#isRecovering = false;
      this.#renewals = 0;
    }
    // "disconnected" may pass, as when a phone goes from one network to another.
    this.#hooks.onState?.(this);
  }

  /** Where there was a path before, ICE is restarted once, by the side that made the offer. */
  #onFailed() {
    const { problem } = this;
    // Where DTLS has failed, another path changes nothing.
    if (!this.#wasConnected || problem === "dtlsFailed") return this.end(problem, true);
    if (this.detached || this.#isRecovering) return this.end("failed", true);
    this.#isRecovering = true;
    if (this.#peer?.localDescription?.type === "offer") this.offer({ iceRestart: true });
    this.#hooks.onState?.(this);
    // Not every camera can restart: the viewer asks anew where no offer comes.
    this.#recoveryTimer = setTimeout(() => {
      if (this.#peer?.connectionState === "failed") this.end("failed", true);
    }, RESTART_MS);
  }

  /**
   * The credentials of TURN servers expire while a peer connection lasts.
   * @param {RTCPeerConnection} peer
   */
  #renewIceServers(peer) {
    try {
      peer.setConfiguration?.({ ...peer.getConfiguration(), iceServers: this.#hooks.iceServers() });
    } catch {
      // What this WebRTC cannot change stays as it is: the restart may do with it.
    }
  }

  #discard() {
    const peer = this.#peer;
    this.#peer = null;
    this.#remoteOrigin = null;
    if (!peer) return;
    this.#candidates = [];
    peer.onicecandidate = peer.ontrack = peer.ondatachannel = peer.onconnectionstatechange = null;
    peer.close();
  }

  /** @param {boolean} [isDescribed] whether there is another description, to which others belong */
  async #addCandidates(isDescribed = false) {
    if (isDescribed) this.#taken = 0;
    for (const candidate of this.#candidates.splice(0)) {
      if (++this.#taken > MAX_CANDIDATES) return;
      try {
        await this.#peer?.addIceCandidate(/** @type {RTCIceCandidateInit} */ (candidate));
      } catch {
        // One candidate of many: of an earlier description, or of a kind that this browser does not know.
      }
    }
  }

  /** @param {() => Promise<void>} step */
  #run(step) {
    if (this.ended) return;
    if (++this.#waiting > MAX_WAITING_STEPS) return this.#exceed(`more than ${MAX_WAITING_STEPS} messages at once`);
    this.#work = this.#work.then(async () => {
      this.#waiting--;
      try {
        if (!this.ended) await step();
      } catch (error) {
        // After its end, everything fails, and means nothing.
        this.end("failed", true, error);
      }
    });
  }

  /**
   * Whether a description is more than anybody needs: then the session is over.
   * @param {RTCSessionDescriptionInit} description
   */
  #isExcessive(description) {
    const excess = this.ended ? null : excessOf(description);
    if (excess) this.#exceed(excess);
    return excess !== null;
  }

  /** @param {string} what the other side has sent */
  #exceed(what) {
    this.end("limitExceeded", true, new Error(`the other side sent ${what}`));
  }

  /**
   * Whether nothing of an offer can be played: then the session is over.
   * @param {string} [offer]
   * @param {string} [answer]
   * @param {"video" | "media"} [wanted]
   */
  #isRejected(offer = "", answer = "", wanted = "media") {
    const codecs = rejectedCodecs(offer, answer, wanted);
    if (!codecs) return false;
    this.end("noCodec", true, new Error(`offered: ${codecs.join(", ").slice(0, 200) || "none"}`));
    return true;
  }

  /**
   * @param {string} type
   * @param {Record<string, unknown>} fields
   */
  #send(type, fields) {
    if (this.detached) return;
    try {
      this.#hooks.send({ type, target: this.peerId, ...fields });
    } catch (error) {
      // An answer grows with the offer. The server would close the whole connection for a message that is too long.
      this.end("limitExceeded", true, error);
    }
  }
}

/**
 * @param {RTCRtpTransceiver & {setDirection?: (direction: RTCRtpTransceiverDirection) => void}} transceiver
 * @param {RTCRtpTransceiverDirection} direction
 */
export function setDirection(transceiver, direction) {
  // werift has this method where the standard has a property that can be set.
  if (transceiver.setDirection) transceiver.setDirection(direction);
  else transceiver.direction = direction;
}

/** @param {RTCSessionDescription | null} description */
function plain(description) {
  return { type: description?.type, sdp: description?.sdp };
}

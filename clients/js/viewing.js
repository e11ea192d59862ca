import { CONTROL_CHANNEL, RemoteControl } from "./control.js";
import { isFailure } from "./diagnosis.js";
import { CameraNotFoundError, CancelledError, TimeoutError, fromEnd } from "./errors.js";
import { JPEG_CHANNEL, Pictures } from "./pictures.js";
import { fullJitter } from "./retry.js";
import { Session, setDirection } from "./session.js";
import { measure } from "./stats.js";

const RETRY_TIMES = { base: 500, cap: 30_000 };
/** What flowed for so long did well: when it is lost, it is asked for at once. */
const STABLE_MS = 10_000;
/** How long after it is connected a camera may take until its media comes. */
const MEDIA_MS = 5_000;

/**
 * @typedef {"stopped" | "cameraStopped" | "cameraUnavailable" | "failed" | "leftRoom" | "closed"
 *   | import("./diagnosis.js").Failure} EndReason
 *
 * @typedef {object} ViewingHooks
 * @property {(timeout: number) => Promise<unknown>} request hand the request to the server
 * @property {() => {clientId: string, acceptsAudio: boolean} | null} find the camera, if it is in the room
 * @property {(message: Record<string, unknown>) => boolean} send to the server
 * @property {() => RTCPeerConnection} newPeerConnection
 * @property {() => RTCIceServer[]} iceServers
 * @property {(type: string, detail: Record<string, unknown>) => void} emit
 * @property {() => void} onGivenUp it is over: no stream came at the first try, or nobody wants it any more
 *
 * @typedef {MediaStream | Pictures} Received
 *
 * @typedef {object} Attempt
 * @property {Session} session
 * @property {Promise<Received>} promise
 * @property {(stream: Received) => void} resolve
 * @property {(error: Error) => void} reject
 */

/** One camera that is viewed: the present session with it, or the next one after that was lost. */
export class Viewing {
  /** @type {Received | null} */
  stream = null;
  #cameraId;
  #hooks;
  /** @type {Session | null} */
  #session = null;
  /** @type {Attempt | null} */
  #attempt = null;
  /** Whether there was a stream: what was seen once is asked for again for as long as it takes. */
  #isKept = false;
  #failures = 0;
  /** Whether it was lost, and has not flowed for long since. */
  #isShaky = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #stableTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #mediaTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {RTCRtpSender | null} */
  #microphone = null;
  /** @type {import("./stats.js").Snapshot | null} */
  #measured = null;

  /**
   * @param {string} cameraId
   * @param {boolean} asJpeg whether to ask for JPEGs in place of video
   * @param {ViewingHooks} hooks
   */
  constructor(cameraId, asJpeg, hooks) {
    this.#cameraId = cameraId;
    this.asJpeg = asJpeg;
    this.#hooks = hooks;
    this.control = new RemoteControl(() => {
      const { state, controls } = this.control;
      hooks.emit("controlsChanged", { cameraId, state, controls });
    });
  }

  /** The session that signals or flows, if there is one. */
  get session() {
    return this.#session;
  }

  /**
   * The present stream, or the next one.
   * @param {number} timeout in milliseconds, for an attempt that is not under way yet
   * @returns {Promise<Received>}
   */
  next(timeout) {
    if (this.stream) return Promise.resolve(this.stream);
    return this.#attempt?.promise ?? this.#ask(timeout);
  }

  /**
   * The camera is in the room, under this client id.
   * @param {string} clientId
   */
  found(clientId) {
    const session = this.#session;
    if (!session) {
      if (this.#isKept) this.#askAgain();
    } else if (!this.stream) {
      // It was asked for before it was known who it is.
      session.peerId = clientId;
    } else if (session.peerId !== clientId && !session.connected) {
      session.end("failed");
    }
  }

  /** The connection to the server is gone. @param {Error} error */
  serverLost(error) {
    clearTimeout(this.#retryTimer);
    if (this.stream) this.#session?.detach();
    else this.#fail(error, false);
  }

  /**
   * @param {EndReason} reason
   * @param {boolean} tell whether the camera is to hear it
   */
  end(reason, tell) {
    clearTimeout(this.#retryTimer);
    this.#isKept = false;
    if (this.#session) this.#session.end(reason, tell);
    else this.#hooks.onGivenUp();
  }

  /**
   * Send this microphone track to the camera, or nothing.
   * @param {MediaStreamTrack | null} track
   * @returns {Promise<boolean>} whether the camera takes it
   */
  async talk(track) {
    if (this.#microphone) await this.#microphone.replaceTrack(track);
    return this.#microphone !== null;
  }

  /** How it does, since the last time that was asked. */
  async stats() {
    const report = await this.#session?.getStats();
    if (!report) return null;
    const count = this.stream instanceof Pictures ? this.stream.count : null;
    const { stats, snapshot } = measure(report, this.#measured, count);
    this.#measured = snapshot;
    return stats;
  }

  // --- asking --------------------------------------------------------------------------------------

  /**
   * @param {number} timeout
   * @returns {Promise<Received>}
   */
  #ask(timeout) {
    clearTimeout(this.#retryTimer);
    /** @type {any} */
    const attempt = {};
    attempt.promise = new Promise((resolve, reject) => Object.assign(attempt, { resolve, reject }));
    this.#attempt = attempt;
    attempt.session = this.#session = this.#newSession();
    const isCurrent = () => this.#attempt === attempt;
    const timer = setTimeout(() => {
      if (!isCurrent()) return;
      attempt.session.end(attempt.session.problem, true);
    }, timeout);
    if (!this.asJpeg) {
      // That the request was handed over says nothing about the stream.
      this.#hooks.request(timeout).catch((error) => {
        if (isCurrent() && !(error instanceof TimeoutError)) this.#fail(error, false);
      });
    } else if (this.#hooks.find()) {
      attempt.session.offer();
    } else {
      this.#fail(new CameraNotFoundError(`There is no camera ${this.#cameraId}.`), false);
    }
    const done = () => clearTimeout(timer);
    attempt.promise.then(done, done);
    return attempt.promise;
  }

  #askAgain(timeout = 15_000) {
    if (!this.#attempt) this.#ask(timeout).catch(() => {});
  }

  #newSession() {
    const camera = this.#hooks.find();
    /** @type {Received | null} */
    let arriving = null;
    /** @type {Session} */
    const session = new Session(camera?.clientId ?? "", {
      send: this.#hooks.send,
      newPeerConnection: this.#hooks.newPeerConnection,
      iceServers: this.#hooks.iceServers,
      beforeAnswer: (peer, offer) => {
        this.#microphone = camera?.acceptsAudio ? microphoneOf(peer, offer) : null;
      },
      beforeOffer: (peer) => {
        const channel = peer.createDataChannel(JPEG_CHANNEL);
        channel.onopen = () => {
          arriving = new Pictures(channel);
          this.#look(session, arriving);
        };
        this.control.take(peer.createDataChannel(CONTROL_CHANNEL));
      },
      onChannel: (_, channel) => {
        if (channel.label === CONTROL_CHANNEL) this.control.take(channel);
        else channel.close();
      },
      onStream: (_, stream) => {
        arriving = stream;
        this.#look(session, arriving);
      },
      onState: () => this.#look(session, arriving),
      onEnd: (_, reason, cause) => this.#ended(session, /** @type {EndReason} */ (reason), cause),
    });
    return session;
  }

  /**
   * Whether there is a stream by now, or still.
   * @param {Session} session
   * @param {Received | null} stream
   */
  #look(session, stream) {
    if (session !== this.#session || !stream) return;
    const cameraId = this.#cameraId;
    if (this.stream) {
      this.#hooks.emit("streamState", { cameraId, state: session.connected ? "live" : "interrupted" });
      const camera = this.#hooks.find();
      // Nobody can mend what can no longer signal, and the camera is there to be asked anew.
      if (!session.connected && camera && camera.clientId !== session.peerId) session.end("failed");
    } else if (session.connected) {
      const attempt = this.#attempt;
      this.#attempt = null;
      this.#isKept = true;
      this.#measured = null;
      this.stream = stream;
      this.#stableTimer = setTimeout(() => {
        this.#failures = 0;
        this.#isShaky = false;
      }, STABLE_MS);
      const { peerId: clientId } = session;
      if (stream instanceof Pictures) this.#hooks.emit("picturesReceived", { cameraId, clientId, pictures: stream });
      else this.#hooks.emit("streamReceived", { cameraId, clientId, stream });
      attempt?.resolve(stream);
      if (!(stream instanceof Pictures)) this.#expectMedia(session, stream);
    }
  }

  /**
   * A camera that is connected may yet have nothing to send. Tracks are muted until their first packet comes.
   * @param {Session} session
   * @param {MediaStream} stream
   */
  #expectMedia(session, stream) {
    this.#mediaTimer = setTimeout(() => {
      const tracks = stream.getTracks?.() ?? [];
      if (tracks.length === 0 || !tracks.every(({ muted }) => muted)) return;
      const cameraId = this.#cameraId;
      this.#hooks.emit("streamState", { cameraId, state: "noMedia" });
      const come = () => {
        for (const track of tracks) track.removeEventListener("unmute", come);
        if (session === this.#session && session.connected) this.#hooks.emit("streamState", { cameraId, state: "live" });
      };
      for (const track of tracks) track.addEventListener("unmute", come);
    }, MEDIA_MS);
  }

  /**
   * @param {Session} session
   * @param {EndReason} reason
   * @param {unknown} cause
   */
  #ended(session, reason, cause) {
    if (session !== this.#session) return;
    const cameraId = this.#cameraId;
    this.#session = this.#microphone = null;
    this.control.end();
    clearTimeout(this.#stableTimer);
    clearTimeout(this.#mediaTimer);
    const attempt = this.#attempt;
    this.#attempt = null;
    const isOwn = reason === "stopped" || reason === "leftRoom" || reason === "closed";
    if (isOwn || !this.#isKept) this.#hooks.onGivenUp();
    if (this.stream) {
      this.stream = null;
      const wasShaky = this.#isShaky;
      this.#isShaky = true;
      this.#hooks.emit("streamLost", { cameraId, reason });
      // A camera that is gone is asked when it is back.
      if (isOwn || !this.#isKept || !this.#hooks.find()) return;
      // One whose sessions end as soon as they begin is not asked in a loop.
      if (wasShaky || isFailure(reason)) this.#retryLater();
      else this.#askAgain();
    } else {
      if (isOwn) attempt?.reject(new CancelledError(`Camera ${cameraId} is not wanted any more.`));
      else attempt?.reject(fromEnd(`camera ${cameraId}`, reason, cause));
      if (this.#isKept) this.#retryLater();
    }
  }

  /**
   * The attempt under way has failed.
   * @param {Error} error
   * @param {boolean} tell whether the camera is to hear it
   */
  #fail(error, tell) {
    this.#attempt?.reject(error); // Of the two rejections, the first counts.
    this.#session?.end("failed", tell);
  }

  #retryLater() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => {
      if (this.#hooks.find()) this.#askAgain();
    }, fullJitter(this.#failures++, RETRY_TIMES));
  }
}

/**
 * The sender for this side's voice, if the camera's offer has a place for it.
 * @param {RTCPeerConnection} peer
 * @param {RTCSessionDescriptionInit} offer
 * @returns {RTCRtpSender | null}
 */
function microphoneOf(peer, { sdp = "" }) {
  const transceiver = peer.getTransceivers().find(({ receiver }) => receiver.track?.kind === "audio");
  const section = sdp.split(/^(?=m=)/m).find((part) => part.startsWith("m=audio")) ?? "";
  if (!transceiver || !/^a=(sendrecv|recvonly)/m.test(section)) return null;
  setDirection(transceiver, "sendrecv");
  return transceiver.sender;
}

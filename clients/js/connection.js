import { bytesOf } from "./descriptions.js";
import { CancelledError, ConnectionError, MessageTooLongError, fromClose, fromServer } from "./errors.js";
import { Emitter } from "./events.js";
import {
  CLOSE_ABNORMAL,
  CLOSE_NORMAL,
  DEFAULT_ROOM,
  EVENT_MESSAGES,
  SERVER_MESSAGES,
} from "./protocol.js";
import { Questions } from "./questions.js";
import { RESUMED, Resumption } from "./resumption.js";
import { Retry } from "./retry.js";
import { openSocket } from "./socket.js";

/** How long opening a connection and each question to the server may take. */
const ANSWER_TIMEOUT_MS = 10_000;

/** @typedef {import("./signaling.js").ClientOptions} ClientOptions */
/** @typedef {import("./signaling.js").Socket} Socket */
/** @typedef {"idle" | "connecting" | "connected" | "reconnecting"} State */

/**
 * The socket under a `WebRTCCCTVClient`: opened, watched, and opened again when it was lost.
 * @template [Events=import("./signaling.js").ClientEvents]
 * @extends {Emitter<Events>}
 */
export class Connection extends Emitter {
  /** @type {Socket | null} */
  #socket = null;
  /** @type {State} */
  #state = "idle";
  /** @type {Record<string, any> | null} */
  #welcome = null;
  /** What the server said last. @type {RTCIceServer[]} */
  #iceServers = [];
  /** @type {{promise: Promise<void>, resolve: () => void, reject: (error: Error) => void} | null} */
  #opening = null;
  #questions = new Questions();
  #retry;
  #resumption = new Resumption(() => this.#giveUp(new ConnectionError("The connection to the server was lost.")));
  #hasJoined = false;
  /** Whether a new connection is to join the room at once. */
  #wantsRoom = true;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #openTimer;

  /** @param {ClientOptions} [options] */
  constructor(options = {}) {
    super();
    /** A copy, because the token changes. @type {ClientOptions} */
    this.options = { ...options };
    this.#retry = new Retry(options.reconnect);
    /** The room it is in, or will join. @type {string} */
    this.room = options.room || DEFAULT_ROOM;
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** The id that the server gave to this client; another one after most reconnects. @returns {string | null} */
  get clientId() {
    return this.#socket && this.#welcome && !this.#resumption.isSuspended ? this.#welcome.clientId : null;
  }

  /** The last `welcome` of the server. @returns {Record<string, any> | null} */
  get welcome() {
    return this.#welcome;
  }

  /** What peer connections that begin now use. @returns {RTCIceServer[]} */
  get iceServers() {
    return this.options.iceServers ?? this.#iceServers;
  }

  /**
   * Connect and join the room. The first connection is tried once; one that was lost later is made again
   * by itself.
   * @returns {Promise<void>}
   */
  connect() {
    if (this.#opening) return this.#opening.promise;
    if (this.#state === "connected") return this.#wantsRoom ? Promise.resolve() : this._join(this.room);
    this.#wantsRoom = true;
    return this.#open();
  }

  /** Close the connection for good. Running peer connections stay. */
  disconnect() {
    clearTimeout(this.#retryTimer);
    this.#hasJoined = false;
    this.#retry.attempt = 0;
    if (this.#socket) {
      this.#end(this.#socket, CLOSE_NORMAL, "", new CancelledError("The client was disconnected."));
    } else if (this.#state !== "idle") {
      this.#state = "idle";
      if (this.#resumption.isSuspended) this.#giveUp(new CancelledError("The client was disconnected."));
      const error = new CancelledError("The client was disconnected.");
      this._emit("disconnected", { code: CLOSE_NORMAL, reason: "", willReconnect: false, error });
    }
  }

  /**
   * Leave the room and stay connected; `joinRoom` or `connect` enter one again.
   * @returns {Promise<void>}
   */
  async leaveRoom() {
    this._leaving();
    this.#wantsRoom = false;
    await this._ask({ type: "leave" }, "left");
  }

  // --- for subclasses ------------------------------------------------------------------------------

  /** What `join` says about this client. @protected @returns {Record<string, unknown>} */
  _joinFields() {
    return { room: this.room, deviceType: "viewer", meta: this.options.meta };
  }

  /**
   * A message of the server, before its event; false keeps the event back.
   * @protected
   * @param {Record<string, any>} message
   * @returns {boolean | void}
   */
  _receive(message) {}

  /** The client is about to leave its room, or has just entered another one. @protected */
  _leaving() {}

  /** The connection to the server is gone: nobody in the room knows this client any more. @protected */
  _lost() {}

  /**
   * @protected
   * @param {string} room
   * @returns {Promise<void>}
   */
  async _join(room) {
    const resume = this.#resumption.isOffered || undefined;
    await this._ask({ type: "join", ...this._joinFields(), room, resume }, "joined");
  }

  /**
   * Send a message if there is a connection, or one that may be resumed. What is lost with any other has lost
   * its meaning too. Throws a `MessageTooLongError` for what the server would close the connection for.
   * @protected
   * @param {Record<string, unknown>} message
   * @returns {boolean} whether it was sent
   */
  _send(message) {
    const text = JSON.stringify(message);
    const most = this.#welcome?.limits?.maxMessageBytes ?? Infinity;
    // No character takes more than three bytes.
    if (text.length * 3 > most && bytesOf(text) > most) {
      throw new MessageTooLongError(`The message ${message.type} is longer than the ${most} bytes that the server takes.`);
    }
    if (this.#resumption.isSuspended) return this.#resumption.keep(message);
    if (!this.#socket || this.#socket.readyState !== 1 || !this.#welcome) return false;
    this.#socket.send(text);
    return true;
  }

  /**
   * Send a message and wait for its answer.
   * @protected
   * @param {Record<string, any>} message
   * @param {string} answer the type of the answer
   * @param {number} [timeout] in milliseconds
   * @returns {Promise<any>}
   */
  async _ask(message, answer, timeout = ANSWER_TIMEOUT_MS) {
    const question = { ...message, requestId: this.#questions.newId() };
    if (!this._send(question)) throw new ConnectionError("There is no connection to the server.");
    return this.#questions.wait(question, answer, timeout);
  }

  // --- the connection ------------------------------------------------------------------------------

  /** @returns {Promise<void>} */
  #open() {
    clearTimeout(this.#retryTimer);
    this.#state = this.#hasJoined ? "reconnecting" : "connecting";
    this.#welcome = null;
    /** @type {any} */
    const opening = {};
    opening.promise = new Promise((resolve, reject) => Object.assign(opening, { resolve, reject }));
    this.#opening = opening;
    try {
      const socket = openSocket(
        this.options,
        (message) => this.#onMessage(socket, message),
        (code, reason) => this.#end(socket, code, reason),
      );
      this.#socket = socket;
      this.#openTimer = setTimeout(() => {
        this.#end(socket, CLOSE_ABNORMAL, "The server did not answer in time.");
      }, ANSWER_TIMEOUT_MS);
    } catch (error) {
      this.#opening = null;
      this.#state = "idle";
      opening.reject(error);
    }
    return opening.promise;
  }

  /**
   * The socket is closed, or no longer wanted.
   * @param {Socket} socket
   * @param {number} code
   * @param {string} reason
   * @param {import("./errors.js").ClientError} [cause] why the client itself closes it
   */
  #end(socket, code, reason, cause) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    clearTimeout(this.#openTimer);
    this.#retry.lost();
    if (socket.readyState < 2) socket.close(CLOSE_NORMAL);
    const delay = this.#hasJoined ? this.#retry.next(code, cause) : null;
    const wasConnected = this.#state === "connected";
    this.#state = delay === null ? "idle" : "reconnecting";
    const error = cause ?? fromClose(code, reason);
    const isKept = delay !== null && this.#resumption.suspend(code, this.#questions.messages);
    if (!isKept) this.#giveUp(error);
    const opening = this.#opening;
    this.#opening = null;
    opening?.reject(error);
    if (delay !== null) {
      // How the attempt ends shows in events.
      this.#retryTimer = setTimeout(() => this.#open().catch(() => {}), delay);
    }
    if (wasConnected || delay === null) {
      this._emit("disconnected", { code, reason, willReconnect: delay !== null, error });
    }
    // A callback may have disconnected for good, or connected at once.
    if (delay !== null && this.#state === "reconnecting" && !this.#socket) {
      this._emit("reconnecting", { attempt: this.#retry.attempt, delay, error });
    }
  }

  /**
   * Nothing goes on where it was any more.
   * @param {Error} error for all that waits for the server
   */
  #giveUp(error) {
    this.#resumption.end();
    this.#questions.rejectAll(error);
    this._lost();
  }

  // --- messages ------------------------------------------------------------------------------------

  /**
   * @param {Socket} socket
   * @param {any} message
   */
  #onMessage(socket, message) {
    if (socket !== this.#socket) return;
    if (![...SERVER_MESSAGES, RESUMED].includes(message?.type)) return; // From a newer server.
    if (!this.#resumption.isNew(message, (confirmation) => this._send(confirmation))) return;
    const { type, seq, ...detail } = message;
    if (type === "welcome") {
      this.#onWelcome(socket, message);
    } else if (type === RESUMED) {
      this.#onResumed(message);
    } else if (this.#resumption.isSuspended && message.code === "resumeFailed") {
      this.#enter(socket);
    } else if (type === "joined") {
      this.#onJoined(message);
    } else if (type === "iceServers") {
      if (Array.isArray(message.iceServers)) this.#iceServers = message.iceServers;
    } else {
      const answered = this.#questions.settle(message);
      // Peers may go at any time: that what was on its way to them finds nobody is nobody's fault.
      if (type === "error" && !answered && message.code !== "peerNotFound") {
        this._emit("error", fromServer(message));
      }
      if (this._receive(message) !== false && EVENT_MESSAGES.has(type)) this._emit(type, detail);
    }
  }

  /**
   * @param {Socket} socket
   * @param {Record<string, any>} welcome
   */
  #onWelcome(socket, welcome) {
    this.#welcome = welcome;
    if (this.#resumption.isSuspended && welcome.resume) socket.send(JSON.stringify(this.#resumption.ask()));
    else this.#enter(socket);
  }

  /**
   * Be a new client of the server.
   * @param {Socket} socket
   */
  #enter(socket) {
    if (this.#resumption.isSuspended) this.#giveUp(new ConnectionError("The connection to the server was lost."));
    this.#resumption.begin(this.#welcome?.resume);
    this.#iceServers = this.#welcome?.iceServers ?? [];
    this.#emitConnected();
    if (!this.#wantsRoom) return this.#onReady();
    this._join(this.room).catch((error) => {
      if (socket !== this.#socket) return;
      if (this.#hasJoined) this._emit("error", error);
      this.#end(socket, CLOSE_NORMAL, error.message, error);
    });
  }

  /** @param {Record<string, any>} message */
  #onJoined(message) {
    if (this.#state === "connected" && message.room !== this.room) this._leaving();
    this.room = message.room;
    this.#wantsRoom = true;
    this.#hasJoined = true;
    this.#onReady();
    this._receive(message);
    this._emit("roomJoined", { room: message.room });
    this.#questions.settle(message);
  }

  /** @param {Record<string, any>} message */
  #onResumed({ clientId, token }) {
    if (!this.#resumption.isSuspended) return;
    const unsent = this.#resumption.resumed(token);
    this.#welcome = { ...this.#welcome, clientId };
    this.#onReady();
    for (const message of unsent) this.#sendAgain(message);
    // Who shows the state of the connection need not know how it came back.
    this.#emitConnected();
    this._emit("roomJoined", { room: this.room });
  }

  /** @param {Record<string, unknown>} message that was not too long for the server before */
  #sendAgain(message) {
    try {
      this._send(message);
    } catch (error) {
      this._emit("error", error);
    }
  }

  #emitConnected() {
    this._emit("connected", { clientId: this.clientId, reconnected: this.#hasJoined });
    this._emit("welcome", this.#welcome);
  }

  #onReady() {
    clearTimeout(this.#openTimer);
    this.#state = "connected";
    this.#retry.connected();
    const opening = this.#opening;
    this.#opening = null;
    opening?.resolve();
  }
}

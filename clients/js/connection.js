import { CancelledError, ConnectionError, UnauthorizedError, fromServer } from "./errors.js";
import { Emitter } from "./events.js";
import { CLOSE_ABNORMAL, CLOSE_NORMAL, DEFAULT_ROOM, SERVER_MESSAGES, UNAUTHORIZED_CODES } from "./protocol.js";
import { Questions } from "./questions.js";
import { Retry } from "./retry.js";

/** How long opening a connection and each question to the server may take. */
const ANSWER_TIMEOUT_MS = 10_000;
/** A connection that held this long was a good one: the next retry starts from the shortest delay. */
const STABLE_MS = 10_000;
/** Messages that are events as they are. */
const EVENTS = new Set([
  "cameraAvailable",
  "cameraNotFound",
  "cameraUnavailable",
  "clientDisconnected",
  "clientJoined",
  "viewerRequest",
]);

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
  /** @type {{promise: Promise<void>, resolve: () => void, reject: (error: Error) => void} | null} */
  #opening = null;
  #questions = new Questions();
  #retry;
  #hasJoined = false;
  /** Whether a new connection is to join the room at once. */
  #wantsRoom = true;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #stableTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #openTimer;

  /** @param {ClientOptions} [options] */
  constructor(options = {}) {
    super();
    /** @type {ClientOptions} */
    this.options = options;
    this.#retry = new Retry(options.reconnect);
    /** The room it is in, or will join. @type {string} */
    this.room = options.room || DEFAULT_ROOM;
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** The id that the server gave to this connection; a new one after each reconnect. @returns {string | null} */
  get clientId() {
    return this.#socket && this.#welcome ? this.#welcome.clientId : null;
  }

  /** The last `welcome` of the server. @returns {Record<string, any> | null} */
  get welcome() {
    return this.#welcome;
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
      this._emit("disconnected", { code: CLOSE_NORMAL, reason: "", willReconnect: false });
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
    await this._ask({ type: "join", ...this._joinFields(), room }, "joined");
  }

  /**
   * Send a message if there is a connection. What is lost with a connection has lost its meaning too.
   * @protected
   * @param {Record<string, unknown>} message
   * @returns {boolean} whether it was sent
   */
  _send(message) {
    if (!this.#socket || this.#socket.readyState !== 1 || !this.#welcome) return false;
    this.#socket.send(JSON.stringify(message));
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
  _ask(message, answer, timeout = ANSWER_TIMEOUT_MS) {
    const question = { ...message, requestId: this.#questions.newId() };
    if (!this._send(question)) {
      return Promise.reject(new ConnectionError("There is no connection to the server."));
    }
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
      const socket = new (this.options.WebSocket ?? globalThis.WebSocket)(this.#url());
      this.#socket = socket;
      socket.addEventListener("message", (event) => {
        if (socket === this.#socket) this.#onFrame(socket, event.data);
      });
      socket.addEventListener("close", ({ code, reason }) => this.#end(socket, code, reason));
      // A close event follows; without a listener, WebSocket libraries for Node throw.
      socket.addEventListener("error", () => {});
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

  #url() {
    const { url = defaultUrl(), token } = this.options;
    if (!token) return url;
    const withToken = new URL(url);
    // Browsers let no header be set.
    withToken.searchParams.set("token", token);
    return withToken.href;
  }

  /**
   * The socket is closed, or no longer wanted.
   * @param {Socket} socket
   * @param {number} code
   * @param {string} reason
   * @param {Error & {code?: string}} [cause] why the client itself closes it
   */
  #end(socket, code, reason, cause) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    clearTimeout(this.#openTimer);
    clearTimeout(this.#stableTimer);
    if (socket.readyState < 2) socket.close(CLOSE_NORMAL);
    const delay = this.#hasJoined ? this.#retry.next(code, cause?.code) : null;
    const wasConnected = this.#state === "connected";
    this.#state = delay === null ? "idle" : "reconnecting";
    const Lost = UNAUTHORIZED_CODES.has(code) ? UnauthorizedError : ConnectionError;
    const error = cause ?? new Lost(reason || "The connection to the server was lost.", code);
    this.#questions.rejectAll(error);
    this._lost();
    const opening = this.#opening;
    this.#opening = null;
    opening?.reject(error);
    if (delay !== null) {
      // How the attempt ends shows in events.
      this.#retryTimer = setTimeout(() => this.#open().catch(() => {}), delay);
    }
    if (wasConnected || delay === null) {
      this._emit("disconnected", { code, reason, willReconnect: delay !== null });
    }
    // A callback may have disconnected for good, or connected at once.
    if (delay !== null && this.#state === "reconnecting" && !this.#socket) {
      this._emit("reconnecting", { attempt: this.#retry.attempt, delay });
    }
  }

  // --- messages ------------------------------------------------------------------------------------

  /**
   * @param {Socket} socket
   * @param {unknown} data
   */
  #onFrame(socket, data) {
    /** @type {any} */
    let message;
    try {
      message = JSON.parse(String(data));
    } catch {
      return;
    }
    if (!SERVER_MESSAGES.includes(message?.type)) return; // From a newer server.
    const { type, ...detail } = message;
    if (type === "welcome") {
      this.#onWelcome(socket, message);
    } else if (type === "joined") {
      this.#onJoined(message);
    } else {
      const answered = this.#questions.settle(message);
      // Peers may go at any time: that what was on its way to them finds nobody is nobody's fault.
      if (type === "error" && !answered && message.code !== "peerNotFound") {
        this._emit("error", fromServer(message));
      }
      if (this._receive(message) !== false && EVENTS.has(type)) this._emit(type, detail);
    }
  }

  /**
   * @param {Socket} socket
   * @param {Record<string, any>} welcome
   */
  #onWelcome(socket, welcome) {
    this.#welcome = welcome;
    this._emit("connected", { clientId: welcome.clientId, reconnected: this.#hasJoined });
    this._emit("welcome", welcome);
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

  #onReady() {
    clearTimeout(this.#openTimer);
    this.#state = "connected";
    clearTimeout(this.#stableTimer);
    this.#stableTimer = setTimeout(() => {
      this.#retry.attempt = 0;
    }, STABLE_MS);
    const opening = this.#opening;
    this.#opening = null;
    opening?.resolve();
  }
}

function defaultUrl() {
  if (typeof location === "undefined") throw new Error("Outside of browsers, the option url is needed.");
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
}

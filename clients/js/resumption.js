import { CLOSE_ABNORMAL } from "./protocol.js";

/** The messages of docs/protocol.md, section 2.2: only servers that offer `resume` know them. */
export const RESUME = "resume";
export const RESUMED = "resumed";

/** When, and after how many messages, the server hears what has arrived. */
const CONFIRM_MS = 10_000;
const CONFIRM_MESSAGES = 64;
/** A timer that is to take longer fires at once. */
const LONGEST_MS = 2 ** 31 - 1;
/** How many messages wait for a connection to come back. */
const MAX_UNSENT = 256;

/**
 * The session with a server that keeps it for a while after its connection was lost, so that a new connection
 * goes on where the lost one ended, and nobody else notices.
 */
export class Resumption {
  /** Whether there is no connection, but a session that may be resumed. */
  isSuspended = false;
  #onExpired;
  /** @type {string | null} */
  #token = null;
  #windowMs = 0;
  #lastSeq = 0;
  #confirmedSeq = 0;
  /** Whether a new connection has asked for the session: then the server says whether it still has it. */
  #isAsked = false;
  #isExpired = false;
  /** @type {Record<string, unknown>[]} */
  #unsent = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #confirmTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #windowTimer;

  /** @param {() => void} onExpired the server has forgotten the session, and no connection is there to ask it */
  constructor(onExpired) {
    this.#onExpired = onExpired;
  }

  /** Whether the server of this connection offers it. */
  get isOffered() {
    return this.#token !== null;
  }

  /**
   * There is a new connection with a new session.
   * @param {{token?: string, windowSeconds?: number}} [offer] what its `welcome` says
   */
  begin(offer) {
    this.end();
    if (typeof offer?.token !== "string") return;
    this.#token = offer.token;
    this.#windowMs = Math.min(LONGEST_MS, Number(offer.windowSeconds) * 1000);
  }

  /** The session is over, or given up. */
  end() {
    clearTimeout(this.#confirmTimer);
    clearTimeout(this.#windowTimer);
    this.#confirmTimer = undefined;
    this.isSuspended = this.#isAsked = this.#isExpired = false;
    this.#token = null;
    this.#lastSeq = this.#confirmedSeq = 0;
    this.#unsent = [];
  }

  /**
   * Whether a message has not been seen yet. One that has been is a replay that was not needed.
   * @param {Record<string, any>} message
   * @param {(confirmation: Record<string, unknown>) => void} send
   * @returns {boolean}
   */
  isNew({ seq }, send) {
    if (this.#token === null || !Number.isSafeInteger(seq)) return true;
    if (seq <= this.#lastSeq) return false;
    this.#lastSeq = seq;
    const confirm = () => {
      clearTimeout(this.#confirmTimer);
      this.#confirmTimer = undefined;
      this.#confirmedSeq = this.#lastSeq;
      send({ type: "ping", lastSeq: this.#lastSeq });
    };
    if (seq - this.#confirmedSeq >= CONFIRM_MESSAGES) confirm();
    else this.#confirmTimer ??= setTimeout(confirm, CONFIRM_MS);
    return true;
  }

  /**
   * A connection was lost, or could not be made.
   * @param {number} closeCode
   * @param {Record<string, unknown>[]} unanswered the server may not have got these; it takes them twice for once
   * @returns {boolean} whether the session may yet be resumed
   */
  suspend(closeCode, unanswered) {
    clearTimeout(this.#confirmTimer);
    this.#confirmTimer = undefined;
    this.#isAsked = false;
    if (this.isSuspended) return !this.#isExpired;
    // Any other close was meant, and ended the session. One that never joined has none.
    if (closeCode !== CLOSE_ABNORMAL || this.#lastSeq === 0) return false;
    this.isSuspended = true;
    this.#unsent = unanswered;
    this.#windowTimer = setTimeout(() => {
      this.#isExpired = true;
      if (!this.#isAsked) this.#onExpired();
    }, this.#windowMs);
    return true;
  }

  /**
   * Keep a message until the session goes on.
   * @param {Record<string, unknown>} message
   * @returns {boolean} whether there was room for it
   */
  keep(message) {
    if (this.#unsent.length >= MAX_UNSENT) return false;
    this.#unsent.push(message);
    return true;
  }

  /** What asks a new connection for the session. */
  ask() {
    this.#isAsked = true;
    return { type: RESUME, token: this.#token, lastSeq: this.#lastSeq };
  }

  /**
   * The server has the session: it goes on.
   * @param {string} token for the next time
   * @returns {Record<string, unknown>[]} what was to be sent meanwhile
   */
  resumed(token) {
    clearTimeout(this.#windowTimer);
    this.isSuspended = this.#isAsked = this.#isExpired = false;
    this.#token = token;
    return this.#unsent.splice(0);
  }
}

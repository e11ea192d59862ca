import { CameraNotFoundError, TimeoutError, fromServer } from "./errors.js";

/**
 * @typedef {object} Question something that waits for an answer of the server
 * @property {Record<string, any>} message
 * @property {string} answer the type of the message that answers it
 * @property {(answer: any) => void} resolve
 * @property {(error: Error) => void} reject
 */

/** What the client has asked the server and has no answer to yet. */
export class Questions {
  /** @type {Map<string, Question>} */
  #open = new Map();
  // Request ids reach cameras, which must be able to tell those of different viewers apart.
  #prefix = Math.random().toString(36).slice(2, 10);
  #count = 0;

  /** @returns {string} */
  newId() {
    return `${this.#prefix}-${++this.#count}`;
  }

  /**
   * Wait for the answer to a message that has been sent.
   * @param {Record<string, any>} message with its `requestId`
   * @param {string} answer the type of the answer
   * @param {number} timeout in milliseconds
   * @returns {Promise<any>}
   */
  wait(message, answer, timeout) {
    const { requestId } = message;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#open.delete(requestId);
        reject(new TimeoutError(`The server did not answer ${message.type}.`));
      }, timeout);
      const settle = (/** @type {Function} */ how) => (/** @type {unknown} */ what) => {
        clearTimeout(timer);
        this.#open.delete(requestId);
        how(what);
      };
      this.#open.set(requestId, { message, answer, resolve: settle(resolve), reject: settle(reject) });
    });
  }

  /**
   * Settle the question that a message answers, and say whether there was one.
   * @param {Record<string, any>} message
   * @returns {boolean}
   */
  settle(message) {
    const question = this.#find(message);
    if (!question) return false;
    if (message.type === "error") question.reject(fromServer(message));
    else if (message.type === "cameraNotFound") question.reject(new CameraNotFoundError(message.cameraId));
    else question.resolve(message);
    return true;
  }

  /** The messages that have no answer yet. */
  get messages() {
    return [...this.#open.values()].map(({ message }) => message);
  }

  /** @param {Error} error */
  rejectAll(error) {
    for (const question of [...this.#open.values()]) question.reject(error);
  }

  /**
   * @param {Record<string, any>} message
   * @returns {Question | undefined}
   */
  #find(message) {
    if (typeof message.requestId === "string") return this.#open.get(message.requestId);
    // Servers of the plain protocol repeat no request ids; they answer in order.
    return [...this.#open.values()].find((question) => {
      if (message.type === "error") return message.ref === question.message.type;
      if (message.type === "cameraNotFound") return question.message.cameraId === message.cameraId;
      return message.type === question.answer;
    });
  }
}

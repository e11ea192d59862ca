import { ControlRefusedError, TimeoutError } from "./errors.js";

/** The data channel on which a camera tells how it does, and what about it can be changed: see docs/esp32.md. */
export const CONTROL_CHANNEL = "control";
const ANSWER_MS = 15_000;

/**
 * @typedef {string | number | boolean} ControlValue
 *
 * @typedef {object} Control a setting of a camera
 * @property {string} name
 * @property {string} label
 * @property {"number" | "switch" | "choice"} kind
 * @property {ControlValue} [value] not there while it is unknown
 * @property {number} [least] of a number; 0 unless it is there
 * @property {number} [most] of a number; 0 unless it is there
 * @property {{value: ControlValue, label: string}[]} [choices]
 *
 * @typedef {object} CameraState
 * @property {string} state in a word, for programs
 * @property {string} message in a sentence, for people
 * @property {string} since ISO 8601
 */

/** What a camera says of itself on its control channel, and what can be asked of it. */
export class RemoteControl {
  /** @type {CameraState | null} */
  state = null;
  /** @type {Control[]} */
  controls = [];
  #onChange;
  /** @type {RTCDataChannel | null} */
  #channel = null;
  /** By request id. @type {Map<string, (answer: Record<string, any> | null) => void>} */
  #waiting = new Map();
  #count = 0;

  /** @param {() => void} onChange of what the camera says */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** @param {RTCDataChannel} channel of the present session */
  take(channel) {
    this.#channel = channel;
    channel.onmessage = ({ data }) => this.#hear(data);
    channel.onclose = () => {
      if (this.#channel === channel) this.end();
    };
  }

  /** The session is over: nobody answers any more. */
  end() {
    this.#channel = null;
    for (const answer of this.#waiting.values()) answer(null);
  }

  /**
   * @param {string} name
   * @param {ControlValue} value
   * @returns {Promise<void>}
   */
  async set(name, value) {
    const channel = this.#channel;
    if (channel?.readyState !== "open") {
      throw new ControlRefusedError("This camera has no settings that can be changed, or is away.");
    }
    const id = `set-${++this.#count}`;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    /** @type {Promise<Record<string, any> | null>} */
    const answered = new Promise((resolve, reject) => {
      this.#waiting.set(id, resolve);
      timer = setTimeout(() => reject(new TimeoutError("The camera did not answer in time.")), ANSWER_MS);
    });
    try {
      channel.send(JSON.stringify({ type: "set", id, name, value }));
      const answer = await answered;
      if (answer?.type === "done") return;
      throw new ControlRefusedError(answer ? String(answer.message) : "The camera is gone.");
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** @param {unknown} data */
  #hear(data) {
    const message = parsed(data);
    if (message.type === "state") {
      this.state = { state: message.state, message: message.message, since: message.since };
      this.#onChange();
    } else if (message.type === "controls" && Array.isArray(message.controls)) {
      this.controls = message.controls;
      this.#onChange();
    } else if (message.type === "done" || message.type === "refused") {
      this.#waiting.get(message.id)?.(message);
    }
  }
}

/**
 * @param {unknown} data
 * @returns {Record<string, any>}
 */
function parsed(data) {
  try {
    return Object(JSON.parse(String(data)));
  } catch {
    return {}; // Of a later version.
  }
}

import { CLOSE_REPLACED, PASSING_ERRORS, RECONNECT_CODES } from "./protocol.js";

/** How long a replaced camera stays away: sooner, two cameras with one id would evict each other for ever. */
const REPLACED_MS = 60_000;
/** Refusals of a join that pass by themselves. */
const PASSING = new Set([...PASSING_ERRORS, "timeout"]);
/** However long a server wants to be left alone: timers take no number as it comes. */
const LONGEST_MS = 3_600_000;

/** A connection that held this long was a good one: the next retry starts from the shortest delay. */
const STABLE_MS = 10_000;

/**
 * Milliseconds until the next attempt, with full jitter: what was lost by all at once is not asked for again by all
 * in one instant.
 * @param {number} attempt from 0
 * @param {{base: number, cap: number}} times how long it is at most, at first and in the end, in milliseconds
 */
export function fullJitter(attempt, { base, cap }) {
  return Math.random() * Math.min(cap, base * 2 ** attempt);
}

/** When a lost connection is to be made again (docs/protocol.md, section 2.6). */
export class Retry {
  /** How many attempts were made since the last connection that lasted. */
  attempt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #stableTimer;

  /** @param {{base?: number, cap?: number} | false} [times] in milliseconds; false for never */
  constructor(times = {}) {
    this.times = times && { base: 500, cap: 30_000, ...times };
  }

  /** The client is connected. */
  connected() {
    clearTimeout(this.#stableTimer);
    this.#stableTimer = setTimeout(() => {
      this.attempt = 0;
    }, STABLE_MS);
  }

  /** The connection is gone. */
  lost() {
    clearTimeout(this.#stableTimer);
  }

  /**
   * Milliseconds until the next attempt, or null for none.
   * @param {number} closeCode
   * @param {{code?: string, retryAfter?: number}} [refusal] if the server refused to let the client join
   * @returns {number | null}
   */
  next(closeCode, { code = "", retryAfter = 0 } = {}) {
    if (!this.times) return null;
    if (closeCode === CLOSE_REPLACED || code === "cameraIdInUse") return REPLACED_MS;
    if (!RECONNECT_CODES.has(closeCode) && !PASSING.has(code)) return null;
    return fullJitter(this.attempt++, this.times) + Math.min(LONGEST_MS, Math.max(0, retryAfter * 1000));
  }
}

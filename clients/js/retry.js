import { CLOSE_REPLACED, RECONNECT_CODES } from "./protocol.js";

const BASE_MS = 500;
const CAP_MS = 30_000;
/** How long a replaced camera stays away: sooner, two cameras with one id would evict each other for ever. */
const REPLACED_MS = 60_000;
/** Refusals of a join that pass by themselves. */
const PASSING = new Set(["rateLimited", "roomFull", "serverBusy", "timeout"]);

/** When a lost connection is to be made again (docs/protocol.md, section 2.6). */
export class Retry {
  /** How many attempts were made since the last connection that lasted. */
  attempt = 0;

  /**
   * Milliseconds until the next attempt, or null for none.
   * @param {number} closeCode
   * @param {string} [refusal] the error code, if the server refused to let the client join
   * @returns {number | null}
   */
  next(closeCode, refusal = "") {
    if (closeCode === CLOSE_REPLACED || refusal === "cameraIdInUse") return REPLACED_MS;
    if (!RECONNECT_CODES.has(closeCode) && !PASSING.has(refusal)) return null;
    // Full jitter: after a restart of the server, not all its clients come in the same instant.
    return Math.random() * Math.min(CAP_MS, BASE_MS * 2 ** this.attempt++);
  }
}

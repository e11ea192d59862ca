import { recall, remember } from "./memory.js";

const NAME = "deviceKey";
/** Twice the 128 bits that nobody guesses. */
const BYTES = 32;

/**
 * The secret by which servers know this device again, so that no other takes the name of its camera while it is off.
 * It is made once. A browser that keeps nothing has none: with another one each time, it would lock itself out.
 * @returns {string | undefined}
 */
export function deviceKey() {
  const known = recall(NAME);
  if (isKey(known)) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(BYTES));
  remember(NAME, [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
  const kept = recall(NAME);
  return isKey(kept) ? kept : undefined;
}

/** @param {unknown} value */
function isKey(value) {
  return typeof value === "string" && /^[0-9a-f]{32,256}$/.test(value);
}

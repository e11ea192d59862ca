import { texts } from "./texts.js";

/** What browsers report of a WebSocket that could not be opened, whatever kept it. */
const CLOSE_ABNORMAL = 1006;

/**
 * Why the WebSocket of a server could not be opened.
 * @typedef {"unreachable" | "originRefused" | "notUpgraded" | "serverBusy"} Hindrance
 */

/** How long a server that is there takes at most to say so. */
const ANSWER_MS = 5_000;
/** What a plain request to the address of the WebSocket is answered with. @type {Record<number, Hindrance>} */
const MEANINGS = { 403: "originRefused", 426: "notUpgraded", 429: "serverBusy", 503: "serverBusy" };

/**
 * Browsers tell pages nothing of a WebSocket that was refused, so the server is asked again, by a plain request:
 * whether it is there, and whether it takes pages of this origin. Browsers name no origin in requests to a page's own
 * server, so the page itself names it.
 * @param {string} url of the WebSocket
 * @param {string} origin of the page
 * @param {typeof fetch} [ask]
 * @returns {Promise<Hindrance>}
 */
export async function hindranceOf(url, origin, ask = (...request) => fetch(...request)) {
  const address = new URL(url);
  address.protocol = address.protocol === "wss:" ? "https:" : "http:";
  address.search = String(new URLSearchParams({ origin }));
  try {
    const { status } = await ask(address.href, { cache: "no-store", signal: AbortSignal.timeout?.(ANSWER_MS) });
    return MEANINGS[status] ?? "unreachable";
  } catch {
    return "unreachable";
  }
}

/**
 * The sentence for an error that passes by itself, or that the owner of the server has to mend; none for a server
 * that cannot be reached at all.
 * @param {any} error of the client
 * @param {string} url of the WebSocket
 * @returns {Promise<string | undefined>}
 */
export async function explained({ name, code, closeCode }, url) {
  const isUnopened = name === "ConnectionError" && closeCode === CLOSE_ABNORMAL;
  const hindrance = isUnopened ? await hindranceOf(url, location.origin) : code;
  if (hindrance === "originRefused" || hindrance === "notUpgraded") return texts[hindrance](location.origin);
  return texts.refusal[hindrance];
}

/**
 * Why a session did not come about.
 * @typedef {"noAnswer" | "noPath" | "dtlsFailed" | "noMedia" | "noCodec" | "limitExceeded"} Failure
 */

/** What Python cameras say in a `bye` when a viewer has closed its peer connection without a word. */
export const PEER_CLOSED = "the other side closed the connection";
/** What clients say in a `bye`, and their users find in the `reason` of an error. @type {Set<string>} */
const FAILURES = new Set(["noAnswer", "noPath", "dtlsFailed", "noMedia", "noCodec", "limitExceeded"]);

/** What clients of other makes and versions say, in words for people. @type {[RegExp, Failure][]} */
const WORDS = [
  [/dtls|fingerprint|cipher/i, "dtlsFailed"],
  [/codec/i, "noCodec"],
  [/path|\bICE\b/i, "noPath"],
];

/**
 * @param {unknown} reason
 * @returns {reason is Failure}
 */
export function isFailure(reason) {
  return FAILURES.has(/** @type {string} */ (reason));
}

/**
 * What a peer connection lacks that was to connect, and has not.
 * @param {RTCPeerConnection | null} peer
 * @returns {Failure}
 */
export function problemOf(peer) {
  if (!peer?.remoteDescription) return "noAnswer";
  if (dtlsTransports(peer).some(({ state }) => state === "failed")) return "dtlsFailed";
  if (peer.connectionState === "connected") return "noMedia";
  // There is a path, and nothing was agreed on over it.
  return ["connected", "completed"].includes(peer.iceConnectionState) ? "dtlsFailed" : "noPath";
}

/**
 * What the `bye` of the other side means for a session that is not connected yet.
 * @param {unknown} said its `reason`
 * @param {Failure} problem as this side sees it
 * @returns {Failure | "failed"}
 */
export function failureSaid(said, problem) {
  if (said === "noAnswer" || said === "failed" || !said) return problem;
  if (isFailure(said)) return said;
  const [, failure = "failed"] = WORDS.find(([words]) => words.test(String(said))) ?? [];
  return problem === "dtlsFailed" ? problem : /** @type {Failure | "failed"} */ (failure);
}

/**
 * The transports in use: one, unless the other side knows no BUNDLE. Those of werift are not among them.
 * @param {RTCPeerConnection} peer
 * @returns {RTCDtlsTransport[]}
 */
export function dtlsTransports(peer) {
  const ends = [...(peer.getSenders?.() ?? []), ...(peer.getReceivers?.() ?? []), ...(peer.sctp ? [peer.sctp] : [])];
  const transports = ends.map(({ transport }) => transport).filter((transport) => transport != null);
  return [...new Set(/** @type {RTCDtlsTransport[]} */ (transports))];
}

/**
 * What descriptions (SDP, RFC 8866) say, and how much of it is taken from others. No real peer comes near these
 * limits: beyond them, browsers spend seconds on one description, and make answers that no server passes on.
 */

/** How many sections (`m=` lines) a description may have. */
export const MAX_MEDIA_SECTIONS = 32;
/** How many candidates are taken with a description, and how many after it. */
export const MAX_CANDIDATES = 256;
/** How long a description may be, as UTF-8. */
export const MAX_DESCRIPTION_BYTES = 65_536;
/** How many candidates wait for a description that comes later. */
export const MAX_EARLY_CANDIDATES = 256;
/** How long one candidate may be, as JSON in UTF-8. */
export const MAX_CANDIDATE_BYTES = 2_048;

/** @param {string} text */
export const bytesOf = (text) => new TextEncoder().encode(text).length;

/**
 * What is wrong with a description of another client, before any of it reaches the browser.
 * @param {any} description
 * @returns {string | null} null where it can be taken
 */
export function excessOf(description) {
  const sdp = description?.sdp;
  if (typeof sdp !== "string") return null; // The browser's own error says it.
  // A character has at least one byte: what is far too long need not be encoded.
  const bytes = sdp.length > MAX_DESCRIPTION_BYTES ? sdp.length : bytesOf(sdp);
  if (bytes > MAX_DESCRIPTION_BYTES) return `a description of more than ${MAX_DESCRIPTION_BYTES} bytes`;
  if (count(sdp, /^m=/gm) > MAX_MEDIA_SECTIONS) return `a description with more than ${MAX_MEDIA_SECTIONS} media sections`;
  if (count(sdp, /^a=candidate:/gm) > MAX_CANDIDATES) return `a description with more than ${MAX_CANDIDATES} candidates`;
  return null;
}

/**
 * Whether a candidate of another client is longer than any can be.
 * @param {unknown} candidate
 */
export function isTooLong(candidate) {
  return bytesOf(JSON.stringify(candidate) ?? "") > MAX_CANDIDATE_BYTES;
}

/**
 * The codecs of what an answer rejects altogether, or null if it takes some.
 * @param {string} offer
 * @param {string} answer
 * @param {"video" | "media"} wanted whether there must be video, where video is offered
 * @returns {string[] | null}
 */
export function rejectedCodecs(offer, answer, wanted) {
  const answers = sectionsOf(answer);
  const all = sectionsOf(offer).map((section, place) => ({ ...section, taken: answers[place]?.port !== 0 }));
  const media = all.filter(({ kind, isOffered }) => isOffered && (kind === "video" || kind === "audio"));
  const video = media.filter(({ kind }) => kind === "video");
  const decisive = wanted === "video" && video.length > 0 ? video : media;
  if (decisive.length === 0 || decisive.some(({ taken }) => taken)) return null;
  return [...new Set(decisive.flatMap(({ codecs }) => codecs))];
}

/**
 * What names the peer connection that made a description: the session id in its `o=` line (RFC 8866).
 * @param {RTCSessionDescriptionInit} description
 */
export function originOf({ sdp }) {
  return /^o=\S+ (\S+)/m.exec(sdp ?? "")?.[1] ?? "";
}

/** @param {string} sdp */
function sectionsOf(sdp) {
  return sdp.split(/^(?=m=)/m).slice(1).map((text) => {
    const [, kind = "", port = "0"] = /^m=(\w+) (\d+)/.exec(text) ?? [];
    const codecs = [...text.matchAll(/^a=rtpmap:\d+ ([\w.-]+)/gm)].map(([, name]) => name);
    // A section that is there for BUNDLE alone has no port of its own (RFC 8843, section 6).
    const isOffered = Number(port) !== 0 || /^a=bundle-only/m.test(text);
    return { kind, port: Number(port), isOffered, codecs };
  });
}

/**
 * @param {string} text
 * @param {RegExp} pattern
 */
const count = (text, pattern) => [...text.matchAll(pattern)].length;

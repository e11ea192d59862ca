import { JPEG_CHANNEL } from "./pictures.js";

/**
 * How a stream does.
 * @typedef {object} StreamStats
 * @property {string} codec such as "video/H264"; "" until it is known
 * @property {number} width 0 until a picture was decoded
 * @property {number} height
 * @property {number} framesPerSecond
 * @property {number} bitrate of video, in bits a second
 * @property {number} packetsLost of video, since the session began
 * @property {number} lossRate of video, since the last time: 0 is none, 1 all
 * @property {number} jitter in seconds (RFC 3550, section 6.4.1)
 * @property {number | null} roundTripTime in seconds; null until it was measured
 * @property {"direct" | "relayed" | "none"} path whether media comes straight from the camera
 *
 * @typedef {object} Snapshot
 * @property {number} timestamp in milliseconds
 * @property {number} bytes
 * @property {number} frames
 * @property {number} lost
 * @property {number} received packets
 */

/**
 * What a report of a peer connection says (W3C WebRTC Statistics), with rates since an earlier one.
 * @param {RTCStatsReport | Map<string, any>} report
 * @param {Snapshot | null} before null for rates since the session began, as far as that can be known
 * @param {number | null} pictures how many JPEGs have come, for a stream of those
 * @returns {{stats: StreamStats, snapshot: Snapshot}}
 */
export function measure(report, before, pictures = null) {
  const all = [...report.values()];
  const video = pictures === null ? all.find(isVideo) ?? {} : ofPictures(all, pictures);
  /** @type {Snapshot} */
  const snapshot = {
    timestamp: video.timestamp ?? 0,
    bytes: video.bytesReceived ?? 0,
    frames: video.framesDecoded ?? 0,
    lost: video.packetsLost ?? 0,
    received: video.packetsReceived ?? 0,
  };
  const seconds = before ? (snapshot.timestamp - before.timestamp) / 1000 : 0;
  const { bytes, frames, lost, received } = before ?? { bytes: 0, frames: 0, lost: 0, received: 0 };
  const newlyLost = Math.max(0, snapshot.lost - lost);
  const expected = newlyLost + snapshot.received - received;
  const pair = selectedPair(all);
  const stats = {
    codec: pictures === null ? (all.find(({ id }) => id === video.codecId)?.mimeType ?? "") : "image/jpeg",
    width: video.frameWidth ?? 0,
    height: video.frameHeight ?? 0,
    framesPerSecond: seconds > 0 ? (snapshot.frames - frames) / seconds : (video.framesPerSecond ?? 0),
    bitrate: seconds > 0 ? ((snapshot.bytes - bytes) * 8) / seconds : 0,
    packetsLost: snapshot.lost,
    lossRate: expected > 0 ? newlyLost / expected : 0,
    jitter: video.jitter ?? 0,
    roundTripTime: pair?.currentRoundTripTime ?? null,
    path: pathOf(all, pair),
  };
  return { stats, snapshot };
}

/** @param {any} report */
const isVideo = ({ type, kind }) => type === "inbound-rtp" && kind === "video";

/**
 * The data channel's numbers under the names that those of video have.
 * @param {any[]} all
 * @param {number} count
 * @returns {any}
 */
function ofPictures(all, count) {
  const { timestamp, bytesReceived } = all.find(({ type, label }) => type === "data-channel" && label === JPEG_CHANNEL) ?? {};
  return { timestamp, bytesReceived, framesDecoded: count };
}

/** @param {any[]} all */
function selectedPair(all) {
  const pairs = all.filter(({ type }) => type === "candidate-pair");
  const chosen = all.find(({ type }) => type === "transport")?.selectedCandidatePairId;
  // Firefox has no "transport".
  return pairs.find(({ id }) => id === chosen) ?? pairs.find((pair) => pair.selected || isUsed(pair));
}

/** @param {any} pair */
const isUsed = ({ nominated, state }) => nominated && state === "succeeded";

/**
 * @param {any[]} all
 * @param {any} pair
 * @returns {"direct" | "relayed" | "none"}
 */
function pathOf(all, pair) {
  if (!pair) return "none";
  const ends = all.filter(({ id }) => id === pair.localCandidateId || id === pair.remoteCandidateId);
  return ends.some(({ candidateType }) => candidateType === "relay") ? "relayed" : "direct";
}

// node werift-viewer.mjs SERVER ROOM CAMERA FRAMES OUTFILE CODEC: our client over werift, into a file.
import { writeFileSync } from "node:fs";

import { H264RtpPayload, RTCPeerConnection, RTCRtpCodecParameters, Vp8RtpPayload } from "werift";
import { WebSocket } from "ws";

import { ViewerClient } from "../../clients/js/index.js";

const SECONDS = 40;
const RATE = 15;
const FEEDBACK = [{ type: "nack" }, { type: "nack", parameter: "pli" }, { type: "goog-remb" }];
/** The start code of werift and the head of an IDR slice, whatever its priority. */
const IDR_SLICES = [0x25, 0x45, 0x65].map((head) => Buffer.from([0, 0, 0, 1, head]));
const CODECS = {
  h264: {
    mimeType: "video/H264",
    parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    Payload: H264RtpPayload,
    isKeyframe: (data) => IDR_SLICES.some((start) => data.includes(start)),
    file: (frames) => Buffer.concat(frames.map(({ data }) => data)),
  },
  vp8: {
    mimeType: "video/VP8",
    Payload: Vp8RtpPayload,
    isKeyframe: (data) => (data[0] & 1) === 0,
    file: ivf,
  },
};

const [url, room, camera, wanted, file, name] = process.argv.slice(2);
const { mimeType, parameters, Payload, isKeyframe, file: fileOf } = CODECS[name];

function ivf(frames) {
  const head = Buffer.alloc(32);
  head.write("DKIF");
  head.writeUInt16LE(32, 6);
  head.write("VP80", 8);
  head.writeUInt16LE(640, 12);
  head.writeUInt16LE(480, 14);
  head.writeUInt32LE(RATE, 16);
  head.writeUInt32LE(1, 20);
  head.writeUInt32LE(frames.length, 24);
  const parts = frames.map(({ data }, number) => {
    const frameHead = Buffer.alloc(12);
    frameHead.writeUInt32LE(data.length, 0);
    frameHead.writeBigUInt64LE(BigInt(number), 4);
    return [frameHead, data];
  });
  return Buffer.concat([head, ...parts.flat()]);
}

let connection;

class PeerConnection extends RTCPeerConnection {
  constructor(configuration) {
    const description = { mimeType, parameters, clockRate: 90_000, rtcpFeedback: FEEDBACK };
    const codec = new RTCRtpCodecParameters(description);
    super({ ...configuration, codecs: { video: [codec] }, iceAdditionalHostAddresses: ["127.0.0.1"] });
    connection = this;
    this.onTrack.subscribe(receive);
  }

  /** Where no STUN server is named, werift asks one of Google's, and waits for it. */
  setLocalDescription(description) {
    for (const { connection: ice } of this.iceTransports) ice.stunServer = undefined;
    return super.setLocalDescription(description);
  }
}

/** Packets in the order of their numbers: one that was sent again comes late. */
function inOrder(handle) {
  const waiting = new Map();
  let next = null;
  return (packet) => {
    next ??= packet.header.sequenceNumber;
    waiting.set(packet.header.sequenceNumber, packet);
    for (let ready = waiting.get(next); ready; ready = waiting.get(next)) {
      waiting.delete(next);
      next = (next + 1) % 65_536;
      handle(ready);
    }
  };
}

const frames = [];
const middle = Math.floor(Number(wanted) / 2);
let finish;
const finished = new Promise((resolve) => {
  finish = resolve;
});

function receive(track) {
  let parts = [];
  let fragment;
  const { receiver } = connection.getTransceivers()[0];
  const handle = ({ header, payload }) => {
    if (payload.length === 0) return; // Padding, as probes for bandwidth are.
    const part = Payload.deSerialize(payload, fragment);
    fragment = part.fragment;
    if (part.payload) parts.push(part.payload);
    if (!header.marker) return;
    const data = Buffer.concat(parts);
    parts = [];
    // Nothing can be decoded before the first keyframe.
    if (frames.length === 0 && !isKeyframe(data)) return;
    frames.push({ data, isKeyframe: isKeyframe(data) });
    if (frames.length === middle) receiver.sendRtcpPLI(header.ssrc);
    if (frames.length === Number(wanted)) finish();
  };
  track.onReceiveRtp.subscribe(inOrder(handle));
}

setTimeout(() => {
  console.error(`There were ${frames.length} of ${wanted} frames after ${SECONDS} s.`);
  process.exit(1);
}, SECONDS * 1000);

const viewer = new ViewerClient({ url, room, WebSocket, RTCPeerConnection: PeerConnection });
await viewer.connect();
await viewer.requestStream(camera);
await finished;
writeFileSync(file, fileOf(frames));
const soon = frames.slice(middle, middle + RATE);
const result = {
  codec: connection.getTransceivers()[0].codecs[0].mimeType,
  frames: frames.length,
  keyframes: frames.filter((frame) => frame.isKeyframe).length,
  keyframeAfterPli: soon.some((frame) => frame.isKeyframe),
};
console.log(JSON.stringify(result));
viewer.close();
process.exit(0);

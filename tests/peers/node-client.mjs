// node node-client.mjs watch SERVER ROOM CAMERA TIMEOUT   our viewer over werift
// node node-client.mjs show SERVER ROOM CAMERA [FILE]     our camera over werift; it says nothing without FILE
//
// Each prints its events as JSON, one a line, until it is told to stop.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import {
  MediaStream,
  MediaStreamTrack,
  RTCPeerConnection,
  RTCRtpCodecParameters,
  RtpHeader,
  RtpPacket,
} from "werift";
import { WebSocket } from "ws";

import { CameraClient, ViewerClient } from "../../clients/js/index.js";

/** How many pictures come between two reports of them. */
const REPORT = 15;
const FRAME_MS = 1000 / 15;

const [role, url, room, cameraId, more] = process.argv.slice(2);

class PeerConnection extends RTCPeerConnection {
  constructor(configuration) {
    const codec = new RTCRtpCodecParameters({
      mimeType: "video/H264",
      clockRate: 90_000,
      rtcpFeedback: [{ type: "nack" }, { type: "nack", parameter: "pli" }],
      parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    });
    super({ ...configuration, codecs: { video: [codec] }, iceAdditionalHostAddresses: ["127.0.0.1"] });
  }

  /** Where no STUN server is named, werift asks one of Google's, and waits for it. */
  setLocalDescription(description) {
    for (const { connection } of this.iceTransports) connection.stunServer = undefined;
    return super.setLocalDescription(description);
  }
}

const options = { url, room, reconnect: { base: 100, cap: 500 }, WebSocket, RTCPeerConnection: PeerConnection };

function print(event, detail = {}) {
  const { stream, ...rest } = detail;
  console.log(JSON.stringify({ event, ...rest }));
}

function report(client, ...events) {
  for (const event of ["roomJoined", "disconnected", ...events]) {
    client.on(event, (detail) => print(event, { ...detail, clientId: detail.clientId ?? client.clientId }));
  }
}

async function watch() {
  const viewer = new ViewerClient(options);
  report(viewer, "cameraAvailable", "streamReceived", "streamLost");
  viewer.on("streamReceived", ({ stream }) => {
    let count = 0;
    stream.getVideoTracks()[0].onReceiveRtp.subscribe(({ header }) => {
      if (header.marker && ++count % REPORT === 0) print("pictures", { count });
    });
  });
  await viewer.connect();
  try {
    await viewer.requestStream(cameraId, { timeout: Number(more) });
  } catch (error) {
    print("refused", { name: error.name, message: error.message });
  }
}

/** The pictures of a file, a list of frames of base64 RTP payloads, again and again. */
async function play(file, track) {
  const frames = JSON.parse(readFileSync(file, "utf-8"));
  let sequenceNumber = 0;
  for (let number = 0; ; number += 1) {
    const payloads = frames[number % frames.length];
    payloads.forEach((payload, index) => {
      const marker = index === payloads.length - 1;
      sequenceNumber = (sequenceNumber + 1) % 65_536;
      const header = new RtpHeader({ sequenceNumber, timestamp: number * 6000, payloadType: 96, marker });
      track.writeRtp(new RtpPacket(header, Buffer.from(payload, "base64")));
    });
    await sleep(FRAME_MS);
  }
}

async function show() {
  const camera = new CameraClient({ ...options, cameraId, maxViewers: 1, meta: { name: "Node" } });
  report(camera, "viewersChanged", "viewerRequest");
  if (more) {
    const track = new MediaStreamTrack({ kind: "video" });
    camera.startStreaming(new MediaStream([track]));
    play(more, track);
  }
  await camera.register();
}

await { show, watch }[role]();

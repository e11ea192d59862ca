// node node-client.mjs watch SERVER ROOM CAMERA TIMEOUT   our viewer over werift
// node node-client.mjs talk SERVER ROOM CAMERA TIMEOUT    the same, which talks to the camera
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
    const audio = new RTCRtpCodecParameters({ mimeType: "audio/opus", clockRate: 48_000, channels: 2 });
    const video = new RTCRtpCodecParameters({
      mimeType: "video/H264",
      clockRate: 90_000,
      rtcpFeedback: [{ type: "nack" }, { type: "nack", parameter: "pli" }],
      parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    });
    const codecs = { audio: [audio], video: [video] };
    super({ ...configuration, codecs, iceAdditionalHostAddresses: ["127.0.0.1"] });
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

async function watch(whenSeen = () => {}) {
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
    await whenSeen(viewer);
  } catch (error) {
    print("refused", { name: error.name, message: error.message });
  }
}

async function talk() {
  await watch(async (viewer) => {
    const track = new MediaStreamTrack({ kind: "audio" });
    await viewer.talk(cameraId, track);
    for (let number = 0; ; number += 1) {
      const header = new RtpHeader({ sequenceNumber: number % 65_536, timestamp: number * 960, payloadType: 97 });
      track.writeRtp(new RtpPacket(header, Buffer.from([0xf8, 0xff, 0xfe]))); // Silence, in Opus.
      await sleep(20);
    }
  });
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
  const meta = { name: "Node" };
  const camera = new CameraClient({ ...options, cameraId, maxViewers: 1, meta, acceptsAudio: true });
  report(camera, "viewersChanged", "viewerRequest", "audioReceived");
  camera.on("audioReceived", ({ stream, viewerId }) => {
    stream.getAudioTracks()[0].onReceiveRtp.once(() => print("voice", { viewerId }));
  });
  if (more) {
    const track = new MediaStreamTrack({ kind: "video" });
    camera.startStreaming(new MediaStream([track]));
    play(more, track);
  }
  await camera.register();
}

await { show, talk, watch: () => watch() }[role]();

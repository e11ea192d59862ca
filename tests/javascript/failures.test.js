import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { rejectedCodecs } from "../../clients/js/descriptions.js";
import { CameraClient, ClientError, SessionFailedError } from "../../clients/js/index.js";
import { FakePeer, FakeSocket, OFFER, OPTIONS } from "./fakes.js";
import { begin, end, record, sdp, settle, tick, viewing } from "./fakes.js";

beforeEach(begin);
afterEach(end);

const H265 = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H265/90000\r\n";
const OPUS = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n";
const DATA = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";

// --- a viewer -------------------------------------------------------------------------------------------

/** A request that was answered by an offer, and its peer connection. */
async function agreed(offer = OFFER) {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  request.catch(() => {});
  FakeSocket.last.receive(offer);
  await settle();
  return { viewer, request, peer: FakePeer.last };
}

/** How it stands with a peer connection of Chromium, whatever has failed. */
function stand(peer, { ice = "new", dtls = "new" }) {
  peer.iceConnectionState = ice;
  const transport = { state: dtls, onstatechange: null };
  peer.getReceivers = () => [{ transport }];
}

const FAILED = [
  ["ICE fails", { ice: "failed" }, "noPath", "ICEFailedError"],
  ["DTLS fails over a path", { ice: "connected", dtls: "failed" }, "dtlsFailed", "DTLSFailedError"],
  ["the browser does not say what of DTLS failed", { ice: "completed" }, "dtlsFailed", "DTLSFailedError"],
];

for (const [what, states, reason, name] of FAILED) {
  test(`${what}: ${reason}`, async () => {
    const { request, peer } = await agreed();
    stand(peer, states);
    peer.become("failed");
    await assert.rejects(request, (error) => {
      assert.ok(error instanceof SessionFailedError && error instanceof ClientError);
      assert.deepEqual([error.name, error.reason], [name, reason]);
      assert.match(error.message, /camera porch/);
      return true;
    });
    assert.equal(FakeSocket.last.lastOf("bye").reason, reason);
  });
}

const LATE = [
  ["no offer came", null, "noAnswer", "TimeoutError"],
  ["no candidate is reached", { ice: "checking" }, "noPath", "ICEFailedError"],
  ["DTLS hangs", { ice: "connected", dtls: "connecting" }, "dtlsFailed", "DTLSFailedError"],
  ["it is connected without media", { ice: "connected", dtls: "connected", state: "connected" }, "noMedia", "NoMediaError"],
];

for (const [what, states, reason, name] of LATE) {
  test(`in time ${what}: ${reason}`, async () => {
    const viewer = await viewing();
    const request = viewer.requestStream("porch");
    if (states) {
      FakeSocket.last.receive(OFFER);
      await settle();
      stand(FakePeer.last, states);
      FakePeer.last.become(states.state ?? "connecting");
    }
    tick(15_000);
    await assert.rejects(request, { name, reason });
    assert.equal(FakeSocket.last.lastOf("bye").reason, reason);
  });
}

test("an offer without a codec that can be played is not answered, and the error names the codecs", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  const original = FakePeer.prototype.createAnswer;
  FakePeer.prototype.createAnswer = async () => ({
    type: "answer",
    sdp: `${sdp("local")}${H265.replace("video 9", "video 0")}${OPUS}`,
  });
  FakeSocket.last.receive({ ...OFFER, sdp: { type: "offer", sdp: sdp("camera") + H265 + OPUS } });
  await settle();
  FakePeer.prototype.createAnswer = original;
  await assert.rejects(request, { name: "NoCommonCodecError", reason: "noCodec", message: /H265/ });
  assert.equal(FakeSocket.last.lastOf("answer"), undefined);
  assert.equal(FakeSocket.last.lastOf("bye").reason, "noCodec");
});

const rejected = (text) => text.replace(/^(m=\w+) 9/, "$1 0");
const CODECS = [
  [H265, rejected(H265), ["H265"], ["H265"]],
  [H265, H265, null, null],
  [H265 + OPUS, rejected(H265) + OPUS, ["H265"], null],
  [OPUS + H265, rejected(OPUS) + H265, null, null],
  [OPUS, rejected(OPUS), ["opus"], ["opus"]],
  [DATA, rejected(DATA), null, null],
  [H265 + DATA, rejected(H265) + DATA, ["H265"], ["H265"]],
  // What the offer itself has switched off was never wanted.
  [rejected(H265) + OPUS, rejected(H265) + OPUS, null, null],
  [`${rejected(H265)}a=bundle-only\r\n`, rejected(H265), ["H265"], ["H265"]],
  ["", "", null, null],
];

test("what an answer rejects is all that was wanted, or not", () => {
  for (const [offer, answer, ofVideo, ofMedia] of CODECS) {
    assert.deepEqual(rejectedCodecs(sdp("a") + offer, sdp("b") + answer, "video"), ofVideo, offer);
    assert.deepEqual(rejectedCodecs(sdp("a") + offer, sdp("b") + answer, "media"), ofMedia, offer);
  }
});

const SAID = [
  ["noPath", {}, "ICEFailedError"],
  ["dtlsFailed", {}, "DTLSFailedError"],
  ["noCodec", {}, "NoCommonCodecError"],
  ["limitExceeded", {}, "LimitExceededError"],
  ["no media path between the two was found within 15 s", {}, "ICEFailedError"],
  ["the DTLS handshake failed", {}, "DTLSFailedError"],
  ["there is no codec in common", {}, "NoCommonCodecError"],
  ["a message made no sense", {}, "SessionFailedError"],
  ["a message made no sense", { ice: "connected" }, "DTLSFailedError"],
  [undefined, { ice: "checking" }, "ICEFailedError"],
  ["noAnswer", { ice: "connected" }, "DTLSFailedError"],
  ["cameraStopped", {}, "SessionFailedError"],
];

for (const [reason, states, name] of SAID) {
  test(`a camera that says ${reason} before anything flows, with ${JSON.stringify(states)}: ${name}`, async () => {
    const { request, peer } = await agreed();
    stand(peer, states);
    FakeSocket.last.receive({ type: "bye", sender: "C", reason });
    await assert.rejects(request, { name });
  });
}

test("what a camera says of its end is in the error, and not all of a long text", async () => {
  const { request } = await agreed();
  FakeSocket.last.receive({ type: "bye", sender: "C", reason: `the lens is dirty ${"x".repeat(10_000)}` });
  await assert.rejects(request, (error) => {
    assert.match(error.message, /the lens is dirty/);
    assert.ok(error.message.length < 500);
    return true;
  });
});

test("DTLS that fails as soon as it was connected is not restarted, and the camera not asked in a loop", async () => {
  const { viewer, peer } = await agreed();
  const events = record(viewer, "streamLost");
  const requests = () => FakeSocket.last.sent.filter(({ type }) => type === "requestStream").length;
  peer.flow("stream");
  stand(peer, { ice: "connected", dtls: "failed" });
  peer.become("failed");
  assert.deepEqual(events, [{ type: "streamLost", cameraId: "porch", reason: "dtlsFailed" }]);
  assert.equal(requests(), 1);
  tick(500);
  assert.equal(requests(), 2);
  viewer.close();
});

test("a camera whose sessions end as soon as they begin is asked ever more rarely, until one lasts", async () => {
  const { viewer, peer } = await agreed();
  const requests = () => FakeSocket.last.sent.filter(({ type }) => type === "requestStream").length;
  const flow = async () => {
    FakeSocket.last.receive(OFFER);
    await settle();
    FakePeer.last.flow("stream");
  };
  const lose = () => FakeSocket.last.receive({ type: "bye", sender: "C", reason: "failed" });
  peer.flow("stream");
  lose();
  for (const [count, delay] of [[2, 500], [3, 1000], [4, 2000]]) {
    assert.equal(requests(), count);
    await flow();
    lose();
    tick(delay - 1);
    assert.equal(requests(), count);
    tick(1);
  }
  await flow();
  tick(10_000);
  lose();
  assert.equal(requests(), 6);
  viewer.close();
});

test("a camera that is connected and sends nothing is told from one that is live", async () => {
  const { viewer, peer } = await agreed();
  const track = Object.assign(new EventTarget(), { muted: true });
  const events = record(viewer, "streamState");
  peer.flow({ getTracks: () => [track] });
  tick(5_000);
  track.muted = false;
  track.dispatchEvent(new Event("unmute"));
  track.dispatchEvent(new Event("unmute"));
  assert.deepEqual(events.map(({ state }) => state), ["noMedia", "live"]);
  viewer.close();
});

// --- a camera -------------------------------------------------------------------------------------------

const REQUEST = { type: "viewerRequest", viewerId: "V", requestId: "r" };
const ANSWER = { type: "answer", sender: "V", sdp: { type: "answer", sdp: sdp("viewer") } };

async function asked() {
  const camera = new CameraClient({ ...OPTIONS, cameraId: "porch" });
  camera.startStreaming({ getTracks: () => [{ kind: "video" }] });
  const registering = camera.register();
  FakeSocket.last.admit("C");
  await registering;
  FakeSocket.last.receive(REQUEST);
  await settle();
  return { camera, peer: FakePeer.last };
}

/** Transports that tell what becomes of them. */
function withTransports(peer, count) {
  const transports = Array.from({ length: count }, () => ({ state: "connected", onstatechange: null }));
  peer.getSenders = () => transports.map((transport) => ({ transport }));
  return transports;
}

function close(transport) {
  transport.state = "closed";
  transport.onstatechange?.();
}

test("a camera tells the server of a viewer that closed its end without a word", async () => {
  const { camera, peer } = await asked();
  const [first, second] = withTransports(peer, 2);
  FakeSocket.last.receive(ANSWER);
  await settle();
  peer.become("connected");
  close(first);
  assert.deepEqual(camera.viewers, ["V"]);
  assert.equal(FakeSocket.last.lastOf("bye"), undefined);
  close(second);
  assert.deepEqual(camera.viewers, []);
  assert.equal(FakeSocket.last.lastOf("bye").target, "V");
  assert.ok(peer.closed);
});

const ENDS = [
  ["it has no path", { ice: "failed" }, "noPath"],
  ["its DTLS fails", { ice: "connected", dtls: "failed" }, "dtlsFailed"],
];

for (const [what, states, reason] of ENDS) {
  test(`a camera tells the server, and its user, of a viewer where ${what}`, async () => {
    const { camera, peer } = await asked();
    const events = record(camera, "viewerFailed");
    FakeSocket.last.receive(ANSWER);
    await settle();
    stand(peer, states);
    peer.become("failed");
    assert.equal(FakeSocket.last.lastOf("bye").reason, reason);
    assert.deepEqual(events.map(({ viewerId, error }) => [viewerId, error.reason]), [["V", reason]]);
  });
}

test("a camera that hears nothing of a viewer says so, and not that there is no path", async () => {
  const { camera } = await asked();
  const events = record(camera, "viewerFailed");
  tick(15_000);
  assert.equal(FakeSocket.last.lastOf("bye").reason, "noAnswer");
  assert.equal(events[0].error.name, "TimeoutError");
});

test("what a viewer found out is told to the user of the camera; that it goes is no failure", async () => {
  const { camera } = await asked();
  const events = record(camera, "viewerFailed");
  FakeSocket.last.receive({ type: "bye", sender: "V", reason: "noCodec" });
  assert.equal(events[0].error.name, "NoCommonCodecError");
  FakeSocket.last.receive(REQUEST);
  await settle();
  FakeSocket.last.receive({ type: "bye", sender: "V", reason: "stopped" });
  assert.equal(events.length, 1);
});

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { CameraClient } from "../../clients/js/index.js";
import { FakePeer, FakeSocket, OPTIONS, begin, end, record, sdp, settle, tick } from "./fakes.js";

const STREAM = { getTracks: () => [{ kind: "video" }, { kind: "audio" }] };
const REQUEST = { type: "viewerRequest", viewerId: "V", requestId: "r" };
const ANSWER = { type: "answer", sender: "V", sdp: { type: "answer", sdp: sdp("viewer") } };

beforeEach(begin);
afterEach(end);

async function registered(stream = STREAM) {
  const camera = new CameraClient({ ...OPTIONS, cameraId: "porch", maxViewers: 2 });
  if (stream) camera.startStreaming(stream);
  const registering = camera.register();
  FakeSocket.last.admit("C");
  await registering;
  return camera;
}

async function showing() {
  const camera = await registered();
  FakeSocket.last.receive(REQUEST);
  await settle();
  FakeSocket.last.receive(ANSWER);
  await settle();
  FakePeer.last.become("connected");
  return camera;
}

test("a camera joins as one", async () => {
  await registered();
  const { deviceType, cameraId, maxViewers } = FakeSocket.last.lastOf("join");
  assert.deepEqual({ deviceType, cameraId, maxViewers }, { deviceType: "camera", cameraId: "porch", maxViewers: 2 });
});

test("a device key goes with every join, and only where there is one", async () => {
  await registered();
  assert.ok(!("deviceKey" in FakeSocket.last.lastOf("join")));
  const camera = new CameraClient({ ...OPTIONS, cameraId: "porch", deviceKey: "0123456789abcdef" });
  const registering = camera.register();
  FakeSocket.last.admit();
  await registering;
  FakeSocket.last.drop(1006);
  tick(500);
  FakeSocket.last.welcome();
  assert.equal(FakeSocket.last.lastOf("join").deviceKey, "0123456789abcdef");
});

test("a viewer that asks gets an offer with all tracks", async () => {
  const camera = await registered();
  const events = record(camera, "viewersChanged", "viewerRequest");
  FakeSocket.last.receive(REQUEST);
  FakeSocket.last.receive({ type: "iceCandidate", sender: "V", candidate: { candidate: "early" } });
  await settle();
  assert.equal(FakeSocket.last.lastOf("offer").target, "V");
  assert.equal(FakePeer.last.tracks.length, 2);
  assert.deepEqual(FakePeer.last.candidates, []);
  FakeSocket.last.receive(ANSWER);
  await settle();
  assert.deepEqual(FakePeer.last.candidates, [{ candidate: "early" }]);
  FakePeer.last.become("connected");
  assert.deepEqual(camera.viewers, ["V"]);
  FakeSocket.last.receive({ type: "bye", sender: "V" });
  assert.deepEqual(camera.viewers, []);
  assert.ok(FakePeer.last.closed);
  assert.deepEqual(events.map(({ type }) => type), ["viewerRequest", "viewersChanged", "viewersChanged"]);
});

test("an offer of a viewer is answered", async () => {
  await registered();
  FakeSocket.last.receive({ type: "offer", sender: "V", sdp: { type: "offer", sdp: sdp("viewer") } });
  await settle();
  assert.equal(FakeSocket.last.lastOf("answer").target, "V");
  assert.equal(FakePeer.last.tracks.length, 2);
});

test("what others than its viewers send is ignored", async () => {
  const camera = await showing();
  FakeSocket.last.receive({ ...ANSWER, sender: "X" });
  FakeSocket.last.receive({ type: "iceCandidate", sender: "X", candidate: { candidate: "x" } });
  FakeSocket.last.receive({ type: "bye", sender: "X" });
  FakeSocket.last.receive(ANSWER); // A second answer to the same offer.
  await settle();
  assert.equal(FakePeer.all.length, 1);
  assert.deepEqual(FakePeer.last.candidates, []);
  assert.deepEqual(camera.viewers, ["V"]);
});

test("a viewer that asks before there is a stream waits for it", async () => {
  const camera = await registered(null);
  FakeSocket.last.receive(REQUEST);
  await settle();
  assert.equal(FakePeer.all.length, 0);
  camera.startStreaming(STREAM);
  await settle();
  assert.equal(FakeSocket.last.lastOf("offer").target, "V");
});

test("a viewer that asks again gets a new session", async () => {
  await showing();
  FakeSocket.last.receive(REQUEST);
  await settle();
  assert.equal(FakePeer.all.length, 2);
  assert.ok(FakePeer.all[0].closed);
  assert.equal(FakeSocket.last.lastOf("bye"), undefined);
});

test("a viewer that never answers is given up", async () => {
  await registered();
  FakeSocket.last.receive(REQUEST);
  await settle();
  tick(30_000);
  assert.ok(FakePeer.last.closed);
  assert.equal(FakeSocket.last.lastOf("bye").target, "V");
});

test("a viewer that only lost its server is still shown the picture", async () => {
  const camera = await showing();
  FakeSocket.last.receive({ type: "clientDisconnected", clientId: "V" });
  assert.deepEqual(camera.viewers, ["V"]);
  FakePeer.last.become("failed");
  assert.deepEqual(camera.viewers, []);
  assert.equal(FakeSocket.last.lastOf("bye"), undefined);
});

test("a viewer that goes before it was connected is forgotten", async () => {
  await registered();
  FakeSocket.last.receive(REQUEST);
  await settle();
  FakeSocket.last.receive({ type: "clientDisconnected", clientId: "V" });
  assert.ok(FakePeer.last.closed);
});

test("its viewers outlive the connection to the server", async () => {
  const camera = await showing();
  FakeSocket.last.drop(1006);
  tick(500);
  FakeSocket.last.admit("C2");
  assert.deepEqual(camera.viewers, ["V"]);
  assert.ok(!FakePeer.last.closed);
});

test("stopStreaming says bye, close ends everything", async () => {
  const camera = await showing();
  camera.stopStreaming();
  assert.equal(FakeSocket.last.lastOf("bye").target, "V");
  assert.ok(FakePeer.last.closed);
  camera.close();
  assert.equal(camera.state, "idle");
});

test("a camera that accepts audio says so, and hears its viewers", async () => {
  const camera = new CameraClient({ ...OPTIONS, cameraId: "porch", meta: { name: "n" }, acceptsAudio: true });
  camera.startStreaming({ getTracks: () => [{ kind: "video" }] });
  const registering = camera.register();
  FakeSocket.last.admit("C");
  await registering;
  assert.deepEqual(FakeSocket.last.lastOf("join").meta, { name: "n", acceptsAudio: true });
  const events = record(camera, "audioReceived");
  FakeSocket.last.receive(REQUEST);
  await settle();
  const kinds = FakePeer.last.getTransceivers().map(({ receiver, direction }) => [receiver.track.kind, direction]);
  assert.deepEqual(kinds, [["video", "sendrecv"], ["audio", "recvonly"]]);
  FakePeer.last.flow("voice");
  assert.deepEqual(events, [{ type: "audioReceived", viewerId: "V", stream: "voice" }]);
});

test("a camera that accepts no audio hears nobody", async () => {
  const camera = await showing();
  const events = record(camera, "audioReceived");
  FakePeer.last.flow("voice");
  assert.deepEqual(events, []);
});

test("a microphone is switched off and on without a new session", async () => {
  const camera = await showing();
  const [video, audio] = FakePeer.last.getTransceivers();
  const offers = () => FakeSocket.last.sent.filter(({ type }) => type === "offer").length;
  const picture = { kind: "video" };
  camera.startStreaming({ getTracks: () => [picture] });
  await settle();
  assert.equal(video.sender.track, picture);
  assert.equal(audio.sender.track, null);
  const voice = { kind: "audio" };
  camera.startStreaming({ getTracks: () => [picture, voice] });
  await settle();
  assert.equal(audio.sender.track, voice);
  assert.equal(offers(), 1);
});

test("ICE that fails is restarted once", async () => {
  const camera = await showing();
  FakePeer.last.become("failed");
  await settle();
  assert.deepEqual(FakePeer.last.offerOptions, { iceRestart: true });
  FakeSocket.last.receive(ANSWER);
  await settle();
  FakePeer.last.become("connecting");
  tick(3000);
  FakePeer.last.become("failed");
  assert.ok(FakePeer.last.closed);
  assert.equal(FakeSocket.last.lastOf("bye").reason, "failed");
  assert.deepEqual(camera.viewers, []);
});

test("a restart that is not answered ends the session", async () => {
  await showing();
  FakePeer.last.become("failed");
  await settle();
  tick(3000);
  assert.ok(FakePeer.last.closed);
});

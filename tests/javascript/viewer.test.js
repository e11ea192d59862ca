import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { FakePeer, FakeSocket, OFFER, PORCH, begin, end, record, sdp, settle, tick, viewing } from "./fakes.js";


beforeEach(begin);
afterEach(end);

async function watching() {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  FakeSocket.last.receive(OFFER);
  await settle();
  FakePeer.last.flow("stream");
  await request;
  return viewer;
}

test("a stream, from the request to its end", async () => {
  const viewer = await viewing();
  const events = record(viewer, "streamReceived", "streamLost");
  const request = viewer.requestStream("porch");
  assert.equal(viewer.requestStream("porch"), request);
  FakeSocket.last.receive(OFFER);
  await settle();
  assert.deepEqual(FakePeer.last.configuration, { iceServers: [] });
  assert.equal(FakeSocket.last.lastOf("answer").target, "C");
  FakePeer.last.flow("stream");
  assert.equal(await request, "stream");
  viewer.stopViewing("porch");
  assert.equal(FakeSocket.last.lastOf("bye").target, "C");
  assert.ok(FakePeer.last.closed);
  assert.deepEqual(events, [
    { type: "streamReceived", cameraId: "porch", clientId: "C", stream: "stream" },
    { type: "streamLost", cameraId: "porch", reason: "stopped" },
  ]);
});

test("a late bye of the session before does not end the one that begins", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  FakeSocket.last.receive({ type: "bye", sender: "C", reason: "the other side closed the connection" });
  FakeSocket.last.receive(OFFER);
  await settle();
  FakePeer.last.flow("stream");
  assert.equal(await request, "stream");
});

test("a camera id is the same however it is typed", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("Ku\u0308che ");
  request.catch(() => {});
  assert.equal(viewer.requestStream("K\u00fcche"), request);
  assert.equal(FakeSocket.last.lastOf("requestStream").cameraId, "K\u00fcche");
  viewer.stopViewing("Ku\u0308che");
  await assert.rejects(request);
});

test("candidates wait for the description", async () => {
  const viewer = await viewing();
  viewer.requestStream("porch").catch(() => {});
  FakeSocket.last.receive({ type: "iceCandidate", sender: "C", candidate: { candidate: "1" } });
  FakeSocket.last.receive(OFFER);
  FakeSocket.last.receive({ type: "iceCandidate", sender: "C", candidate: { candidate: "2" } });
  FakeSocket.last.receive({ type: "iceCandidate", sender: "C", candidate: null });
  await settle();
  assert.deepEqual(FakePeer.last.candidates, [{ candidate: "1" }, { candidate: "2" }, null]);
  viewer.close();
});

test("what others than the camera send is ignored", async () => {
  const viewer = await watching();
  const events = record(viewer, "streamLost");
  FakeSocket.last.receive({ ...OFFER, sender: "X" });
  FakeSocket.last.receive({ type: "iceCandidate", sender: "X", candidate: { candidate: "x" } });
  FakeSocket.last.receive({ type: "answer", sender: "X", sdp: { type: "answer", sdp: sdp("x") } });
  FakeSocket.last.receive({ type: "bye", sender: "X" });
  await settle();
  assert.equal(FakePeer.all.length, 1);
  assert.deepEqual(FakePeer.last.candidates, []);
  assert.deepEqual(events, []);
});

test("an offer that nobody asked for is ignored", async () => {
  await viewing();
  FakeSocket.last.receive(OFFER);
  await settle();
  assert.equal(FakePeer.all.length, 0);
});

test("an offer of another peer connection replaces the one before", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  FakeSocket.last.receive(OFFER);
  FakeSocket.last.receive({ ...OFFER, sdp: { type: "offer", sdp: sdp("other") } });
  await settle();
  assert.equal(FakePeer.all.length, 2);
  assert.ok(FakePeer.all[0].closed);
  FakePeer.last.flow("stream");
  assert.equal(await request, "stream");
});

test("an offer of the same peer connection renegotiates", async () => {
  await watching();
  FakeSocket.last.receive(OFFER);
  await settle();
  assert.equal(FakePeer.all.length, 1);
  assert.equal(FakeSocket.last.sent.filter(({ type }) => type === "answer").length, 2);
});

test("a request that is not answered times out and says bye", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("porch", { timeout: 3000 });
  tick(3000);
  await assert.rejects(request, { name: "TimeoutError", code: "timeout" });
  assert.equal(FakeSocket.last.lastOf("bye").target, "C");
  const again = viewer.requestStream("porch");
  assert.notEqual(again, request);
  viewer.close();
  await assert.rejects(again, { name: "CancelledError" });
});

test("every other end settles a request, too", async () => {
  const viewer = await viewing();
  const ends = [
    ["CameraNotFoundError", () => answer({ type: "cameraNotFound", cameraId: "porch" })],
    ["CameraBusyError", () => answer({ type: "error", code: "cameraBusy", message: "Busy." })],
    ["SessionFailedError", () => FakeSocket.last.receive({ type: "bye", sender: "C" })],
    ["SessionFailedError", () => FakeSocket.last.receive({ ...OFFER, sdp: { type: "offer", sdp: "broken" } })],
    ["CancelledError", () => viewer.stopViewing("porch")],
    ["SessionFailedError", () => FakeSocket.last.receive({ ...PORCH, type: "cameraUnavailable" })],
    ["ConnectionError", () => FakeSocket.last.drop(1006)],
    ["ConnectionError", () => {}],
  ];
  const answer = (message) => FakeSocket.last.answer("requestStream", message);
  for (const [name, end] of ends) {
    const request = viewer.requestStream("porch");
    end();
    await assert.rejects(request, { name });
  }
});

test("what the browser itself refuses is told", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  FakeSocket.last.receive({ ...OFFER, sdp: { type: "offer", sdp: "broken" } });
  await assert.rejects(request, (error) => {
    assert.equal(error.cause.message, "broken");
    assert.match(error.message, /porch.*broken/);
    return true;
  });
});

test("a peer connection that fails has lost the stream, and the camera is asked again", async () => {
  const viewer = await watching();
  const events = record(viewer, "streamLost", "streamState", "streamReceived");
  FakePeer.last.become("disconnected");
  FakePeer.last.become("connected");
  FakePeer.last.become("disconnected");
  FakePeer.last.become("failed");
  tick(2999);
  assert.deepEqual(events.map(({ type, state }) => state ?? type), ["interrupted", "live", "interrupted", "interrupted"]);
  tick(1);
  assert.deepEqual(events.at(-1), { type: "streamLost", cameraId: "porch", reason: "failed" });
  assert.equal(requests(), 2);
  FakeSocket.last.receive({ ...OFFER, sdp: { type: "offer", sdp: sdp("another") } });
  await settle();
  FakePeer.last.flow("second");
  assert.deepEqual(events.at(-1), { type: "streamReceived", cameraId: "porch", clientId: "C", stream: "second" });
  assert.equal(await viewer.requestStream("porch"), "second");
});

const requests = () => FakeSocket.last.sent.filter(({ type }) => type === "requestStream").length;

test("a camera that restarts ICE in time keeps its stream", async () => {
  const viewer = await watching();
  const events = record(viewer, "streamLost");
  FakePeer.last.become("failed");
  FakeSocket.last.receive(OFFER);
  await settle();
  FakePeer.last.become("connecting");
  tick(3000);
  FakePeer.last.become("connected");
  assert.deepEqual(events, []);
  assert.equal(FakePeer.all.length, 1);
});

test("no path at all is an error of its own, and nothing is kept", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  FakeSocket.last.receive(OFFER);
  await settle();
  FakePeer.last.become("failed");
  await assert.rejects(request, { name: "ICEFailedError", reason: "noPath" });
  tick(60_000);
  assert.equal(requests(), 1);
});

test("a camera that gives up before anything flows found no path, too", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  FakeSocket.last.receive(OFFER);
  await settle();
  FakeSocket.last.receive({ type: "bye", sender: "C", reason: "no media path was found" });
  await assert.rejects(request, { name: "ICEFailedError" });
});

test("a time-out while paths are tried is no path, too", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  FakeSocket.last.receive(OFFER);
  await settle();
  FakePeer.last.become("connecting");
  tick(15_000);
  await assert.rejects(request, { name: "ICEFailedError" });
});

test("a camera that comes back is asked at once, under its new id", async () => {
  const viewer = await watching();
  const events = record(viewer, "streamLost", "streamReceived");
  FakeSocket.last.receive({ ...PORCH, type: "cameraUnavailable" });
  tick(60_000);
  assert.equal(requests(), 1);
  FakeSocket.last.receive({ ...PORCH, clientId: "C2" });
  assert.equal(requests(), 2);
  FakeSocket.last.receive({ ...OFFER, sender: "C2" });
  await settle();
  FakePeer.last.flow("second");
  assert.deepEqual(events.map(({ type, reason, clientId }) => [type, reason ?? clientId]), [
    ["streamLost", "cameraUnavailable"],
    ["streamReceived", "C2"],
  ]);
});

test("a camera that was lost is asked by and by while it is there, and a request joins in", async () => {
  const viewer = await watching();
  FakeSocket.last.receive({ type: "bye", sender: "C", reason: "failed" });
  assert.equal(requests(), 2);
  const joined = viewer.requestStream("porch");
  FakeSocket.last.answer("requestStream", { type: "error", code: "cameraBusy", message: "Busy." });
  await assert.rejects(joined, { name: "CameraBusyError" });
  tick(500);
  assert.equal(requests(), 3);
  FakeSocket.last.answer("requestStream", { type: "error", code: "cameraBusy", message: "Busy." });
  await settle();
  tick(999);
  assert.equal(requests(), 3);
  tick(1);
  assert.equal(requests(), 4);
  viewer.stopViewing("porch");
  tick(120_000);
  assert.equal(requests(), 4);
});

test("stopping while a lost camera is away ends it", async () => {
  const viewer = await watching();
  FakeSocket.last.receive({ ...PORCH, type: "cameraUnavailable" });
  viewer.stopViewing("porch");
  FakeSocket.last.receive({ ...PORCH, clientId: "C2" });
  assert.equal(requests(), 1);
});

test("what flows is left alone when its camera has a new id, until it is interrupted", async () => {
  const viewer = await watching();
  FakeSocket.last.drop(1006);
  tick(500);
  FakeSocket.last.admit("me2");
  FakeSocket.last.receive({ ...PORCH, clientId: "C2" });
  assert.equal(requests(), 0);
  const events = record(viewer, "streamLost");
  FakePeer.last.become("disconnected");
  assert.equal(events.length, 1);
  assert.equal(requests(), 1);
});

const TALKATIVE = { ...PORCH, meta: { acceptsAudio: true } };

function offerOf(direction) {
  return { ...OFFER, sdp: { type: "offer", sdp: `${sdp("camera")}m=audio 9 x\r\na=${direction}\r\nm=video 9 x\r\na=sendonly\r\n` } };
}

for (const [camera, direction, isTaken] of [
  [TALKATIVE, "sendrecv", true],
  [TALKATIVE, "recvonly", true],
  [TALKATIVE, "sendonly", false],
  [PORCH, "sendrecv", false],
]) {
  test(`talking to a camera with ${JSON.stringify(camera.meta)} and ${direction}: ${isTaken}`, async () => {
    const viewer = await viewing();
    FakeSocket.last.receive(camera);
    const request = viewer.requestStream("porch");
    FakePeer.remoteKinds = ["audio", "video"];
    FakeSocket.last.receive(offerOf(direction));
    await settle();
    FakePeer.last.flow("stream");
    await request;
    const track = { kind: "audio" };
    const talking = viewer.talk("porch", track);
    if (!isTaken) return assert.rejects(talking, { name: "ClientError" });
    await talking;
    const [audio] = FakePeer.last.getTransceivers();
    assert.equal(audio.direction, "sendrecv");
    assert.equal(audio.sender.track, track);
    await viewer.talk("porch", null);
    assert.equal(audio.sender.track, null);
  });
}

test("there are no statistics without a stream", async () => {
  const viewer = await viewing();
  assert.equal(await viewer.stats("porch"), null);
});

test("a camera that goes takes its stream with it", async () => {
  const viewer = await watching();
  const events = record(viewer, "streamLost", "cameraUnavailable");
  FakeSocket.last.receive({ type: "cameraUnavailable", cameraId: "porch", clientId: "C" });
  assert.deepEqual(events.map(({ type }) => type), ["streamLost", "cameraUnavailable"]);
  assert.equal(viewer.cameras.size, 0);
});

test("a stream outlives the connection to the server", async () => {
  const viewer = await watching();
  const events = record(viewer, "streamLost", "cameraAvailable", "cameraUnavailable");
  FakeSocket.last.drop(1006);
  assert.equal(viewer.cameras.size, 1);
  tick(500);
  FakeSocket.last.admit("me2");
  FakeSocket.last.receive(PORCH);
  FakeSocket.last.answer("listCameras", { type: "cameras", cameras: [] });
  await settle();
  assert.deepEqual(events, []);
  assert.ok(!FakePeer.last.closed);
  // The camera knows this viewer by an id that is no more.
  viewer.stopViewing("porch");
  assert.equal(FakeSocket.last.lastOf("bye"), undefined);
  assert.ok(FakePeer.last.closed);
});

test("after a reconnect only differences are news", async () => {
  const viewer = await viewing();
  FakeSocket.last.receive({ ...PORCH, cameraId: "gate", clientId: "G" });
  const events = record(viewer, "cameraAvailable", "cameraUnavailable");
  FakeSocket.last.drop(1001);
  tick(500);
  FakeSocket.last.admit("me2");
  FakeSocket.last.receive(PORCH);
  FakeSocket.last.receive({ ...PORCH, cameraId: "yard", clientId: "Y" });
  FakeSocket.last.answer("listCameras", { type: "cameras", cameras: [] });
  await settle();
  assert.deepEqual(
    events.map(({ type, cameraId }) => [type, cameraId]),
    [["cameraAvailable", "yard"], ["cameraUnavailable", "gate"]],
  );
  assert.deepEqual([...viewer.cameras.keys()].sort(), ["porch", "yard"]);
});

test("another room is another set of cameras", async () => {
  const viewer = await watching();
  const events = record(viewer, "streamLost", "cameraUnavailable");
  const moving = viewer.joinRoom("yard");
  FakeSocket.last.answer("join", { type: "joined", room: "yard" });
  await moving;
  assert.deepEqual(events.map(({ type }) => type), ["streamLost", "cameraUnavailable"]);
  assert.equal(viewer.room, "yard");
});

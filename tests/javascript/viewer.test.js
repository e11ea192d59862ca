import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { ViewerClient } from "../../clients/js/index.js";
import { FakePeer, FakeSocket, OPTIONS, begin, end, record, sdp, settle, tick } from "./fakes.js";

const PORCH = { type: "cameraAvailable", cameraId: "porch", clientId: "C" };
const OFFER = { type: "offer", sender: "C", sdp: { type: "offer", sdp: sdp("camera") } };

beforeEach(begin);
afterEach(end);

async function viewing() {
  const viewer = new ViewerClient(OPTIONS);
  const connecting = viewer.connect();
  FakeSocket.last.admit();
  await connecting;
  FakeSocket.last.receive(PORCH);
  return viewer;
}

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
  const events = record(viewer, "streamReceived", "streamEnded");
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
    { type: "streamEnded", cameraId: "porch", reason: "stopped" },
  ]);
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
  const events = record(viewer, "streamEnded");
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

test("a peer connection that fails ends the stream", async () => {
  const viewer = await watching();
  const events = record(viewer, "streamEnded");
  FakePeer.last.become("disconnected");
  assert.deepEqual(events, []);
  FakePeer.last.become("failed");
  assert.deepEqual(events, [{ type: "streamEnded", cameraId: "porch", reason: "failed" }]);
});

test("a camera that goes takes its stream with it", async () => {
  const viewer = await watching();
  const events = record(viewer, "streamEnded", "cameraUnavailable");
  FakeSocket.last.receive({ type: "cameraUnavailable", cameraId: "porch", clientId: "C" });
  assert.deepEqual(events.map(({ type }) => type), ["streamEnded", "cameraUnavailable"]);
  assert.equal(viewer.cameras.size, 0);
});

test("a stream outlives the connection to the server", async () => {
  const viewer = await watching();
  const events = record(viewer, "streamEnded", "cameraAvailable", "cameraUnavailable");
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
  const events = record(viewer, "streamEnded", "cameraUnavailable");
  const moving = viewer.joinRoom("yard");
  FakeSocket.last.answer("join", { type: "joined", room: "yard" });
  await moving;
  assert.deepEqual(events.map(({ type }) => type), ["streamEnded", "cameraUnavailable"]);
  assert.equal(viewer.room, "yard");
});

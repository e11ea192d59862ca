import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { CameraClient, ViewerClient } from "../../clients/js/index.js";
import { FakePeer, FakeSocket, OFFER, OPTIONS, PORCH } from "./fakes.js";
import { begin, end, record, sdp, settle, tick, viewing } from "./fakes.js";

beforeEach(begin);
afterEach(end);

// --- members of the room that have no say in a session --------------------------------------------------

const VIDEO = { getTracks: () => [{ kind: "video" }] };
const GATE = { type: "cameraAvailable", cameraId: "gate", clientId: "G" };

/** All that one client can tell another about a session, save an offer. */
function intrude(sender) {
  FakeSocket.last.receive({ type: "answer", sender, sdp: { type: "answer", sdp: sdp("intruder") } });
  FakeSocket.last.receive({ type: "iceCandidate", sender, candidate: { candidate: `of ${sender}` } });
  FakeSocket.last.receive({ type: "bye", sender, reason: "failed" });
}

/** A camera that has made an offer to the viewer V and to the viewer W. */
async function offering() {
  const camera = new CameraClient({ ...OPTIONS, cameraId: "porch" });
  camera.startStreaming(VIDEO);
  const registering = camera.register();
  FakeSocket.last.admit("C");
  await registering;
  for (const viewerId of ["V", "W"]) {
    FakeSocket.last.receive({ type: "viewerRequest", viewerId, requestId: viewerId });
    await settle();
  }
  return camera;
}

for (const sender of ["X", "C", "", null, undefined, "__proto__", 0]) {
  test(`a camera's sessions are closed to the sender ${JSON.stringify(sender)}`, async () => {
    const camera = await offering();
    intrude(sender);
    await settle();
    for (const peer of FakePeer.all) {
      assert.equal(peer.remoteDescription, null);
      assert.deepEqual(peer.candidates, []);
      assert.ok(!peer.closed);
    }
    camera.close();
  });
}

test("a viewer of a camera has a say in its own session only", async () => {
  const camera = await offering();
  const [first, second] = FakePeer.all;
  intrude("W");
  await settle();
  assert.equal(first.remoteDescription, null);
  assert.ok(!first.closed);
  assert.ok(second.closed);
  FakeSocket.last.receive({ type: "answer", sender: "V", sdp: { type: "answer", sdp: sdp("viewer") } });
  await settle();
  assert.deepEqual(first.candidates, []);
  first.become("connected");
  assert.deepEqual(camera.viewers, ["V"]);
  camera.close();
});

test("a camera that is watched has a say in its own session only", async () => {
  const viewer = await viewing();
  FakeSocket.last.receive(GATE);
  for (const [cameraId, sender] of [["porch", "C"], ["gate", "G"]]) {
    viewer.requestStream(cameraId).catch(() => {});
    FakeSocket.last.receive({ ...OFFER, sender });
    await settle();
    FakePeer.last.flow(cameraId);
  }
  const events = record(viewer, "streamLost", "streamState", "streamReceived");
  intrude("G");
  await settle();
  assert.deepEqual(events, [{ type: "streamLost", cameraId: "gate", reason: "failed" }]);
  assert.deepEqual(FakePeer.all[0].candidates, []);
  assert.ok(!FakePeer.all[0].closed);
  viewer.close();
});

for (const sender of ["X", "me", "", null, undefined]) {
  test(`a viewer's request is closed to the sender ${JSON.stringify(sender)}`, async () => {
    const viewer = await viewing();
    const request = viewer.requestStream("porch");
    intrude(sender);
    FakeSocket.last.receive({ ...OFFER, sender });
    await settle();
    assert.equal(FakePeer.all.length, 0);
    FakeSocket.last.receive(OFFER);
    await settle();
    assert.deepEqual(FakePeer.last.candidates, []);
    FakePeer.last.flow("stream");
    assert.equal(await request, "stream");
    viewer.close();
  });
}

test("a request whose camera is not known yet is closed to all but the camera", async () => {
  const viewer = new ViewerClient(OPTIONS);
  const connecting = viewer.connect();
  FakeSocket.last.admit();
  await connecting;
  const request = viewer.requestStream("porch");
  for (const sender of ["", undefined, "X"]) FakeSocket.last.receive({ ...OFFER, sender });
  await settle();
  assert.equal(FakePeer.all.length, 0);
  FakeSocket.last.receive(PORCH);
  FakeSocket.last.receive(OFFER);
  await settle();
  FakePeer.last.flow("stream");
  assert.equal(await request, "stream");
  viewer.close();
});

test("JPEGs come from the camera that was asked, and from nobody else", async () => {
  const viewer = await viewing();
  const request = viewer.requestPictures("porch");
  await settle();
  intrude("X");
  await settle();
  assert.equal(FakePeer.last.remoteDescription, null);
  assert.ok(!FakePeer.last.closed);
  viewer.close();
  await assert.rejects(request, { name: "CancelledError" });
});

// --- JSON has one meaning -------------------------------------------------------------------------------

test("of a key that is there twice, the last one counts", async () => {
  const viewer = await viewing();
  FakeSocket.last.receiveText('{"type":"error","type":"cameraAvailable","cameraId":"a","clientId":"A","cameraId":"b"}');
  FakeSocket.last.receiveText('{"type":"cameraAvailable","type":"future","cameraId":"c","clientId":"A"}');
  assert.deepEqual([...viewer.cameras.keys()], ["porch", "b"]);
  viewer.close();
});

test("half a character in a name is a name like others", async () => {
  const viewer = await viewing();
  FakeSocket.last.receiveText('{"type":"cameraAvailable","cameraId":"\\ud800","clientId":"H","meta":{"name":"\\udfff"}}');
  assert.equal(viewer.cameras.get("\ud800").meta.name, "\udfff");
  const request = viewer.requestStream("\ud800");
  assert.equal(FakeSocket.last.lastOf("requestStream").cameraId, "\ud800");
  FakeSocket.last.receive({ ...OFFER, sender: "H" });
  await settle();
  FakePeer.last.flow("stream");
  assert.equal(await request, "stream");
  viewer.close();
});

test("numbers of any size are taken", async () => {
  const viewer = await viewing();
  const errors = record(viewer, "error");
  for (const number of ["1e999", "-1e999", "1e-999", `1${"0".repeat(400)}`, "-0"]) {
    FakeSocket.last.receiveText(`{"type":"clientDisconnected","clientId":${number},"seq":${number}}`);
    FakeSocket.last.receiveText(`{"type":"error","code":"rateLimited","message":"No.","retryAfter":${number}}`);
  }
  assert.deepEqual(errors.map(({ code }) => code), Array(5).fill("rateLimited"));
  const asking = viewer.getAvailableCameras();
  FakeSocket.last.answer("listCameras", { type: "cameras", cameras: [] });
  assert.deepEqual(await asking, []);
  viewer.close();
});

test("a server that wants to be left alone for ever is asked after an hour", async () => {
  const viewer = await viewing();
  FakeSocket.last.drop(1006);
  tick(500);
  FakeSocket.last.welcome();
  const { requestId } = FakeSocket.last.lastOf("join");
  const refusal = `{"type":"error","code":"rateLimited","message":"No.","requestId":"${requestId}","retryAfter":1e999}`;
  FakeSocket.last.receiveText(refusal);
  await settle();
  tick(3_599_999);
  assert.equal(FakeSocket.all.length, 2);
  tick(1_001);
  assert.equal(FakeSocket.all.length, 3);
  viewer.close();
});

test("numbers that no message of a server has do not hide those that come later", async () => {
  const viewer = new ViewerClient(OPTIONS);
  const connecting = viewer.connect();
  FakeSocket.last.welcome("me", { resume: { token: "t", windowSeconds: 1e300 } });
  FakeSocket.last.answer("join", { type: "joined", room: "default", seq: 1 });
  await connecting;
  FakeSocket.last.receive({ ...PORCH, seq: 1e300 });
  FakeSocket.last.receive({ ...GATE, seq: 2 });
  assert.deepEqual([...viewer.cameras.keys()], ["porch", "gate"]);
  viewer.close();
});

test("what is no message is ignored", async () => {
  const viewer = await viewing();
  const events = record(viewer, "error", "disconnected", "cameraAvailable", "clientJoined");
  const texts = ["", " ", "{", "nul", "NaN", "'a'", "{type:'bye'}", '{"type":"cameraAvailable",}', "\ufeff{}", "\u0000"];
  const values = ["null", "true", "1", '"cameraAvailable"', "[]", '[{"type":"cameraAvailable"}]', "{}", '{"type":1}'];
  const names = ["__proto__", "constructor", "toString", "connected"].map((type) => JSON.stringify({ type }));
  const inherited = '{"__proto__":{"type":"cameraAvailable","cameraId":"x","clientId":"X"}}';
  for (const text of [...texts, ...values, ...names, inherited]) FakeSocket.last.receiveText(text);
  FakeSocket.last.receiveText(new Blob(['{"type":"clientJoined"}']));
  assert.deepEqual(events, []);
  assert.deepEqual([...viewer.cameras.keys()], ["porch"]);
  assert.equal(viewer.state, "connected");
  viewer.close();
});

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { ViewerClient } from "../../clients/js/index.js";
import { FakePeer, FakeSocket, OPTIONS, begin, end, record, sdp, settle, tick } from "./fakes.js";

const OFFER = { type: "offer", sender: "C", sdp: { type: "offer", sdp: sdp("camera") } };
const WINDOW = { windowSeconds: 30 };

beforeEach(begin);
afterEach(end);

/** How many messages the server has numbered. */
let seq;

function receive(message) {
  FakeSocket.last.receive({ ...message, seq: ++seq });
}

function sent(type) {
  return FakeSocket.last.sent.filter((message) => message.type === type);
}

/** A viewer of a server that offers to resume; it knows the camera porch. */
async function viewing() {
  seq = 0;
  const viewer = new ViewerClient(OPTIONS);
  const connecting = viewer.connect();
  FakeSocket.last.welcome("me", { resume: { token: "first", ...WINDOW } });
  const { requestId, resume } = FakeSocket.last.lastOf("join");
  assert.equal(resume, true);
  receive({ type: "joined", room: "default", requestId });
  await connecting;
  receive({ type: "cameraAvailable", cameraId: "porch", clientId: "C" });
  receive({ type: "cameras", cameras: [], requestId: FakeSocket.last.lastOf("listCameras").requestId });
  await settle();
  return viewer;
}

/** The same, which watches that camera. */
async function watching() {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  receive({ type: "ack", requestId: FakeSocket.last.lastOf("requestStream").requestId });
  receive(OFFER);
  await settle();
  FakePeer.last.flow("stream");
  await request;
  return viewer;
}

/** The connection is lost, and there is another one. */
function comeBack(token = "second") {
  FakeSocket.last.drop(1006);
  tick(1000);
  FakeSocket.last.welcome("other", { resume: { token, ...WINDOW } });
}

function resumed(token = "third") {
  FakeSocket.last.receive({ type: "resumed", clientId: "me", room: "default", replayed: 0, token });
}

test("a client that is told nothing of resuming asks for nothing", async () => {
  const viewer = new ViewerClient(OPTIONS);
  const connecting = viewer.connect();
  FakeSocket.last.admit();
  await connecting;
  assert.ok(!("resume" in FakeSocket.last.lastOf("join")));
  tick(60_000);
  assert.deepEqual(sent("ping"), []);
});

test("what has arrived is confirmed after ten seconds, or 64 messages", async () => {
  const viewer = await viewing();
  tick(9_999);
  assert.deepEqual(sent("ping"), []);
  tick(1);
  assert.deepEqual(sent("ping"), [{ type: "ping", lastSeq: 3 }]);
  for (let count = 0; count < 64; count++) receive({ type: "clientDisconnected", clientId: `${count}` });
  assert.deepEqual(sent("ping").map(({ lastSeq }) => lastSeq), [3, 67]);
  viewer.close();
  tick(60_000);
  assert.equal(sent("ping").length, 2);
});

test("a session goes on where it was: same id, same stream, nothing twice", async () => {
  const viewer = await watching();
  const events = record(viewer, "disconnected", "connected", "roomJoined", "streamLost", "clientJoined");
  comeBack();
  assert.deepEqual(FakeSocket.last.sent, [{ type: "resume", token: "first", lastSeq: 5 }]);
  assert.equal(viewer.clientId, null);
  assert.equal(viewer.state, "reconnecting");
  resumed();
  assert.equal(viewer.clientId, "me");
  assert.equal(viewer.state, "connected");
  seq -= 1; // The last message once more.
  receive({ type: "clientJoined", clientId: "old", deviceType: "viewer" });
  receive({ type: "clientJoined", clientId: "new", deviceType: "viewer" });
  assert.equal(events[0].error.name, "ConnectionError");
  delete events[0].error;
  assert.deepEqual(events, [
    { type: "disconnected", code: 1006, reason: "", willReconnect: true },
    { type: "connected", clientId: "me", reconnected: true },
    { type: "roomJoined", room: "default" },
    { type: "clientJoined", clientId: "new", deviceType: "viewer" },
  ]);
  tick(60_000); // The window was that of the connection before.
  // The camera still knows this viewer, and hears it.
  viewer.stopViewing("porch");
  assert.equal(FakeSocket.last.lastOf("bye").target, "C");
});

test("the next time, it is resumed with the token of this time", async () => {
  await viewing();
  comeBack();
  resumed("third");
  comeBack();
  assert.equal(FakeSocket.last.lastOf("resume").token, "third");
});

test("what was asked or said meanwhile goes out once the session is back, in its order", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  FakeSocket.last.drop(1006);
  const cameras = viewer.getAvailableCameras();
  tick(500);
  FakeSocket.last.welcome("other", { resume: { token: "second", ...WINDOW } });
  viewer.stopViewing("porch");
  await assert.rejects(request, { name: "CancelledError" });
  resumed();
  assert.deepEqual(
    FakeSocket.last.sent.map(({ type }) => type),
    ["resume", "requestStream", "listCameras", "bye"],
  );
  FakeSocket.last.answer("listCameras", { type: "cameras", cameras: [{ cameraId: "porch" }], seq: 4 });
  assert.deepEqual(await cameras, [{ cameraId: "porch" }]);
});

test("a session that is refused is a new one", async () => {
  const viewer = await watching();
  const asked = viewer.getAvailableCameras();
  comeBack();
  FakeSocket.last.receive({ type: "error", code: "resumeFailed", message: "Too late.", ref: "resume" });
  await assert.rejects(asked, { name: "ConnectionError" });
  assert.equal(viewer.clientId, "other");
  FakeSocket.last.answer("join", { type: "joined", room: "default", seq: 1 });
  assert.equal(viewer.state, "connected");
  assert.ok(!FakePeer.last.closed);
  // The camera knows this viewer by an id that is no more.
  viewer.stopViewing("porch");
  assert.equal(FakeSocket.last.lastOf("bye"), undefined);
  comeBack("fourth");
  assert.deepEqual(FakeSocket.last.sent, [{ type: "resume", token: "second", lastSeq: 1 }]);
});

test("a server that came back without the offer is joined afresh", async () => {
  const viewer = await viewing();
  FakeSocket.last.drop(1006);
  tick(500);
  FakeSocket.last.admit("new");
  assert.equal(FakeSocket.last.lastOf("resume"), undefined);
  assert.equal(viewer.clientId, "new");
});

for (const code of [1001, 1011, 1013]) {
  test(`after ${code} there is nothing to resume`, async () => {
    await viewing();
    FakeSocket.last.drop(code);
    tick(500);
    FakeSocket.last.welcome("other", { resume: { token: "second", ...WINDOW } });
    assert.deepEqual(FakeSocket.last.sent.map(({ type }) => type), ["join"]);
  });
}

test("attempts that fail within the window do not end the session", async () => {
  await viewing();
  FakeSocket.last.drop(1006);
  tick(500);
  FakeSocket.last.drop(1006);
  tick(1000);
  FakeSocket.last.welcome("other", { resume: { token: "second", ...WINDOW } });
  FakeSocket.last.drop(1006); // Whether the server has resumed it is not known.
  tick(2000);
  FakeSocket.last.welcome("another", { resume: { token: "third", ...WINDOW } });
  assert.deepEqual(FakeSocket.last.sent, [{ type: "resume", token: "first", lastSeq: 3 }]);
});

test("a connection that was lost before it joined has no session", async () => {
  await viewing();
  comeBack();
  FakeSocket.last.receive({ type: "error", code: "resumeFailed", message: "Too late.", ref: "resume" });
  FakeSocket.last.drop(1006);
  tick(1000);
  FakeSocket.last.welcome("another", { resume: { token: "third", ...WINDOW } });
  assert.deepEqual(FakeSocket.last.sent.map(({ type }) => type), ["join"]);
});

test("only so much waits for the session", async () => {
  const viewer = await viewing();
  FakeSocket.last.drop(1006);
  const asked = Array.from({ length: 257 }, () => viewer.getAvailableCameras());
  await assert.rejects(asked.pop(), { name: "ConnectionError" });
  viewer.close();
  for (const each of asked) await assert.rejects(each, { name: "CancelledError" });
});

/** The server is asked for the session 27 seconds after it was lost, by the third attempt, and takes its time. */
async function asking() {
  const viewer = await viewing();
  FakeSocket.last.drop(1006);
  tick(27_000);
  FakeSocket.last.welcome("other", { resume: { token: "second", ...WINDOW } });
  assert.equal(FakeSocket.last.lastOf("resume").lastSeq, 3);
  return viewer;
}

test("a server that has been asked says itself whether the window has passed", async () => {
  const viewer = await asking();
  const request = viewer.requestStream("porch", { timeout: 60_000 });
  tick(5_000);
  resumed();
  assert.equal(viewer.clientId, "me");
  assert.equal(FakeSocket.last.lastOf("requestStream").cameraId, "porch");
  viewer.close();
  await assert.rejects(request, { name: "CancelledError" });
});

for (const [when, wait] of [["after", 5_000], ["before", 0]]) {
  test(`a connection that was lost ${when} the window has passed asks no more`, async () => {
    const viewer = await asking();
    const request = viewer.requestStream("porch", { timeout: 60_000 });
    tick(wait);
    FakeSocket.last.drop(1006);
    tick(5_000 - wait);
    await assert.rejects(request, { name: "ConnectionError" });
  });
}

test("when the window has passed, all that waits is told", async () => {
  const viewer = await viewing();
  FakeSocket.last.drop(1006);
  const request = viewer.requestStream("porch", { timeout: 60_000 });
  tick(29_999);
  assert.equal(FakeSocket.all.length, 4); // Nobody answers.
  tick(1);
  await assert.rejects(request, { name: "ConnectionError" });
  FakeSocket.last.welcome("other", { resume: { token: "second", ...WINDOW } });
  assert.deepEqual(FakeSocket.last.sent.map(({ type }) => type), ["join"]);
});

test("closing a client whose session is suspended settles everything", async () => {
  const viewer = await viewing();
  FakeSocket.last.drop(1006);
  const asked = viewer.getAvailableCameras();
  viewer.close();
  await assert.rejects(asked, { name: "CancelledError" });
  tick(120_000);
  assert.equal(FakeSocket.all.length, 1);
});

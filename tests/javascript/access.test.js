import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { CameraClient, ViewerClient, WebRTCCCTVClient } from "../../clients/js/index.js";
import { FakePeer, FakeSocket, OFFER, OPTIONS, PORCH, begin, end, record, sdp, settle, tick } from "./fakes.js";

const STUN = { urls: "stun:server" };
const TURN = { urls: "turn:server", username: "1", credential: "first" };
const NEWER = { ...TURN, username: "2", credential: "second" };

beforeEach(begin);
afterEach(end);

async function connected(client = new WebRTCCCTVClient(OPTIONS)) {
  const connecting = client.connect();
  FakeSocket.last.admit();
  await connecting;
  return client;
}

/** The connection is lost, comes back, and the server refuses to let the client join again. */
async function refusedAgain(error) {
  FakeSocket.last.drop(1006);
  tick(500);
  FakeSocket.last.welcome();
  FakeSocket.last.answer("join", { type: "error", message: "No.", ref: "join", ...error });
  await settle();
}

// --- tokens -------------------------------------------------------------------------------------------

test("a new token is that of this connection, and of the next one", async () => {
  const options = { ...OPTIONS, token: "old" };
  const client = await connected(new WebRTCCCTVClient(options));
  const proving = client.authenticate("new");
  const { requestId, ...auth } = FakeSocket.last.lastOf("auth");
  assert.deepEqual(auth, { type: "auth", token: "new" });
  FakeSocket.last.answer("auth", { type: "authenticated" });
  assert.equal(await proving, undefined);
  FakeSocket.last.drop(1006);
  tick(500);
  assert.equal(FakeSocket.last.url, "ws://server/ws?token=new");
  assert.equal(options.token, "old", "the options of others stay as they are");
});

for (const [code, name] of [["unauthorized", "UnauthorizedError"], ["forbidden", "ForbiddenError"]]) {
  test(`a new token that is ${code} is forgotten`, async () => {
    const client = await connected(new WebRTCCCTVClient({ ...OPTIONS, token: "old" }));
    const proving = client.authenticate("wrong");
    FakeSocket.last.answer("auth", { type: "error", code, message: "No.", ref: "auth" });
    await assert.rejects(proving, { name, code, message: "No." });
    assert.equal(client.state, "connected");
    FakeSocket.last.drop(1006);
    tick(500);
    assert.equal(FakeSocket.last.url, "ws://server/ws?token=old");
  });
}

test("a new token that cannot be checked at the moment is that of the next connection", async () => {
  const client = await connected(new WebRTCCCTVClient({ ...OPTIONS, token: "old" }));
  const proving = client.authenticate("new");
  FakeSocket.last.answer("auth", { type: "error", code: "serverBusy", message: "Later.", ref: "auth" });
  await assert.rejects(proving, { name: "ServerError", code: "serverBusy" });
  FakeSocket.last.drop(1006);
  tick(500);
  assert.equal(FakeSocket.last.url, "ws://server/ws?token=new");
});

test("a new token that finds no connection is that of the next one", async () => {
  const client = await connected(new WebRTCCCTVClient({ ...OPTIONS, token: "old" }));
  FakeSocket.last.drop(4401);
  await assert.rejects(client.authenticate("new"), { name: "ConnectionError" });
  const connecting = client.connect();
  assert.equal(FakeSocket.last.url, "ws://server/ws?token=new");
  FakeSocket.last.admit();
  await connecting;
});

test("after 4401 it connects again only when it is told to", async () => {
  const client = await connected(new WebRTCCCTVClient({ ...OPTIONS, token: "old" }));
  FakeSocket.last.drop(4401, "The token has expired.");
  tick(3_600_000);
  assert.equal(FakeSocket.all.length, 1);
  client.connect().catch(() => {});
  assert.equal(FakeSocket.all.length, 2);
});

// --- who may not come in ------------------------------------------------------------------------------

for (const [code, name] of [["unauthorized", "UnauthorizedError"], ["forbidden", "ForbiddenError"]]) {
  test(`a join after a reconnect that is ${code} is not tried again`, async () => {
    const client = await connected(new CameraClient({ ...OPTIONS, cameraId: "porch" }));
    const events = record(client, "error", "disconnected");
    await refusedAgain({ code });
    tick(3_600_000);
    assert.equal(FakeSocket.all.length, 2);
    assert.equal(client.state, "idle");
    assert.deepEqual(events.map((event) => event.code), [1006, code, 1000]);
    assert.equal(events[2].willReconnect, false);
    assert.equal(events[2].error.name, name);
  });
}

for (const code of ["roomFull", "serverBusy", "rateLimited"]) {
  test(`a join after a reconnect that is ${code} is tried again, and says why`, async () => {
    const client = await connected();
    const events = record(client, "reconnecting");
    await refusedAgain({ code });
    assert.equal(events.at(-1).error.code, code);
    tick(1000);
    assert.equal(FakeSocket.all.length, 3);
    FakeSocket.last.admit();
    assert.equal(client.state, "connected");
  });
}

test("a first join that is refused is not tried again", async () => {
  for (const code of ["roomFull", "rateLimited", "forbidden"]) {
    const connecting = new WebRTCCCTVClient(OPTIONS).connect();
    FakeSocket.last.welcome();
    FakeSocket.last.answer("join", { type: "error", code, message: "No.", retryAfter: 2 });
    await assert.rejects(connecting, { code, retryAfter: 2 });
  }
  tick(120_000);
  assert.equal(FakeSocket.all.length, 3);
});

test("a server that says when to come back is left alone until then", async () => {
  await connected();
  await refusedAgain({ code: "rateLimited", retryAfter: 60 });
  tick(59_999);
  assert.equal(FakeSocket.all.length, 2);
  tick(1_001);
  assert.equal(FakeSocket.all.length, 3);
});

for (const retryAfter of [-1e308, "60", null, {}]) {
  test(`a time to wait of ${JSON.stringify(retryAfter)} is none`, async () => {
    await connected();
    await refusedAgain({ code: "rateLimited", retryAfter });
    tick(1000);
    assert.equal(FakeSocket.all.length, 3);
  });
}

test("a message too many says when there may be another", async () => {
  const client = await connected();
  const asking = client.getAvailableCameras();
  FakeSocket.last.answer("listCameras", { type: "error", code: "rateLimited", message: "No.", retryAfter: 0.5 });
  await assert.rejects(asking, { name: "ServerError", code: "rateLimited", retryAfter: 0.5 });
  const errors = record(client, "error");
  FakeSocket.last.receive({ type: "error", code: "rateLimited", message: "No.", ref: "iceCandidate", retryAfter: 1 });
  assert.equal(errors.length, 1);
});

// --- ICE servers --------------------------------------------------------------------------------------

/** A viewer that may use a TURN server, and has asked for a stream. */
async function asking(options = OPTIONS) {
  const viewer = new ViewerClient(options);
  const connecting = viewer.connect();
  FakeSocket.last.welcome("me", { iceServers: [STUN] });
  assert.deepEqual(viewer.iceServers, options.iceServers ?? [STUN]);
  FakeSocket.last.answer("join", { type: "joined", room: "default" });
  FakeSocket.last.receive({ type: "iceServers", iceServers: [STUN, TURN] });
  FakeSocket.last.receive(PORCH);
  await connecting;
  viewer.requestStream("porch").catch(() => {});
  FakeSocket.last.receive(OFFER);
  await settle();
  return viewer;
}

test("what the server names after the join replaces what it named before", async () => {
  const viewer = await asking();
  assert.deepEqual(FakePeer.last.configuration, { iceServers: [STUN, TURN] });
  assert.deepEqual(viewer.iceServers, [STUN, TURN]);
  viewer.close();
});

test("the client's own ICE servers win", async () => {
  const viewer = await asking({ ...OPTIONS, iceServers: [] });
  assert.deepEqual(FakePeer.last.configuration, { iceServers: [] });
  assert.deepEqual(viewer.iceServers, []);
  viewer.close();
});

test("newer credentials are for later peer connections, and for a restart of ICE", async () => {
  const viewer = await asking();
  FakePeer.last.flow("stream");
  FakeSocket.last.receive({ type: "iceServers", iceServers: [NEWER] });
  assert.deepEqual(FakePeer.last.configuration, { iceServers: [STUN, TURN] });
  FakeSocket.last.receive(OFFER); // It has another track, say: no restart.
  await settle();
  assert.deepEqual(FakePeer.last.configuration, { iceServers: [STUN, TURN] });
  FakePeer.last.become("failed");
  FakeSocket.last.receive(OFFER);
  await settle();
  assert.deepEqual(FakePeer.last.configuration, { iceServers: [NEWER] });
  FakeSocket.last.receive({ ...OFFER, sdp: { type: "offer", sdp: sdp("another") } });
  await settle();
  assert.equal(FakePeer.all.length, 2);
  assert.deepEqual(FakePeer.last.configuration, { iceServers: [NEWER] });
  viewer.close();
});

/** A camera that shows its picture to one viewer. */
async function showing() {
  const camera = new CameraClient({ ...OPTIONS, cameraId: "porch" });
  camera.startStreaming({ getTracks: () => [{ kind: "video" }] });
  await connected(camera);
  FakeSocket.last.receive({ type: "iceServers", iceServers: [TURN] });
  FakeSocket.last.receive({ type: "viewerRequest", viewerId: "V", requestId: "r" });
  await settle();
  FakeSocket.last.receive({ type: "answer", sender: "V", sdp: { type: "answer", sdp: sdp("viewer") } });
  await settle();
  FakePeer.last.become("connected");
  FakeSocket.last.receive({ type: "iceServers", iceServers: [NEWER] });
  return camera;
}

test("a camera restarts ICE with the newer credentials", async () => {
  const camera = await showing();
  FakePeer.last.configuration.iceTransportPolicy = "relay";
  FakePeer.last.become("failed");
  await settle();
  assert.deepEqual(FakePeer.last.configuration, { iceServers: [NEWER], iceTransportPolicy: "relay" });
  camera.close();
});

test("a WebRTC that cannot change its servers restarts ICE with those it has", async () => {
  const camera = await showing();
  FakePeer.last.setConfiguration = () => {
    throw new Error("InvalidModificationError");
  };
  FakePeer.last.become("failed");
  await settle();
  assert.deepEqual(FakePeer.last.offerOptions, { iceRestart: true });
  assert.ok(!FakePeer.last.closed);
  camera.close();
});

test("a new connection has the servers of its own welcome", async () => {
  const viewer = await asking();
  FakeSocket.last.drop(1006);
  assert.deepEqual(viewer.iceServers, [STUN, TURN]);
  tick(500);
  FakeSocket.last.welcome("again", { iceServers: [STUN] });
  assert.deepEqual(viewer.iceServers, [STUN]);
  viewer.close();
});

test("ICE servers that are no list are ignored", async () => {
  const viewer = await asking();
  FakeSocket.last.receive({ type: "iceServers", iceServers: "turn:server" });
  FakeSocket.last.receive({ type: "iceServers" });
  assert.deepEqual(viewer.iceServers, [STUN, TURN]);
  viewer.close();
});

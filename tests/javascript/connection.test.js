import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { CameraClient, WebRTCCCTVClient } from "../../clients/js/index.js";
import { FakeSocket, OPTIONS, begin, end, record, settle, tick } from "./fakes.js";

const ERROR_AFTER = { 4401: "UnauthorizedError", 4403: "ForbiddenError", 4408: "UnauthorizedError" };

beforeEach(begin);
afterEach(end);

async function connected(client = new WebRTCCCTVClient(OPTIONS)) {
  const connecting = client.connect();
  FakeSocket.last.admit();
  await connecting;
  return client;
}

test("connect resolves once the room is joined", async () => {
  const client = new WebRTCCCTVClient({ ...OPTIONS, room: "yard", meta: { name: "n" } });
  const events = record(client, "connected", "welcome", "roomJoined");
  const connecting = client.connect();
  assert.equal(client.connect(), connecting);
  FakeSocket.last.admit("C1");
  await connecting;
  const { requestId, ...join } = FakeSocket.last.lastOf("join");
  assert.deepEqual(join, { type: "join", room: "yard", deviceType: "viewer", meta: { name: "n" } });
  assert.deepEqual(events.map((event) => event.type), ["connected", "welcome", "roomJoined"]);
  assert.equal(client.clientId, "C1");
  assert.equal(client.state, "connected");
});

test("a first connection that fails is not tried again", async () => {
  const connecting = new WebRTCCCTVClient(OPTIONS).connect();
  FakeSocket.last.drop(1006);
  await assert.rejects(connecting, { name: "ConnectionError", closeCode: 1006 });
  tick(120_000);
  assert.equal(FakeSocket.all.length, 1);
});

test("a server that says nothing is given up", async () => {
  const connecting = new WebRTCCCTVClient(OPTIONS).connect();
  tick(10_000);
  await assert.rejects(connecting, { name: "ConnectionError" });
});

for (const code of [1001, 1006, 1011, 1013]) {
  test(`after ${code} it connects again`, async () => {
    const client = await connected();
    const events = record(client, "disconnected", "reconnecting", "roomJoined");
    FakeSocket.last.drop(code);
    assert.equal(client.state, "reconnecting");
    tick(500);
    assert.equal(FakeSocket.all.length, 2);
    FakeSocket.last.admit("again");
    assert.deepEqual(events.map((event) => event.type), ["disconnected", "reconnecting", "roomJoined"]);
    assert.equal(events[0].willReconnect, true);
    assert.equal(client.clientId, "again");
  });
}

for (const code of [1000, 1003, 1007, 1008, 1009, 4401, 4403, 4408]) {
  test(`after ${code} it does not connect again`, async () => {
    const client = await connected();
    const events = record(client, "disconnected");
    FakeSocket.last.drop(code);
    tick(120_000);
    assert.equal(FakeSocket.all.length, 1);
    const [{ error, ...event }] = events;
    assert.deepEqual(event, { type: "disconnected", code, reason: "", willReconnect: false });
    assert.equal(events.length, 1);
    assert.equal(error.name, ERROR_AFTER[code] ?? "ConnectionError");
    assert.equal(client.state, "idle");
  });
}

test("after 4409 it stays away for a minute", async () => {
  await connected();
  FakeSocket.last.drop(4409);
  tick(59_999);
  assert.equal(FakeSocket.all.length, 1);
  tick(1);
  assert.equal(FakeSocket.all.length, 2);
});

test("the delay doubles up to its cap, with full jitter", async () => {
  const client = await connected();
  const events = record(client, "reconnecting");
  FakeSocket.last.drop(1006);
  for (let attempt = 0; attempt < 8; attempt++) {
    tick(events.at(-1).delay);
    FakeSocket.last.drop(1006);
  }
  const ceilings = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
  assert.deepEqual(events.map(({ delay }) => Math.ceil(delay)), ceilings);
  assert.ok(events.every(({ delay }, index) => delay < ceilings[index]));
});

test("only a connection that lasted resets the delay", async () => {
  const client = await connected();
  const events = record(client, "reconnecting");
  FakeSocket.last.drop(1013);
  tick(500);
  FakeSocket.last.admit();
  FakeSocket.last.drop(1013);
  tick(1000);
  FakeSocket.last.admit();
  tick(10_000);
  FakeSocket.last.drop(1013);
  assert.deepEqual(events.map(({ delay }) => Math.ceil(delay)), [500, 1000, 500]);
});

test("disconnect ends retries", async () => {
  const client = await connected();
  FakeSocket.last.drop(1006);
  client.disconnect();
  tick(120_000);
  assert.equal(FakeSocket.all.length, 1);
  assert.equal(client.state, "idle");
});

test("a camera id in use rejects register, and stops there", async () => {
  const camera = new CameraClient({ ...OPTIONS, cameraId: "porch" });
  const registering = camera.register();
  FakeSocket.last.welcome();
  FakeSocket.last.answer("join", { type: "error", code: "cameraIdInUse", message: "In use.", ref: "join" });
  await assert.rejects(registering, { name: "CameraIdInUseError", code: "cameraIdInUse" });
  tick(120_000);
  assert.equal(FakeSocket.all.length, 1);
});

test("a camera whose id was taken while it was away waits a minute", async () => {
  const camera = new CameraClient({ ...OPTIONS, cameraId: "porch" });
  await connected(camera);
  const errors = record(camera, "error");
  FakeSocket.last.drop(1006);
  tick(500);
  FakeSocket.last.welcome();
  FakeSocket.last.answer("join", { type: "error", code: "cameraIdInUse", message: "In use.", ref: "join" });
  await settle();
  assert.equal(errors[0].code, "cameraIdInUse");
  tick(59_999);
  assert.equal(FakeSocket.all.length, 2);
  tick(1);
  assert.equal(FakeSocket.all.length, 3);
});

test("questions are answered, refused, or rejected with the connection", async () => {
  const client = await connected();
  const asking = client.getAvailableCameras();
  FakeSocket.last.answer("listCameras", { type: "cameras", cameras: [{ cameraId: "a" }] });
  assert.deepEqual(await asking, [{ cameraId: "a" }]);

  const moving = client.joinRoom("<");
  FakeSocket.last.answer("join", { type: "error", code: "invalidMessage", message: "No.", ref: "join" });
  await assert.rejects(moving, { name: "InvalidMessageError" });
  assert.equal(client.room, "default");

  const lost = client.getAvailableCameras();
  FakeSocket.last.drop(1006);
  await assert.rejects(lost, { name: "ConnectionError" });
  await assert.rejects(client.getAvailableCameras(), { name: "ConnectionError" });
});

test("a client that left its room stays out of it after a reconnect", async () => {
  const client = await connected();
  const leaving = client.leaveRoom();
  FakeSocket.last.answer("leave", { type: "left" });
  await leaving;
  FakeSocket.last.drop(1006);
  tick(500);
  FakeSocket.last.welcome();
  assert.equal(FakeSocket.last.lastOf("join"), undefined);
  assert.equal(client.state, "connected");
});

test("what nobody waits for is an error event, except for peers that have gone", async () => {
  const client = await connected();
  const errors = record(client, "error");
  FakeSocket.last.receive({ type: "error", code: "peerNotFound", message: "Gone.", ref: "iceCandidate" });
  FakeSocket.last.receive({ type: "error", code: "rateLimited", message: "Slow down.", ref: "ping" });
  FakeSocket.last.receive({ type: "future", news: 1 });
  FakeSocket.last.receive(null);
  assert.deepEqual(errors.map((error) => error.code), ["rateLimited"]);
});

test("on, once and off", async () => {
  const client = new WebRTCCCTVClient(OPTIONS);
  const seen = [];
  const callback = (detail) => seen.push(detail);
  client.on("x", callback).once("y", callback);
  client._emit("x", 1);
  client._emit("y", 2);
  client._emit("y", 3);
  client.off("x", callback);
  client._emit("x", 4);
  assert.deepEqual(seen, [1, 2]);
});

test("a token is in the address, whatever is in the token", async () => {
  new WebRTCCCTVClient({ ...OPTIONS, url: "ws://server/ws?x=1", token: "a&b=c d" }).connect().catch(() => {});
  assert.equal(FakeSocket.last.url, "ws://server/ws?x=1&token=a%26b%3Dc+d");
});

for (const code of [4401, 4408]) {
  test(`${code} is a matter of the token`, async () => {
    const connecting = new WebRTCCCTVClient(OPTIONS).connect();
    FakeSocket.last.drop(code, "No.");
    await assert.rejects(connecting, { name: "UnauthorizedError", closeCode: code, message: "No." });
  });
}

test("4403 is no matter of the token", async () => {
  const connecting = new WebRTCCCTVClient(OPTIONS).connect();
  FakeSocket.last.drop(4403, "Not from this page.");
  await assert.rejects(connecting, { name: "ForbiddenError", code: "forbidden", message: "Not from this page." });
});

test("a join that is refused for want of a token says so", async () => {
  const connecting = new WebRTCCCTVClient(OPTIONS).connect();
  FakeSocket.last.welcome();
  FakeSocket.last.answer("join", { type: "error", code: "unauthorized", message: "No." });
  await assert.rejects(connecting, { name: "UnauthorizedError", message: "No." });
});

test("who wants no reconnects gets none", async () => {
  const client = await connected(new WebRTCCCTVClient({ ...OPTIONS, reconnect: false }));
  const events = record(client, "disconnected");
  FakeSocket.last.drop(1006);
  assert.equal(events[0].willReconnect, false);
  tick(120_000);
  assert.equal(FakeSocket.all.length, 1);
});

test("the times of reconnects can be chosen", async () => {
  await connected(new WebRTCCCTVClient({ ...OPTIONS, reconnect: { base: 3000 } }));
  FakeSocket.last.drop(1006);
  tick(2990);
  assert.equal(FakeSocket.all.length, 1);
  tick(10);
  assert.equal(FakeSocket.all.length, 2);
});

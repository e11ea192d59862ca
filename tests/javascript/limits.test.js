import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import * as limits from "../../clients/js/descriptions.js";
import { CameraClient, ViewerClient } from "../../clients/js/index.js";
import { FakePeer, FakeSocket, OFFER, OPTIONS, PORCH } from "./fakes.js";
import { begin, end, record, sdp, settle, tick, viewing } from "./fakes.js";

beforeEach(begin);
afterEach(end);

const { MAX_CANDIDATES, MAX_DESCRIPTION_BYTES, MAX_MEDIA_SECTIONS } = limits;
const SECTION = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n";
const CANDIDATE = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
const GATE = { type: "cameraAvailable", cameraId: "gate", clientId: "G" };

/** What is as much as is taken, and what is one more. */
const MEASURES = {
  sections: [MAX_MEDIA_SECTIONS, (count) => SECTION.repeat(count)],
  candidates: [MAX_CANDIDATES, (count) => SECTION + CANDIDATE.repeat(count)],
  bytes: [MAX_DESCRIPTION_BYTES - sdp("camera").length, (count) => "x".repeat(count)],
  // Two bytes each.
  characters: [MAX_DESCRIPTION_BYTES / 2 - sdp("camera").length / 2, (count) => "ü".repeat(Math.floor(count))],
};

function description(type, what, more = 0) {
  const [most, make] = MEASURES[what];
  return { type, sdp: sdp("camera") + make(most + more) };
}

for (const what of Object.keys(MEASURES)) {
  test(`a viewer takes an offer at the limit of its ${what}, and no other`, async () => {
    const viewer = await viewing();
    const first = viewer.requestStream("porch");
    FakeSocket.last.receive({ ...OFFER, sdp: description("offer", what) });
    await settle();
    FakePeer.last.flow("stream");
    assert.equal(await first, "stream");
    viewer.stopViewing("porch");
    const second = viewer.requestStream("porch");
    FakeSocket.last.receive({ ...OFFER, sdp: description("offer", what, 1) });
    await assert.rejects(second, { name: "LimitExceededError", reason: "limitExceeded" });
    assert.equal(FakePeer.all.length, 1);
    const { target, reason } = FakeSocket.last.lastOf("bye");
    assert.deepEqual({ target, reason }, { target: "C", reason: "limitExceeded" });
  });

  test(`a camera takes no answer and no offer over the limit of its ${what}`, async () => {
    const camera = new CameraClient({ ...OPTIONS, cameraId: "porch" });
    camera.startStreaming({ getTracks: () => [{ kind: "video" }] });
    const registering = camera.register();
    FakeSocket.last.admit("C");
    await registering;
    const events = record(camera, "viewerFailed");
    FakeSocket.last.receive({ type: "viewerRequest", viewerId: "V", requestId: "r" });
    await settle();
    FakeSocket.last.receive({ type: "answer", sender: "V", sdp: description("answer", what, 1) });
    await settle();
    assert.equal(FakePeer.last.remoteDescription, null);
    assert.ok(FakePeer.last.closed);
    FakeSocket.last.receive({ type: "offer", sender: "W", sdp: description("offer", what, 1) });
    await settle();
    assert.equal(FakePeer.all.length, 1);
    assert.deepEqual(events.map(({ viewerId, error }) => [viewerId, error.name]), [
      ["V", "LimitExceededError"],
      ["W", "LimitExceededError"],
    ]);
  });
}

test("a camera that sends too much takes no other one along", async () => {
  const viewer = await viewing();
  FakeSocket.last.receive(GATE);
  const good = viewer.requestStream("gate");
  FakeSocket.last.receive({ ...OFFER, sender: "G" });
  await settle();
  FakePeer.last.flow("stream");
  await good;
  const events = record(viewer, "streamLost", "disconnected", "error");
  const hostile = viewer.requestStream("porch");
  FakeSocket.last.receive({ ...OFFER, sdp: description("offer", "sections", 168) });
  await assert.rejects(hostile, { name: "LimitExceededError" });
  assert.deepEqual(events, []);
  assert.ok(!FakePeer.last.closed);
});

/** Hundreds of steps, one after the other. */
async function settleAll() {
  for (let turn = 0; turn < 100; turn++) await settle();
}

test("candidates that come before the description are kept up to a limit, and long ones never", async () => {
  const viewer = await viewing();
  viewer.requestStream("porch").catch(() => {});
  const receive = (candidate) => FakeSocket.last.receive({ type: "iceCandidate", sender: "C", candidate: { candidate } });
  receive("x".repeat(limits.MAX_CANDIDATE_BYTES));
  for (let number = 0; number < limits.MAX_EARLY_CANDIDATES + 50; number++) receive(String(number));
  FakeSocket.last.receive(OFFER);
  await settleAll();
  assert.equal(FakePeer.last.candidates.length, limits.MAX_EARLY_CANDIDATES);
  assert.deepEqual(FakePeer.last.candidates[0], { candidate: "0" });
  receive("later");
  await settle();
  assert.equal(FakePeer.last.candidates.length, limits.MAX_CANDIDATES);
  // Another description, such as for a restart of ICE, has candidates of its own.
  FakeSocket.last.receive(OFFER);
  receive("of the restart");
  await settle();
  assert.deepEqual(FakePeer.last.candidates.at(-1), { candidate: "of the restart" });
  viewer.close();
});

test("messages that wait for a browser that is busy are bounded", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  FakeSocket.last.receive(OFFER);
  for (let number = 0; number < 600; number++) {
    FakeSocket.last.receive({ type: "iceCandidate", sender: "C", candidate: { candidate: String(number) } });
  }
  await assert.rejects(request, { name: "LimitExceededError" });
  assert.equal(FakeSocket.last.lastOf("bye").reason, "limitExceeded");
});

test("a camera that begins anew without end is given up", async () => {
  const viewer = await viewing();
  const request = viewer.requestStream("porch");
  for (let number = 0; number < 20; number++) {
    FakeSocket.last.receive({ ...OFFER, sdp: { type: "offer", sdp: sdp(`origin${number}`) } });
  }
  await assert.rejects(request, { name: "LimitExceededError" });
  assert.ok(FakePeer.all.length < 12);
  assert.ok(FakePeer.all.every(({ closed }) => closed));
});

// --- what the server takes ------------------------------------------------------------------------------

async function limited(maxMessageBytes) {
  const viewer = new ViewerClient(OPTIONS);
  const connecting = viewer.connect();
  FakeSocket.last.welcome("me", { limits: { maxMessageBytes, messagesPerSecond: 0 } });
  FakeSocket.last.answer("join", { type: "joined", room: "default" });
  await connecting;
  FakeSocket.last.receive(PORCH);
  return viewer;
}

for (const character of ["a", "ü", "語", "\u{1f4f7}", '"']) {
  test(`an answer that ${character} makes too long ends its session, and is not sent`, async () => {
    const most = 2_000;
    const viewer = await limited(most);
    const answering = async (text) => {
      const request = viewer.requestStream("porch", { timeout: 1_000 });
      FakeSocket.last.receive(OFFER);
      const original = FakePeer.prototype.createAnswer;
      FakePeer.prototype.createAnswer = async () => ({ type: "answer", sdp: text });
      await settle();
      FakePeer.prototype.createAnswer = original;
      return request;
    };
    const escaped = Buffer.byteLength(JSON.stringify(character)) - 2;
    const frame = Buffer.byteLength(JSON.stringify({ type: "answer", target: "C", sdp: { type: "answer", sdp: "" } }));
    const fitting = Math.floor((most - frame) / escaped);
    answering(character.repeat(fitting)).catch(() => {});
    await settle();
    assert.equal(FakeSocket.last.lastOf("answer").sdp.sdp.length, fitting * character.length);
    viewer.stopViewing("porch");
    const count = FakeSocket.last.sent.filter(({ type }) => type === "answer").length;
    await assert.rejects(answering(character.repeat(fitting + 1)), (error) => {
      assert.deepEqual([error.name, error.cause.name], ["LimitExceededError", "MessageTooLongError"]);
      return true;
    });
    assert.equal(FakeSocket.last.sent.filter(({ type }) => type === "answer").length, count);
    assert.equal(FakeSocket.last.lastOf("bye").reason, "limitExceeded");
    assert.equal(viewer.state, "connected");
  });
}

test("any other message that is too long is an error of the caller", async () => {
  const viewer = await limited(1_000);
  await assert.rejects(viewer.joinRoom("x".repeat(1_000)), { name: "MessageTooLongError" });
  await assert.rejects(viewer.authenticate("x".repeat(1_000)), { name: "MessageTooLongError" });
  await assert.rejects(viewer.requestStream("x".repeat(1_000)), { name: "MessageTooLongError" });
  assert.equal(viewer.state, "connected");
  assert.equal(viewer.options.token, undefined);
});

test("a join that is too long is why there is no connection", async () => {
  const viewer = new ViewerClient({ ...OPTIONS, meta: { name: "x".repeat(1_000) } });
  const connecting = viewer.connect();
  FakeSocket.last.welcome("me", { limits: { maxMessageBytes: 1_000 } });
  await assert.rejects(connecting, { name: "MessageTooLongError" });
  tick(60_000);
  assert.equal(FakeSocket.all.length, 1);
});

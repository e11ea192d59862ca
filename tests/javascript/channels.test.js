import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { ControlRefusedError, Pictures, TimeoutError } from "../../clients/js/index.js";
import { Joiner } from "../../clients/js/pictures.js";
import { measure } from "../../clients/js/stats.js";
import { FakeChannel, FakePeer, FakeSocket, OFFER, begin, end, record, sdp, settle, tick, viewing } from "./fakes.js";

const ANSWER = { type: "answer", sender: "C", sdp: { type: "answer", sdp: sdp("camera") } };
const JPEG = Uint8Array.of(0xff, 0xd8, 1, 2, 3, 0xff, 0xd9);
const STATE = { type: "state", state: "streaming", message: "Pictures are coming.", since: "2026-01-01T00:00:00Z" };
const FLIP = { name: "vflip", label: "Upside down", kind: "switch", value: false };

beforeEach(begin);
afterEach(end);

/** A viewer that has asked for JPEGs, and what it was promised. */
async function asking() {
  const viewer = await viewing();
  const promise = viewer.requestPictures("porch");
  promise.catch(() => {});
  await settle();
  return { viewer, promise };
}

/** The same, once they come. */
async function watching() {
  const { viewer, promise } = await asking();
  FakeSocket.last.receive(ANSWER);
  await settle();
  FakePeer.last.become("connected");
  const [jpeg, control] = FakePeer.last.channels;
  jpeg.open();
  return { viewer, pictures: await promise, jpeg, control: control.open() };
}

function piece(number, isLast, content) {
  const head = [number | (isLast ? 0x80 : 0), 0, 0, content.length >> 8, content.length & 255];
  return Uint8Array.from([...head, ...content]);
}

// --- pictures

test("who wants JPEGs makes the offer, with both channels", async () => {
  const { viewer, promise } = await asking();
  const events = record(viewer, "picturesReceived", "streamReceived", "streamLost");
  assert.equal(FakeSocket.last.lastOf("offer").target, "C");
  assert.equal(FakeSocket.last.lastOf("requestStream"), undefined);
  assert.deepEqual(FakePeer.last.channels.map(({ label }) => label), ["jpeg", "control"]);
  FakeSocket.last.receive(ANSWER);
  FakeSocket.last.receive({ type: "iceCandidate", sender: "C", candidate: { candidate: "1" } });
  await settle();
  assert.deepEqual(FakePeer.last.candidates, [{ candidate: "1" }]);
  FakePeer.last.become("connected");
  assert.equal(events.length, 0);
  FakePeer.last.channels[0].open();
  const pictures = await promise;
  assert.ok(pictures instanceof Pictures);
  const received = [];
  pictures.onpicture = (jpeg) => received.push(jpeg);
  FakePeer.last.channels[0].receive(JPEG);
  FakePeer.last.channels[0].receive("text");
  assert.deepEqual(received, [JPEG]);
  assert.equal(pictures.count, 1);
  viewer.stopViewing("porch");
  assert.ok(FakePeer.last.closed);
  assert.deepEqual(events, [
    { type: "picturesReceived", cameraId: "porch", clientId: "C", pictures },
    { type: "streamLost", cameraId: "porch", reason: "stopped" },
  ]);
});

test("JPEGs of a camera that is not there are refused at once", async () => {
  const viewer = await viewing();
  await assert.rejects(viewer.requestPictures("yard"), { name: "CameraNotFoundError" });
});

test("a camera that does not answer is told by name", async () => {
  const { promise } = await asking();
  tick(15_000);
  await assert.rejects(promise, TimeoutError);
  assert.equal(FakeSocket.last.lastOf("bye").target, "C");
});

test("asking for video ends JPEGs, and the other way around", async () => {
  const { viewer } = await watching();
  const peer = FakePeer.last;
  const request = viewer.requestStream("porch");
  assert.ok(peer.closed);
  FakeSocket.last.receive(OFFER);
  await settle();
  FakePeer.last.flow("stream");
  assert.equal(await request, "stream");
});

test("JPEGs that were lost are asked for again", async () => {
  const { viewer } = await watching();
  const peer = FakePeer.last;
  const events = record(viewer, "streamLost", "picturesReceived");
  FakeSocket.last.receive({ type: "bye", sender: "C", reason: "cameraStopped" });
  await settle();
  assert.notEqual(FakePeer.last, peer);
  FakeSocket.last.receive(ANSWER);
  await settle();
  FakePeer.last.become("connected");
  FakePeer.last.channels[0].open();
  assert.deepEqual(events.map(({ type }) => type), ["streamLost", "picturesReceived"]);
});

test("pieces make a picture in their order only", () => {
  const joiner = new Joiner();
  const whole = Uint8Array.of(1, 2, 3, 4, 5);
  assert.equal(joiner.take(piece(0, false, [1, 2])), null);
  assert.equal(joiner.take(piece(1, false, [3])), null);
  assert.deepEqual(joiner.take(piece(2, true, [4, 5])), whole);
  assert.equal(joiner.take(piece(0, false, [9])), null);
  assert.equal(joiner.take(piece(2, true, [9])), null);
  assert.equal(joiner.take(piece(1, true, [9])), null);
  assert.deepEqual(joiner.take(piece(0, true, [7])), Uint8Array.of(7));
  assert.equal(joiner.take(Uint8Array.of(0, 0)), null);
  assert.equal(joiner.take(Uint8Array.of(0, 0, 0, 0, 9, 1)), null);
  assert.deepEqual(joiner.take(JPEG), JPEG);
});

test("statistics of JPEGs are those of their channel", () => {
  const report = (timestamp, bytesReceived) =>
    new Map([
      ["C", { id: "C", type: "data-channel", label: "control", timestamp, bytesReceived: 77 }],
      ["J", { id: "J", type: "data-channel", label: "jpeg", timestamp, bytesReceived }],
    ]);
  const { snapshot } = measure(report(1000, 500), null, 10);
  const { stats } = measure(report(2000, 100_500), snapshot, 25);
  assert.equal(stats.codec, "image/jpeg");
  assert.equal(stats.framesPerSecond, 15);
  assert.equal(stats.bitrate, 800_000);
});

// --- settings

test("what a camera tells of itself comes as an event", async () => {
  const { viewer, control } = await watching();
  const events = record(viewer, "controlsChanged");
  control.receive(STATE);
  control.receive({ type: "controls", controls: [FLIP] });
  control.receive({ type: "weather" });
  control.receive("no json");
  control.receive('"text"');
  const { type, ...state } = STATE;
  assert.deepEqual(events, [
    { type: "controlsChanged", cameraId: "porch", state, controls: [] },
    { type: "controlsChanged", cameraId: "porch", state, controls: [FLIP] },
  ]);
});

test("a setting is changed, or refused with a reason", async () => {
  const { viewer, control } = await watching();
  const done = viewer.setControl("porch", "vflip", true);
  const refused = viewer.setControl("porch", "vflip", "yes");
  const [first, second] = control.sent;
  assert.deepEqual({ ...first, id: 0 }, { type: "set", id: 0, name: "vflip", value: true });
  assert.notEqual(first.id, second.id);
  control.receive({ type: "refused", id: second.id, message: "vflip is true or false" });
  control.receive({ type: "done", id: first.id });
  await done;
  await assert.rejects(refused, { name: "ControlRefusedError", message: "vflip is true or false" });
});

test("a camera that does not answer, or goes, leaves nobody waiting", async () => {
  const { viewer, control } = await watching();
  const late = viewer.setControl("porch", "vflip", true);
  tick(15_000);
  await assert.rejects(late, TimeoutError);
  const gone = viewer.setControl("porch", "vflip", true);
  control.close();
  await assert.rejects(gone, ControlRefusedError);
  await assert.rejects(viewer.setControl("porch", "vflip", true), ControlRefusedError);
  await assert.rejects(viewer.setControl("yard", "vflip", true), /not watched/);
});

test("of a camera that sends video, the channel in its offer is taken", async () => {
  const viewer = await viewing();
  const events = record(viewer, "controlsChanged");
  viewer.requestStream("porch").catch(() => {});
  FakeSocket.last.receive(OFFER);
  await settle();
  const [control, other] = [new FakeChannel("control"), new FakeChannel("chat")];
  FakePeer.last.ondatachannel({ channel: control.open() });
  FakePeer.last.ondatachannel({ channel: other.open() });
  assert.equal(other.readyState, "closed");
  control.receive({ type: "controls", controls: [FLIP] });
  assert.deepEqual(events.map(({ controls }) => controls), [[FLIP]]);
});

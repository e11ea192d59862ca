import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { formatAddress, parseAddress, serverUrl } from "../../web/address.js";
import { Arrangement } from "../../web/arrangement.js";
import { deviceName } from "../../web/device-name.js";
import { LAYOUTS, gridFor, neighbour } from "../../web/layout.js";
import { Watch } from "../../web/watch.js";
import { begin, end, settle, tick } from "./fakes.js";

// --- addresses ----------------------------------------------------------------------------------------

const ADDRESSES = [
  { room: "cctv", cameras: null, layout: null, focus: null, prefersJpeg: false },
  { room: "my room & <b>", cameras: ["a", "b c", "ü&x=1"], layout: "4", focus: "b c", prefersJpeg: false },
  { room: "cctv", cameras: [], layout: "16", focus: null, prefersJpeg: true },
];

for (const view of ADDRESSES) {
  test(`an address opens what it was made from: ${JSON.stringify(view)}`, () => {
    const address = formatAddress(view);
    assert.match(address, /^\.\/\?[\x21-\x7e]*$/);
    assert.deepEqual(parseAddress(address.slice(2)), view);
  });
}

test("an address that makes no sense opens the usual wall", () => {
  const usual = { room: "cctv", cameras: null, layout: null, focus: null, prefersJpeg: false };
  assert.deepEqual(parseAddress(""), usual);
  assert.deepEqual(parseAddress("?room=%20&layout=7&x=%ff"), usual);
  assert.deepEqual(parseAddress("?camera=a&camera=a").cameras, ["a"]);
  // Names as the server has them, in Unicode's form C.
  const typed = encodeURIComponent("Ku\u0308che");
  const { room, cameras, focus } = parseAddress(`?room=${typed}&camera=${typed}&focus=${typed}`);
  assert.deepEqual([room, cameras, focus], ["K\u00fcche", ["K\u00fcche"], "K\u00fcche"]);
});

for (const [page, url] of [
  ["http://localhost:8080/?room=a", "ws://localhost:8080/ws"],
  ["https://host/cctv/camera.html?room=a#x", "wss://host/cctv/ws"],
  ["https://host:8443/a/b/", "wss://host:8443/a/b/ws"],
]) {
  test(`the server of ${page} is ${url}`, () => assert.equal(serverUrl(page), url));
}

// --- layouts ------------------------------------------------------------------------------------------

for (const [layout, columns] of [["1", 1], ["4", 2], ["9", 3], ["16", 4]]) {
  test(`${layout} pictures are on the screen, the others below`, () => {
    const grid = gridFor(layout, 30, 1280, 720);
    assert.equal(grid.columns, columns);
    assert.ok(grid.height * columns <= 720);
    assert.ok((grid.height + 8) * columns > 690, "they fill it");
  });
}

test("fit shows all pictures as large as they can be", () => {
  assert.deepEqual(gridFor("fit", 1, 1280, 720), { columns: 1, height: 720 });
  assert.deepEqual(gridFor("fit", 4, 960, 732), { columns: 2, height: 267 });
  assert.deepEqual(gridFor("fit", 4, 960, 732, 4 / 3), { columns: 2, height: 357 });
  assert.equal(gridFor("fit", 4, 1280, 720).columns, 2);
  assert.equal(gridFor("fit", 3, 375, 900).columns, 1);
  for (const count of [1, 2, 3, 5, 7, 16]) {
    for (const [width, height] of [[320, 600], [800, 300], [1280, 720], [3840, 2000]]) {
      const { columns, height: tile } = gridFor("fit", count, width, height);
      assert.ok(columns >= 1 && columns <= count);
      assert.ok(tile > 0 && Math.ceil(count / columns) * (tile + 8) - 8 <= Math.max(height, 16 * 90));
    }
  }
});

test("fit scrolls rather than show stamps", () => {
  const { columns, height } = gridFor("fit", 200, 375, 600);
  assert.ok((375 - 8 * (columns - 1)) / columns >= 140);
  assert.ok(height >= 78);
});

test("no layout divides a stage that has no room yet by nothing", () => {
  for (const layout of LAYOUTS) {
    const { columns, height } = gridFor(layout, 0, 0, 0);
    assert.ok(columns >= 1 && Number.isFinite(height), layout);
  }
});

test("arrow keys stay on the wall", () => {
  assert.equal(neighbour(0, "ArrowRight", 3, 5), 1);
  assert.equal(neighbour(1, "ArrowDown", 3, 5), 4);
  assert.equal(neighbour(2, "ArrowDown", 3, 5), 2);
  assert.equal(neighbour(0, "ArrowLeft", 3, 5), 0);
  assert.equal(neighbour(4, "ArrowUp", 3, 5), 1);
  assert.equal(neighbour(1, "ArrowUp", Infinity, 5), 1);
});

// --- arrangements -------------------------------------------------------------------------------------

function appear(arrangement, ...cameras) {
  for (const camera of cameras) arrangement.appeared(camera);
  return arrangement.shown;
}

test("a wall of all cameras takes them in by name, numbers as numbers", () => {
  assert.deepEqual(appear(new Arrangement(null), "cam-10", "cam-2", "attic"), ["attic", "cam-2", "cam-10"]);
});

test("a wall of chosen cameras takes in no other", () => {
  const arrangement = new Arrangement(["b", "a"]);
  assert.deepEqual(appear(arrangement, "a", "c"), ["b", "a"]);
  arrangement.show("c");
  assert.deepEqual(arrangement.chosen, ["b", "a", "c"]);
});

test("a camera that is hidden does not come back by itself", () => {
  const arrangement = new Arrangement(null);
  appear(arrangement, "a", "b");
  arrangement.focus = "a";
  arrangement.hide("a");
  assert.deepEqual(appear(arrangement, "a", "c"), ["b"]);
  assert.equal(arrangement.focus, null);
  assert.deepEqual(arrangement.chosen, ["b"]);
});

test("cameras come back to where they were put", () => {
  const first = new Arrangement(null);
  appear(first, "a", "b", "c");
  assert.deepEqual(first.order, []);
  first.move("c", 0);
  assert.deepEqual(first.shown, ["c", "a", "b"]);
  const later = new Arrangement(null, first.order);
  assert.deepEqual(appear(later, "aa", "b", "a", "c"), ["c", "a", "b", "aa"]);
});

// --- one camera ---------------------------------------------------------------------------------------

beforeEach(begin);
afterEach(end);

/** A viewer whose camera does what the test says. */
class FakeViewer {
  state = "connected";
  iceServers = [];
  cameras = new Map([["porch", {}]]);
  requests = [];
  stopped = 0;

  requestStream() {
    return new Promise((resolve, reject) => this.requests.push({ resolve, reject }));
  }

  stopViewing() {
    this.stopped++;
  }

  refuse(name, more = {}) {
    this.requests.at(-1).reject(Object.assign(new Error(name), { name, ...more }));
    return settle();
  }
}

function watching() {
  const viewer = new FakeViewer();
  const states = [];
  const watch = new Watch(viewer, "porch", ({ state }) => states.push(state));
  return { viewer, watch, states };
}

test("a camera that nobody looks at is not asked", async () => {
  const { viewer, watch } = watching();
  watch.appeared();
  assert.equal(viewer.requests.length, 0);
  watch.want();
  watch.want();
  assert.equal(viewer.requests.length, 1);
  watch.rest();
  await viewer.refuse("CancelledError");
  assert.equal(watch.state, "paused");
  assert.equal(viewer.stopped, 1);
  tick(60_000);
  assert.equal(viewer.requests.length, 1);
});

test("a picture is live, interrupted, still and lost", async () => {
  const { viewer, watch, states } = watching();
  const stream = {};
  watch.want();
  watch.received(stream);
  viewer.requests[0].resolve(stream);
  await settle();
  watch.interrupted(true);
  watch.interrupted(false);
  watch.moves(false);
  watch.moves(false);
  watch.moves(true);
  watch.lost("failed");
  assert.equal(watch.stream, null);
  assert.deepEqual(states, [
    "connecting", "live", "reconnecting", "live", "noSignal", "live", "reconnecting",
  ]);
  assert.equal(viewer.requests.length, 2);
});

const REFUSALS = [
  ["CameraBusyError", {}, "busy"],
  ["TimeoutError", {}, "noAnswer"],
  ["ICEFailedError", { reason: "failed" }, "relayNeeded"],
  ["SessionFailedError", { reason: "failed" }, "failed"],
  ["SessionFailedError", { reason: "cameraStopped" }, "stopped"],
  ["TimeoutError", { reason: "noAnswer" }, "noAnswer"],
  ["DTLSFailedError", { reason: "dtlsFailed" }, "notSecured"],
  ["NoMediaError", { reason: "noMedia" }, "noPicture"],
  ["NoCommonCodecError", { reason: "noCodec" }, "noCodec"],
  ["LimitExceededError", { reason: "limitExceeded" }, "notAccepted"],
];

for (const [name, more, state] of REFUSALS) {
  test(`${name} ${more.reason ?? ""} is shown as ${state}, and the camera is asked again`, async () => {
    const { viewer, watch } = watching();
    watch.want();
    await viewer.refuse(name, more);
    assert.equal(watch.state, state);
    tick(3999);
    assert.equal(viewer.requests.length, 1);
    tick(1);
    assert.equal(viewer.requests.length, 2);
    assert.equal(watch.state, state);
    await viewer.refuse(name, more);
    tick(7999);
    assert.equal(viewer.requests.length, 2);
    tick(1);
    assert.equal(viewer.requests.length, 3);
  });
}

test("cameras that fail at the same time are not all asked at the same time", async () => {
  const delays = [];
  for (const chance of [0.1, 0.5, 0.9]) {
    const { viewer, watch } = watching();
    Math.random.mock.mockImplementation(() => chance);
    watch.want();
    await viewer.refuse("TimeoutError");
    let delay = 0;
    while (viewer.requests.length === 1) tick(++delay && 1);
    delays.push(delay);
  }
  assert.deepEqual(delays, [400, 2000, 3600]);
});

for (const reason of ["dtlsFailed", "noCodec", "noMedia", "limitExceeded"]) {
  test(`a picture lost by ${reason} is not asked for at once, and says why`, async () => {
    const { viewer, watch } = watching();
    watch.want();
    watch.received({});
    watch.lost(reason);
    assert.ok(!["live", "reconnecting", "connecting"].includes(watch.state));
    assert.equal(viewer.requests.length, 1);
    tick(4000);
    assert.equal(viewer.requests.length, 2);
  });
}

test("a camera that has never sent a picture is told from one whose picture stands still", () => {
  const { watch } = watching();
  watch.want();
  watch.received({});
  watch.moves(false, false);
  assert.equal(watch.state, "noPicture");
  assert.ok(!watch.isRetried);
  watch.moves(true);
  assert.equal(watch.state, "live");
  watch.moves(false, true);
  assert.equal(watch.state, "noSignal");
});

test("with a TURN server, no path is another matter", async () => {
  const { viewer, watch } = watching();
  viewer.iceServers = [{ urls: "stun:a" }, { urls: ["turns:b"] }];
  watch.want();
  await viewer.refuse("ICEFailedError", { reason: "failed" });
  assert.equal(watch.state, "relayFailed");
});

test("a camera that was never there is not gone, but absent", async () => {
  const { viewer, watch } = watching();
  viewer.cameras.clear();
  watch.want();
  await viewer.refuse("CameraNotFoundError");
  assert.equal(watch.state, "absent");
  assert.equal(watch.goneSince, null);
  tick(60_000);
  assert.equal(viewer.requests.length, 1);
  watch.appeared();
  assert.equal(viewer.requests.length, 2);
});

test("a camera that goes says since when, and is asked as soon as it is back", async () => {
  const { viewer, watch } = watching();
  watch.want();
  watch.received({});
  viewer.cameras.clear();
  watch.disappeared();
  watch.lost("cameraUnavailable");
  assert.equal(watch.state, "gone");
  const since = watch.goneSince;
  assert.ok(since instanceof Date);
  await viewer.refuse("TimeoutError");
  assert.equal(watch.state, "gone");
  assert.equal(watch.goneSince, since);
  viewer.cameras.set("porch", {});
  watch.appeared();
  assert.equal(watch.state, "connecting");
  assert.equal(watch.goneSince, null);
});

test("without a server a picture that flows is kept, and what is missing waits", async () => {
  const { viewer, watch } = watching();
  watch.want();
  watch.received({});
  watch.serverLost();
  assert.equal(watch.state, "live");
  viewer.state = "reconnecting";
  watch.lost("failed");
  await viewer.refuse("ConnectionError");
  assert.equal(watch.state, "offline");
  viewer.state = "connected";
  watch.returned();
  assert.equal(watch.state, "connecting");
});

// --- what a viewer calls itself -----------------------------------------------------------------------

for (const [userAgent, name] of [
  ["Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", "Firefox on Android"],
  ["Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Linux"],
  ["Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"],
  ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/1 Safari/604.1", "Safari on iPhone"],
  ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Version/18.0 Safari/605.1.15", "Safari on macOS"],
  ["", "Browser"],
]) {
  test(`a viewer calls itself ${name}`, () => assert.equal(deviceName(userAgent), name));
}

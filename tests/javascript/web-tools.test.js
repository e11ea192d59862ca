import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { fileName } from "../../web/download.js";
import { linePath, niceMaximum } from "../../web/plot.js";
import { hindranceOf } from "../../web/reachability.js";
import { Talk } from "../../web/talk.js";
import { texts } from "../../web/texts.js";
import { begin, end, settle, tick } from "./fakes.js";

beforeEach(begin);
afterEach(end);

// --- names of files -----------------------------------------------------------------------------------

const NOW = new Date(2026, 10, 3, 4, 5, 9);

for (const [cameraId, safe] of [
  ["porch", "porch"],
  ["../../etc/passwd", "etc_passwd"],
  ['a/b\\c:d*e?f"g|h', "a_b_c_d_e_f_g_h"],
  ["Eingang Süd 2", "Eingang_Süd_2"],
  ["正門", "正門"],
  [".hidden.", "hidden"],
  ["💡", "camera"],
  ["", "camera"],
  ["x".repeat(200), "x".repeat(80)],
]) {
  test(`a file of camera ${JSON.stringify(cameraId.slice(0, 20))} is named ${safe.slice(0, 20)}`, () => {
    assert.equal(fileName(cameraId, "png", NOW), `${safe}-2026-11-03T04-05-09.png`);
  });
}

// --- plots --------------------------------------------------------------------------------------------

for (const [value, maximum] of [[0, 1], [-3, 1], [1, 1], [1.1, 2], [3, 5], [7, 10], [0.004, 0.005], [240_000, 500_000]]) {
  test(`a plot of up to ${value} ends at ${maximum}`, () => {
    assert.ok(Math.abs(niceMaximum(value) - maximum) < maximum * 1e-9);
  });
}

test("a line goes from left to right, with the newest value at the right end", () => {
  assert.equal(linePath([0, 1, 2], 2), "M115.9 27.0L118.0 14.0L120.0 1.0");
});

test("where nothing is known, the line has a gap", () => {
  assert.equal(linePath([1, null, 1], 1), "M115.9 1.0M120.0 1.0");
  assert.equal(linePath([null], 1), "");
});

// --- push to talk -------------------------------------------------------------------------------------

function microphone() {
  const opened = [];
  const asked = [];
  const devices = {
    getUserMedia: () =>
      new Promise((resolve, reject) => {
        const track = { stopped: false, stop: () => (track.stopped = true) };
        opened.push(track);
        asked.push({ allow: () => resolve({ getAudioTracks: () => [track] }), deny: reject });
      }),
  };
  return { devices, opened, asked };
}

function talking() {
  const sent = [];
  const { devices, opened, asked } = microphone();
  const talk = new Talk(async (track) => sent.push(track), devices);
  return { talk, sent, opened, asked };
}

test("what is said goes out for as long as it is pressed", async () => {
  const { talk, sent, opened, asked } = talking();
  const pressed = talk.press();
  asked[0].allow();
  await pressed;
  assert.deepEqual(sent, [opened[0]]);
  assert.equal(talk.active, true);
  talk.release();
  talk.release();
  assert.deepEqual(sent, [opened[0], null]);
  assert.equal(talk.active, false);
});

test("the next press is instant, and the microphone closes after a while", async () => {
  const { talk, sent, opened, asked } = talking();
  const pressed = talk.press();
  asked[0].allow();
  await pressed;
  talk.release();
  tick(9_999);
  await talk.press();
  assert.equal(opened.length, 1);
  assert.equal(sent.at(-1), opened[0]);
  talk.release();
  tick(9_999);
  assert.equal(opened[0].stopped, false);
  tick(1);
  assert.equal(opened[0].stopped, true);
});

test("who lets go before the browser allows it says nothing", async () => {
  const { talk, sent, opened, asked } = talking();
  const pressed = talk.press();
  talk.release();
  asked[0].allow();
  await pressed;
  assert.deepEqual(sent, [null]);
  tick(10_000);
  assert.equal(opened[0].stopped, true);
});

test("a microphone that may not be used is an error, and nothing stays pressed", async () => {
  const { talk, asked } = talking();
  const pressed = talk.press();
  asked[0].deny(Object.assign(new Error("no"), { name: "NotAllowedError" }));
  await assert.rejects(pressed, { name: "NotAllowedError" });
  assert.equal(talk.active, false);
});

test("a camera that takes no sound is an error", async () => {
  const { devices, asked } = microphone();
  const talk = new Talk((track) => (track ? Promise.reject(new Error("no")) : Promise.resolve()), devices);
  const pressed = talk.press();
  asked[0].allow();
  await assert.rejects(pressed, { message: "no" });
  assert.equal(talk.active, false);
});

test("a page without devices says why", async () => {
  await assert.rejects(new Talk(async () => {}, undefined).press(), { name: "NotSupportedError" });
});

test("a tile that goes takes the microphone with it, also one that opens later", async () => {
  const { talk, opened, asked } = talking();
  const pressed = talk.press();
  talk.dispose();
  asked[0].allow();
  await pressed;
  await settle();
  tick(10_000);
  assert.equal(opened[0].stopped, true);
});

// --- a server that cannot be connected to -------------------------------------------------------------

for (const [status, hindrance] of [
  [403, "originRefused"],
  [426, "notUpgraded"],
  [503, "serverBusy"],
  [429, "serverBusy"],
  [200, "unreachable"],
  [502, "unreachable"],
]) {
  test(`a server that answers ${status}: ${hindrance}`, async () => {
    const asked = [];
    const ask = async (address) => asked.push(address) && { status };
    assert.equal(await hindranceOf("wss://host:8443/cctv/ws", "https://host:8443", ask), hindrance);
    assert.deepEqual(asked, ["https://host:8443/cctv/ws?origin=https%3A%2F%2Fhost%3A8443"]);
  });
}

test("a server that does not answer cannot be reached", async () => {
  const ask = async () => {
    throw new TypeError("Failed to fetch");
  };
  assert.equal(await hindranceOf("ws://host/ws", "http://host", ask), "unreachable");
});

test("what keeps a page out names its origin, and what its owner can do", () => {
  for (const sentence of [texts.originRefused, texts.notUpgraded]) {
    assert.match(sentence("https://host:8443").replaceAll("`", ""), /--allow-origin https:\/\/host:8443/);
    assert.match(sentence("https://host:8443"), /proxy.*Host header/);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { measure } from "../../clients/js/stats.js";

/** A report as browsers make them; `changes` by id. */
function report(changes = {}) {
  const entries = {
    V: {
      type: "inbound-rtp", kind: "video", codecId: "K", timestamp: 1000, bytesReceived: 1000, framesDecoded: 10,
      packetsLost: 1, packetsReceived: 99, frameWidth: 640, frameHeight: 480, jitter: 0.004, framesPerSecond: 14,
    },
    A: { type: "inbound-rtp", kind: "audio", bytesReceived: 9_999_999 },
    K: { type: "codec", mimeType: "video/VP8" },
    T: { type: "transport", selectedCandidatePairId: "P" },
    P0: { type: "candidate-pair", nominated: true, state: "succeeded", currentRoundTripTime: 9 },
    P: { type: "candidate-pair", localCandidateId: "L", remoteCandidateId: "R", currentRoundTripTime: 0.02 },
    L: { type: "local-candidate", candidateType: "host" },
    R: { type: "remote-candidate", candidateType: "srflx" },
  };
  const all = new Map();
  for (const [id, entry] of Object.entries(entries)) {
    if (changes[id] !== null) all.set(id, { id, ...entry, ...changes[id] });
  }
  return all;
}

test("at first there are no rates but the browser's own", () => {
  const { stats } = measure(report(), null);
  assert.deepEqual(stats, {
    codec: "video/VP8", width: 640, height: 480, framesPerSecond: 14, bitrate: 0, packetsLost: 1, lossRate: 0.01,
    jitter: 0.004, roundTripTime: 0.02, path: "direct",
  });
});

test("rates are those since the last time", () => {
  const { snapshot } = measure(report(), null);
  const later = report({
    V: { timestamp: 3000, bytesReceived: 51_000, framesDecoded: 40, packetsLost: 11, packetsReceived: 189 },
  });
  const { stats } = measure(later, snapshot);
  assert.equal(stats.bitrate, 200_000);
  assert.equal(stats.framesPerSecond, 15);
  assert.equal(stats.lossRate, 0.1);
});

test("asked twice in one instant, it divides by nothing", () => {
  const { snapshot } = measure(report(), null);
  const { stats } = measure(report(), snapshot);
  assert.equal(stats.bitrate, 0);
  assert.equal(stats.lossRate, 0);
  assert.equal(stats.framesPerSecond, 14);
});

test("packets that were lost and came after all are not lost the other way round", () => {
  const { snapshot } = measure(report(), null);
  const { stats } = measure(report({ V: { timestamp: 2000, packetsLost: 0, packetsReceived: 150 } }), snapshot);
  assert.equal(stats.lossRate, 0);
});

for (const end of ["L", "R"]) {
  test(`a relay candidate at ${end} is a relayed path`, () => {
    assert.equal(measure(report({ [end]: { candidateType: "relay" } }), null).stats.path, "relayed");
  });
}

test("without a transport, the pair that is used is found", () => {
  const { stats } = measure(report({ T: null, P0: { nominated: false }, P: { selected: true } }), null);
  assert.equal(stats.roundTripTime, 0.02);
});

test("before anything has come, everything is nothing", () => {
  const { stats } = measure(new Map(), null);
  assert.deepEqual(stats, {
    codec: "", width: 0, height: 0, framesPerSecond: 0, bitrate: 0, packetsLost: 0, lossRate: 0, jitter: 0,
    roundTripTime: null, path: "none",
  });
});

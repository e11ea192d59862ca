import assert from "node:assert/strict";
import { test } from "node:test";

import { attemptsFor, deviceProblem, openWithLess, videoConstraints } from "../../web/constraints.js";
import { texts } from "../../web/texts.js";

const SETTINGS = { deviceId: "front", height: 720, frameRate: 10, microphone: true };

/** A camera that can do what it is asked for, save some things. */
function camera(...impossible) {
  const asked = [];
  const open = async (video) => {
    asked.push(video);
    const constraint = impossible.find((name) => video !== true && name in video);
    if (constraint) throw Object.assign(new Error(constraint), { name: "OverconstrainedError", constraint });
    return "opened";
  };
  return { asked, open };
}

for (const [impossible, lowered] of [
  [[], []],
  [["frameRate"], ["frameRate"]],
  [["height"], ["frameRate", "height"]],
  [["width", "frameRate"], ["frameRate", "height"]],
  [["deviceId"], ["frameRate", "height", "deviceId"]],
]) {
  test(`a camera that cannot do ${impossible.join(" and ") || "nothing less"} is opened without ${lowered}`, async () => {
    const { asked, open } = camera(...impossible);
    assert.deepEqual(await openWithLess(attemptsFor(SETTINGS), open), { opened: "opened", lowered });
    assert.deepEqual(asked[0], videoConstraints(SETTINGS));
    assert.equal(asked.length, lowered.length + 1);
  });
}

test("in the end, any camera will do", async () => {
  const { asked, open } = camera("frameRate", "height", "width", "deviceId");
  await openWithLess(attemptsFor(SETTINGS), open);
  assert.equal(asked.at(-1), true);
});

test("a camera that a person has just chosen is not taken for another one", async () => {
  const { open } = camera("deviceId");
  await assert.rejects(openWithLess(attemptsFor(SETTINGS, true), open), { name: "OverconstrainedError" });
});

test("where no device was chosen, the side that it looks to stays wanted", () => {
  const settings = { ...SETTINGS, deviceId: undefined, facing: "environment" };
  for (const { video } of attemptsFor(settings)) assert.deepEqual(video.facingMode, { ideal: "environment" });
});

for (const name of ["NotAllowedError", "NotReadableError", "AbortError", "TypeError", "NotFoundError"]) {
  test(`after ${name} nothing less is tried`, async () => {
    let count = 0;
    const open = async () => {
      count++;
      throw Object.assign(new Error(name), { name });
    };
    await assert.rejects(openWithLess(attemptsFor(SETTINGS), open), { name });
    assert.equal(count, 1);
  });
}

for (const [error, sentence] of [
  [{ name: "NotFoundError" }, /No camera was found.*Plug one in/],
  [{ name: "NotAllowedError", message: "Permission denied" }, /not allowed.*settings of this page/],
  [{ name: "NotAllowedError", message: "Permission denied by system" }, /privacy settings of the device/],
  [{ name: "SecurityError" }, /not allowed/],
  [{ name: "NotReadableError" }, /Another program.*close/],
  [{ name: "AbortError" }, /failed.*Unplug it/],
  [{ name: "OverconstrainedError" }, /this size at this rate.*Choose others/],
  [{ name: "TypeError" }, /only on https:\/\//],
  [{ name: "Anything" }, /could not be started/],
]) {
  test(`${error.name} ${error.message ?? ""} says what to do`, () => assert.match(texts[deviceProblem(error)], sentence));
}

test("what was lowered is said with both numbers", () => {
  const taken = { frameRate: 29.97, height: 480 };
  assert.match(texts.lowered.frameRate(SETTINGS, taken), /10 pictures.*30 now/);
  assert.match(texts.lowered.height(SETTINGS, taken), /720p.*480p now/);
});

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { afterEach, beforeEach, test } from "node:test";

import { deviceKey } from "../../web/device-key.js";

// Node 18 has it under this name only.
globalThis.crypto ??= webcrypto;

/** What the browser keeps. @type {Map<string, string>} */
let kept;

beforeEach(() => {
  kept = new Map();
  globalThis.localStorage = {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => kept.set(name, value),
  };
});
afterEach(() => delete globalThis.localStorage);

test("a device has one key, which nobody guesses", () => {
  const key = deviceKey();
  assert.match(key, /^[0-9a-f]{64}$/);
  assert.equal(deviceKey(), key);
  kept.clear();
  assert.notEqual(deviceKey(), key);
});

for (const spoilt of ["", "null", '""', '"short"', "12345678901234567890123456789012", '{"a":1}', '"<script>"', "["]) {
  test(`in place of ${JSON.stringify(spoilt)} there is a new key`, () => {
    kept.set("cctvsignal:deviceKey", spoilt);
    const key = deviceKey();
    assert.match(key, /^[0-9a-f]{64}$/);
    assert.equal(deviceKey(), key);
  });
}

test("a browser that keeps nothing has no key: it would lock itself out with the next one", () => {
  globalThis.localStorage = { getItem: () => null, setItem: () => {} };
  assert.equal(deviceKey(), undefined);
  globalThis.localStorage = {
    getItem: () => {
      throw new Error("SecurityError");
    },
    setItem: () => {
      throw new Error("QuotaExceededError");
    },
  };
  assert.equal(deviceKey(), undefined);
});

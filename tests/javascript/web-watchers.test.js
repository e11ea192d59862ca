import assert from "node:assert/strict";
import { test } from "node:test";

/** As much of a page as the list needs. */
const element = () => ({ children: [], append(child) { this.children.push(child); child.remove = () => {}; } });
Object.assign(globalThis, { window: new EventTarget(), document: { createElement: element } });
const { Watchers } = await import("../../web/watchers.js");

const shown = (list) => list.children.at(-1).textContent;

test("who watches has the name that it came with", () => {
  const list = element();
  const watchers = new Watchers(list);
  watchers.know({ clientId: "V", meta: { name: "Firefox on Android" } });
  watchers.show(["V"]);
  assert.match(shown(list), /^Firefox on Android, since/);
});

test("who has left is forgotten", () => {
  const list = element();
  const watchers = new Watchers(list);
  watchers.know({ clientId: "V", meta: { name: "Firefox on Android" } });
  watchers.forget({ clientId: "V" });
  watchers.show(["V"]);
  assert.match(shown(list), /^A viewer, since/);
});

test("of all who have ever come, only the last are known", () => {
  const list = element();
  const watchers = new Watchers(list);
  for (let number = 0; number < 5_000; number++) watchers.know({ clientId: `V${number}`, meta: { name: `Name ${number}` } });
  watchers.show(["V0"]);
  assert.match(shown(list), /^A viewer/);
  watchers.show(["V0", "V4999"]);
  assert.match(shown(list), /^Name 4999/);
});

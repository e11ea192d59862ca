import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { texts } from "../../web/texts.js";

const WEB = new URL("../../web/", import.meta.url);
const PAGES = readdirSync(WEB).filter((name) => name.endsWith(".html"));
const read = (name) => readFileSync(new URL(name, WEB), "utf8");
const found = (text, pattern) => [...text.matchAll(pattern)].map(([, value]) => value);

for (const page of PAGES) {
  test(`${page} names texts that there are`, () => {
    const names = found(read(page), /data-(?:text|label|title)="([^"]*)"/g);
    assert.ok(names.length > 0);
    for (const name of names) assert.equal(typeof texts[name], "string", name);
  });

  test(`${page} has no text of its own`, () => {
    const words = read(page)
      .replace(/<!doctype html>|<head>[^]*<\/head>|<noscript>[^]*<\/noscript>/g, "")
      .replace(/<[^>]*>/g, "")
      .replace("CCTV", "");
    assert.equal(words.trim(), "");
  });

  test(`${page} has nothing that the server's policy forbids, and names files that there are`, () => {
    const text = read(page);
    assert.doesNotMatch(text, /\sstyle=|\son\w+=|<style|<script(?! type="module" src=)/);
    for (const path of found(text, /(?:src|href)="([^"]*)"/g)) {
      // Below whatever path a proxy puts the pages.
      assert.doesNotMatch(path, /^\/|:/);
      assert.ok(existsSync(new URL(path, WEB)), path);
    }
  });
}

test("every state has a name and a sentence", () => {
  const { available, ...named } = texts.stateName;
  assert.deepEqual(Object.keys(named).sort(), Object.keys(texts.stateSentence).sort());
  const states = found(read("watch.js").match(/@typedef {([^}]*)} WatchState/)[1], /"(\w+)"/g);
  // These two are of the tile: whatever is live may be blocked by the browser, or say that it has trouble.
  assert.deepEqual([...states, "blocked", "troubled"].sort(), Object.keys(named).sort());
});

test("the offline page has all that it needs in the cache", () => {
  const cached = found(read("service-worker.js").match(/const FILES = \[([^\]]*)\]/)[1], /"([^"]*)"/g);
  const needed = (name, seen = new Set()) => {
    if (seen.has(name)) return seen;
    seen.add(name);
    const pattern = name.endsWith(".html") ? /(?:src|href)="([^"]+)"/g : /from "\.\/([^"]+)"/g;
    if (/\.(html|js)$/.test(name)) for (const next of found(read(name), pattern)) needed(next, seen);
    return seen;
  };
  for (const name of needed("offline.html")) assert.ok(name === "offline.html" || cached.includes(name), name);
});

test("no file names another one from the root of its host, where the pages may not be", () => {
  const files = readdirSync(WEB).filter((name) => /\.(js|css|webmanifest)$/.test(name));
  assert.ok(files.length > 20);
  for (const name of files) {
    // Types are read from these files as they are served at the root; nothing else looks at them.
    const text = read(name).replace(/import\("\/client\/[^"]*"\)/g, "");
    assert.doesNotMatch(text, /["'`(]\/[\w?.]/, name);
  }
});

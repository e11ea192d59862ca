/**
 * Shows a page of ours where the server cannot be reached. Everything else always comes from the server:
 * nobody is to see pages that are older than it.
 */

/** What the offline page needs. Another list, or another file in it, wants another name. */
const CACHE = "offline-2";
const OFFLINE = "/offline.html";
const FILES = [OFFLINE, "/offline.js", "/page.js", "/texts.js", "/base.css", "/favicon.svg"];

self.addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" })));
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => {
  const begin = async () => {
    for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(begin());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.mode === "navigate") {
    event.respondWith(fetch(request).catch(() => caches.match(OFFLINE)));
  } else if (FILES.includes(new URL(request.url).pathname) && request.method === "GET") {
    event.respondWith(fetch(request).catch(() => caches.match(request)));
  }
});

/**
 * Shows a page of ours where the server cannot be reached. Everything else always comes from the server:
 * nobody is to see pages that are older than it.
 */

/** What the offline page needs. Another list, or another file in it, wants another name. */
const CACHE = "offline-3";
const OFFLINE = "offline.html";
const FILES = [OFFLINE, "offline.js", "page.js", "texts.js", "base.css", "favicon.svg"];
/** The pages may be below a path: all names are beside this file. */
const addressOf = (name) => new URL(name, self.location.href).href;
const ADDRESSES = FILES.map(addressOf);

self.addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(ADDRESSES.map((address) => new Request(address, { cache: "reload" })));
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => {
  const begin = async () => {
    // The other caches of this host may be of other apps.
    const old = (await caches.keys()).filter((name) => name.startsWith("offline-") && name !== CACHE);
    for (const name of old) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(begin());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.mode === "navigate") {
    event.respondWith(fetch(request).catch(() => caches.match(addressOf(OFFLINE))));
  } else if (ADDRESSES.includes(request.url.split(/[?#]/)[0]) && request.method === "GET") {
    event.respondWith(fetch(request).catch(() => caches.match(request)));
  }
});

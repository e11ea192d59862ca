import { RECONNECT_CODES, ViewerClient } from "/client/index.js";

import { DEFAULT_ROOM, element, fillTexts, fromAddress, showStatus } from "./page.js";
import { texts } from "./texts.js";
import { Tile } from "./tile.js";

const FIRST_RETRY_MS = 5000;

const room = fromAddress("room", DEFAULT_ROOM);
const viewer = new ViewerClient({ room });
/** The cameras that the person wants to see, whether they are there or not. @type {Map<string, Tile>} */
const tiles = new Map();
/** @type {Map<string, HTMLLIElement>} */
const items = new Map();

fillTexts();
document.title = texts.viewerTitle(room);
element("room-name").textContent = texts.room(room);
element("camera-link").href = `/camera.html?room=${encodeURIComponent(room)}`;
element("no-cameras").textContent = texts.noCameras;

// --- the list of cameras ------------------------------------------------------------------------------

function addItem(cameraId) {
  const item = document.createElement("li");
  item.dataset.camera = cameraId;
  const name = document.createElement("span");
  name.className = "camera-name";
  name.textContent = cameraId;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.addEventListener("click", () => (tiles.has(cameraId) ? stop(cameraId) : watch(cameraId)));
  item.append(name, button);
  items.set(cameraId, item);
  const after = [...items.keys()].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  const next = items.get(after[after.indexOf(cameraId) + 1]);
  element("cameras").insertBefore(item, next ?? null);
}

function refresh() {
  for (const [cameraId, item] of items) {
    const isWatched = tiles.has(cameraId);
    item.classList.toggle("watched", isWatched);
    const button = item.querySelector("button");
    button.dataset.action = isWatched ? "stop" : "watch";
    button.textContent = isWatched ? texts.stop : texts.watch;
    button.setAttribute("aria-label", isWatched ? texts.stopLabel(cameraId) : texts.watchLabel(cameraId));
  }
  // Before the first list has come, "no cameras" would be a guess.
  element("no-cameras").hidden = items.size > 0 || viewer.state !== "connected";
  element("no-tiles").hidden = tiles.size > 0;
  element("no-tiles").textContent = items.size > 0 ? texts.chooseCamera : texts.waitForCamera;
}

function announce(text) {
  const line = document.createElement("p");
  line.textContent = text;
  const log = element("announcements");
  log.append(line);
  while (log.childElementCount > 5) log.firstElementChild.remove();
}

// --- watching -----------------------------------------------------------------------------------------

function watch(cameraId) {
  const tile = new Tile(cameraId, { onStop: () => stop(cameraId), onRetry: () => request(cameraId) });
  tiles.set(cameraId, tile);
  element("tiles").append(tile.element);
  request(cameraId);
  refresh();
}

function stop(cameraId) {
  const tile = tiles.get(cameraId);
  if (!tile) return;
  const hadFocus = tile.element.contains(document.activeElement);
  tiles.delete(cameraId);
  viewer.stopViewing(cameraId);
  tile.remove();
  refresh();
  if (hadFocus) items.get(cameraId)?.querySelector("button").focus();
}

async function request(cameraId) {
  const tile = tiles.get(cameraId);
  if (!tile) return;
  tile.show("connecting");
  try {
    const stream = await viewer.requestStream(cameraId);
    if (tiles.get(cameraId) === tile) tile.play(stream);
  } catch (error) {
    if (tiles.get(cameraId) === tile) tile.show(stateAfter(cameraId, error));
  }
}

function stateAfter(cameraId, error) {
  if (error.name === "ConnectionError") return "offline";
  if (error.name === "CameraNotFoundError" || !viewer.cameras.has(cameraId)) return "gone";
  if (error.name === "CameraBusyError") return "busy";
  if (error.name === "TimeoutError") return "noAnswer";
  return error.reason === "cameraStopped" ? "stopped" : "failed";
}

// --- what happens -------------------------------------------------------------------------------------

viewer.on("cameraAvailable", ({ cameraId }) => {
  if (!items.has(cameraId)) {
    addItem(cameraId);
    announce(texts.cameraUp(cameraId));
  }
  if (tiles.get(cameraId)?.isWaiting) request(cameraId);
  refresh();
});

viewer.on("cameraUnavailable", ({ cameraId }) => {
  items.get(cameraId)?.remove();
  items.delete(cameraId);
  announce(texts.cameraDown(cameraId));
  const tile = tiles.get(cameraId);
  // A picture that still flows, after both have lost the server, is better than a sentence.
  if (tile && !tile.isLive) tile.show("gone");
  refresh();
});

viewer.on("streamEnded", ({ cameraId, reason }) => {
  const states = { cameraStopped: "stopped", cameraUnavailable: "gone" };
  tiles.get(cameraId)?.show(states[reason] ?? (viewer.cameras.has(cameraId) ? "failed" : "gone"));
});

viewer.on("welcome", ({ authenticated }) => {
  element("open-note").hidden = authenticated !== false;
});

viewer.on("roomJoined", () => {
  showStatus("connected", texts.connected);
  for (const [cameraId, tile] of tiles) {
    if (tile.isWaiting && viewer.cameras.has(cameraId)) request(cameraId);
  }
  refresh();
});

viewer.on("reconnecting", () => showStatus("reconnecting", texts.reconnecting));
viewer.on("disconnected", ({ willReconnect }) => {
  if (!willReconnect && everConnected) showStatus("failed", texts.refused);
});
viewer.on("error", (error) => console.warn(error));
window.addEventListener("pagehide", () => viewer.close());

let everConnected = false;

async function start() {
  try {
    await viewer.connect();
    everConnected = true;
  } catch (error) {
    if (error.name === "InvalidMessageError") {
      showStatus("failed", texts.badName);
    } else if (RECONNECT_CODES.has(error.closeCode)) {
      showStatus("reconnecting", texts.unreachable);
      setTimeout(start, FIRST_RETRY_MS);
    } else {
      showStatus("failed", texts.refused);
    }
  }
}

showStatus("connecting", texts.connecting);
refresh();
start();

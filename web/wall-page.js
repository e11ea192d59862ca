import { PASSING_ERRORS, RECONNECT_CODES, ViewerClient, fullJitter } from "./client/index.js";

import "./install.js";

import { formatAddress, parseAddress, serverUrl } from "./address.js";
import { Arrangement } from "./arrangement.js";
import { CameraList } from "./camera-list.js";
import { deviceName } from "./device-name.js";
import { listenToKeys } from "./keyboard.js";
import { LAYOUTS } from "./layout.js";
import { recall, remember } from "./memory.js";
import { Gathered, announce } from "./notices.js";
import { element, fillTexts, say, showStatus, withoutMarks } from "./page.js";
import { explained } from "./reachability.js";
import { texts } from "./texts.js";
import { rememberToken, token } from "./token.js";
import { Wall } from "./wall.js";

const RETRY_TIMES = { base: 5_000, cap: 60_000 };
const LONGEST_MS = 600_000;
/** Nobody tells how many watch; it is asked now and then. */
const COUNT_MS = 10_000;
const GATHER_MS = 500;
const WIDE = "(min-width: 64rem)";

const view = parseAddress(location.search);
const { room } = view;
const memory = recall(`wall:${room}`) ?? {};
const arrangement = new Arrangement(view.cameras ?? memory.cameras ?? null, memory.order ?? []);
arrangement.focus = view.focus;
const viewer = new ViewerClient({
  url: serverUrl(location.href),
  room,
  token: token(),
  meta: { name: deviceName(navigator.userAgent) },
});
/** How many watch each camera. @type {Map<string, number>} */
let viewers = new Map();
/** Why there is no connection. @type {"" | "unreachable" | "unauthorized" | "refused"} */
let problem = "";
/** The same, in a sentence. */
let why = "";
/** Whether there is no connection yet. */
let isConnecting = false;
/** How many times in a row there was no connection. */
let attempt = 0;

const list = new CameraList(element("cameras"), (cameraId) => {
  if (wall.tiles.has(cameraId)) wall.hide(cameraId);
  else wall.show(cameraId);
});
const layout = view.layout ?? (LAYOUTS.includes(memory.layout) ? memory.layout : "fit");
const { prefersJpeg } = view;
const wall = new Wall(element("stage"), element("wall"), viewer, arrangement, { layout, prefersJpeg }, (tile) => {
  // The first news come while it is made.
  queueMicrotask(tile ? refresh : changed);
});

// --- what is shown ------------------------------------------------------------------------------------

/** Whether there is nothing but the words on the stage. */
const isBlank = () => wall.tiles.size === 0 && viewer.cameras.size === 0;

function refresh() {
  list.update(viewer.cameras, wall.tiles, viewers);
  const isEmpty = wall.tiles.size === 0;
  const isAnyThere = viewer.cameras.size > 0;
  // Before the first list has come, "no cameras" would be a guess.
  element("no-cameras").hidden = !isEmpty || isAnyThere || viewer.state !== "connected";
  element("none-shown").hidden = !isEmpty || !isAnyThere;
  element("server-away").hidden = !isBlank() || problem !== "unreachable";
  element("refused").hidden = !isBlank() || problem !== "refused";
  say(element("refused-why"), why);
  element("token-form").hidden = problem !== "unauthorized";
  element("wall").hidden = isEmpty;
  element("show-all").hidden = arrangement.isAll;
}

let remembered = JSON.stringify(toRemember());

function toRemember() {
  return { cameras: arrangement.chosen, order: arrangement.order, layout: wall.layout };
}

/** What is on the wall has changed. */
function changed() {
  refresh();
  const { chosen, focus } = arrangement;
  const address = formatAddress({ room, cameras: chosen, layout: wall.layout, focus, prefersJpeg });
  history.replaceState(null, "", address);
  for (const button of element("layouts").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.layout === wall.layout && !focus));
  }
  const now = JSON.stringify(toRemember());
  // Who only opens a link keeps the wall that this device remembers.
  if (now !== remembered) remember(`wall:${room}`, toRemember());
  remembered = now;
}

// --- what the viewer says -----------------------------------------------------------------------------

const up = new Gathered(texts.cameraUp, texts.camerasUp);
const down = new Gathered(texts.cameraDown, texts.camerasDown);

viewer.on("cameraAvailable", (camera) => {
  up.add(camera.cameraId);
  wall.appeared(camera);
  refresh();
  countSoon();
});

viewer.on("cameraUnavailable", ({ cameraId }) => {
  down.add(cameraId);
  wall.tiles.get(cameraId)?.watch.disappeared();
  refresh();
});

viewer.on("streamReceived", ({ cameraId, stream }) => {
  wall.tiles.get(cameraId)?.watch.received(stream);
  countSoon();
});
viewer.on("picturesReceived", ({ cameraId, pictures }) => {
  wall.tiles.get(cameraId)?.watch.received(pictures);
  countSoon();
});
viewer.on("controlsChanged", ({ cameraId, state, controls }) => wall.tiles.get(cameraId)?.tell(state, controls));
viewer.on("streamLost", ({ cameraId, reason }) => wall.tiles.get(cameraId)?.watch.lost(reason));
viewer.on("streamState", ({ cameraId, state }) => {
  if (state === "noMedia") console.warn(`Camera ${cameraId} is connected, and sends no media.`);
  else wall.tiles.get(cameraId)?.watch.interrupted(state === "interrupted");
});

viewer.on("roomJoined", () => {
  problem = "";
  attempt = 0;
  // Who was let in without a proof was let in like anybody.
  const isOpen = viewer.welcome?.authenticated === false;
  for (const id of ["open-badge", "open-note"]) element(id).hidden = !isOpen;
  showStatus("connected", texts.connected);
  for (const { watch } of wall.tiles.values()) watch.returned();
  refresh();
});

viewer.on("disconnected", ({ error, willReconnect }) => {
  for (const { watch } of wall.tiles.values()) watch.serverLost();
  // Of the first connection, `connect` tells.
  if (!willReconnect && !isConnecting) ended(error);
});
viewer.on("reconnecting", ({ error }) => {
  const refusal = texts.refusal[error.code];
  showStatus("reconnecting", refusal ? texts.tryingAgain(refusal) : texts.reconnecting);
});
viewer.on("error", (error) => console.warn(error));

/** @param {any} error why there is no connection, and none comes by itself */
function ended(error) {
  const sentences = {
    ForbiddenError: texts.forbidden,
    InvalidMessageError: texts.badName,
    UnauthorizedError: texts.tokenTitle,
  };
  why = sentences[error.name] ?? texts.refused;
  // What one token does not allow, another one may.
  const isForToken = error.name === "ForbiddenError" && token() !== undefined;
  problem = isForToken || error.name === "UnauthorizedError" ? "unauthorized" : "refused";
  showProblem("failed");
}

/** @param {any} error why there is no connection yet */
async function waitFor(error) {
  const sentence = await explained(error, viewer.options.url);
  problem = sentence ? "refused" : "unreachable";
  why = sentence ? texts.tryingAgain(sentence) : texts.unreachable;
  const { retryAfter = 0 } = error;
  setTimeout(connect, Math.min(LONGEST_MS, retryAfter * 1000 + fullJitter(attempt++, RETRY_TIMES)));
  showProblem("reconnecting");
}

/** @param {string} state for the colour */
function showProblem(state) {
  // On an empty wall, the whole sentence is on the stage.
  const isOnStage = problem === "refused" && isBlank();
  showStatus(state, isOnStage ? texts.refusedTitle : why);
  if (isOnStage && element("refused-why").textContent !== withoutMarks(why)) announce(withoutMarks(why));
  refresh();
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let counting;

function countSoon() {
  clearTimeout(counting);
  counting = setTimeout(countViewers, GATHER_MS);
}

async function countViewers() {
  if (viewer.state !== "connected" || document.visibilityState !== "visible") return;
  try {
    const cameras = await viewer.getAvailableCameras();
    viewers = new Map(cameras.map((camera) => [camera.cameraId, camera.viewers ?? 0]));
    refresh();
  } catch {
    // The connection is gone, and with it the question.
  }
}

async function connect() {
  isConnecting = true;
  try {
    await viewer.connect();
    isConnecting = false;
  } catch (error) {
    isConnecting = false;
    const passes = RECONNECT_CODES.has(error.closeCode) || PASSING_ERRORS.has(error.code) || error.code === "timeout";
    if (passes) waitFor(error);
    else ended(error);
  }
}

// --- what the person does -----------------------------------------------------------------------------

function buildLayouts() {
  for (const one of LAYOUTS) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.layout = one;
    button.textContent = texts.layout(one);
    button.setAttribute("aria-label", texts.layoutLabel(one));
    button.addEventListener("click", () => wall.setLayout(one));
    element("layouts").append(button);
  }
}

/** @param {boolean} isOpen */
function showSide(isOpen) {
  element("side").hidden = !isOpen;
  element("side-toggle").setAttribute("aria-expanded", String(isOpen));
}

element("side-toggle").addEventListener("click", () => {
  const isOpen = element("side").hidden;
  showSide(isOpen);
  remember("side", isOpen);
});
for (const button of document.querySelectorAll("[data-show-all]")) {
  button.addEventListener("click", () => wall.showAll());
}
element("help").addEventListener("click", () => element("help-dialog").showModal());
element("help-close").addEventListener("click", () => element("help-dialog").close());
element("characters").checked = recall("characters") ?? true;
element("characters").addEventListener("change", () => remember("characters", element("characters").checked));
element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  rememberToken(element("token").value.trim());
  viewer.options.token = token();
  problem = "";
  showStatus("connecting", texts.connecting);
  refresh();
  connect();
});
element("room-form").addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(`./?${new URLSearchParams({ room: element("other-room").value })}`);
});
listenToKeys(wall, arrangement, {
  areOn: () => element("characters").checked,
  help: () => element("help-dialog").showModal(),
});
window.addEventListener("beforeunload", (event) => {
  if ([...wall.tiles.values()].some(({ tools }) => tools.isRecording)) event.preventDefault();
});
window.addEventListener("pagehide", () => viewer.close());
document.addEventListener("visibilitychange", countViewers);
setInterval(countViewers, COUNT_MS);

// --- at first -----------------------------------------------------------------------------------------

fillTexts();
document.title = texts.wallTitle(room);
element("room-name").textContent = texts.room(room);
for (const link of document.querySelectorAll("[data-camera-link]")) {
  link.href = `camera.html?room=${encodeURIComponent(room)}`;
}
element("camera-command").textContent = texts.cameraCommand(viewer.options.url, room);
for (const [keys, meaning] of texts.shortcuts) {
  const term = document.createElement("dt");
  term.textContent = keys;
  const description = document.createElement("dd");
  description.textContent = meaning;
  element("shortcuts").append(term, description);
}
buildLayouts();
showSide(recall("side") ?? matchMedia(WIDE).matches);
showStatus("connecting", texts.connecting);
connect();

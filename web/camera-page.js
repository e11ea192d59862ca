import { CLOSE_REPLACED, CameraClient } from "./client/index.js";

import "./install.js";

import { DEFAULT_ROOM, formatAddress, serverUrl } from "./address.js";
import { sentenceFor } from "./camera-errors.js";
import { deviceProblem } from "./constraints.js";
import { deviceKey } from "./device-key.js";
import { Devices } from "./devices.js";
import { recall, remember } from "./memory.js";
import { notify } from "./notices.js";
import { element, fillTexts, showStatus, timeOfDay } from "./page.js";
import { qrCode } from "./qr.js";
import { explained } from "./reachability.js";
import { texts } from "./texts.js";
import { rememberToken, token } from "./token.js";
import { WakeLock } from "./wake-lock.js";
import { Watchers } from "./watchers.js";

const HEIGHTS = [480, 720, 1080];
const FRAME_RATES = [10, 15, 25, 30];
const USUAL = { height: 720, frameRate: 25, microphone: true, acceptsAudio: false };
const LOCAL = new Set(["localhost", "127.0.0.1", "[::1]"]);

const memory = { ...USUAL, ...recall("camera") };
/** @type {CameraClient | null} */
let camera = null;
/** @type {Devices | null} */
let devices = null;
/** Counts starts, so that one that was stopped while it waited can tell. */
let run = 0;
/** Since when the browser withholds the picture. @type {Date | null} */
let stillSince = null;

const watchers = new Watchers(element("watchers"));
const wakeLock = new WakeLock((isAwake) => {
  if (camera && !isAwake) notify(texts.noWakeLock, { keep: true });
});

// --- on and off ---------------------------------------------------------------------------------------

async function start() {
  if (camera || devices) return;
  const mine = ++run;
  const [cameraId, room] = [element("camera-id").value.trim(), element("room").value.trim()];
  if (!navigator.mediaDevices?.getUserMedia) return end("failed", texts.insecure);
  if (element("token").value) rememberToken(element("token").value.trim());
  showStatus("connecting", texts.asking);
  const opening = new Devices(chosenSettings(), () => deviceEnded(opening));
  devices = opening;
  showControls(true);
  element("stop").focus();
  try {
    await opening.open();
  } catch (error) {
    console.warn(`${error.name}: ${error.message}`);
    if (mine !== run) return;
    end("failed", texts[deviceProblem(error)]);
    return element("start").focus();
  }
  try {
    if (mine !== run) return opening.close();
    await showDevices();
    tellLowered();
    showStatus("connecting", texts.connecting);
    const acceptsAudio = element("accepts-audio").checked;
    const meta = { name: cameraId, resolution: `${opening.video?.getSettings().height}p` };
    const secrets = { token: token(), deviceKey: deviceKey() };
    camera = new CameraClient({ url: serverUrl(location.href), cameraId, room, meta, acceptsAudio, ...secrets });
    follow(camera);
    showStream();
    await camera.register();
    if (mine === run) wakeLock.hold();
  } catch (error) {
    if (mine === run) endFor(error);
  }
}

/** @param {any} error of the client, why the camera cannot be on, or no longer */
async function endFor(error) {
  end("failed", sentenceFor(error));
  const mine = run;
  const isNameRefused = error.name === "CameraIdInUseError" || error.name === "ForbiddenError";
  // What one token does not allow, another one may.
  if (error.name === "ForbiddenError") element("token-field").hidden = token() === undefined;
  if (isNameRefused) element("camera-id").select();
  else if (error.name === "UnauthorizedError") askForToken();
  else element("start").focus();
  if (texts.refusal[error.code]) return;
  const sentence = await explained(error, serverUrl(location.href));
  if (sentence && mine === run) showStatus("failed", sentence);
}

/**
 * Turn everything off and say why.
 * @param {string} state
 * @param {string} text
 */
function end(state, text) {
  run++;
  const [client, opened] = [camera, devices];
  camera = devices = null;
  client?.close();
  opened?.close();
  stillSince = null;
  watchers.clear();
  wakeLock.release();
  element("preview").srcObject = null;
  showControls(false);
  showStatus(state, text);
}

/** @param {CameraClient} client */
function follow(client) {
  client.on("roomJoined", () => {
    // Who was let in without a proof was let in like anybody.
    element("open-note").hidden = client.welcome?.authenticated !== false;
    showLive();
    showViewers(client.viewers);
    showControls(true);
  });
  client.on("clientJoined", (joined) => watchers.know(joined));
  client.on("clientDisconnected", (left) => watchers.forget(left));
  client.on("viewerFailed", ({ error }) => console.warn(`${error.name}: ${error.message}`));
  client.on("viewersChanged", ({ viewers }) => {
    if (client === camera) showViewers(viewers);
  });
  client.on("audioReceived", ({ viewerId, stream }) => watchers.hear(viewerId, stream));
  client.on("disconnected", ({ error, willReconnect }) => {
    // While it starts, the promise of register says it.
    if (!willReconnect && client === camera && !element("share").hidden) endFor(error);
  });
  client.on("reconnecting", ({ error }) => {
    if (client !== camera) return;
    const isIdTaken = error.code === "cameraIdInUse" || error.closeCode === CLOSE_REPLACED;
    const refusal = texts.refusal[error.code];
    const waiting = refusal ? texts.tryingAgain(refusal) : texts.reconnecting;
    showStatus("reconnecting", isIdTaken ? texts.idTaken : waiting);
  });
}

function askForToken() {
  element("token-field").hidden = false;
  element("token").select();
}

// --- the device ---------------------------------------------------------------------------------------

/** @returns {import("./devices.js").Settings} */
function chosenSettings() {
  return {
    deviceId: element("device").value || undefined,
    height: Number(element("height").value),
    frameRate: Number(element("frame-rate").value),
    microphone: element("microphone").checked,
  };
}

/** What is open is what viewers see. */
function showStream() {
  if (!devices?.video) return;
  const { stream, video } = devices;
  element("preview").srcObject = stream;
  camera?.startStreaming(stream);
  video.onmute = () => {
    stillSince ??= new Date();
  };
  video.onunmute = toldStill;
  element("torch").hidden = !devices.hasTorch;
  element("torch").setAttribute("aria-pressed", "false");
  showMicrophone();
}

/** Browsers take the camera away from pages that are hidden, and from phones that are locked. */
function toldStill() {
  if (!stillSince || document.visibilityState !== "visible") return;
  notify(texts.stoodStill(timeOfDay(stillSince), timeOfDay(new Date())), { keep: true });
  stillSince = null;
}

/** @param {Devices} which */
async function deviceEnded(which) {
  if (which !== devices) return;
  if (document.visibilityState === "visible") return end("failed", texts.deviceLost);
  stillSince ??= new Date();
}

async function comeBack() {
  if (document.visibilityState !== "visible" || !devices?.video) return;
  if (devices.video.readyState === "ended") await change(() => devices?.open());
  if (devices?.video && !devices.video.muted) toldStill();
}

/**
 * Change something of the device; where that cannot be done, all stays as it was.
 * @param {() => Promise<void> | undefined} step
 */
async function change(step) {
  const current = devices;
  try {
    await step();
  } catch (error) {
    notify(texts.notChanged(texts[deviceProblem(error)]));
  }
  if (current !== devices) return;
  tellLowered();
  showStream();
  await showDevices();
  save();
}

/** What the camera cannot do of what was chosen. */
function tellLowered() {
  const { lowered = [], settings, video } = devices ?? {};
  const taken = video?.getSettings() ?? {};
  const isOther = {
    frameRate: Math.round(taken.frameRate) !== settings?.frameRate,
    height: taken.height !== settings?.height,
    deviceId: true,
  };
  const told = lowered.filter((what) => isOther[what]).map((what) => texts.lowered[what](settings, taken));
  if (told.length > 0) notify(told.join(" "), { keep: true });
}

async function showDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  const cameras = all.filter(({ kind, deviceId }) => kind === "videoinput" && deviceId);
  const current = devices?.video?.getSettings() ?? {};
  const chosen = current.deviceId ?? memory.deviceId ?? "";
  const names = cameras.map(({ deviceId, label }, place) => [deviceId, label || texts.deviceName(place + 1)]);
  fillSelect("device", names.length > 0 ? names : [["", texts.anyDevice]], chosen);
  const most = devices?.video?.getCapabilities?.().height?.max ?? Infinity;
  const heights = HEIGHTS.filter((height) => height <= most);
  fillSelect("height", heights.map((height) => [height, texts.height(height)]), element("height").value);
  const canFlip = cameras.length > 1 && (current.facingMode !== undefined || matchMedia("(pointer: coarse)").matches);
  element("flip").hidden = !devices?.video || !canFlip;
}

/**
 * @param {string} id
 * @param {[string | number, string][]} options
 * @param {string | number} chosen
 */
function fillSelect(id, options, chosen) {
  element(id).replaceChildren(...options.map(([value, text]) => new Option(text, String(value))));
  const isThere = options.some(([value]) => String(value) === String(chosen));
  element(id).value = String(isThere ? chosen : options.at(-1)?.[0]);
}

function flip() {
  const facing = devices?.video?.getSettings().facingMode;
  if (facing) {
    return devices?.change({ deviceId: undefined, facing: facing === "environment" ? "user" : "environment" });
  }
  const { options, selectedIndex } = element("device");
  return devices?.change({ deviceId: options[(selectedIndex + 1) % options.length].value });
}

// --- what is shown ------------------------------------------------------------------------------------

/** @param {boolean} isOn whether the camera is on, or about to be */
function showControls(isOn) {
  const isLive = isOn && camera !== null;
  for (const id of ["camera-id", "room", "accepts-audio", "token"]) element(id).disabled = isOn;
  element("start").hidden = isOn;
  element("stop").hidden = !isOn;
  element("frame").dataset.state = isOn ? "on" : "idle";
  for (const id of ["viewers", "share", "watching"]) element(id).hidden = !isLive;
  for (const id of ["flip", "torch"]) element(id).hidden ||= !isOn;
  if (isLive) element("token-field").hidden = true;
  showMicrophone();
  if (isLive) showShare();
}

function showMicrophone() {
  const isOn = devices?.hasMicrophone ?? false;
  element("mute").hidden = !devices?.video;
  element("mute").setAttribute("aria-pressed", String(!isOn));
  element("mute").textContent = isOn ? texts.muteMicrophone : texts.unmuteMicrophone;
  if (devices?.video) element("microphone").checked = isOn;
  if (element("status").dataset.state === "connected") showLive();
}

function showLive() {
  showStatus("connected", devices?.hasMicrophone ? texts.live : texts.liveSilent);
}

/** @param {string[]} viewers */
function showViewers(viewers) {
  element("viewers").textContent = texts.viewers(viewers.length);
  element("viewers").dataset.count = String(viewers.length);
  watchers.show(viewers);
}

function showShare() {
  const cameras = [element("camera-id").value.trim()];
  const view = { room: element("room").value.trim(), cameras, layout: null, focus: null };
  const link = new URL(formatAddress(view), location.href).href;
  element("share-link").href = element("share-link").textContent = link;
  element("qr").replaceChildren(qrCode(link, texts.qrLabel(link)));
  element("local-note").hidden = !LOCAL.has(location.hostname);
  element("send").hidden = !navigator.share;
}

function linkRoom() {
  const room = element("room").value.trim() || DEFAULT_ROOM;
  element("watch-link").href = `./?room=${encodeURIComponent(room)}`;
  document.title = texts.cameraPageTitle(element("camera-id").value.trim() || texts.cameraTitle);
}

function save() {
  remember("camera", {
    ...chosenSettings(),
    id: element("camera-id").value.trim(),
    room: element("room").value.trim(),
    acceptsAudio: element("accepts-audio").checked,
  });
}

// --- what the person does -----------------------------------------------------------------------------

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  save();
  start();
});
element("form").addEventListener("input", linkRoom);
element("stop").addEventListener("click", () => {
  end("idle", texts.idle);
  element("start").focus();
});
element("mute").addEventListener("click", () => change(() => devices?.setMicrophone(!devices.hasMicrophone)));
element("microphone").addEventListener("change", () => {
  if (devices?.video) change(() => devices?.setMicrophone(element("microphone").checked));
});
for (const [id, read] of Object.entries({
  device: () => ({ deviceId: element("device").value }),
  height: () => ({ height: Number(element("height").value) }),
  "frame-rate": () => ({ frameRate: Number(element("frame-rate").value) }),
})) {
  element(id).addEventListener("change", () => {
    if (devices?.video) change(() => devices?.change(read()));
  });
}
element("flip").addEventListener("click", () => change(flip));
element("torch").addEventListener("click", async () => {
  const isOn = element("torch").getAttribute("aria-pressed") !== "true";
  try {
    await devices?.setTorch(isOn);
    element("torch").setAttribute("aria-pressed", String(isOn));
  } catch {
    notify(texts.notPossible);
  }
});
element("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(element("share-link").href);
    notify(texts.copied);
  } catch {
    getSelection()?.selectAllChildren(element("share-link"));
    notify(texts.copyYourself);
  }
});
element("send").addEventListener("click", () => {
  // Who thinks better of it has not failed.
  navigator.share({ title: document.title, url: element("share-link").href }).catch(() => {});
});
document.addEventListener("visibilitychange", comeBack);
navigator.mediaDevices?.addEventListener?.("devicechange", showDevices);
window.addEventListener("pagehide", () => end("idle", texts.idle));

// --- at first -----------------------------------------------------------------------------------------

/** Phones and laptops have no names that pages may know. */
function newName() {
  const kind = /Mobi|Android|iPhone|iPad/.test(navigator.userAgent) ? "phone" : "laptop";
  return `${kind}-${Math.random().toString(36).slice(2, 6)}`;
}

fillTexts();
const address = new URLSearchParams(location.search);
element("camera-id").value = address.get("camera")?.trim() || memory.id || newName();
element("room").value = address.get("room")?.trim() || memory.room || DEFAULT_ROOM;
fillSelect("height", HEIGHTS.map((height) => [height, texts.height(height)]), memory.height);
fillSelect("frame-rate", FRAME_RATES.map((rate) => [rate, texts.frameRate(rate)]), memory.frameRate);
element("microphone").checked = memory.microphone;
element("accepts-audio").checked = memory.acceptsAudio;
showDevices();
linkRoom();
save(); // A name that was made up stays.
showControls(false);
if (window.isSecureContext) showStatus("idle", texts.idle);
else showStatus("failed", texts.insecure);

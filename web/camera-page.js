import { CLOSE_REPLACED, CameraClient } from "/client/index.js";

import { DEFAULT_ROOM, element, fillTexts, fromAddress, showStatus } from "./page.js";
import { texts } from "./texts.js";

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 25 } };

/** @type {CameraClient | null} */
let camera = null;
/** @type {MediaStream | null} */
let stream = null;
/** @type {WakeLockSentinel | null} */
let wakeLock = null;
/** Counts starts, so that one that was stopped while it waited can tell. */
let run = 0;

fillTexts();
element("camera-id").value = fromAddress("camera", "camera-1");
element("room").value = fromAddress("room", DEFAULT_ROOM);

function linkRoom() {
  const room = element("room").value.trim() || DEFAULT_ROOM;
  element("watch-link").href = `/?room=${encodeURIComponent(room)}`;
  document.title = texts.cameraPageTitle(element("camera-id").value.trim() || texts.cameraTitle);
}

/** @param {boolean} isOn whether the camera is on, or about to be */
function showControls(isOn) {
  element("camera-id").disabled = isOn;
  element("room").disabled = isOn;
  element("start").hidden = isOn;
  element("stop").hidden = !isOn;
  element("frame").dataset.state = isOn ? "on" : "idle";
  element("viewers").hidden = !isOn || !camera;
  element("mute").hidden = !isOn || !stream?.getAudioTracks().length;
}

async function start() {
  if (camera || stream) return;
  const mine = ++run;
  const cameraId = element("camera-id").value.trim();
  const room = element("room").value.trim();
  if (!navigator.mediaDevices?.getUserMedia) return end("failed", texts.insecure);
  showStatus("connecting", texts.asking);
  showControls(true);
  element("stop").focus();
  try {
    const opened = await openDevices();
    if (mine !== run) return stopTracks(opened);
    showStream(opened);
    showStatus("connecting", texts.connecting);
    camera = new CameraClient({ cameraId, room });
    follow(camera);
    camera.startStreaming(opened);
    await camera.register();
    if (mine === run) keepAwake();
  } catch (error) {
    if (mine !== run) return;
    end("failed", sentenceFor(error));
    if (error.code === "cameraIdInUse") element("camera-id").select();
    else element("start").focus();
  }
}

async function openDevices() {
  try {
    return await navigator.mediaDevices.getUserMedia({ video: VIDEO, audio: true });
  } catch (error) {
    // A camera without a microphone, or whose microphone is in use elsewhere, is a camera still.
    if (error.name === "NotFoundError" || error.name === "NotReadableError") {
      return navigator.mediaDevices.getUserMedia({ video: VIDEO });
    }
    throw error;
  }
}

/** @param {MediaStream} opened */
function showStream(opened) {
  stream = opened;
  element("preview").srcObject = opened;
  setMuted(false);
  for (const track of opened.getVideoTracks()) {
    track.addEventListener("ended", () => {
      if (stream === opened) end("failed", texts.deviceLost);
    });
  }
}

/** @param {CameraClient} client */
function follow(client) {
  const isCurrent = () => client === camera;
  let isIdTaken = false;
  client.on("roomJoined", () => {
    isIdTaken = false;
    showStatus("connected", stream?.getAudioTracks().length ? texts.live : texts.liveSilent);
    showViewers(client.viewers);
    showControls(true);
  });
  client.on("viewersChanged", ({ viewers }) => {
    if (isCurrent()) showViewers(viewers);
  });
  client.on("welcome", ({ authenticated }) => {
    element("open-note").hidden = authenticated !== false;
  });
  client.on("error", (error) => {
    isIdTaken ||= error.code === "cameraIdInUse";
  });
  client.on("disconnected", ({ code, willReconnect }) => {
    isIdTaken ||= code === CLOSE_REPLACED;
    // While it starts, the promise of register says more.
    if (!willReconnect && isCurrent() && client.welcome && !element("viewers").hidden) {
      end("failed", texts.refused);
    }
  });
  client.on("reconnecting", () => {
    if (isCurrent()) showStatus("reconnecting", isIdTaken ? texts.idTaken : texts.reconnecting);
  });
}

/** @param {string[]} viewers */
function showViewers(viewers) {
  element("viewers").textContent = texts.viewers(viewers.length);
  element("viewers").dataset.count = String(viewers.length);
}

function sentenceFor(error) {
  const sentences = {
    AbortError: texts.deviceBusy,
    CameraIdInUseError: texts.idInUse,
    ConnectionError: texts.serverGone,
    InvalidMessageError: texts.badName,
    NotAllowedError: texts.denied,
    NotFoundError: texts.noDevice,
    NotReadableError: texts.deviceBusy,
    OverconstrainedError: texts.noDevice,
    SecurityError: texts.denied,
  };
  return sentences[error.name] ?? texts.failedToStart;
}

/**
 * Turn everything off and say why.
 * @param {string} state
 * @param {string} text
 */
function end(state, text) {
  run++;
  const [client, media] = [camera, stream];
  camera = stream = null;
  client?.close();
  stopTracks(media);
  element("preview").srcObject = null;
  wakeLock?.release().catch(() => {});
  wakeLock = null;
  showControls(false);
  showStatus(state, text);
}

/** @param {MediaStream | null} media */
function stopTracks(media) {
  for (const track of media?.getTracks() ?? []) track.stop();
}

/** @param {boolean} muted */
function setMuted(muted) {
  for (const track of stream?.getAudioTracks() ?? []) track.enabled = !muted;
  element("mute").setAttribute("aria-pressed", String(muted));
  element("mute").textContent = muted ? texts.unmuteMicrophone : texts.muteMicrophone;
}

/** A phone that goes to sleep is no camera any more. The lock is lost whenever the page is hidden. */
async function keepAwake() {
  try {
    if (camera && document.visibilityState === "visible") wakeLock = await navigator.wakeLock.request("screen");
  } catch {
    // Not every browser can, and none must.
  }
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
element("form").addEventListener("input", linkRoom);
element("stop").addEventListener("click", () => {
  end("idle", texts.idle);
  element("start").focus();
});
element("mute").addEventListener("click", () => {
  setMuted(element("mute").getAttribute("aria-pressed") !== "true");
});
document.addEventListener("visibilitychange", keepAwake);
window.addEventListener("pagehide", () => end("idle", texts.idle));

linkRoom();
showControls(false);
if (window.isSecureContext) showStatus("idle", texts.idle);
else showStatus("failed", texts.insecure);

import { texts } from "./texts.js";

/** States in which the picture comes by itself when the camera or the server does. */
const WAITING = new Set(["gone", "offline", "stopped"]);
/** States in which only another try helps. */
const RETRYABLE = new Set(["busy", "failed", "noAnswer", "stopped"]);

/** One camera that is watched: its picture, or a sentence why there is none. */
export class Tile {
  #state = "connecting";
  #video = document.createElement("video");
  #status = document.createElement("p");
  #retry;
  #sound;

  /**
   * @param {string} cameraId
   * @param {{onStop: () => void, onRetry: () => void}} callbacks
   */
  constructor(cameraId, { onStop, onRetry }) {
    this.cameraId = cameraId;
    this.element = document.createElement("article");
    this.element.className = "tile";
    this.element.dataset.tile = cameraId;
    this.element.setAttribute("aria-label", cameraId);
    this.#video.autoplay = true;
    this.#video.muted = true;
    this.#video.playsInline = true;
    this.#video.setAttribute("aria-label", cameraId);
    this.#status.className = "tile-status";
    this.#status.dataset.role = "tile-status";
    const name = document.createElement("h3");
    name.textContent = cameraId;
    this.#retry = button("retry", texts.retry, texts.retryLabel(cameraId), onRetry);
    this.#sound = button("sound", texts.unmute, texts.unmuteLabel(cameraId), () => this.#toggleSound());
    const close = button("close", texts.stop, texts.stopLabel(cameraId), onStop);
    const picture = document.createElement("div");
    picture.className = "picture";
    picture.append(this.#video, this.#status);
    const foot = document.createElement("div");
    foot.className = "tile-bar";
    foot.append(name, this.#retry, this.#sound, close);
    this.element.append(picture, foot);
    this.show("connecting");
  }

  get isLive() {
    return this.#state === "live";
  }

  get isWaiting() {
    return WAITING.has(this.#state);
  }

  /** @param {keyof typeof texts.tile} state */
  show(state) {
    this.#state = state;
    this.element.dataset.state = state;
    this.#status.textContent = texts.tile[state];
    this.#retry.hidden = !RETRYABLE.has(state);
    if (state !== "live") {
      this.#video.srcObject = null;
      this.#sound.hidden = true;
    }
  }

  /** @param {MediaStream} stream */
  play(stream) {
    this.show("live");
    this.#video.srcObject = stream;
    this.#sound.hidden = stream.getAudioTracks().length === 0;
    // Muted video may always play; a tile that was unmuted before may need to be muted for that.
    this.#video.play().catch(() => {
      this.#setMuted(true);
      this.#video.play().catch(() => {});
    });
  }

  remove() {
    this.#video.srcObject = null;
    this.element.remove();
  }

  #toggleSound() {
    this.#setMuted(!this.#video.muted);
  }

  /** @param {boolean} muted */
  #setMuted(muted) {
    this.#video.muted = muted;
    this.#sound.textContent = muted ? texts.unmute : texts.mute;
    const label = muted ? texts.unmuteLabel : texts.muteLabel;
    this.#sound.setAttribute("aria-label", label(this.cameraId));
  }
}

function button(action, text, label, onClick) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "button small";
  made.dataset.action = action;
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", onClick);
  return made;
}

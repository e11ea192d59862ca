import { timeOfDay } from "./page.js";
import { texts } from "./texts.js";
import { TileTools } from "./tile-tools.js";
import { Watch } from "./watch.js";

/** States of a camera of which nobody has to be told. */
const WELL = new Set(["streaming", "connecting", "idle"]);
/** States in which the camera itself knows best why there is no picture. */
const SHOWN = new Set(["live", "noSignal", "noPicture"]);
/** A picture that has not changed for so long stands still. */
const STILL_MS = 5_000;

/** One camera on the wall: its picture, or a sentence why there is none, and what can be done with it. */
export class Tile {
  #video = document.createElement("video");
  #sentence = document.createElement("p");
  #badge = document.createElement("span");
  #note = document.createElement("p");
  #play = textButton("play", texts.play, () => this.#start());
  #retry = textButton("retry", texts.tryNow, () => this.watch.retry());
  #tools;
  #isBlocked = false;
  #frames = 0;
  #painted = 0;
  #lastMoved = 0;
  #onState;

  /**
   * @param {import("/client/index.js").ViewerClient} viewer
   * @param {string} cameraId
   * @param {{prefersJpeg: boolean, onState: (tile: Tile) => void, onHide: () => void, onEnlarge: () => void}} options
   *   `onState`: another state, or something began or ended for which it must go on unseen
   */
  constructor(viewer, cameraId, { prefersJpeg, onState, onHide, onEnlarge }) {
    this.cameraId = cameraId;
    this.#onState = onState;
    this.element = document.createElement("article");
    this.element.className = "tile";
    this.element.dataset.tile = cameraId;
    this.watch = new Watch(viewer, cameraId, () => this.#show(), prefersJpeg);
    this.#tools = new TileTools(this, viewer, {
      onHide,
      onEnlarge,
      onBusy: () => onState(this),
    });
    this.#build();
    const count = () => {
      this.#painted++;
      this.#video.requestVideoFrameCallback?.(count);
    };
    this.#video.requestVideoFrameCallback?.(count);
    this.#still = setInterval(() => this.#lookWhetherItMoves(), 1000);
    this.#show();
  }

  /** @type {ReturnType<typeof setInterval>} */
  #still;

  get video() {
    return this.#video;
  }

  /** How it stands: what the watch says, that the browser does not play, or that the camera has a problem. */
  get state() {
    if (this.#isBlocked && this.watch.stream) return "blocked";
    return this.#note.textContent && SHOWN.has(this.watch.state) ? "troubled" : this.watch.state;
  }

  /** Since when the camera is gone, as a time of the day, or "". */
  get goneSince() {
    return this.watch.goneSince ? timeOfDay(this.watch.goneSince) : "";
  }

  /** Whether it must go on though nobody looks: it is heard, recorded, floats, or somebody talks. */
  get isBusy() {
    return this.#tools.isBusy;
  }

  /** What its buttons do, for the keyboard. */
  get tools() {
    return this.#tools;
  }

  /**
   * What the camera says about itself.
   * @param {Record<string, any>} [meta]
   */
  describe(meta = {}) {
    const name = typeof meta.name === "string" && meta.name.trim() ? meta.name.trim() : this.cameraId;
    this.name = name;
    this.element.querySelector("h2").textContent = name;
    this.#video.setAttribute("aria-label", name);
    this.#tools.describe(name, meta.acceptsAudio === true);
    this.#show();
  }

  /**
   * How the camera says that it does, and what can be changed about it.
   * @param {import("/client/index.js").CameraState | null} state
   * @param {import("/client/index.js").Control[]} controls
   */
  tell(state, controls) {
    this.#note.textContent = state && !WELL.has(state.state) ? state.message : "";
    this.#tools.control(controls);
    this.#show();
  }

  /** It is taken off the wall. */
  remove() {
    clearInterval(this.#still);
    this.#tools.dispose();
    this.watch.rest();
    this.#video.srcObject = null;
    this.element.remove();
  }

  #build() {
    Object.assign(this.#video, { autoplay: true, muted: true, playsInline: true, disableRemotePlayback: true });
    const name = document.createElement("h2");
    const head = document.createElement("div");
    head.className = "tile-head";
    this.#badge.className = "badge";
    head.append(name, this.#badge);
    this.#sentence.dataset.role = "tile-status";
    const message = document.createElement("div");
    message.className = "tile-message";
    message.append(this.#sentence, this.#play, this.#retry);
    this.#note.className = "tile-note";
    this.#note.setAttribute("role", "status");
    this.element.append(this.#video, message, this.#note, head, this.#tools.element);
    this.name = name.textContent = this.cameraId;
    this.#tools.describe(this.cameraId, false);
  }

  #show() {
    const { stream } = this.watch;
    if (stream && this.#video.srcObject !== stream) {
      this.#video.srcObject = stream;
      // A camera may switch its microphone on later.
      stream.addEventListener("addtrack", () => this.#show());
      this.#lastMoved = performance.now();
      this.#start();
      this.#video.requestVideoFrameCallback?.(() => this.#firstFrame(stream));
    }
    const { state } = this;
    if (!stream) {
      this.#note.textContent = "";
      this.#tools.control([]);
    }
    this.element.dataset.state = state;
    this.element.setAttribute("aria-label", texts.tileLabel(this.name, texts.stateName[state](this.goneSince)));
    this.#badge.textContent = texts.stateName[state](this.goneSince);
    this.#sentence.textContent = texts.stateSentence[state](this.goneSince);
    this.#play.hidden = state !== "blocked";
    this.#retry.hidden = !this.watch.isRetried;
    this.#retry.setAttribute("aria-label", texts.retryLabel(this.name));
    this.#tools.follow(stream);
    this.#onState(this);
  }

  /** Play; what is muted may, in most browsers, without anybody's press. */
  async #start() {
    const { stream } = this.watch;
    try {
      await this.#video.play();
      this.#isBlocked = false;
    } catch (error) {
      if (stream !== this.watch.stream || error.name !== "NotAllowedError") return;
      if (!this.#video.muted) {
        this.#tools.mute();
        return this.#start();
      }
      this.#isBlocked = true;
    }
    this.#show();
  }

  /** @param {MediaStream} stream */
  #firstFrame(stream) {
    if (stream === this.watch.stream) this.#tools.firstFrame(performance.now() - this.watch.askedAt);
  }

  #lookWhetherItMoves() {
    // Browsers draw nothing in windows that nobody sees.
    if (!this.watch.stream || this.#isBlocked || document.visibilityState !== "visible") {
      this.#lastMoved = performance.now();
      return;
    }
    // Firefox counts no frames of streams, and tells of each that is painted only since version 132.
    const frames = this.#video.getVideoPlaybackQuality().totalVideoFrames + this.#painted;
    const isCounted = frames > 0 || "requestVideoFrameCallback" in this.#video;
    if (frames !== this.#frames || !isCounted) this.#lastMoved = performance.now();
    this.#frames = frames;
    this.watch.moves(performance.now() - this.#lastMoved < STILL_MS, this.#video.videoWidth > 0);
  }
}

/**
 * @param {string} action
 * @param {string} text
 * @param {() => void} onClick
 */
function textButton(action, text, onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button small";
  button.dataset.action = action;
  button.textContent = text;
  button.addEventListener("click", onClick);
  return button;
}

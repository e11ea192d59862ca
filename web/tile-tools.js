import { iconButton, showButton } from "./button.js";
import { ControlPanel } from "./control-panel.js";
import { notify } from "./notices.js";
import { Recording } from "./recording.js";
import { saveSnapshot } from "./snapshot.js";
import { StatsOverlay } from "./stats-overlay.js";
import { Talk } from "./talk.js";
import { texts } from "./texts.js";

/** The buttons of a tile, and what they do. */
export class TileTools {
  #tile;
  #viewer;
  #onBusy;
  #name = "";
  #acceptsAudio = false;
  /** @type {Recording | null} */
  #recording = null;
  #talk;
  #overlay;
  #panel;
  #volume = document.createElement("input");
  #clock = document.createElement("span");
  #buttons;

  /**
   * @param {import("./tile.js").Tile} tile
   * @param {import("/client/index.js").ViewerClient} viewer
   * @param {{onHide: () => void, onEnlarge: () => void, onBusy: () => void}} callbacks
   */
  constructor(tile, viewer, { onHide, onEnlarge, onBusy }) {
    this.#tile = tile;
    this.#viewer = viewer;
    this.#onBusy = onBusy;
    this.#talk = new Talk((track) => viewer.talk(tile.cameraId, track));
    this.#overlay = new StatsOverlay(() => viewer.stats(tile.cameraId));
    this.#panel = new ControlPanel(
      (name, value) => viewer.setControl(tile.cameraId, name, value),
      () => {
        this.toggleSettings(false);
        this.#buttons.settings.focus();
      },
    );
    this.#buttons = {
      sound: iconButton("sound", "", () => this.toggleSound()),
      talk: iconButton("talk", "", () => {}),
      snapshot: iconButton("snapshot", "", () => this.snapshot()),
      record: iconButton("record", "", () => this.toggleRecording()),
      float: iconButton("float", "", () => this.toggleFloating()),
      stats: iconButton("stats", "", () => this.toggleStats()),
      settings: iconButton("settings", "", () => this.toggleSettings()),
      enlarge: iconButton("enlarge", "", onEnlarge),
      fullscreen: iconButton("fullscreen", "", () => this.toggleFullScreen()),
      hide: iconButton("hide", "", onHide),
    };
    this.element = document.createElement("div");
    this.element.className = "tile-tools";
    this.#clock.className = "tile-clock";
    this.#clock.setAttribute("role", "img");
    this.#clock.hidden = true;
    Object.assign(this.#volume, { type: "range", className: "volume", min: "0", max: "1", step: "0.05", value: "1" });
    this.#volume.addEventListener("input", () => this.#setVolume(this.#volume.valueAsNumber));
    const { sound, ...others } = this.#buttons;
    this.element.append(sound, this.#volume, ...Object.values(others));
    tile.element.append(this.#clock, this.#overlay.element, this.#panel.element);
    this.#buttons.settings.hidden = true;
    this.#buttons.float.hidden = !document.pictureInPictureEnabled;
    this.#buttons.fullscreen.hidden = !document.fullscreenEnabled && !("webkitEnterFullscreen" in tile.video);
    for (const type of ["enterpictureinpicture", "leavepictureinpicture"]) {
      tile.video.addEventListener(type, () => this.#show());
    }
    this.#holdToTalk();
  }

  get isRecording() {
    return this.#recording !== null;
  }

  get isBusy() {
    const { video } = this.#tile;
    const isFloating = document.pictureInPictureElement === video;
    return this.#recording !== null || this.#talk.active || isFloating || (!video.muted && video.srcObject !== null);
  }

  /**
   * @param {string} name
   * @param {boolean} acceptsAudio
   */
  describe(name, acceptsAudio) {
    this.#name = name;
    this.#acceptsAudio = acceptsAudio;
    this.#show();
  }

  /**
   * There is this stream now, or none.
   * @param {MediaStream | null} stream
   */
  follow(stream) {
    this.#recording?.follow(stream);
    this.#show();
  }

  /** @param {import("/client/index.js").Control[]} controls what can be changed about the camera by now */
  control(controls) {
    this.#buttons.settings.hidden = controls.length === 0;
    if (controls.length === 0) this.toggleSettings(false);
    this.#panel.update(controls);
  }

  /** @param {number} milliseconds from the request to the first picture */
  firstFrame(milliseconds) {
    this.#overlay.firstFrame(milliseconds);
  }

  /** @param {boolean} isLarge whether its tile is the large one */
  enlarged(isLarge) {
    const label = isLarge ? texts.shrink() : texts.enlarge(this.#name);
    showButton(this.#buttons.enlarge, isLarge ? "shrink" : "enlarge", label);
  }

  dispose() {
    this.#recording?.stop();
    this.#talk.dispose();
    this.#overlay.show(false);
    if (document.pictureInPictureElement === this.#tile.video) document.exitPictureInPicture();
  }

  // --- what can be done ----------------------------------------------------------------------------

  mute() {
    this.#tile.video.muted = true;
    this.#show();
  }

  toggleSound() {
    const { video } = this.#tile;
    if (video.muted && video.volume === 0) this.#setVolume(1);
    else this.#setMuted(!video.muted);
  }

  async snapshot() {
    try {
      notify(texts.saved(await saveSnapshot(this.#tile.video, this.#tile.cameraId)));
    } catch (error) {
      notify(error.message);
    }
  }

  toggleRecording() {
    const { cameraId, watch } = this.#tile;
    if (this.#recording) {
      this.#recording.stop();
      this.#recording = null;
    } else if (watch.stream) {
      try {
        this.#recording = new Recording(cameraId, {
          onTick: (seconds) => this.#showClock(seconds),
          onSaved: (file) => notify(texts.saved(file)),
          onFailed: (error) => notify(error.message),
        });
        this.#recording.follow(watch.stream);
        this.#showClock(0);
      } catch {
        this.#recording = null;
        notify(texts.notPossible);
      }
    }
    this.#show();
  }

  async toggleFloating() {
    try {
      if (document.pictureInPictureElement === this.#tile.video) await document.exitPictureInPicture();
      else await this.#tile.video.requestPictureInPicture();
    } catch {
      notify(texts.notPossible);
    }
  }

  toggleStats() {
    this.#panel.show(false);
    this.#overlay.show(!this.#overlay.isShown);
    this.#show();
  }

  toggleSettings(isShown = !this.#panel.isShown) {
    if (isShown === this.#panel.isShown || (isShown && this.#buttons.settings.hidden)) return;
    this.#overlay.show(false);
    this.#panel.show(isShown);
    this.#show();
  }

  async toggleFullScreen() {
    const { element, video } = this.#tile;
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else if (element.requestFullscreen) await element.requestFullscreen();
      // iPhones know only full screen videos.
      else /** @type {any} */ (video).webkitEnterFullscreen();
    } catch {
      notify(texts.notPossible);
    }
  }

  async startTalking() {
    if (!this.#acceptsAudio || !this.#tile.watch.stream) return;
    try {
      const pressed = this.#talk.press();
      this.#show();
      await pressed;
    } catch (error) {
      notify(texts.talkFailed[error.name] ?? texts.notPossible);
    }
    this.#show();
  }

  stopTalking() {
    this.#talk.release();
    this.#show();
  }

  // --- how it looks --------------------------------------------------------------------------------

  #holdToTalk() {
    const { talk } = this.#buttons;
    talk.addEventListener("pointerdown", (event) => {
      talk.setPointerCapture(event.pointerId);
      this.startTalking();
    });
    for (const type of ["pointerup", "pointercancel", "blur"]) {
      talk.addEventListener(type, () => this.stopTalking());
    }
    talk.addEventListener("keydown", (event) => {
      if ((event.key === " " || event.key === "Enter") && !event.repeat) this.startTalking();
    });
    talk.addEventListener("keyup", () => this.stopTalking());
    // A long press on a phone is no request for a menu.
    talk.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** @param {number} volume from 0 to 1 */
  #setVolume(volume) {
    this.#tile.video.volume = volume;
    this.#volume.value = String(volume);
    this.#setMuted(volume === 0);
  }

  /** @param {boolean} muted */
  #setMuted(muted) {
    this.#tile.video.muted = muted;
    this.#show();
  }

  /** @param {number} seconds */
  #showClock(seconds) {
    const two = (/** @type {number} */ number) => String(Math.floor(number)).padStart(2, "0");
    const minutes = `${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
    const time = seconds < 3600 ? minutes : `${two(seconds / 3600)}:${minutes}`;
    this.#clock.textContent = time;
    this.#clock.setAttribute("aria-label", texts.recording(time));
  }

  #show() {
    const { video, watch } = this.#tile;
    const { stream } = watch;
    const { sound, talk, snapshot, record, float, stats, settings, fullscreen, hide } = this.#buttons;
    const isHeard = (stream?.getAudioTracks().length ?? 0) > 0;
    sound.hidden = !isHeard;
    this.#volume.hidden = !isHeard || video.muted;
    this.#volume.setAttribute("aria-label", texts.volume(this.#name));
    showButton(sound, video.muted ? "muted" : "sound", (video.muted ? texts.unmute : texts.mute)(this.#name));
    talk.hidden = !this.#acceptsAudio;
    showButton(talk, "talk", texts.talk(this.#name), this.#talk.active);
    showButton(snapshot, "snapshot", texts.snapshot(this.#name));
    const isRecording = this.#recording !== null;
    showButton(record, isRecording ? "stop" : "record", (isRecording ? texts.stopRecording : texts.record)(this.#name));
    this.#clock.hidden = !isRecording;
    showButton(float, "float", texts.float(this.#name), document.pictureInPictureElement === video);
    showButton(stats, "stats", texts.statsLabel(this.#name), this.#overlay.isShown);
    showButton(settings, "settings", texts.settingsOf(this.#name), this.#panel.isShown);
    this.#panel.describe(this.#name);
    showButton(fullscreen, "fullscreen", texts.fullscreen(this.#name));
    showButton(hide, "hide", texts.hideLabel(this.#name));
    snapshot.disabled = float.disabled = video.videoWidth === 0 && !stream;
    record.disabled = !stream && !isRecording;
    talk.disabled = !stream;
    this.#onBusy();
  }
}

import { download, fileName } from "./download.js";
import { texts } from "./texts.js";

/** MP4 plays everywhere; where a browser cannot write it, WebM. */
const TYPES = ["video/mp4;codecs=avc1.42E01F,mp4a.40.2", "video/webm;codecs=vp8,opus", "video/webm"];
/** What is recorded is handed over so often, and kept by the browser, which puts large blobs on disk. */
const SLICE_MS = 1_000;

/**
 * Records what a camera sends into files. When the camera drops, what there is by then is saved; when it is
 * back, another file begins.
 */
export class Recording {
  #cameraId;
  #hooks;
  /** @type {MediaRecorder | null} */
  #recorder = null;
  #seconds = 0;
  /** @type {ReturnType<typeof setInterval>} */
  #clock;

  /**
   * Throws an Error with a sentence where the browser cannot record.
   * @param {string} cameraId
   * @param {{onTick: (seconds: number) => void, onSaved: (file: string) => void, onFailed: (error: Error) => void}} hooks
   *   `onTick` once a second
   */
  constructor(cameraId, hooks) {
    if (!("MediaRecorder" in globalThis)) throw new Error(texts.notPossible);
    this.#cameraId = cameraId;
    this.#hooks = hooks;
    this.#clock = setInterval(() => {
      if (this.#recorder) hooks.onTick(++this.#seconds);
    }, 1000);
  }

  /**
   * Record this stream from now on; null while there is none.
   * @param {MediaStream | null} stream
   */
  follow(stream) {
    if (stream === (this.#recorder?.stream ?? null)) return;
    this.#finish();
    if (stream) this.#begin(stream);
  }

  /** Save what there is, and record no more. */
  stop() {
    clearInterval(this.#clock);
    this.#finish();
  }

  /** @param {MediaStream} stream */
  #begin(stream) {
    const type = TYPES.find((one) => MediaRecorder.isTypeSupported(one));
    const recorder = new MediaRecorder(stream, { mimeType: type });
    const started = new Date();
    /** @type {Blob[]} */
    const parts = [];
    recorder.ondataavailable = ({ data }) => {
      if (data.size > 0) parts.push(data);
    };
    // It also stops by itself, when all tracks have ended.
    recorder.onstop = () => {
      if (this.#recorder === recorder) this.#recorder = null;
      if (parts.length === 0) return this.#hooks.onFailed(new Error(texts.nothingRecorded));
      const blob = new Blob(parts, { type: recorder.mimeType });
      const name = fileName(this.#cameraId, blob.type.startsWith("video/mp4") ? "mp4" : "webm", started);
      download(blob, name);
      this.#hooks.onSaved(name);
    };
    recorder.start(SLICE_MS);
    this.#recorder = recorder;
  }

  #finish() {
    const recorder = this.#recorder;
    this.#recorder = null;
    if (recorder && recorder.state !== "inactive") recorder.stop();
  }
}

/**
 * Shows the JPEGs of a camera as a stream, for all that is done with streams: the latest one at any time, however
 * slow this device is.
 */
export class JpegScreen {
  #canvas = document.createElement("canvas");
  #context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
  /** @type {Uint8Array | null} */
  #next = null;
  #isDrawing = false;

  /** @param {import("/client/index.js").Pictures} pictures */
  constructor(pictures) {
    /** @type {MediaStream} */
    this.stream = this.#canvas.captureStream();
    pictures.onpicture = (jpeg) => {
      this.#next = jpeg;
      this.#draw();
    };
  }

  /** Nothing comes any more. */
  end() {
    for (const track of this.stream.getTracks()) track.stop();
  }

  async #draw() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    while (this.#next) {
      const jpeg = new Blob([this.#next], { type: "image/jpeg" });
      this.#next = null;
      try {
        this.#paint(await createImageBitmap(jpeg));
      } catch {
        // This browser cannot read it; the next one may be better.
      }
    }
    this.#isDrawing = false;
  }

  /** @param {ImageBitmap} picture */
  #paint(picture) {
    const { width, height } = picture;
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    this.#context.drawImage(picture, 0, 0);
    picture.close();
  }
}

/**
 * JPEG over a data channel `jpeg`: pictures as the camera has them, without any encoding. A message that begins
 * as a JPEG does is a whole picture; a longer picture comes in pieces, as Espressif's esp_webrtc sends them:
 * `[0x80 if it is the last | number, 7 bits][length, 4 bytes, big-endian][up to 10,000 bytes]`.
 */
export const JPEG_CHANNEL = "jpeg";
const LAST = 0x80;
const HEAD_BYTES = 5;

/**
 * Puts pictures together again. What does not fit is left out, up to the next whole picture.
 */
export class Joiner {
  /** @type {Uint8Array[]} */
  #pieces = [];

  /**
   * @param {Uint8Array} message
   * @returns {Uint8Array | null} the picture that this message completes, if it does
   */
  take(message) {
    if (message[0] === 0xff && message[1] === 0xd8) {
      this.#pieces = [];
      return message;
    }
    if (message.length < HEAD_BYTES) return null;
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const piece = message.subarray(HEAD_BYTES);
    const number = message[0] & ~LAST;
    if (number === 0) this.#pieces = [];
    if (view.getUint32(1) !== piece.length || number !== this.#pieces.length) {
      this.#pieces = [];
      return null;
    }
    this.#pieces.push(piece);
    if (!(message[0] & LAST)) return null;
    const picture = joined(this.#pieces);
    this.#pieces = [];
    return picture;
  }
}

/** The JPEGs of a camera, in place of a `MediaStream`: set `onpicture`. */
export class Pictures {
  /**
   * What gets each JPEG, as it came.
   * @type {((jpeg: Uint8Array) => void) | null}
   */
  onpicture = null;
  /** How many have come. */
  count = 0;
  #joiner = new Joiner();

  /** @param {RTCDataChannel} channel */
  constructor(channel) {
    channel.binaryType = "arraybuffer";
    channel.onmessage = ({ data }) => {
      if (typeof data === "string") return;
      const jpeg = this.#joiner.take(new Uint8Array(data));
      if (!jpeg) return;
      this.count++;
      this.onpicture?.(jpeg);
    };
  }
}

/** @param {Uint8Array[]} pieces */
function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

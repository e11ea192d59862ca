/** @param {string} one @param {string} other */
export const byName = (one, other) => one.localeCompare(other, undefined, { numeric: true });

/**
 * Which cameras are on the wall, in which order, and which of them is large. A wall shows either all cameras
 * of its room, those to come included, or those that were chosen.
 */
export class Arrangement {
  /** Where cameras stood when the wall was last seen on this device. @type {string[]} */
  #remembered;

  /**
   * @param {string[] | null} cameras null for all
   * @param {string[]} [remembered] the order from last time
   */
  constructor(cameras, remembered = []) {
    this.isAll = cameras === null;
    /** In order. @type {string[]} */
    this.shown = [...(cameras ?? [])];
    this.#remembered = remembered;
    /** @type {string | null} */
    this.focus = null;
  }

  /** The chosen cameras; null for all. */
  get chosen() {
    return this.isAll ? null : this.shown;
  }

  /** The order to remember; cameras that nobody has moved are not in it. */
  get order() {
    return this.#remembered;
  }

  /**
   * A camera is in the room.
   * @param {string} cameraId
   * @returns {boolean} whether it came onto the wall by that
   */
  appeared(cameraId) {
    if (!this.isAll || this.shown.includes(cameraId)) return false;
    this.shown.splice(this.#placeFor(cameraId), 0, cameraId);
    return true;
  }

  /**
   * The person wants to see it.
   * @param {string} cameraId
   */
  show(cameraId) {
    if (!this.shown.includes(cameraId)) this.shown.push(cameraId);
  }

  /**
   * The person does not want to see it; from now on nothing comes by itself.
   * @param {string} cameraId
   */
  hide(cameraId) {
    this.isAll = false;
    this.shown = this.shown.filter((one) => one !== cameraId);
    if (this.focus === cameraId) this.focus = null;
  }

  /**
   * Put one camera where another one stands.
   * @param {string} cameraId
   * @param {number} place
   */
  move(cameraId, place) {
    this.shown = this.shown.filter((one) => one !== cameraId);
    this.shown.splice(place, 0, cameraId);
    this.#remembered = [...new Set([...this.shown, ...this.#remembered])];
  }

  /** @param {string} cameraId */
  #placeFor(cameraId) {
    const after = this.shown.findIndex((other) => this.#compare(cameraId, other) < 0);
    return after < 0 ? this.shown.length : after;
  }

  /** Those that were moved stand as they were put, all others follow by name. */
  #compare(one, other) {
    const [a, b] = [this.#remembered.indexOf(one), this.#remembered.indexOf(other)];
    if (a >= 0 && b >= 0) return a - b;
    return a >= 0 ? -1 : b >= 0 ? 1 : byName(one, other);
  }
}

/** How many pictures are on the screen at once; the others are reached by scrolling. */
export const LAYOUTS = ["1", "4", "9", "16", "fit"];

export const ASPECT = 16 / 9;
const GAP = 8;
/** Below this nothing can be recognised, so that "fit" scrolls rather than shrink further. */
const LEAST_WIDTH = 140;

/**
 * @typedef {object} Grid
 * @property {number} columns
 * @property {number} height of one tile, in CSS pixels
 */

/**
 * How the tiles stand in a stage of this size, in CSS pixels.
 * @param {string} layout one of `LAYOUTS`
 * @param {number} count of tiles
 * @param {number} width
 * @param {number} height
 * @param {number} [aspect] of the highest picture: where there is room, tiles are as high
 * @returns {Grid}
 */
export function gridFor(layout, count, width, height, aspect = ASPECT) {
  if (layout !== "fit") {
    const side = Math.sqrt(Number(layout));
    return gridOf(side, side, width, height, aspect);
  }
  const most = Math.max(1, Math.min(count, Math.floor((width + GAP) / (LEAST_WIDTH + GAP))));
  let [best, largest] = [most, 0];
  for (let columns = most; columns > 0; columns--) {
    const rows = Math.ceil(count / columns);
    const pictureWidth = Math.min(share(width, columns), share(height, rows) * ASPECT);
    if (pictureWidth >= largest) [best, largest] = [columns, pictureWidth];
  }
  return gridOf(best, Math.ceil(count / best), width, height, aspect);
}

/** What each of several gets of a length. */
const share = (length, count) => (length - GAP * (count - 1)) / count;

/**
 * @param {number} columns
 * @param {number} rows that must be on the screen
 * @param {number} width
 * @param {number} height
 * @param {number} aspect
 * @returns {Grid}
 */
function gridOf(columns, rows, width, height, aspect) {
  const tileWidth = share(width, columns);
  const least = Math.min(LEAST_WIDTH, tileWidth) / ASPECT;
  return { columns, height: Math.floor(Math.max(least, Math.min(share(height, rows), tileWidth / aspect))) };
}

/**
 * The place that an arrow key leads to; the same where there is none.
 * @param {number} place
 * @param {string} key "ArrowLeft", "ArrowRight", "ArrowUp" or "ArrowDown"
 * @param {number} columns
 * @param {number} count
 * @returns {number}
 */
export function neighbour(place, key, columns, count) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const next = place + (steps[/** @type {keyof typeof steps} */ (key)] ?? 0);
  return next >= 0 && next < count ? next : place;
}

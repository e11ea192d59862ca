/** A hand is never quite still: only what moves so far, in CSS pixels, is dragged. */
const THRESHOLD = 8;

/**
 * Let tiles be dragged to other places: with a mouse anywhere, with a finger by their head, because a finger
 * on the picture scrolls.
 * @param {HTMLElement} wall
 * @param {(tile: HTMLElement, other: HTMLElement) => void} onOver a tile was dragged over another one
 */
export function makeDraggable(wall, onOver) {
  /** @type {{tile: HTMLElement, x: number, y: number, over: Element | null} | null} */
  let drag = null;

  wall.addEventListener("pointerdown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const tile = /** @type {HTMLElement | null} */ (target.closest(".tile"));
    if (!tile || event.button !== 0 || target.closest("button, .control-panel, input")) return;
    if (event.pointerType !== "mouse" && !target.closest(".tile-head")) return;
    drag = { tile, x: event.clientX, y: event.clientY, over: tile };
  });

  wall.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const { tile } = drag;
    if (!wall.hasPointerCapture(event.pointerId)) {
      if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < THRESHOLD) return;
      // From here on the events, the click at the end included, belong to the wall.
      wall.setPointerCapture(event.pointerId);
      tile.dataset.dragged = "";
    }
    const under = document.elementFromPoint(event.clientX, event.clientY)?.closest(".tile") ?? null;
    // Tiles of different sizes would change places to and fro under a pointer that rests.
    if (under === drag.over) return;
    drag.over = under;
    if (under && under !== tile) onOver(tile, /** @type {HTMLElement} */ (under));
  });

  for (const type of ["pointerup", "pointercancel"]) {
    wall.addEventListener(type, () => {
      if (drag) delete drag.tile.dataset.dragged;
      drag = null;
    });
  }
}

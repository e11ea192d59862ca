import { neighbour } from "./layout.js";

/**
 * Everything on the wall by keyboard. Esc and arrows always work; single characters can be switched off,
 * because they get in the way of speech input (WCAG 2.1.4).
 * @param {import("./wall.js").Wall} wall
 * @param {import("./arrangement.js").Arrangement} arrangement
 * @param {{areOn: () => boolean, help: () => void}} characters
 */
export function listenToKeys(wall, arrangement, { areOn, help }) {
  /** @type {Record<string, (tools: import("./tile-tools.js").TileTools) => void>} */
  const actions = {
    f: (tools) => tools.toggleFullScreen(),
    m: (tools) => tools.toggleSound(),
    s: (tools) => tools.snapshot(),
    r: (tools) => tools.toggleRecording(),
    t: (tools) => tools.startTalking(),
    p: (tools) => tools.toggleFloating(),
    i: (tools) => tools.toggleStats(),
    c: (tools) => tools.toggleSettings(),
  };

  /** @param {KeyboardEvent} event @param {boolean} isMove whether the tile goes there, not only the focus */
  function go(event, isMove) {
    const { shown } = arrangement;
    const tile = wall.current;
    if (!tile) return;
    const place = shown.indexOf(tile.cameraId);
    const next = neighbour(place, event.key, wall.columns, shown.length);
    if (next !== place && isMove) wall.move(tile.cameraId, next);
    else if (arrangement.focus) wall.enlarge(shown[next]);
    wall.tiles.get(isMove ? tile.cameraId : shown[next])?.element.focus();
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether it meant something */
  function press(event) {
    const { key } = event;
    const tile = wall.current;
    const isAtButton = isControl(event.target);
    if (key.startsWith("Arrow")) go(event, event.shiftKey);
    else if (key === "Escape" && arrangement.focus) wall.enlarge(null);
    else if (key === "Enter" && !isAtButton && isTile(event.target)) wall.enlarge(tile?.cameraId ?? null);
    else if (key === "Delete" && isInTile(event.target) && tile) wall.hide(tile.cameraId);
    else if (!areOn() || key.length !== 1 || (key === " " && isAtButton)) return false;
    else if (key === "?") help();
    else if (key === "0") wall.enlarge(null);
    else if (key >= "1" && key <= "9") {
      const chosen = arrangement.shown[Number(key) - 1];
      if (chosen) wall.enlarge(chosen);
    } else {
      const action = actions[key.toLowerCase()];
      if (!action || !tile) return false;
      if (!event.repeat) action(tile.tools);
    }
    return true;
  }

  document.addEventListener("keydown", (event) => {
    const isText = event.target instanceof HTMLElement && event.target.closest("input, textarea, select, dialog");
    if (isText || event.ctrlKey || event.metaKey || event.altKey) return;
    if (press(event)) event.preventDefault();
  });
  document.addEventListener("keyup", ({ key }) => {
    if (key.toLowerCase() === "t") for (const tile of wall.tiles.values()) tile.tools.stopTalking();
  });
}

/** @param {EventTarget | null} target */
const isControl = (target) => target instanceof Element && target.closest("button, a") !== null;
/** @param {EventTarget | null} target */
const isTile = (target) => target instanceof Element && target.matches(".tile");
/** @param {EventTarget | null} target */
const isInTile = (target) => target instanceof Element && target.closest(".tile") !== null;

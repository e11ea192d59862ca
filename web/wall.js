import { makeDraggable } from "./drag.js";
import { ASPECT, gridFor } from "./layout.js";
import { announce } from "./notices.js";
import { Sight } from "./sight.js";
import { texts } from "./texts.js";
import { Tile } from "./tile.js";

const CONTROLS = "button, input, select";

/** The tiles on the stage: which, where, how large, and which of them are live. */
export class Wall {
  /** By camera id. @type {Map<string, Tile>} */
  tiles = new Map();
  #viewer;
  #stage;
  #element;
  #arrangement;
  #layout;
  #prefersJpeg;
  #onChange;
  /** Tiles that somebody can see. @type {Set<Tile>} */
  #seen = new Set();
  /** The tile that the keyboard is at. @type {string | null} */
  #current = null;
  #columns = 1;
  #sight = new Sight((element, isSeen) => {
    const tile = this.#tileOf(element);
    if (!tile) return;
    if (isSeen) this.#seen.add(tile);
    else this.#seen.delete(tile);
    this.#settle(tile);
  });

  /**
   * @param {HTMLElement} stage what the tiles have room in, scrolling if need be
   * @param {HTMLElement} element their parent
   * @param {import("/client/index.js").ViewerClient} viewer
   * @param {import("./arrangement.js").Arrangement} arrangement
   * @param {{layout: string, prefersJpeg: boolean}} view
   * @param {(tile: Tile | null) => void} onChange of a tile's state, or (null) of what is on the wall
   */
  constructor(stage, element, viewer, arrangement, { layout, prefersJpeg }, onChange) {
    this.#stage = stage;
    this.#element = element;
    this.#viewer = viewer;
    this.#arrangement = arrangement;
    this.#layout = layout;
    this.#prefersJpeg = prefersJpeg;
    this.#onChange = onChange;
    element.setAttribute("aria-label", texts.wallLabel);
    new ResizeObserver(() => this.#resize()).observe(stage);
    element.addEventListener("click", (event) => this.#clicked(event));
    element.addEventListener("dblclick", (event) => {
      if (!isControl(event.target)) this.#tileOf(event.target)?.tools.toggleFullScreen();
    });
    element.addEventListener("focusin", (event) => {
      const tile = this.#tileOf(event.target);
      if (tile) this.#setCurrent(tile.cameraId);
    });
    makeDraggable(element, (dragged, other) => {
      this.move(dragged.dataset.tile ?? "", arrangement.shown.indexOf(other.dataset.tile ?? ""));
    });
    this.#arrange();
  }

  get layout() {
    return this.#layout;
  }

  get columns() {
    return this.#columns;
  }

  /** The tile that the keyboard is at. */
  get current() {
    return this.tiles.get(this.#current ?? "");
  }

  /** @param {string} layout one of `LAYOUTS` */
  setLayout(layout) {
    this.#layout = layout;
    this.#arrangement.focus = null;
    this.#arrange();
  }

  /** @param {string} cameraId */
  show(cameraId) {
    this.#arrangement.show(cameraId);
    this.#arrange();
  }

  /** Show all cameras of the room, and those to come. */
  showAll() {
    this.#arrangement.isAll = true;
    for (const cameraId of this.#viewer.cameras.keys()) this.#arrangement.appeared(cameraId);
    this.#arrange();
  }

  /** @param {string} cameraId */
  hide(cameraId) {
    const { shown } = this.#arrangement;
    const place = shown.indexOf(cameraId);
    const hadFocus = this.tiles.get(cameraId)?.element.contains(document.activeElement);
    this.#arrangement.hide(cameraId);
    this.#arrange();
    const next = this.#arrangement.shown[Math.min(place, this.#arrangement.shown.length - 1)];
    if (hadFocus) this.tiles.get(next)?.element.focus();
  }

  /**
   * Make one picture large, or none.
   * @param {string | null} cameraId
   */
  enlarge(cameraId) {
    this.#arrangement.focus = cameraId;
    this.#arrange();
    if (cameraId) this.tiles.get(cameraId)?.element.focus();
  }

  /**
   * @param {string} cameraId
   * @param {number} place from 0
   */
  move(cameraId, place) {
    this.#arrangement.move(cameraId, place);
    this.#arrange();
    announce(texts.moved(this.tiles.get(cameraId)?.name, place + 1, this.tiles.size));
  }

  // --- what the viewer says ------------------------------------------------------------------------

  /** @param {{cameraId: string, meta?: Record<string, unknown>}} camera that is in the room */
  appeared({ cameraId, meta }) {
    if (this.#arrangement.appeared(cameraId)) this.#arrange();
    const tile = this.tiles.get(cameraId);
    tile?.describe(meta);
    tile?.watch.appeared();
  }

  // --- how it is laid out --------------------------------------------------------------------------

  #arrange() {
    const { shown, focus } = this.#arrangement;
    for (const [cameraId, tile] of this.tiles) {
      if (!shown.includes(cameraId)) this.#remove(tile);
    }
    for (const cameraId of shown) if (!this.tiles.has(cameraId)) this.#add(cameraId);
    this.#place(shown);
    this.#element.dataset.view = focus && this.tiles.has(focus) ? "large" : "even";
    for (const [cameraId, tile] of this.tiles) {
      tile.element.toggleAttribute("data-large", cameraId === focus);
      tile.tools.enlarged(cameraId === focus);
    }
    this.#setCurrent(this.tiles.has(this.#current ?? "") ? this.#current : (focus ?? shown[0] ?? null));
    this.#resize();
    this.#onChange(null);
  }

  /** @param {string} cameraId */
  #add(cameraId) {
    const tile = new Tile(this.#viewer, cameraId, {
      prefersJpeg: this.#prefersJpeg,
      onState: (changed) => {
        this.#settle(changed);
        this.#onChange(changed);
      },
      onHide: () => this.hide(cameraId),
      onEnlarge: () => this.enlarge(this.#arrangement.focus === cameraId ? null : cameraId),
    });
    this.tiles.set(cameraId, tile);
    tile.describe(this.#viewer.cameras.get(cameraId)?.meta);
    this.#element.append(tile.element);
    tile.video.addEventListener("resize", () => this.#resize());
    this.#sight.watch(tile.element);
  }

  /** @param {Tile} tile */
  #remove(tile) {
    this.tiles.delete(tile.cameraId);
    this.#seen.delete(tile);
    this.#sight.forget(tile.element);
    tile.remove();
  }

  /** @param {string[]} order */
  #place(order) {
    order.forEach((cameraId, place) => {
      const tile = /** @type {Tile} */ (this.tiles.get(cameraId));
      const there = this.#element.children[place];
      if (there === tile.element) return;
      if ("moveBefore" in this.#element) {
        // Playing goes on, the focus stays.
        /** @type {any} */ (this.#element).moveBefore(tile.element, there ?? null);
      } else {
        this.#element.insertBefore(tile.element, there ?? null);
        tile.video.play().catch(() => {});
      }
    });
  }

  #resize() {
    const { paddingLeft, paddingRight, paddingTop, paddingBottom } = getComputedStyle(this.#stage);
    const width = this.#stage.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    const height = this.#stage.clientHeight - parseFloat(paddingTop) - parseFloat(paddingBottom);
    const aspects = [...this.tiles.values()].map(({ video }) => video.videoWidth / video.videoHeight || ASPECT);
    // Upright pictures of phones must not make the wall of all others a wall of columns.
    const aspect = Math.max(4 / 3, Math.min(ASPECT, ...aspects));
    const grid = gridFor(this.#layout, this.tiles.size, width, height, aspect);
    this.#columns = this.#arrangement.focus ? Infinity : grid.columns;
    this.#element.style.setProperty("--columns", String(grid.columns));
    this.#element.style.setProperty("--tile-height", `${grid.height}px`);
    this.#element.style.setProperty("--stage-width", `${width}px`);
    this.#element.style.setProperty("--stage-height", `${height}px`);
    this.#element.style.setProperty("--count", String(Math.max(1, this.tiles.size)));
  }

  /** One tile is in the order of the Tab key, with its buttons; arrows lead to the others. */
  #setCurrent(cameraId) {
    this.#current = cameraId;
    for (const tile of this.tiles.values()) {
      const isCurrent = tile.cameraId === cameraId;
      tile.element.tabIndex = isCurrent ? 0 : -1;
      for (const control of tile.element.querySelectorAll(CONTROLS)) control.tabIndex = isCurrent ? 0 : -1;
    }
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const tile = this.#tileOf(event.target);
    if (!tile || isControl(event.target)) return;
    if (document.fullscreenElement) return;
    this.enlarge(tile.cameraId);
  }

  /** Who is seen is live; who is not, only as long as it is needed otherwise. @param {Tile} tile */
  #settle(tile) {
    if (!this.tiles.has(tile.cameraId)) return;
    if (this.#seen.has(tile) || tile.isBusy) tile.watch.want();
    else tile.watch.rest();
  }

  /** @param {EventTarget | null} target */
  #tileOf(target) {
    const element = /** @type {HTMLElement | null} */ (target)?.closest?.("[data-tile]");
    return this.tiles.get(/** @type {HTMLElement} */ (element)?.dataset?.tile ?? "");
  }
}

/** @param {EventTarget | null} target */
function isControl(target) {
  return /** @type {HTMLElement | null} */ (target)?.closest(`${CONTROLS}, .control-panel`) !== null;
}

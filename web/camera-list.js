import { byName } from "./arrangement.js";
import { texts } from "./texts.js";

/** The list of cameras beside the wall: all that are in the room, and those on the wall that are not. */
export class CameraList {
  /** @type {Map<string, HTMLLIElement>} */
  #items = new Map();
  #list;
  #onToggle;

  /**
   * @param {HTMLElement} list
   * @param {(cameraId: string) => void} onToggle show it on the wall, or take it away
   */
  constructor(list, onToggle) {
    this.#list = list;
    this.#onToggle = onToggle;
  }

  /**
   * @param {Map<string, import("/client/index.js").CameraInfo>} cameras of the room
   * @param {Map<string, import("./tile.js").Tile>} tiles of the wall
   * @param {Map<string, number>} viewers how many each camera has
   */
  update(cameras, tiles, viewers) {
    const wanted = [...new Set([...cameras.keys(), ...tiles.keys()])].sort(byName);
    for (const [cameraId, item] of this.#items) {
      if (wanted.includes(cameraId)) continue;
      item.remove();
      this.#items.delete(cameraId);
    }
    wanted.forEach((cameraId, place) => {
      const item = this.#items.get(cameraId) ?? this.#newItem(cameraId);
      if (this.#list.children[place] !== item) this.#list.insertBefore(item, this.#list.children[place] ?? null);
      const tile = tiles.get(cameraId);
      const { name } = cameras.get(cameraId)?.meta ?? {};
      const count = cameras.has(cameraId) ? viewers.get(cameraId) : undefined;
      this.#fill(item, tile?.name ?? (typeof name === "string" && name.trim() ? name : cameraId), tile, count);
    });
  }

  /** @param {string} cameraId */
  #newItem(cameraId) {
    const item = document.createElement("li");
    item.dataset.camera = cameraId;
    const name = document.createElement("span");
    name.className = "camera-name";
    const state = document.createElement("span");
    state.className = "camera-state";
    const words = document.createElement("div");
    words.append(name, state);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button small";
    button.addEventListener("click", () => this.#onToggle(cameraId));
    item.append(words, button);
    this.#items.set(cameraId, item);
    return item;
  }

  /**
   * @param {HTMLLIElement} item
   * @param {string} name
   * @param {import("./tile.js").Tile | undefined} tile
   * @param {number | undefined} viewers
   */
  #fill(item, name, tile, viewers) {
    item.querySelector(".camera-name").textContent = name;
    const state = tile ? tile.state : "available";
    item.dataset.state = state;
    const words = [texts.stateName[state](tile?.goneSince), viewers ? texts.watchedBy(viewers) : ""];
    item.querySelector(".camera-state").textContent = words.filter(Boolean).join(" · ");
    const button = item.querySelector("button");
    button.dataset.action = tile ? "hide" : "show";
    button.textContent = tile ? texts.hide : texts.show;
    button.setAttribute("aria-label", (tile ? texts.hideLabel : texts.showLabel)(name));
  }
}

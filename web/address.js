import { LAYOUTS } from "./layout.js";

/** The room of an address that names none. */
export const DEFAULT_ROOM = "cctv";

/**
 * What an address says is on screen.
 * @typedef {object} View
 * @property {string} room
 * @property {string[] | null} cameras in their order; null for all that are in the room
 * @property {string | null} layout one of `LAYOUTS`, or null where it says nothing
 * @property {string | null} focus the camera that is large
 * @property {boolean} prefersJpeg whether cameras that have JPEGs are to send those, and not video
 */

/**
 * @param {string} search the part of an address from its question mark on
 * @returns {View}
 */
export function parseAddress(search) {
  const fields = new URLSearchParams(search);
  const layout = fields.get("layout") ?? "";
  return {
    room: fields.get("room")?.trim().normalize("NFC") || DEFAULT_ROOM,
    // `?camera=` alone is a wall from which everything was taken away.
    cameras: fields.has("camera") ? [...new Set(fields.getAll("camera").filter(Boolean).map((id) => id.normalize("NFC")))] : null,
    layout: LAYOUTS.includes(layout) ? layout : null,
    focus: fields.get("focus")?.normalize("NFC") ?? null,
    prefersJpeg: fields.get("pictures") === "jpeg",
  };
}

/**
 * The address that opens this view, as the pages, which are all beside each other, may name it.
 * @param {Omit<View, "prefersJpeg"> & Partial<View>} view
 * @returns {string}
 */
export function formatAddress({ room, cameras, layout, focus, prefersJpeg = false }) {
  const fields = new URLSearchParams({ room });
  for (const cameraId of cameras?.length === 0 ? [""] : (cameras ?? [])) fields.append("camera", cameraId);
  if (layout && layout !== "fit") fields.set("layout", layout);
  if (focus) fields.set("focus", focus);
  if (prefersJpeg) fields.set("pictures", "jpeg");
  return `./?${fields}`;
}

/**
 * Where the server's WebSocket is: beside its pages, which may be below a path.
 * @param {string} page the address of a page
 * @returns {string}
 */
export function serverUrl(page) {
  const address = new URL("ws", page);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return address.href;
}

// For declarations in projects whose types are those of Node alone:
/// <reference lib="dom" preserve="true" />
/** cctvsignal-client: cameras and viewers over WebRTC, for browsers and Node. */

export { CameraClient } from "./camera.js";
export * from "./errors.js";
export { Pictures } from "./pictures.js";
export * from "./protocol.js";
export { fullJitter } from "./retry.js";
export { WebRTCCCTVClient } from "./signaling.js";
export { ViewerClient } from "./viewer.js";

/** @typedef {import("./camera.js").CameraEvents} CameraEvents */
/** @typedef {import("./camera.js").CameraOptions} CameraOptions */
/** @typedef {import("./control.js").CameraState} CameraState */
/** @typedef {import("./control.js").Control} Control */
/** @typedef {import("./control.js").ControlValue} ControlValue */
/** @typedef {import("./signaling.js").CameraInfo} CameraInfo */
/** @typedef {import("./signaling.js").ClientEvents} ClientEvents */
/** @typedef {import("./signaling.js").ClientInfo} ClientInfo */
/** @typedef {import("./signaling.js").ClientOptions} ClientOptions */
/** @typedef {import("./stats.js").StreamStats} StreamStats */
/** @typedef {import("./viewer.js").EndReason} EndReason */
/** @typedef {import("./viewer.js").ViewerEvents} ViewerEvents */

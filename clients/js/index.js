/** cctvsignal-client: cameras and viewers over WebRTC, for browsers and Node. */

export { CameraClient } from "./camera.js";
export * from "./errors.js";
export * from "./protocol.js";
export { WebRTCCCTVClient } from "./signaling.js";
export { ViewerClient } from "./viewer.js";

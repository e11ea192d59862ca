// A program of a user of the package, for tests/integration/test_javascript_client.py to check its types.
import {
  CameraBusyError,
  CameraClient,
  ClientError,
  ForbiddenError,
  NoCommonCodecError,
  type Pictures,
  ViewerClient,
  WebRTCCCTVClient,
  type CameraInfo,
  type ClientOptions,
  type StreamStats,
} from "cctvsignal-client";
import { RTCPeerConnection } from "werift";
import { WebSocket } from "ws";

const options: ClientOptions = {
  url: "ws://localhost:8080",
  room: "cctv",
  reconnect: { base: 100 },
  WebSocket,
  RTCPeerConnection,
};
const viewer = new ViewerClient(options);
viewer
  .on("streamReceived", ({ cameraId, stream }) => console.log(cameraId.trim(), stream.getTracks().length))
  .on("streamLost", ({ reason }) => console.log(reason === "failed" || reason === "dtlsFailed"))
  .on("reconnecting", ({ delay, error }) => console.log(delay + (error.retryAfter ?? 0)))
  .once("disconnected", ({ code, willReconnect }) => console.log(code + 1, !willReconnect));
viewer.addEventListener("reconnecting", (event: Event) => console.log(event.type));
// @ts-expect-error: there is no such event.
viewer.on("streamEnded", () => {});
// @ts-expect-error: a camera needs a name.
new CameraClient(options);

export async function watch(cameraId: string): Promise<StreamStats | null> {
  await viewer.connect();
  const cameras: CameraInfo[] = await viewer.getAvailableCameras();
  console.log(cameras.map(({ viewers = 0 }) => viewers + 1));
  try {
    const stream: MediaStream = await viewer.requestStream(cameraId, { timeout: 1000 });
    console.log(stream.id);
  } catch (error) {
    if (error instanceof CameraBusyError) console.log(error.code?.length);
    else if (error instanceof ForbiddenError) console.log(error.message);
    else if (error instanceof NoCommonCodecError) console.log(error.reason.length);
    else if (!(error instanceof ClientError)) throw error;
  }
  await viewer.authenticate("another token");
  console.log(viewer.iceServers.map(({ urls }) => urls));
  await viewer.talk(cameraId, null);
  const pictures: Pictures = await viewer.requestPictures(cameraId);
  pictures.onpicture = (jpeg: Uint8Array) => console.log(jpeg.byteLength, pictures.count);
  viewer.on("controlsChanged", ({ state, controls }) => console.log(state?.message, controls.map(({ name }) => name)));
  await viewer.setControl(cameraId, "brightness", 1);
  return viewer.stats(cameraId);
}

export const camera: WebRTCCCTVClient<any> = new CameraClient({
  ...options,
  cameraId: "porch",
  deviceKey: "0123456789abcdef",
  maxViewers: 2,
  reconnect: false,
  acceptsAudio: true,
})
  .on("viewersChanged", ({ viewers }) => console.log(viewers.join()))
  .on("viewerFailed", ({ viewerId, error }) => console.log(viewerId, error.message));

import { download, fileName } from "./download.js";
import { texts } from "./texts.js";

/**
 * Save the picture that a video shows, as large as it came, as PNG. Rejects with a sentence where there is
 * none.
 * @param {HTMLVideoElement} video
 * @param {string} cameraId
 * @returns {Promise<string>} the name of the file
 */
export async function saveSnapshot(video, cameraId) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const name = fileName(cameraId, "png");
  if (canvas.width > 0) canvas.getContext("2d")?.drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve));
  if (!blob) throw new Error(texts.noPicture);
  download(blob, name);
  return name;
}

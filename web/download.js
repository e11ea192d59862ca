const LONGEST = 80;

/**
 * A name for a file of a camera, which any file system takes: `porch-2026-11-23T14-05-09.png`.
 * @param {string} cameraId
 * @param {string} ending without the dot
 * @param {Date} [now]
 * @returns {string}
 */
export function fileName(cameraId, ending, now = new Date()) {
  const safe = cameraId.replace(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^[._]+|[._]+$/g, "");
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join("-");
  return `${[...safe].slice(0, LONGEST).join("") || "camera"}-${day}T${time}.${ending}`;
}

/**
 * Hand a file to the person.
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Browsers read it after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

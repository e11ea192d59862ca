/**
 * What this device remembers, as JSON under a name; nothing, where the browser keeps nothing.
 * @param {string} name
 * @returns {any}
 */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`cctvsignal:${name}`) ?? "null");
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {unknown} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(`cctvsignal:${name}`, JSON.stringify(value));
  } catch {
    // Private windows and full disks: the wall works, and forgets.
  }
}

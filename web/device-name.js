/** In this order: many browsers also claim to be those further down. */
const BROWSERS = ["Edg/Edge", "OPR/Opera", "SamsungBrowser/Samsung Internet", "Firefox/", "Chrome/", "CriOS/Chrome"];
const SYSTEMS = ["Android/", "iPhone/", "iPad/", "Windows/", "Mac OS/macOS", "CrOS/ChromeOS", "Linux/"];

/**
 * What others in the room may call this browser, such as "Firefox on Android".
 * @param {string} userAgent
 */
export function deviceName(userAgent) {
  const find = (/** @type {string[]} */ names) => {
    const found = names.find((name) => userAgent.includes(name.split("/")[0]));
    return found && (found.split("/")[1] || found.split("/")[0]);
  };
  const browser = find(BROWSERS) ?? (userAgent.includes("Safari/") ? "Safari" : "Browser");
  const system = find(SYSTEMS);
  return system ? `${browser} on ${system}` : browser;
}

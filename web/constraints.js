/**
 * What of the settings a camera may be opened without, and the settings of those who want as much as is possible.
 * @typedef {"frameRate" | "height" | "deviceId"} Lowered
 * @typedef {import("./devices.js").Settings} Settings
 */

/** What is given up, one after the other, where a camera cannot do all of it. @type {Lowered[][]} */
const STEPS = [[], ["frameRate"], ["frameRate", "height"], ["frameRate", "height", "deviceId"]];

/**
 * What to ask a camera for: first all that the settings say, then ever less.
 * @param {Settings} settings
 * @param {boolean} [keepDevice] whether no other device will do
 * @returns {{video: MediaTrackConstraints | true, lowered: Lowered[]}[]}
 */
export function attemptsFor(settings, keepDevice = false) {
  const steps = settings.deviceId && !keepDevice ? STEPS : STEPS.slice(0, -1);
  return steps.map((lowered) => ({ video: videoConstraints(settings, new Set(lowered)), lowered }));
}

/**
 * Try one after the other, as long as it is only that the camera cannot do it.
 * @template Opened
 * @param {{video: MediaTrackConstraints | true, lowered: Lowered[]}[]} attempts
 * @param {(video: MediaTrackConstraints | true) => Promise<Opened>} open
 * @returns {Promise<{opened: Opened, lowered: Lowered[]}>}
 */
export async function openWithLess(attempts, open) {
  for (const [place, { video, lowered }] of attempts.entries()) {
    try {
      return { opened: await open(video), lowered };
    } catch (error) {
      if (error.name !== "OverconstrainedError" || place === attempts.length - 1) throw error;
    }
  }
  throw new TypeError("There is nothing to try.");
}

/**
 * @param {Settings} settings
 * @param {Set<Lowered>} [without]
 * @returns {MediaTrackConstraints | true}
 */
export function videoConstraints({ deviceId, facing, height, frameRate }, without = new Set()) {
  const constraints = {
    ...(without.has("height") ? {} : { width: { ideal: Math.round((height * 16) / 9) }, height: { ideal: height } }),
    ...(without.has("frameRate") ? {} : { frameRate: { ideal: frameRate, max: frameRate } }),
    ...(deviceId && !without.has("deviceId") ? { deviceId: { exact: deviceId } } : {}),
    ...(facing && !deviceId ? { facingMode: { ideal: facing } } : {}),
  };
  return Object.keys(constraints).length > 0 ? constraints : true;
}

/**
 * The name of the text for an error of `getUserMedia` (W3C Media Capture and Streams, section 10.6).
 * @param {{name: string, message?: string}} error
 * @returns {"noDevice" | "denied" | "deniedBySystem" | "deviceBusy" | "deviceBroken" | "insecure" | "overconstrained"
 *   | "failedToStart"}
 */
export function deviceProblem({ name, message = "" }) {
  // Chromium's words where the privacy settings of macOS, Windows or Android forbid it.
  if (name === "NotAllowedError" && /system/i.test(message)) return "deniedBySystem";
  const problems = /** @type {const} */ ({
    AbortError: "deviceBroken",
    NotAllowedError: "denied",
    NotFoundError: "noDevice",
    NotReadableError: "deviceBusy",
    OverconstrainedError: "overconstrained",
    SecurityError: "denied",
    // Where a page is not secure, there is nothing that could be called.
    TypeError: "insecure",
  });
  return problems[/** @type {keyof typeof problems} */ (name)] ?? "failedToStart";
}

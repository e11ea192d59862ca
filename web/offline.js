import { element, fillTexts, showStatus } from "./page.js";
import { texts } from "./texts.js";

const FIRST_MS = 2_000;
const LAST_MS = 30_000;

let delay = FIRST_MS;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Go to the page that was wanted, if the server is there. */
async function look() {
  clearTimeout(timer);
  try {
    const answer = await fetch("health", { cache: "no-store" });
    if (answer.ok) return location.reload();
  } catch {
    // Not yet.
  }
  timer = setTimeout(look, delay);
  delay = Math.min(LAST_MS, delay * 1.5);
}

fillTexts();
showStatus("reconnecting", texts.offlineWaiting);
element("again").addEventListener("click", look);
window.addEventListener("online", look);
timer = setTimeout(look, FIRST_MS);

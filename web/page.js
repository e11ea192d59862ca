import { texts } from "./texts.js";

/** @param {string} id */
export const element = (id) => document.getElementById(id);

/** @param {Date} date */
export const timeOfDay = (date) => date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/** Put the texts into the elements that name one. */
export function fillTexts() {
  for (const one of document.querySelectorAll("[data-title]")) one.title = texts[one.dataset.title];
  for (const one of document.querySelectorAll("[data-text]")) one.textContent = texts[one.dataset.text];
  for (const one of document.querySelectorAll("[data-label]")) one.setAttribute("aria-label", texts[one.dataset.label]);
}

/**
 * Put a sentence into an element, unless it is there; what stands between backticks in it is for somebody to type.
 * @param {HTMLElement} where
 * @param {string} text
 */
export function say(where, text) {
  if (where.textContent === withoutMarks(text)) return;
  const parts = text.split("`").map((part, place) => {
    if (place % 2 === 0) return part;
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  });
  // One element: some of those that sentences are put into lay out their children side by side.
  const sentence = document.createElement("span");
  sentence.append(...parts);
  where.replaceChildren(sentence);
}

/** @param {string} text */
export const withoutMarks = (text) => text.replaceAll("`", "");

/**
 * Say in one sentence how things are. What is already there is not said again by screen readers.
 * @param {string} state for the colour
 * @param {string} text
 */
export function showStatus(state, text) {
  const status = element("status");
  status.dataset.state = state;
  say(status, text);
}

/** A page that comes back out of the browser's cache has lost all its connections: start it afresh. */
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

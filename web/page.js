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
 * Say in one sentence how things are. What is already there is not said again by screen readers.
 * @param {string} state for the colour
 * @param {string} text
 */
export function showStatus(state, text) {
  const status = element("status");
  status.dataset.state = state;
  if (status.textContent !== text) status.textContent = text;
}

/** A page that comes back out of the browser's cache has lost all its connections: start it afresh. */
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

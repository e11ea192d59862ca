const SVG = "http://www.w3.org/2000/svg";

/**
 * A button that shows an icon of vendor/icons.svg and has its label as name and tooltip.
 * @param {string} action for tests and styles
 * @param {string} label
 * @param {() => void} onClick
 * @returns {HTMLButtonElement}
 */
export function iconButton(action, label, onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "icon-button";
  button.dataset.action = action;
  const icon = document.createElementNS(SVG, "svg");
  icon.setAttribute("aria-hidden", "true");
  icon.append(document.createElementNS(SVG, "use"));
  button.append(icon);
  button.addEventListener("click", onClick);
  showButton(button, action, label);
  return button;
}

/**
 * @param {HTMLButtonElement} button
 * @param {string} icon its name in vendor/icons.svg
 * @param {string} label
 * @param {boolean} [isPressed] for those that are on or off
 */
export function showButton(button, icon, label, isPressed) {
  button.querySelector("use")?.setAttribute("href", `vendor/icons.svg#${icon}`);
  button.setAttribute("aria-label", label);
  button.title = label;
  if (isPressed !== undefined) button.setAttribute("aria-pressed", String(isPressed));
}

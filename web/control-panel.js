import { notify } from "./notices.js";
import { texts } from "./texts.js";

/**
 * @typedef {import("/client/index.js").Control} Control
 * @typedef {import("/client/index.js").ControlValue} ControlValue
 */

/** The settings of a camera, over its picture. */
export class ControlPanel {
  #set;
  #onClose;
  /** By the name of the setting. @type {Map<string, Row>} */
  #rows = new Map();
  #list = document.createElement("div");

  /**
   * @param {(name: string, value: ControlValue) => Promise<void>} set
   * @param {() => void} onClose
   */
  constructor(set, onClose) {
    this.#set = set;
    this.#onClose = onClose;
    this.element = document.createElement("div");
    this.element.className = "control-panel";
    this.element.setAttribute("role", "group");
    this.#list.className = "control-list";
    this.element.append(this.#list);
    this.element.hidden = true;
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.#onClose();
    });
  }

  get isShown() {
    return !this.element.hidden;
  }

  /** @param {boolean} isShown */
  show(isShown) {
    this.element.hidden = !isShown;
    if (isShown) this.element.querySelector("input, select")?.focus();
  }

  /** @param {string} camera what people call it */
  describe(camera) {
    this.element.setAttribute("aria-label", texts.settingsOf(camera));
  }

  /** @param {Control[]} controls as the camera has them now */
  update(controls) {
    const names = controls.map(({ name, kind }) => `${name} ${kind}`).join();
    if (names !== [...this.#rows.values()].map(({ control }) => `${control.name} ${control.kind}`).join()) {
      this.#rows = new Map(controls.map((control) => [control.name, new Row(control, this.#set)]));
      this.#list.replaceChildren(...[...this.#rows.values()].map(({ element }) => element));
    }
    for (const control of controls) this.#rows.get(control.name)?.update(control);
  }
}

/** One setting. */
class Row {
  #set;
  #input;
  #shown = document.createElement("output");
  /** What is to be set after what is being set. @type {ControlValue | null} */
  #next = null;
  #isBusy = false;

  /**
   * @param {Control} control
   * @param {(name: string, value: ControlValue) => Promise<void>} set
   */
  constructor(control, set) {
    this.control = control;
    this.#set = set;
    this.#input = inputFor(control);
    this.element = document.createElement("label");
    this.element.className = "control";
    this.element.dataset.control = control.name;
    const name = document.createElement("span");
    name.textContent = control.label;
    this.element.append(name, this.#input, this.#shown);
    this.#shown.hidden = control.kind !== "number";
    this.#input.addEventListener("input", () => this.#showNumber());
    this.#input.addEventListener("change", () => {
      this.#next = this.#value;
      this.#send();
    });
  }

  /** @param {Control} control */
  update(control) {
    this.control = control;
    if (!this.#isBusy) this.#show();
  }

  /** @returns {ControlValue} */
  get #value() {
    const input = /** @type {HTMLInputElement} */ (this.#input);
    if (this.control.kind === "switch") return input.checked;
    if (this.control.kind === "number") return input.valueAsNumber;
    return this.control.choices?.[Number(input.value)]?.value ?? "";
  }

  /** One after the other; of those that come meanwhile, the last one counts. */
  async #send() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.element.setAttribute("aria-busy", "true");
    while (this.#next !== null) {
      const value = this.#next;
      this.#next = null;
      try {
        await this.#set(this.control.name, value);
      } catch (error) {
        notify(error.message);
      }
    }
    this.#isBusy = false;
    this.element.removeAttribute("aria-busy");
    this.#show();
  }

  #show() {
    const { kind, value, choices = [] } = this.control;
    const input = /** @type {HTMLInputElement} */ (this.#input);
    if (kind === "switch") {
      input.checked = value === true;
      input.indeterminate = value === undefined;
    } else {
      input.value = String(kind === "choice" ? choices.findIndex((choice) => choice.value === value) : (value ?? ""));
      this.#showNumber();
    }
  }

  #showNumber() {
    this.#shown.textContent = this.#input.value;
  }
}

/**
 * @param {Control} control
 * @returns {HTMLInputElement | HTMLSelectElement}
 */
function inputFor({ kind, least = 0, most = 0, choices = [] }) {
  if (kind !== "choice") {
    const input = document.createElement("input");
    if (kind === "number") Object.assign(input, { type: "range", min: least, max: most });
    else input.type = "checkbox";
    return input;
  }
  const select = document.createElement("select");
  choices.forEach(({ label }, index) => select.add(new Option(label, String(index))));
  return select;
}

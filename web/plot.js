const SVG = "http://www.w3.org/2000/svg";
const VALUES = 60;
const [WIDTH, HEIGHT] = [120, 28];

/**
 * The smallest of 1, 2, 5, 10, 20, 50 ... that is not below a value.
 * @param {number} value
 */
export function niceMaximum(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5, 10].find((one) => one * power >= value * (1 - 1e-9)) ?? 10;
  return step * power;
}

/**
 * The path of a line through values, newest at the right; null is a gap.
 * @param {(number | null)[]} values
 * @param {number} maximum
 * @returns {string} for the attribute `d` of an SVG path
 */
export function linePath(values, maximum) {
  const first = VALUES - values.length;
  let isDown = false;
  return values
    .map((value, place) => {
      if (value === null) {
        isDown = false;
        return "";
      }
      const x = ((first + place) * WIDTH) / (VALUES - 1);
      const y = HEIGHT - 1 - (Math.min(value, maximum) / maximum) * (HEIGHT - 2);
      const command = isDown ? "L" : "M";
      isDown = true;
      return `${command}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}

/** A small live plot of the last minute, with its last value as text. */
export class Plot {
  /** @type {(number | null)[]} */
  #values = [];
  #format;
  #line = document.createElementNS(SVG, "path");
  #text = document.createElement("dd");

  /**
   * @param {string} label
   * @param {(value: number) => string} format
   */
  constructor(label, format) {
    this.#format = format;
    const term = document.createElement("dt");
    term.textContent = label;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    // The text says what the picture says.
    svg.setAttribute("aria-hidden", "true");
    svg.append(this.#line);
    this.#text.textContent = "–";
    this.element = document.createElement("div");
    this.element.className = "plot";
    this.element.append(term, this.#text, svg);
  }

  /** @param {number | null} value null where there is none */
  add(value) {
    this.#values = [...this.#values, value].slice(-VALUES);
    const known = this.#values.filter((one) => one !== null);
    this.#line.setAttribute("d", linePath(this.#values, niceMaximum(Math.max(0, ...known))));
    this.#text.textContent = value === null ? "–" : this.#format(value);
  }
}

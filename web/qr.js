import { encode } from "./vendor/uqr.js";

const SVG = "http://www.w3.org/2000/svg";
/** Empty modules around it, by which readers find it (ISO/IEC 18004). */
const QUIET = 4;

/**
 * A QR code, dark on white in every colour scheme: many readers know no other.
 * @param {string} text
 * @param {string} label
 * @returns {SVGSVGElement}
 */
export function qrCode(text, label) {
  const { data, size } = encode(text, { ecc: "M", border: QUIET });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  svg.setAttribute("shape-rendering", "crispEdges");
  const ground = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ width: size, height: size, fill: "#ffffff" })) {
    ground.setAttribute(name, String(value));
  }
  const modules = document.createElementNS(SVG, "path");
  const dark = data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : "")));
  modules.setAttribute("d", dark.join(""));
  modules.setAttribute("fill", "#000000");
  svg.append(ground, modules);
  return svg;
}

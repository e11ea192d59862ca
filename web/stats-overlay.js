import { Plot } from "./plot.js";
import { texts } from "./texts.js";

const EVERY_MS = 1_000;

/** How the stream of a camera does, over its picture. */
export class StatsOverlay {
  #read;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  #facts = document.createElement("p");
  #firstFrame = "";
  #plots = {
    bitrate: new Plot(texts.stats.bitrate, texts.stats.bits),
    framesPerSecond: new Plot(texts.stats.framesPerSecond, texts.stats.frames),
    lossRate: new Plot(texts.stats.loss, texts.stats.percent),
    jitter: new Plot(texts.stats.jitter, texts.stats.milliseconds),
    roundTripTime: new Plot(texts.stats.roundTripTime, texts.stats.milliseconds),
  };

  /** @param {() => Promise<import("/client/index.js").StreamStats | null>} read */
  constructor(read) {
    this.#read = read;
    this.element = document.createElement("div");
    this.element.className = "stats-overlay";
    this.#facts.className = "facts";
    const plots = document.createElement("dl");
    plots.append(...Object.values(this.#plots).map(({ element }) => element));
    this.element.append(this.#facts, plots);
    this.element.hidden = true;
  }

  get isShown() {
    return !this.element.hidden;
  }

  /** @param {boolean} isShown */
  show(isShown) {
    this.element.hidden = !isShown;
    clearInterval(this.#timer);
    if (!isShown) return;
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
    this.#look();
  }

  /** @param {number} milliseconds from the request to the first picture */
  firstFrame(milliseconds) {
    this.#firstFrame = texts.stats.firstFrame(milliseconds);
  }

  async #look() {
    const stats = await this.#read();
    for (const [name, plot] of Object.entries(this.#plots)) {
      plot.add(stats ? stats[/** @type {keyof typeof this.#plots} */ (name)] : null);
    }
    this.#facts.textContent = stats
      ? [
          stats.width ? `${stats.width} × ${stats.height}` : "",
          stats.codec.replace(/^(video|image)\//, ""),
          texts.stats.path[stats.path],
          this.#firstFrame,
        ]
          .filter(Boolean)
          .join(" · ")
      : texts.stats.none;
  }
}

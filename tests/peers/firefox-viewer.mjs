// node firefox-viewer.mjs PAGE CAMERA FRAMES: our viewer page in a headless Firefox.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import puppeteer from "puppeteer-core";

const TIMEOUT_MS = 60_000;
const PREFERENCES = {
  "media.autoplay.default": 0,
  "media.peerconnection.ice.loopback": true,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
};

const [page, camera, wanted] = process.argv.slice(2);

function firefox() {
  const names = ["firefox-esr", "firefox"];
  const places = (process.env.PATH ?? "").split(delimiter);
  const paths = [process.env.FIREFOX, ...names.flatMap((name) => places.map((place) => join(place, name)))];
  for (const path of paths.filter(Boolean)) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next one.
    }
  }
  throw new Error("There is no Firefox: tests/install-peers.sh");
}

/** What a video shows, with the number that cctvsignal_clients.sources.pattern has put in its picture. */
function look(tab, video) {
  return tab.evaluate(async (element) => {
    const stats = [...(await window.connections.at(-1).getStats()).values()];
    const inbound = stats.find(({ type, kind }) => type === "inbound-rtp" && kind === "video");
    const { videoWidth: width, videoHeight: height, currentTime: seconds } = element;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    context.drawImage(element, 0, 0);
    const { data } = context.getImageData(0, Math.floor(height * 0.975), width, 1);
    let counter = 0;
    for (let bit = 0; bit < 32; bit += 1) {
      counter = counter * 2 + (data[Math.floor(((bit + 0.5) * width) / 32) * 4] > 127 ? 1 : 0);
    }
    return {
      codec: stats.find(({ id }) => id === inbound.codecId)?.mimeType,
      frames: inbound.framesDecoded,
      lost: inbound.packetsLost,
      width,
      height,
      seconds,
      counter,
    };
  }, video);
}

const started = Date.now();
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath: firefox(),
  headless: true,
  extraPrefsFirefox: PREFERENCES,
});
try {
  const tab = await browser.newPage();
  tab.setDefaultTimeout(TIMEOUT_MS);
  tab.on("console", (message) => console.error(message.text()));
  await tab.evaluateOnNewDocument(() => {
    window.connections = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...options) {
        super(...options);
        window.connections.push(this);
      }
    };
  });
  await tab.goto(page);
  const video = await tab.waitForSelector(`[data-tile="${camera}"] video`);
  await tab.waitForFunction((element) => element.currentTime > 0, {}, video);
  const before = await look(tab, video);
  // Not requestAnimationFrame, and not getVideoPlaybackQuality, which is always 0 for a MediaStream here.
  let after = before;
  // The page looks for pictures that stand still, too: after 5 s it would say so.
  while (after.frames < Number(wanted) || after.seconds < before.seconds + 6) {
    if (Date.now() > started + TIMEOUT_MS) throw new Error(`It stands still: ${JSON.stringify(after)}`);
    await sleep(200);
    after = await look(tab, video);
  }
  const state = await tab.$eval(`[data-tile="${camera}"]`, (tile) => tile.dataset.state);
  console.log(JSON.stringify({ ...after, firstCounter: before.counter, state }));
} finally {
  await browser.close();
}

/** @typedef {import("./signaling.js").Socket} Socket */

/**
 * Open a WebSocket to the server.
 * @param {import("./signaling.js").ClientOptions} options
 * @param {(message: any) => void} onMessage of JSON; what is none is ignored
 * @param {(code: number, reason: string) => void} onClose
 * @returns {Socket}
 */
export function openSocket(options, onMessage, onClose) {
  const socket = new (options.WebSocket ?? globalThis.WebSocket)(addressOf(options));
  socket.addEventListener("message", (event) => {
    let message;
    try {
      message = JSON.parse(String(event.data));
    } catch {
      return;
    }
    onMessage(message);
  });
  socket.addEventListener("close", ({ code, reason }) => onClose(code, reason));
  // A close event follows; without a listener, WebSocket libraries for Node throw.
  socket.addEventListener("error", () => {});
  return socket;
}

/** @param {{url?: string, token?: string}} options */
function addressOf({ url = defaultUrl(), token }) {
  if (!token) return url;
  const withToken = new URL(url);
  // Browsers let no header be set.
  withToken.searchParams.set("token", token);
  return withToken.href;
}

function defaultUrl() {
  if (typeof location === "undefined") throw new Error("Outside of browsers, the option url is needed.");
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
}

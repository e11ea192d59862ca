import { mock } from "node:test";

import { ViewerClient } from "../../clients/js/index.js";

/** A WebSocket whose server is the test. */
export class FakeSocket extends EventTarget {
  /** @type {FakeSocket[]} */
  static all = [];

  static get last() {
    return FakeSocket.all[FakeSocket.all.length - 1];
  }

  readyState = 0;
  sent = [];

  constructor(url) {
    super();
    this.url = url;
    FakeSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  // --- what the server does ---

  receive(message) {
    this.receiveText(JSON.stringify(message));
  }

  receiveText(data) {
    this.readyState = 1;
    this.dispatchEvent(Object.assign(new Event("message"), { data }));
  }

  drop(code, reason = "") {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason }));
  }

  welcome(clientId = "me", more = {}) {
    this.receive({ type: "welcome", clientId, protocol: 1, iceServers: [], authenticated: false, ...more });
  }

  /** Answer the last message of a type. */
  answer(type, answer) {
    this.receive({ ...answer, requestId: this.lastOf(type).requestId });
  }

  /** Let the client in. */
  admit(clientId = "me") {
    this.welcome(clientId);
    this.answer("join", { type: "joined", room: this.lastOf("join").room });
  }

  lastOf(type) {
    return this.sent.filter((message) => message.type === type).pop();
  }
}

/** An RTCDataChannel whose other end is the test. */
export class FakeChannel {
  readyState = "connecting";
  sent = [];

  constructor(label) {
    this.label = label;
  }

  open() {
    this.readyState = "open";
    this.onopen?.();
    return this;
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = "closed";
    this.onclose?.();
  }

  receive(data) {
    const isBytes = data instanceof Uint8Array;
    this.onmessage?.({ data: isBytes ? data.slice().buffer : typeof data === "string" ? data : JSON.stringify(data) });
  }
}

/** An RTCPeerConnection that writes down what is asked of it. */
export class FakePeer {
  /** @type {FakePeer[]} */
  static all = [];
  /** What the offers of others have. */
  static remoteKinds = [];

  static get last() {
    return FakePeer.all[FakePeer.all.length - 1];
  }

  connectionState = "new";
  signalingState = "stable";
  localDescription = null;
  remoteDescription = null;
  candidates = [];
  transceivers = [];
  channels = [];
  closed = false;

  constructor(configuration) {
    this.configuration = configuration;
    FakePeer.all.push(this);
  }

  getConfiguration() {
    return this.configuration;
  }

  setConfiguration(configuration) {
    this.configuration = configuration;
  }

  addTrack(track) {
    this.addTransceiver(track, { direction: "sendrecv" });
  }

  addTransceiver(track, { direction }) {
    const kind = track.kind ?? track;
    const sender = {
      track: track.kind ? track : null,
      replaceTrack: async (next) => {
        sender.track = next;
      },
    };
    this.transceivers.push({ sender, direction, receiver: { track: { kind } } });
  }

  getTransceivers() {
    return this.transceivers;
  }

  /** What it sends. */
  get tracks() {
    return this.transceivers.map(({ sender }) => sender.track).filter(Boolean);
  }

  createDataChannel(label) {
    const channel = new FakeChannel(label);
    this.channels.push(channel);
    return channel;
  }

  async createOffer(options) {
    this.offerOptions = options;
    return { type: "offer", sdp: sdp(`local${FakePeer.all.length}`) };
  }

  async createAnswer() {
    return { type: "answer", sdp: sdp(`local${FakePeer.all.length}`) };
  }

  async setLocalDescription(description) {
    this.localDescription = description;
    this.signalingState = description.type === "offer" ? "have-local-offer" : "stable";
  }

  async setRemoteDescription(description) {
    if (description.sdp === "broken") throw new Error("broken");
    this.remoteDescription = description;
    if (description.type === "offer") {
      for (const kind of FakePeer.remoteKinds) this.addTransceiver(kind, { direction: "recvonly" });
    }
    this.signalingState = description.type === "offer" ? "have-remote-offer" : "stable";
  }

  async addIceCandidate(candidate) {
    if (!this.remoteDescription) throw new Error("too early");
    this.candidates.push(candidate);
  }

  close() {
    this.closed = true;
  }

  // --- what the network does ---

  become(state) {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  flow(stream = {}) {
    this.ontrack?.({ streams: [stream], track: {} });
    this.become("connected");
  }
}

export const OPTIONS = { url: "ws://server/ws", WebSocket: FakeSocket, RTCPeerConnection: FakePeer };

export function sdp(origin) {
  return `v=0\r\no=- ${origin} 2 IN IP4 127.0.0.1\r\n`;
}

/** The events of these types, as they come. */
export function record(client, ...types) {
  const events = [];
  for (const type of types) client.on(type, (detail) => events.push({ type, ...detail }));
  return events;
}

/** Let everything asynchronous happen that waits for no timer. */
export async function settle() {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
}

/** Time that stands still until a test lets it pass. The timers of Node 18's own mock never fire. */
class FakeClock {
  now = 0;
  /** By their number, which setTimeout returns. @type {Map<number, {due: number, callback: () => void}>} */
  timers = new Map();
  #count = 0;

  set(callback, delay = 0) {
    this.timers.set(++this.#count, { due: this.now + delay, callback });
    return this.#count;
  }

  pass(milliseconds) {
    const end = this.now + milliseconds;
    for (;;) {
      const [next] = [...this.timers].filter(([, { due }]) => due <= end).sort(([, a], [, b]) => a.due - b.due);
      if (!next) break;
      const [number, { due, callback }] = next;
      this.now = due;
      this.timers.delete(number);
      callback();
    }
    this.now = end;
  }
}

let clock = new FakeClock();

/** Nothing was made yet, time stands still, and chance is certain: retries take their longest delay. */
export function begin() {
  FakeSocket.all = [];
  FakePeer.all = [];
  FakePeer.remoteKinds = [];
  clock = new FakeClock();
  mock.method(globalThis, "setTimeout", (callback, delay) => clock.set(callback, delay));
  mock.method(globalThis, "clearTimeout", (number) => clock.timers.delete(number));
  mock.method(Math, "random", () => 0.999999);
}

export function end() {
  mock.restoreAll();
}

export const tick = (milliseconds) => clock.pass(milliseconds);

export const PORCH = { type: "cameraAvailable", cameraId: "porch", clientId: "C" };
export const OFFER = { type: "offer", sender: "C", sdp: { type: "offer", sdp: sdp("camera") } };

/** A viewer in a room with the camera `PORCH`. */
export async function viewing() {
  const viewer = new ViewerClient(OPTIONS);
  const connecting = viewer.connect();
  FakeSocket.last.admit();
  await connecting;
  FakeSocket.last.receive(PORCH);
  return viewer;
}

/** The names of docs/protocol.md. A test compares them with what the server knows. */

export const CLIENT_MESSAGES = [
  "answer",
  "auth",
  "bye",
  "iceCandidate",
  "join",
  "leave",
  "listCameras",
  "offer",
  "ping",
  "requestStream",
];

export const SERVER_MESSAGES = [
  "ack",
  "answer",
  "authenticated",
  "bye",
  "cameraAvailable",
  "cameraNotFound",
  "cameraUnavailable",
  "cameras",
  "clientDisconnected",
  "clientJoined",
  "error",
  "iceCandidate",
  "iceServers",
  "joined",
  "left",
  "offer",
  "pong",
  "viewerRequest",
  "welcome",
];

/** Messages that are events of clients, as they are. */
export const EVENT_MESSAGES = new Set([
  "cameraAvailable",
  "cameraNotFound",
  "cameraUnavailable",
  "clientDisconnected",
  "clientJoined",
  "viewerRequest",
]);

/** The `code` of an `error` (section 2.5). */
export const ERROR_CODES = [
  "cameraBusy",
  "cameraIdInUse",
  "forbidden",
  "invalidJson",
  "invalidMessage",
  "notJoined",
  "peerNotFound",
  "rateLimited",
  "resumeFailed",
  "roomFull",
  "serverBusy",
  "unauthorized",
  "unknownType",
];

/** The room of a client that names none. */
export const DEFAULT_ROOM = "default";

export const CLOSE_NORMAL = 1000;
/** What a WebSocket reports when the connection was lost without a close frame; never sent. */
export const CLOSE_ABNORMAL = 1006;
export const CLOSE_REPLACED = 4409;
/** The server does not allow what this client wants, whatever its token: it need not come back. */
export const CLOSE_FORBIDDEN = 4403;
/** Unauthorized, not authenticated in time: another token may help. */
export const UNAUTHORIZED_CODES = new Set([4401, 4408]);
/** Going away, lost, internal error, try again later: after these a client comes back (section 2.6). */
export const RECONNECT_CODES = new Set([1001, CLOSE_ABNORMAL, 1011, 1013]);
/** The `code` of refusals that pass by themselves. */
export const PASSING_ERRORS = new Set(["rateLimited", "roomFull", "serverBusy"]);

/**
 * A room or camera id as the server names it (docs/protocol.md, section 1).
 * @param {string} name
 */
export const canonicalName = (name) => name.trim().normalize("NFC");

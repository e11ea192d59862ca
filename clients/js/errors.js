import { CLOSE_FORBIDDEN, UNAUTHORIZED_CODES } from "./protocol.js";

/** The base of all errors of this package. `code` is one of `ERROR_CODES`, where a server said so. */
export class ClientError extends Error {
  /**
   * @param {string} message
   * @param {string} [code]
   */
  constructor(message, code) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    /** How many seconds to wait before the next try, where the server said so. @type {number | undefined} */
    this.retryAfter = undefined;
  }
}

/** The server cannot be reached, or the connection to it is gone. */
export class ConnectionError extends ClientError {
  /**
   * @param {string} message
   * @param {number} [closeCode] of the WebSocket
   * @param {string} [code]
   */
  constructor(message, closeCode, code) {
    super(message, code);
    this.closeCode = closeCode;
  }
}

/** The server wants a token and did not get a valid one: check the token, and whether it has expired. */
export class UnauthorizedError extends ConnectionError {}

/** The client itself ended what it had asked for. */
export class CancelledError extends ClientError {}

/** A message is longer than the server takes (`welcome.limits.maxMessageBytes`): it was not sent. */
export class MessageTooLongError extends ClientError {}

/** Nobody answered in time. `reason` is "noAnswer" where that was a camera. */
export class TimeoutError extends ClientError {
  /**
   * @param {string} message
   * @param {string} [reason]
   */
  constructor(message, reason) {
    super(message, "timeout");
    this.reason = reason;
  }
}

/** There is no such camera in the room: check its id, the room, and that it runs. */
export class CameraNotFoundError extends ClientError {
  /** @param {string} cameraId */
  constructor(cameraId) {
    super(`There is no camera ${cameraId} in the room.`);
    this.cameraId = cameraId;
  }
}

/** A session was agreed on or under way, and ended. `reason` is an `EndReason` of the viewer. */
export class SessionFailedError extends ClientError {
  /**
   * @param {string} message
   * @param {string} reason
   * @param {unknown} [cause] what the WebRTC of this side threw, if it did
   */
  constructor(message, reason, cause) {
    super(message);
    this.reason = reason;
    if (cause !== undefined) this.cause = cause;
  }
}

/** `reason` "noPath": signaling worked, but no network path was found. Check firewalls and the TURN server. */
export class ICEFailedError extends SessionFailedError {}

/**
 * `reason` "dtlsFailed": there is a network path, but the two could not agree on a secure connection. Check that
 * nothing changes the SDP on its way, and that both sides know a cipher in common.
 */
export class DTLSFailedError extends SessionFailedError {}

/** `reason` "noMedia": the two are connected, but the camera offers neither video nor sound. Check its source. */
export class NoMediaError extends SessionFailedError {}

/** `reason` "noCodec": the camera sends no codec that this side can play. Set it to H.264 or VP8. */
export class NoCommonCodecError extends SessionFailedError {}

/** `reason` "limitExceeded": the other side sent more than any real one does. Check who it is. */
export class LimitExceededError extends SessionFailedError {}

/** The camera did not change a setting: the text says why. */
export class ControlRefusedError extends ClientError {}

/** The server refused a message. */
export class ServerError extends ClientError {}

/** Another camera of the room has this id and is alive. */
export class CameraIdInUseError extends ServerError {}

/** The camera has as many viewers as it takes. */
export class CameraBusyError extends ServerError {}

/** The server does not allow it, such as a camera id that belongs to another device. */
export class ForbiddenError extends ServerError {}

/** Something in the message may not be, such as a character in a name. */
export class InvalidMessageError extends ServerError {}

/**
 * The error for an `error` message of the server.
 * @param {Record<string, any>} message
 * @returns {ClientError}
 */
export function fromServer({ code, message, retryAfter }) {
  const error = refusal(code, message);
  if (typeof retryAfter === "number") error.retryAfter = retryAfter;
  return error;
}

/**
 * The error for a connection that was closed.
 * @param {number} closeCode
 * @param {string} reason
 * @returns {ClientError}
 */
export function fromClose(closeCode, reason) {
  if (closeCode === CLOSE_FORBIDDEN) return new ForbiddenError(reason || "The server does not allow it.", "forbidden");
  const Lost = UNAUTHORIZED_CODES.has(closeCode) ? UnauthorizedError : ConnectionError;
  return new Lost(reason || "The connection to the server was lost.", closeCode);
}

/**
 * @param {string} code
 * @param {string} message
 * @returns {ClientError}
 */
function refusal(code, message) {
  if (code === "unauthorized") return new UnauthorizedError(message, undefined, code);
  const kinds = {
    cameraBusy: CameraBusyError,
    cameraIdInUse: CameraIdInUseError,
    forbidden: ForbiddenError,
    invalidMessage: InvalidMessageError,
  };
  const Kind = kinds[/** @type {keyof typeof kinds} */ (code)] ?? ServerError;
  return new Kind(message, code);
}

/** @type {Record<string, [new (message: string, reason: string, cause?: unknown) => SessionFailedError, string]>} */
const FAILURES = {
  noPath: [ICEFailedError, "no network path was found; it may take a TURN server"],
  dtlsFailed: [DTLSFailedError, "there is a network path, but DTLS failed (role, cipher or fingerprint)"],
  noMedia: [NoMediaError, "it is connected, but offers no media"],
  noCodec: [NoCommonCodecError, "the two have no codec in common"],
  limitExceeded: [LimitExceededError, "it needs more than is allowed"],
};

/**
 * The error for a session that did not come about.
 * @param {string} who the other side
 * @param {string} reason
 * @param {unknown} [cause]
 * @returns {ClientError}
 */
export function fromEnd(who, reason, cause) {
  const [Kind, sentence] = FAILURES[reason] ?? [SessionFailedError, reason];
  const why = cause instanceof Error ? `${sentence} (${cause.message})` : sentence;
  if (reason === "noAnswer") return new TimeoutError(`There was no answer of ${who} in time.`, reason);
  return new Kind(`There is no session with ${who}: ${why}.`, reason, cause);
}

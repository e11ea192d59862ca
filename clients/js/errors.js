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

/** Nobody answered in time. */
export class TimeoutError extends ClientError {
  /** @param {string} message */
  constructor(message) {
    super(message, "timeout");
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

/** Signaling worked, but no network path was found: check firewalls and the TURN server. */
export class ICEFailedError extends SessionFailedError {
  /** @param {string} message */
  constructor(message) {
    super(message, "noPath");
  }
}

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

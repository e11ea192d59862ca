import { RECONNECT_CODES } from "./client/index.js";

import { texts } from "./texts.js";

/**
 * What to tell a person when the client of the camera page cannot go on.
 * @param {any} error of the client
 * @returns {string}
 */
export function sentenceFor(error) {
  if (texts.refusal[error.code]) return texts.startLater(texts.refusal[error.code]);
  const isClosed = error.name === "ConnectionError" && error.closeCode !== undefined;
  if (isClosed && !RECONNECT_CODES.has(error.closeCode)) return texts.refused;
  const sentences = {
    CameraIdInUseError: texts.idInUse,
    ConnectionError: texts.serverGone,
    ForbiddenError: texts.idForbidden,
    InvalidMessageError: texts.badName,
    TimeoutError: texts.serverGone,
    UnauthorizedError: texts.tokenNeeded,
  };
  return sentences[error.name] ?? texts.failedToStart;
}

"""What can go wrong for a client, one type for each cause; the text says what to check."""

from __future__ import annotations

from typing import ClassVar, Final

from cctvsignal.messages import Error

CLOSE_UNAUTHORIZED: Final = 4401
CLOSES_LIKE: Final = {"unauthorized": CLOSE_UNAUTHORIZED, "forbidden": 4403, "cameraIdInUse": 4409}
"""Why a client is not let back into its room, and the close code that would say the same."""


class ClientError(Exception):
    """The base of all errors of this package."""

    close_code: int | None = None
    """The close code of the server, or the one that would say the same."""


class InvalidOption(ClientError, ValueError):
    """A URL, room, camera id, meta or file that may not be so; the text says which rule it breaks."""


class ConnectionFailed(ClientError):
    """The server cannot be reached, or the connection to it is gone, with `close_code` if it closed it."""

    def __init__(self, message: str, close_code: int | None = None) -> None:
        super().__init__(message)
        self.close_code = close_code


class TLSFailed(ConnectionFailed):
    """The server's certificate is not trusted, or TLS failed otherwise: check its CA and its host name."""


class Unauthorized(ConnectionFailed):
    """The server wants a token and did not get a valid one: check the token and whether it has expired."""


class MessageTooLong(ClientError):
    """A message is longer than the server takes (`welcome.limits`), and was not sent."""


class RequestRefused(ClientError):
    """The server refused a message; `code` is one of docs/protocol.md, section 2.5.

    `retry_after` is how many seconds to wait before the next try, where the server said so.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after
        self.close_code = CLOSES_LIKE.get(code)


class CameraIdInUse(RequestRefused):
    """Another camera of the room has this id and is alive: choose another id, or stop that camera."""


class CameraBusy(RequestRefused):
    """The camera has as many viewers as it takes: try again later."""


class ControlRefused(ClientError):
    """The camera did not change a setting: the text says why."""


class CameraNotFound(ClientError):
    """There is no such camera in the room: check its id, the room, and that it runs."""


class RequestTimeout(ClientError):
    """Nobody answered in time."""


class MediaFailed(ClientError):
    """No pictures came, or they could not be kept: the text says why.

    `reason` is what the `bye` of a session that ends so says (docs/protocol.md, section 2.4).
    """

    reason: ClassVar[str] = "failed"
    summary: ClassVar[str] = ""


class NoAnswer(MediaFailed, RequestTimeout):
    """The other side sent no offer, or no answer: check that it runs."""

    reason = "noAnswer"
    summary = "there was no answer in time"


class ICEFailed(MediaFailed):
    """Signaling worked, but no media path was found: check firewalls and the TURN server."""

    reason = "noPath"
    summary = "no media path was found"


class DTLSFailed(MediaFailed):
    """There is a media path, but no secure connection over it: the text has the DTLS role and the cause."""

    reason = "dtlsFailed"
    summary = "there is a media path, but the DTLS handshake failed"


class NoCommonCodec(MediaFailed):
    """The two sides have no video codec in common: the text has those of the other side."""

    reason = "noCodec"
    summary = "the two sides have no codec in common"


class NoMedia(MediaFailed):
    """The two sides are connected, but no media comes: check the camera's source."""

    reason = "noMedia"
    summary = "it was connected, but no media came"


class LimitExceeded(MediaFailed):
    """A description has more in it than that of any real peer: check who the other side is."""

    reason = "limitExceeded"
    summary = "a description had more in it than is allowed"


class SourceError(ClientError):
    """There is no such source of pictures, or it cannot be opened."""


LONGEST_SECONDS: Final = 3600.0
"""However long a server wants to be left alone."""
FAILURES: Final = {
    kind.reason: kind for kind in (NoAnswer, ICEFailed, DTLSFailed, NoCommonCodec, NoMedia, LimitExceeded)
}
"""What a `bye` may give as its reason where a session has failed; JavaScript clients use the same words."""


def refusal(error: Error) -> RequestRefused:
    """The exception for an `error` message of the server."""
    kinds = {"cameraIdInUse": CameraIdInUse, "cameraBusy": CameraBusy}
    return kinds.get(error.code, RequestRefused)(error.code, error.message, error.retry_after)


def farewell(reason: str | None) -> MediaFailed:
    """The exception for a session that the other side has ended by a `bye` with this reason."""
    kind = FAILURES.get(reason or "", MediaFailed)
    means = f" ({kind.summary}; its log says more)" if kind.summary else ""
    return kind(f"The session is over: the other side said bye: {reason!r}{means}.")


def blames_token(error: ClientError) -> bool:
    """Whether the server does not take a token: another one may help."""
    return isinstance(error, Unauthorized) or (
        isinstance(error, RequestRefused) and error.code in ("unauthorized", "forbidden")
    )


def patience(error: Exception | None) -> float:
    """Seconds to wait after a refusal beyond the usual ones, because the server has said so."""
    seconds = error.retry_after if isinstance(error, RequestRefused) else None
    return min(LONGEST_SECONDS, max(0.0, seconds or 0.0))

"""What can go wrong for a client, one type for each cause; the text says what to check."""

from __future__ import annotations

from cctvsignal.messages import Error


class ClientError(Exception):
    """The base of all errors of this package."""


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
    """The server refused a message; `code` is one of docs/protocol.md, section 2.5."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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
    """No pictures came, or they could not be kept: the text says why."""


class ICEFailed(MediaFailed):
    """Signaling worked, but no media path was found: check firewalls and the TURN server."""


class SourceError(ClientError):
    """There is no such source of pictures, or it cannot be opened."""


def refusal(error: Error) -> RequestRefused:
    """The exception for an `error` message of the server."""
    kinds = {"cameraIdInUse": CameraIdInUse, "cameraBusy": CameraBusy}
    return kinds.get(error.code, RequestRefused)(error.code, error.message)

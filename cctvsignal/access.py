"""Who may do what (docs/protocol.md, section 3). Each rule is here once, and the hub asks for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from unicodedata import normalize

from .messages import AnyClientMessage, Auth, ErrorCode, Join, ListCameras, RequestStream

Role: TypeAlias = Literal["camera", "viewer", "both", "admin"]

CLOSE_UNAUTHORIZED: Final = 4401
MOST_KNOWN: Final = 256
_MAY_BE_CAMERA: Final = ("camera", "both", "admin")
_MAY_VIEW: Final = ("viewer", "both", "admin")


class Unauthorized(Exception):
    """A token that lets nobody in; the text says why, and nothing of the token."""


class CannotSay(Exception):
    """It is not known whether a token is good; the text is for the server's operator.

    `retry_after` is when to try again, in seconds.
    """

    code: ErrorCode = "serverBusy"
    answer = "Tokens cannot be checked at the moment: try again."
    """What the client hears of it."""

    def __init__(self, text: str, retry_after: float = 5.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class TooManyTokens(CannotSay):
    """Too many wrong tokens have come from the address of a client."""

    code = "rateLimited"
    answer = "Too many wrong tokens came from your address: try again later."


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a connection belongs to, and what it may do.

    `rooms` and `cameras` are names in which a `*` stands for any characters; `cameras` None is all of them.
    `expires` is in seconds since the epoch.
    """

    subject: str
    role: Role
    rooms: tuple[str, ...] = ()
    cameras: tuple[str, ...] | None = None
    expires: float = math.inf
    token_id: str | None = None
    sees_all: bool = field(init=False)
    """Whether it may view every camera of its rooms: then nothing need be looked at one by one."""
    _views: dict[str, bool] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Of each camera that was asked about: whether it may be viewed."""

    def __post_init__(self) -> None:
        sees_all = self.role in _MAY_VIEW and (self.cameras is None or "*" in self.cameras)
        object.__setattr__(self, "sees_all", sees_all)
        # Names are compared in this form (`names`).
        object.__setattr__(self, "rooms", tuple(normalize("NFC", room) for room in self.rooms))
        if self.cameras is not None:
            object.__setattr__(self, "cameras", tuple(normalize("NFC", camera) for camera in self.cameras))

    def may_enter(self, room: str) -> bool:
        """Whether it may be in this room at all."""
        return _matches(self.rooms, room)

    def may_register(self, camera_id: str) -> bool:
        """Whether it may be this camera."""
        return self.role in _MAY_BE_CAMERA and (self.cameras is None or _matches(self.cameras, camera_id))

    def may_view(self, camera_id: str) -> bool:
        """Whether it may know of this camera and watch it."""
        if self.sees_all:
            return True
        if self.cameras is None or self.role not in _MAY_VIEW:
            return False
        # It is asked for every message that is passed on.
        known = self._views.get(camera_id)
        if known is None:
            if len(self._views) >= MOST_KNOWN:
                self._views.clear()
            known = self._views[camera_id] = _matches(self.cameras, camera_id)
        return known

    def grants_the_same(self, other: Identity) -> bool:
        """Whether a connection may change from one to the other in the middle of what it does."""
        return (self.subject, self.role, self.rooms, self.cameras) == (
            other.subject,
            other.role,
            other.rooms,
            other.cameras,
        )


_ASKED_FOR: Final = frozenset((Join, RequestStream, ListCameras))
"""What not everybody may send: all that is known to be somebody may send the rest."""
ANYONE: Final = Identity("", "admin", ("*",))
"""Everybody, on a server that asks for no token."""
NOBODY: Final = Identity("", "viewer", cameras=())
"""Whoever has yet to say who it is."""


def refusal(identity: Identity, message: AnyClientMessage) -> tuple[ErrorCode, str] | None:
    """Why this message is not for whoever sent it to send; None if it is.

    What depends on the camera that a message is about is left to `may_view`: a camera that somebody may not
    view must look as if it were not there.
    """
    if identity is ANYONE or (type(message) not in _ASKED_FOR and identity is not NOBODY):
        return None
    if identity is NOBODY:
        if isinstance(message, Auth):
            return None
        return (
            "unauthorized",
            "This server asks for a token: bring it when you connect, or send auth with it.",
        )
    if isinstance(message, Join):
        if not identity.may_enter(message.room or ""):
            return "forbidden", "Your token does not let you into this room."
        if message.camera_id is None and identity.role not in _MAY_VIEW:
            return "forbidden", "Your token is for a camera, not for a viewer."
        if message.camera_id is not None and not identity.may_register(message.camera_id):
            return "forbidden", "Your token does not let you be this camera."
    elif identity.role not in _MAY_VIEW:
        return "forbidden", "Your token is for a camera, and cameras do not watch others."
    return None


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(_match(pattern, name) for pattern in patterns)


def _match(pattern: str, name: str) -> bool:
    # Not a regular expression: one with many stars could take for ever.
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in middle:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True

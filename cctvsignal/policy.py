"""What the owner of a server decides, as the hub needs to know it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from .access import ANYONE, CannotSay, Identity, Unauthorized
from .messages import IceServer, Limits
from .registry import Client

Outcome: TypeAlias = Identity | Unauthorized | CannotSay
Authenticate: TypeAlias = Callable[[str, str, Callable[[Outcome], None]], None]
"""Finds out whose token this is, of a client at this address, and calls back, at once or later.

Never raises."""
Record: TypeAlias = Callable[[str, Client, dict[str, object]], None]
"""Writes down what a client did: the event and its facts."""


class DeviceKeys(Protocol):
    """Which camera ids belong to the holder of a key (docs/protocol.md, section 2.4)."""

    def admits(self, room: str, camera_id: str, key: str | None) -> bool:
        """Whether whoever has this key, or none, may be this camera."""
        ...

    def pin(self, room: str, camera_id: str, key: str) -> None:
        """From now on this camera id is for the holder of this key."""
        ...


class IceOffer(Protocol):
    """The STUN and TURN servers that clients are told of (docs/protocol.md, section 2.1)."""

    @property
    def relays(self) -> bool:
        """Whether there is a TURN server among them."""
        ...

    def public(self) -> list[IceServer]:
        """Those that anybody may know."""
        ...

    def servers(self, subject: str, now: float) -> tuple[list[IceServer], float | None]:
        """All of them, with credentials, and when to ask anew (None: never)."""
        ...


class NoDeviceKeys:
    """All camera ids are for whoever comes first."""

    def admits(self, room: str, camera_id: str, key: str | None) -> bool:
        return True

    def pin(self, room: str, camera_id: str, key: str) -> None:
        return None


class NoIceServers:
    """Clients use whatever servers they know themselves."""

    relays = False

    def public(self) -> list[IceServer]:
        return []

    def servers(self, subject: str, now: float) -> tuple[list[IceServer], float | None]:
        return [], None


def let_anyone_in(token: str, address: str, done: Callable[[Outcome], None]) -> None:
    """Who needs no token may have any."""
    done(ANYONE)


@dataclass(frozen=True)
class Policy:
    """`max_members` and `max_cameras` are of one room; 0 is no limit."""

    limits: Limits = field(default_factory=lambda: Limits(65536, 0))
    max_members: int = 0
    max_cameras: int = 0
    authenticate: Authenticate = let_anyone_in
    authentication_seconds: float = 10.0
    """How long a connection may last before it has said whose it is."""
    device_keys: DeviceKeys = field(default_factory=NoDeviceKeys)
    ice: IceOffer = field(default_factory=NoIceServers)
    records: Sequence[Record] = ()

"""What the owner of a server decides, as the hub needs to know it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol, TypeAlias

from .access import ANYONE, CannotSay, Identity, Unauthorized
from .messages import IceServer, Join, Limits
from .registry import Client, Room

Outcome: TypeAlias = Identity | Unauthorized | CannotSay
Authenticate: TypeAlias = Callable[[str, str, Callable[[Outcome], None]], None]
"""Finds out whose token this is, of a client at this address, and calls back, at once or later.

Never raises."""
Record: TypeAlias = Callable[[str, Client, dict[str, object]], None]
"""Writes down what a client did: the event and its facts."""


class Verdict(Enum):
    """What a device key, or none, is to a camera id."""

    FREE = auto()
    """No key is pinned to the id."""
    OWNED = auto()
    """It is the key that is pinned to the id."""
    DENIED = auto()
    """Another key is pinned to the id."""
    BUSY = auto()
    """It could not be found out, or not be kept: nobody new may have the id."""


class DeviceKeys(Protocol):
    """Which camera ids belong to the holder of a key (docs/protocol.md, section 2.4).

    Both methods call back, at once or later, and never raise.
    """

    def look(self, room: str, camera_id: str, key: str | None, done: Callable[[Verdict], None]) -> None:
        """What this key, or none, is to this camera id."""
        ...

    def pin(
        self,
        room: str,
        camera_id: str,
        key: str,
        address: str,
        subject: str,
        done: Callable[[Verdict], None],
    ) -> None:
        """Pin an id to this key, unless it is somebody's already, and say whose it is now; not `FREE`.

        `address` and `subject` are those of the client that brings the key: neither may pin too many.
        """
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
        """All of them, with credentials, and after how many seconds to ask anew (None: never).

        `now` is in seconds since the epoch.
        """
        ...


class NoDeviceKeys:
    """All camera ids are for whoever comes first."""

    def look(self, room: str, camera_id: str, key: str | None, done: Callable[[Verdict], None]) -> None:
        done(Verdict.OWNED)

    def pin(
        self,
        room: str,
        camera_id: str,
        key: str,
        address: str,
        subject: str,
        done: Callable[[Verdict], None],
    ) -> None:
        done(Verdict.OWNED)


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
    wall: Callable[[], float] | None = None
    """The time of day by which tokens and credentials expire, since the epoch; None: the clock's."""

    def why_full(self, room: Room | None, client: Client, join: Join, holder: Client | None) -> str | None:
        """Why a room has no place for a client that joins it; `holder` has the id that it asks for."""
        if room is None:
            return None
        if join.camera_id is not None and holder is None and 0 < self.max_cameras <= len(room.cameras):
            return f"A room has at most {self.max_cameras} cameras."
        if client.room is not room and 0 < self.max_members <= len(room.members):
            return f"A room has at most {self.max_members} members."
        return None

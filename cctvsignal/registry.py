"""Who is in which room, and which camera ids are held: plain data with O(1) look-ups.

The registry knows no rules and sends nothing; `hub` does both.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from .access import ANYONE, Identity
from .messages import AnyClientMessage, CameraMeta, DeviceType


class Peer(Protocol):
    """The connection of a client, whatever carries it. None of these may raise."""

    def send(self, frame: bytes) -> None:
        """Hand over one text frame; does nothing on a connection that is over."""
        ...

    def close(self, code: int, reason: str) -> None:
        """End the connection (close codes: docs/protocol.md, section 2.6)."""
        ...

    def ping(self) -> None:
        """Ask for a sign of life, which is told by `Hub.pong`."""
        ...


@dataclass(eq=False, slots=True)
class Client:
    """One connected client. Only the registry and the hub write to it."""

    id: str
    peer: Peer
    identity: Identity = ANYONE
    address: str = ""
    """Where it comes from, as far as anybody knows."""
    since: float = 0.0
    """When it connected, in seconds of the hub's clock."""
    has_relays: bool = False
    """Whether it has been told of TURN servers."""
    room: Room | None = None
    device_type: DeviceType = "viewer"
    camera_id: str | None = None
    """Set for cameras, and for them only."""
    meta: CameraMeta | None = None
    max_viewers: int | None = None
    viewers: set[Client] = field(default_factory=set)
    """Who has a session with this camera."""
    watching: dict[Client, float | None] = field(default_factory=dict)
    """The cameras that this client has a session with; when it asked for one that has not answered yet."""
    held: deque[AnyClientMessage] | None = None
    """What it has said since it asked for an id whose owner is being looked up; None: nothing waits."""


@dataclass(eq=False, slots=True)
class Room:
    """A room exists while somebody is in it."""

    name: str
    members: dict[str, Client] = field(default_factory=dict)
    """By client id, in the order of joining."""
    cameras: dict[str, Client] = field(default_factory=dict)
    """By camera id."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is going on, for health checks."""

    connections: int
    rooms: int
    cameras: int


class Registry:
    """All clients and rooms of one server."""

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}
        self.rooms: dict[str, Room] = {}

    def counts(self) -> Counts:
        """How many connections, rooms and cameras there are."""
        cameras = sum(len(room.cameras) for room in self.rooms.values())
        return Counts(len(self.clients), len(self.rooms), cameras)

    def holder(self, room_name: str | None, camera_id: str | None) -> Client | None:
        """Who holds this camera id of this room."""
        room = self.rooms.get(room_name or "")
        return None if room is None or camera_id is None else room.cameras.get(camera_id)

    def add(self, client: Client) -> None:
        """Enter a client that has just connected and is in no room."""
        self.clients[client.id] = client

    def remove(self, client: Client) -> None:
        """Forget a client that is in no room any more."""
        del self.clients[client.id]

    def enter(self, client: Client, room_name: str) -> Room:
        """Put a client that is in no room into the room of this name."""
        room = self.rooms.get(room_name)
        if room is None:
            room = self.rooms[room_name] = Room(room_name)
        room.members[client.id] = client
        client.room = room
        return room

    def hold_camera(self, client: Client, camera_id: str) -> None:
        """Make a member of a room the holder of a camera id that is free there."""
        assert client.room is not None
        client.room.cameras[camera_id] = client
        client.camera_id = camera_id

    def release_camera(self, client: Client) -> None:
        """The client is a camera no longer; its sessions as a camera are over."""
        assert client.room is not None
        assert client.camera_id is not None
        del client.room.cameras[client.camera_id]
        client.camera_id = None
        for viewer in client.viewers:
            viewer.watching.pop(client, None)
        client.viewers.clear()

    def exit(self, client: Client) -> None:
        """Take a client that is no camera out of its room."""
        room = client.room
        assert room is not None
        for camera in client.watching:
            camera.viewers.discard(client)
        client.watching.clear()
        del room.members[client.id]
        if not room.members:
            del self.rooms[room.name]
        client.room = None

    def start_session(self, camera: Client, viewer: Client, asked: float | None = None) -> None:
        """`viewer` is from now on one of the camera's viewers; `asked`: and waits for it since then."""
        camera.viewers.add(viewer)
        viewer.watching[camera] = asked

    def end_session(self, camera: Client, viewer: Client) -> None:
        """`viewer` is one of the camera's viewers no longer, if it ever was."""
        camera.viewers.discard(viewer)
        viewer.watching.pop(camera, None)

"""The rules of docs/protocol.md, without I/O.

A transport calls `connect`, then `receive` for every message that `messages.decode` let through, `pong`
for every sign of life that it was asked for, and `disconnect` at the end. The hub changes the registry and
calls `send`, `close` and `ping` of the peers concerned. Time comes from the clock it is given.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from . import __version__
from .messages import (
    PROTOCOL_VERSION,
    Ack,
    Answer,
    AnyClientMessage,
    Bye,
    CameraAvailable,
    CameraInfo,
    CameraNotFound,
    Cameras,
    CameraUnavailable,
    ClientDisconnected,
    ClientJoined,
    ClientMessage,
    Error,
    ErrorCode,
    IceCandidate,
    Join,
    Joined,
    Leave,
    Left,
    Limits,
    ListCameras,
    Offer,
    Ping,
    Pong,
    Relayed,
    RelayedAnswer,
    RelayedBye,
    RelayedIceCandidate,
    RelayedOffer,
    RequestStream,
    ServerMessage,
    ViewerRequest,
    Welcome,
    encode,
)
from .registry import Client, Peer, Registry, Room

PROBE_SECONDS: Final = 2.0
"""How long the holder of a camera id has to answer when another camera claims it."""
CLOSE_REPLACED: Final = 4409
SERVER: Final = f"cctvsignal/{__version__}"
"""What this server calls itself."""


class Timer(Protocol):
    """A call that is going to be made."""

    def active(self) -> bool: ...
    def cancel(self) -> None: ...


class Clock(Protocol):
    """The part of Twisted's IReactorTime that the hub needs."""

    def seconds(self) -> float: ...
    def callLater(self, delay: float, callable: Callable[..., Any], *args: object) -> Timer: ...


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is going on, for health checks."""

    connections: int
    rooms: int
    cameras: int


@dataclass(eq=False, slots=True)
class _Contest:
    """Cameras that claim an id whose holder is being probed."""

    timer: Timer
    claims: dict[Client, Join] = field(default_factory=dict)


class Hub:
    """Takes what clients do and hands out what others get to hear of it."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._registry = Registry()
        self._contests: dict[Client, _Contest] = {}
        """By the holder of the camera id."""
        self._claims: dict[Client, Client] = {}
        """By the claimant: the holder."""
        self._freed: deque[tuple[Client, Join]] = deque()
        """Claims whose camera id has become free in the course of the current call."""

    # --- what a transport calls

    def connect(self, peer: Peer) -> Client:
        """A client has connected: it gets its id and its `welcome`."""
        client = Client(str(uuid.uuid4()), peer)
        self._registry.add(client)
        welcome = Welcome(
            client_id=client.id,
            protocol=PROTOCOL_VERSION,
            server=SERVER,
            ice_servers=[],
            authenticated=False,
            limits=self._limits,
        )
        peer.send(encode(welcome))
        return client

    def receive(self, client: Client, message: AnyClientMessage) -> None:
        """A client has sent a message. What comes from a client that is gone is ignored."""
        if client.id not in self._registry.clients:
            return
        if message.request_id is None or self._is_new(client, message, message.request_id):
            _HANDLERS[type(message)](self, client, message)
            if self._freed:
                self._settle_claims()

    def pong(self, client: Client) -> None:
        """A client has given the sign of life it was asked for."""
        for claimant, join in self._end_contest(client):
            text = f"Another camera is in room {join.room} as {join.camera_id}, and it is alive."
            self._refuse(claimant, join, "cameraIdInUse", text)

    def disconnect(self, client: Client) -> None:
        """The connection of a client is over. A second call does nothing."""
        if client.id in self._registry.clients:
            self._withdraw_claim(client)
            self._leave_room(client)
            self._registry.remove(client)
            self._settle_claims()

    def counts(self) -> Counts:
        """How many connections, rooms and cameras there are."""
        rooms = self._registry.rooms
        cameras = sum(len(room.cameras) for room in rooms.values())
        return Counts(len(self._registry.clients), len(rooms), cameras)

    # --- rooms

    def _join(self, client: Client, join: Join) -> None:
        holder = self._holder(join)
        if holder is not None and holder is not client:
            self._claim(client, join, holder)
            return
        self._withdraw_claim(client)
        room = client.room
        if (
            room is not None
            and room.name == join.room
            and client.device_type == join.device_type
            and client.camera_id == join.camera_id
        ):
            client.meta, client.max_viewers = join.meta, join.max_viewers
            self._answer(client, join, Joined(room.name, join.request_id))
            self._tell_cameras(client, room)
        else:
            self._enter(client, join)

    def _enter(self, client: Client, join: Join) -> None:
        assert join.room is not None
        assert join.device_type is not None
        if client.room is not None and client.room.name != join.room:
            self._leave_room(client)
        else:
            self._stop_being_camera(client)
        room = client.room or self._registry.enter(client, join.room)
        client.device_type, client.meta, client.max_viewers = join.device_type, join.meta, join.max_viewers
        entered = [encode(ClientJoined(client.id, join.device_type, join.camera_id, join.meta))]
        if join.camera_id is not None:
            self._registry.hold_camera(client, join.camera_id)
            entered.append(encode(CameraAvailable(join.camera_id, client.id, join.meta)))
        self._answer(client, join, Joined(room.name, join.request_id))
        self._tell_others(room, client, *entered)
        self._tell_cameras(client, room)

    def _tell_cameras(self, client: Client, room: Room) -> None:
        if client.device_type == "viewer":
            for camera_id, camera in room.cameras.items():
                client.peer.send(encode(CameraAvailable(camera_id, camera.id, camera.meta)))

    def _leave(self, client: Client, leave: Leave) -> None:
        self._withdraw_claim(client)
        if client.room is None:
            self._refuse(client, leave, "notJoined", "You are in no room.")
        else:
            self._leave_room(client)
            self._answer(client, leave, Left(leave.request_id))

    def _leave_room(self, client: Client) -> None:
        room = client.room
        if room is not None:
            self._stop_being_camera(client)
            self._registry.exit(client)
            self._tell_others(room, client, encode(ClientDisconnected(client.id)))

    def _stop_being_camera(self, client: Client) -> None:
        room, camera_id = client.room, client.camera_id
        if room is not None and camera_id is not None:
            self._registry.release_camera(client)
            self._tell_others(room, client, encode(CameraUnavailable(camera_id, client.id)))
            self._freed.extend(self._end_contest(client))

    # --- two cameras, one id

    def _holder(self, join: Join) -> Client | None:
        room = self._registry.rooms.get(join.room or "")
        if room is None or join.camera_id is None:
            return None
        return room.cameras.get(join.camera_id)

    def _claim(self, client: Client, join: Join, holder: Client) -> None:
        # Whoever asks again while the probe is under way keeps its place and does not prolong it.
        if self._claims.get(client) is not holder:
            self._withdraw_claim(client)
        contest = self._contests.get(holder)
        if contest is None:
            timer = self._clock.callLater(PROBE_SECONDS, self._replace, holder)
            contest = self._contests[holder] = _Contest(timer)
            holder.peer.ping()
        contest.claims[client] = join
        self._claims[client] = holder

    def _withdraw_claim(self, client: Client) -> None:
        holder = self._claims.pop(client, None)
        if holder is not None:
            contest = self._contests[holder]
            del contest.claims[client]
            if not contest.claims:
                self._end_contest(holder)

    def _end_contest(self, holder: Client) -> Iterable[tuple[Client, Join]]:
        """Whoever claims the id of this holder, in the order they came; they claim it no longer."""
        contest = self._contests.pop(holder, None)
        if contest is None:
            return ()
        if contest.timer.active():
            contest.timer.cancel()
        for claimant in contest.claims:
            del self._claims[claimant]
        return contest.claims.items()

    def _replace(self, holder: Client) -> None:
        holder.peer.close(CLOSE_REPLACED, "replaced by a newer connection of the same camera")
        self.disconnect(holder)

    def _settle_claims(self) -> None:
        """The first claim gets the id that is free, the others find a new holder to be probed.

        A loop, not a recursion: each of the claimants may free an id that others wait for.
        """
        while self._freed:
            claimant, join = self._freed.popleft()
            self._join(claimant, join)

    # --- messages that are passed on

    def _relay(self, client: Client, message: Relayed) -> None:
        room = client.room
        if room is None:
            self._refuse(client, message, "notJoined", "Join a room before you send to its members.")
            return
        receiver = room.members.get(message.target)
        if receiver is None:
            self._refuse(client, message, "peerNotFound", "There is no such client in your room.")
            return
        if isinstance(message, IceCandidate):
            frame = encode(RelayedIceCandidate(client.id, message.candidate))
        elif isinstance(message, Answer):
            frame = encode(RelayedAnswer(client.id, message.sdp))
        elif isinstance(message, Offer):
            if not self._note_session(client, receiver, message):
                return
            frame = encode(RelayedOffer(client.id, message.sdp))
        else:
            self._registry.end_session(client, receiver)
            self._registry.end_session(receiver, client)
            frame = encode(RelayedBye(client.id, message.reason))
        receiver.peer.send(frame)
        if message.ack:
            self._acknowledge(client, message)

    def _request_stream(self, client: Client, request: RequestStream) -> None:
        room = client.room
        if room is None:
            self._refuse(client, request, "notJoined", "Join a room before you ask for its cameras.")
            return
        camera = room.cameras.get(request.camera_id)
        if camera is None:
            self._answer(client, request, CameraNotFound(request.camera_id, request.request_id))
            return
        if not self._admit(camera, client, request):
            return
        camera.peer.send(encode(ViewerRequest(client.id, request.request_id or str(uuid.uuid4()))))
        if request.ack:
            self._acknowledge(client, request)

    def _note_session(self, sender: Client, receiver: Client, offer: Offer) -> bool:
        """An offer starts a session with a camera; false: the camera has no place for it."""
        if sender.camera_id is not None:
            self._registry.start_session(sender, receiver)
        elif receiver.camera_id is not None:
            return self._admit(receiver, sender, offer)
        return True

    def _admit(self, camera: Client, viewer: Client, message: ClientMessage) -> bool:
        """Start the session that a viewer asks for; false: the camera has no place for it."""
        most, viewers = camera.max_viewers, camera.viewers
        if most is not None and viewer not in viewers and len(viewers) >= most:
            self._refuse(viewer, message, "cameraBusy", f"Camera {camera.camera_id} has all its viewers.")
            return False
        self._registry.start_session(camera, viewer)
        return True

    # --- questions

    def _list_cameras(self, client: Client, request: ListCameras) -> None:
        if client.room is None:
            self._refuse(client, request, "notJoined", "Join a room before you ask for its cameras.")
            return
        cameras = [
            CameraInfo(camera_id, camera.id, len(camera.viewers), camera.meta)
            for camera_id, camera in client.room.cameras.items()
        ]
        self._answer(client, request, Cameras(cameras, request.request_id))

    def _ping(self, client: Client, ping: Ping) -> None:
        self._answer(client, ping, Pong(ping.data, ping.request_id))

    # --- answers

    def _is_new(self, client: Client, message: ClientMessage, request_id: str) -> bool:
        """Whether this message is to be carried out; a repetition gets its answer again."""
        content = encode(message)
        before = client.repetitions.before(request_id, content, self._clock.seconds())
        if before is None:
            return True
        if before.has_content(content):
            for frame in before.answers:
                client.peer.send(frame)
        else:
            text = "This requestId was used for another message a short time ago."
            client.peer.send(encode(_error(message, "invalidMessage", text)))
        return False

    def _answer(self, client: Client, message: ClientMessage, answer: ServerMessage) -> None:
        frame = encode(answer)
        if message.request_id is not None:
            client.repetitions.answered(message.request_id, frame)
        client.peer.send(frame)

    def _refuse(self, client: Client, message: ClientMessage, code: ErrorCode, text: str) -> None:
        self._answer(client, message, _error(message, code, text))

    def _acknowledge(self, client: Client, message: ClientMessage) -> None:
        assert message.request_id is not None
        self._answer(client, message, Ack(message.request_id))

    @staticmethod
    def _tell_others(room: Room, client: Client, *frames: bytes) -> None:
        for member in tuple(room.members.values()):
            if member is not client:
                for frame in frames:
                    member.peer.send(frame)


def _error(message: ClientMessage, code: ErrorCode, text: str) -> Error:
    return Error(code, text, message.request_id, str(message.__struct_config__.tag))


_HANDLERS: Final[Mapping[type[ClientMessage], Callable[[Hub, Client, Any], None]]] = {
    Join: Hub._join,
    Leave: Hub._leave,
    Offer: Hub._relay,
    Answer: Hub._relay,
    IceCandidate: Hub._relay,
    Bye: Hub._relay,
    RequestStream: Hub._request_stream,
    ListCameras: Hub._list_cameras,
    Ping: Hub._ping,
}

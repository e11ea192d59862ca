"""The rules of docs/protocol.md, without I/O.

A transport calls `connect`, then `receive` for every message that `messages.decode` let through, `pong`
for every sign of life that it was asked for, and `disconnect` at the end. The hub changes the registry and
calls `send`, `close` and `ping` of the peers concerned. Time comes from the clock it is given.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from .access import ANYONE, CLOSE_UNAUTHORIZED, NOBODY, CannotSay, Identity, Unauthorized, refusal
from .admission import Admission
from .answers import Answers
from .contests import Contests
from .messages import (
    Answer,
    AnyClientMessage,
    Auth,
    Authenticated,
    Bye,
    CameraAvailable,
    CameraInfo,
    CameraNotFound,
    Cameras,
    CameraUnavailable,
    ClientDisconnected,
    ClientJoined,
    ClientMessage,
    IceCandidate,
    Join,
    Joined,
    Leave,
    Left,
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
    ViewerRequest,
    encode,
)
from .ownership import Ownership
from .places import Places, viewers
from .policy import Outcome, Policy
from .registry import Client, Counts, Peer, Registry, Room
from .timers import Clock

REQUEST_SECONDS: Final = 5.0
"""How long a request for a camera stands: until then the camera is not asked again by the same viewer."""
CLOSE_REPLACED: Final = 4409


class Hub:
    """Takes what clients do and hands out what others get to hear of it."""

    def __init__(self, clock: Clock, policy: Policy) -> None:
        self._clock = clock
        self._policy = policy
        self._registry = Registry()
        self._contests = Contests(clock, self._replace, self._refuse_withdrawn)
        self._freed: deque[tuple[Client, Join]] = deque()
        """Claims whose camera id has become free in the course of the current call."""
        answers = self._answers = Answers(clock, policy)
        self._is_new, self._answer, self._refuse = answers.is_new, answers.answer, answers.refuse
        self._acknowledge, self._note, self._record = answers.acknowledge, answers.note, answers.record
        self._places = Places(clock, self._registry)
        self._admission = Admission(clock, policy, self._expel)
        self._ownership = Ownership(
            policy.device_keys, answers, self._registry, self.receive, self._settle_claims
        )

    # --- what a transport calls

    def connect(self, peer: Peer, identity: Identity = ANYONE, address: str = "") -> Client:
        """A client has connected: it gets its id and its `welcome`."""
        client = Client(str(uuid.uuid4()), peer, identity, address, self._clock.seconds())
        self._registry.add(client)
        peer.send(encode(self._admission.begin(client)))
        self._record("connected", client, role=None if identity is NOBODY else identity.role)
        return client

    def receive(self, client: Client, message: AnyClientMessage) -> None:
        """A client has sent a message. What comes from a client that is gone is ignored."""
        if client.held is not None:
            self._ownership.hold(client, message)
            return
        if client.id not in self._registry.clients:
            return
        if message.request_id is None or self._is_new(client, message, message.request_id):
            forbidden = refusal(client.identity, message)
            if forbidden is not None:
                self._refuse(client, message, *forbidden)
            else:
                _HANDLERS[type(message)](self, client, message)
            if self._freed:
                self._settle_claims()

    def pong(self, client: Client) -> None:
        """A client has given the sign of life it was asked for."""
        for claimant, join in self._contests.end(client):
            text = f"Another camera is in room {join.room} as {join.camera_id}, and it is alive."
            self._refuse(claimant, join, "cameraIdInUse", text)

    def disconnect(self, client: Client) -> None:
        """The connection of a client is over. A second call does nothing."""
        if client.id in self._registry.clients:
            client.held = None
            self._contests.forget(client)
            self._leave_room(client)
            self._registry.remove(client)
            self._admission.end(client)
            self._answers.forget(client)
            self._record("disconnected", client, seconds=round(self._clock.seconds() - client.since, 3))
            self._settle_claims()

    def client(self, client_id: str) -> Client | None:
        """The client of this id, if it is connected."""
        return self._registry.clients.get(client_id)

    def revoke(self, is_revoked: Callable[[Identity], bool]) -> None:
        """Close the connections of all whose token is no good any more."""
        for client in list(self._registry.clients.values()):
            if is_revoked(client.identity):
                self._expel(client, CLOSE_UNAUTHORIZED, "your token was revoked")

    def counts(self) -> Counts:
        """How many connections, rooms and cameras there are."""
        return self._registry.counts()

    # --- who is who

    def _authenticate(self, client: Client, auth: Auth) -> None:
        self._policy.authenticate(auth.token, client.address, partial(self._authenticated, client, auth))

    def _authenticated(self, client: Client, auth: Auth, outcome: Outcome) -> None:
        if client.id not in self._registry.clients:
            return
        if isinstance(outcome, Unauthorized):
            self._refuse(client, auth, "unauthorized", str(outcome))
        elif isinstance(outcome, CannotSay):
            self._refuse(client, auth, outcome.code, outcome.answer, outcome.retry_after)
        elif client.room is not None and not client.identity.grants_the_same(outcome):
            text = "This token is for something else than the one before: leave the room first."
            self._refuse(client, auth, "forbidden", text)
        else:
            # What it claims was claimed with the rights that it had before.
            self._contests.withdraw(client)
            self._admission.become(client, outcome)
            self._note(client, auth, outcome.role)
            self._answer(client, auth, Authenticated(auth.request_id))

    def _expel(self, client: Client, code: int, why: str) -> None:
        self._record("closed", client, code=code, reason=why)
        client.peer.close(code, why)
        self.disconnect(client)

    # --- rooms

    def _join(self, client: Client, join: Join) -> None:
        self._ownership.look(client, join, partial(self._take_place, client, join))

    def _take_place(self, client: Client, join: Join, is_owner: bool) -> None:
        """Let a client have the place that it asks for, whose camera id is no other device's."""
        holder = self._registry.holder(join.room, join.camera_id)
        full = self._policy.why_full(self._registry.rooms.get(join.room or ""), client, join, holder)
        if full is not None:
            self._refuse(client, join, "roomFull", full)
            return
        if holder is not None and holder is not client:
            self._contests.claim(client, join, holder)
            return
        if not is_owner:
            # Not before it has won: a key that was only brought is worth nothing.
            self._ownership.pin(client, join, partial(self._take_place, client, join))
            return
        self._contests.withdraw(client)
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
        was = client.camera_id
        if client.room is not None and client.room.name != join.room:
            self._leave_room(client)
        else:
            self._stop_being_camera(client)
            if client.room is not None and join.camera_id is not None:
                self._hide(client, client.room, was, join.camera_id)
        room = client.room or self._registry.enter(client, join.room)
        client.device_type, client.meta, client.max_viewers = join.device_type, join.meta, join.max_viewers
        entered = [encode(ClientJoined(client.id, join.device_type, join.camera_id, join.meta))]
        if join.camera_id is not None:
            self._registry.hold_camera(client, join.camera_id)
            entered.append(encode(CameraAvailable(join.camera_id, client.id, join.meta)))
        self._note(client, join, "joined")
        self._answer(client, join, Joined(room.name, join.request_id))
        self._admission.offer_relays(client)
        self._tell_others(room, client, join.camera_id, *entered)
        self._tell_cameras(client, room)

    @staticmethod
    def _hide(client: Client, room: Room, was: str | None, camera_id: str) -> None:
        """For those who may not view what a client becomes, and knew of what it was, it is gone."""
        gone = encode(ClientDisconnected(client.id))
        for member in tuple(room.members.values()):
            knew = was is None or member.identity.may_view(was)
            if member is not client and knew and not member.identity.may_view(camera_id):
                member.peer.send(gone)

    def _tell_cameras(self, client: Client, room: Room) -> None:
        if client.device_type == "viewer":
            for camera_id, camera in room.cameras.items():
                if client.identity.may_view(camera_id):
                    client.peer.send(encode(CameraAvailable(camera_id, camera.id, camera.meta)))

    def _leave(self, client: Client, leave: Leave) -> None:
        self._contests.withdraw(client)
        if client.room is None:
            self._refuse(client, leave, "notJoined", "You are in no room.")
        else:
            self._leave_room(client)
            self._admission.leave(client)
            self._answer(client, leave, Left(leave.request_id))

    def _leave_room(self, client: Client) -> None:
        room, camera_id = client.room, client.camera_id
        if room is not None:
            self._stop_being_camera(client)
            self._registry.exit(client)
            self._record("left", client, room=room.name, camera=camera_id)
            self._tell_others(room, client, camera_id, encode(ClientDisconnected(client.id)))

    def _stop_being_camera(self, client: Client) -> None:
        room, camera_id = client.room, client.camera_id
        if room is not None and camera_id is not None:
            self._registry.release_camera(client)
            self._tell_others(room, client, camera_id, encode(CameraUnavailable(camera_id, client.id)))
            self._freed.extend(self._contests.end(client))

    # --- two cameras, one id

    def _replace(self, holder: Client) -> None:
        holder.peer.close(CLOSE_REPLACED, "replaced by a newer connection of the same camera")
        self.disconnect(holder)

    def _refuse_withdrawn(self, claimant: Client, join: Join) -> None:
        # Without a requestId, nobody could tell which of two joins an answer is for.
        if join.request_id is not None:
            text = f"The id {join.camera_id} was still in use when a later message withdrew this join."
            self._refuse(claimant, join, "cameraIdInUse", text)

    def _settle_claims(self) -> None:
        """The first claim gets the id that is free, the others find a new holder to be probed.

        A loop, not a recursion: each of the claimants may free an id that others wait for.
        """
        while self._freed:
            claimant, join = self._freed.popleft()
            if claimant.held is None:
                self._join(claimant, join)
            else:
                text = "You have asked for a camera id once more before this one was free."
                self._refuse(claimant, join, "cameraIdInUse", text)

    # --- messages that are passed on

    def _relay(self, client: Client, message: Relayed) -> None:
        room = client.room
        if room is None:
            self._refuse(client, message, "notJoined", "Join a room before you send to its members.")
            return
        receiver = room.members.get(message.target)
        if receiver is None or not _may_meet(client, receiver):
            self._refuse(client, message, "peerNotFound", "There is no such client in your room.")
            return
        if isinstance(message, IceCandidate):
            frame = encode(RelayedIceCandidate(client.id, message.candidate))
        elif isinstance(message, Answer):
            if not self._places.answer(client, receiver):
                self._refuse_busy(client, message, receiver)
                return
            frame = encode(RelayedAnswer(client.id, message.sdp))
        elif isinstance(message, Offer):
            if client.camera_id is not None:
                self._places.give(client, receiver)
            elif receiver.camera_id is not None and not self._places.ask(receiver, client):
                self._refuse_busy(client, message, receiver)
                return
            frame = encode(RelayedOffer(client.id, message.sdp))
        else:
            self._places.end(client, receiver)
            self._record("ended", client, room=room.name, peer=receiver.id)
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
        if camera is None or not _may_meet(client, camera):
            self._note(client, request, "cameraNotFound")
            self._answer(client, request, CameraNotFound(request.camera_id, request.request_id))
            return
        now, asked = self._clock.seconds(), client.watching.get(camera)
        if asked is None or now - asked >= REQUEST_SECONDS:
            if not self._places.ask(camera, client, now):
                self._refuse_busy(client, request, camera)
                return
            self._note(client, request, "requested")
            camera.peer.send(encode(ViewerRequest(client.id, request.request_id or str(uuid.uuid4()))))
        if request.ack:
            self._acknowledge(client, request)

    def _refuse_busy(self, viewer: Client, message: ClientMessage, camera: Client) -> None:
        text = f"Camera {camera.camera_id} has reached its viewer limit."
        self._refuse(viewer, message, "cameraBusy", text)

    # --- questions

    def _list_cameras(self, client: Client, request: ListCameras) -> None:
        if client.room is None:
            self._refuse(client, request, "notJoined", "Join a room before you ask for its cameras.")
            return
        cameras = [
            CameraInfo(camera_id, camera.id, viewers(client, camera), camera.meta)
            for camera_id, camera in client.room.cameras.items()
            if client.identity.may_view(camera_id)
        ]
        self._answer(client, request, Cameras(cameras, request.request_id))

    def _ping(self, client: Client, ping: Ping) -> None:
        self._answer(client, ping, Pong(ping.data, ping.request_id))

    @staticmethod
    def _tell_others(room: Room, client: Client, camera_id: str | None, *frames: bytes) -> None:
        """Tell the others of a client which is, or was, this camera."""
        for member in tuple(room.members.values()):
            if member is not client and (camera_id is None or member.identity.may_view(camera_id)):
                for frame in frames:
                    member.peer.send(frame)


def _may_meet(one: Client, other: Client) -> bool:
    """Whether both may know of each other."""
    if one.identity.sees_all and other.identity.sees_all:
        return True
    return (other.camera_id is None or one.identity.may_view(other.camera_id)) and (
        one.camera_id is None or other.identity.may_view(one.camera_id)
    )


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
    Auth: Hub._authenticate,
}

"""The hub against the model of tests/model.py, in whatever order things happen.

After every event, all that every peer got is compared with what the model says it must have got.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from twisted.internet.task import Clock

from cctvsignal.hub import Hub
from cctvsignal.messages import ListCameras, ProtocolError, decode, encode
from cctvsignal.places import ANSWER_SECONDS
from cctvsignal.policy import Policy
from cctvsignal.registry import Client, Counts
from tests.model import SOME_TEXT, Member, Message, Model
from tests.transcripts import matches

BAD_FRAMES: Final = {
    "nonsense": ("invalidJson", None),
    '{"type":"join","room":5': ("invalidJson", None),
    "[]": ("invalidMessage", None),
    '{"type":"dance"}': ("unknownType", "dance"),
    '{"type":"join","room":"<"}': ("invalidMessage", "join"),
    '{"type":"join","deviceType":"camera"}': ("invalidMessage", "join"),
    '{"type":"offer","target":"x"}': ("invalidMessage", "offer"),
}


class Peer:
    """Collects what the hub does to it since the last look."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.codes: list[int] = []
        self.pings = 0

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)

    def close(self, code: int, reason: str) -> None:
        self.codes.append(code)

    def ping(self) -> None:
        self.pings += 1


@dataclass(eq=False)
class Party:
    """One client, as the hub and as the model know it."""

    peer: Peer
    client: Client
    member: Member
    last: Message = field(default_factory=lambda: {"type": "ping"})
    """What it said last."""


ids = st.sampled_from([None, None, None, "r1", "r2"])
rooms = st.sampled_from(["a", "a", "a", "b", None])
camera_ids = st.sampled_from(["x", "x", "y"])


class HubMachine(RuleBasedStateMachine):
    """Clients that do whatever they like."""

    parties = Bundle("parties")
    gone = Bundle("gone")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.hub = Hub(self.clock, Policy())
        self.model = Model()
        self.everybody: list[Party] = []
        self.sent = 0

    # --- both sides

    def new_party(self) -> Party:
        peer = Peer()
        client = self.hub.connect(peer)
        [welcome] = peer.frames
        assert json.loads(welcome)["type"] == "welcome"
        assert json.loads(welcome)["clientId"] == client.id
        peer.frames.clear()
        assert all(client.id != party.member.id for party in self.everybody)
        party = Party(peer, client, Member(client.id))
        self.model.members.append(party.member)
        self.everybody.append(party)
        return party

    def say(self, party: Party, message: Message, request_id: str | None = None, ack: bool = False) -> None:
        if request_id is not None:
            message["requestId"] = request_id
            if ack:
                message["ack"] = True
        party.last = message
        self.hub.receive(party.client, decode(json.dumps(message).encode()))
        self.model.receive(party.member, message)
        self.compare()

    def payload(self, party: Party) -> Message:
        """A payload that nobody else sends, and that tells where it comes from."""
        self.sent += 1
        return {"room": party.member.room, "number": self.sent}

    def compare(self) -> None:
        """Everybody got what the model says, and nothing else."""
        for party in self.everybody:
            actual = [json.loads(frame) for frame in party.peer.frames]
            expected = [message for to, message in self.model.out if to is party.member]
            if actual:
                note(f"{party.member.id[:4]} got {actual}")
            assert matches(expected, actual, {}), f"{party.member.id} got {actual} instead of {expected}"
            for message in actual:
                payload = message.get("sdp") or message.get("candidate")
                assert payload is None or payload["room"] == party.member.room, "it crossed rooms"
            codes = [code for to, code in self.model.closed if to is party.member]
            assert party.peer.codes == codes
            assert party.peer.pings == self.model.pinged.count(party.member)
            party.peer.frames.clear()
        self.model.out.clear()

    # --- what happens

    @initialize(target=parties)
    def first_clients(self) -> object:
        return multiple(*[self.new_party() for _ in range(4)])

    @precondition(lambda self: len(self.model.members) < 6)
    @rule(target=parties)
    def connect(self) -> Party:
        return self.new_party()

    @precondition(lambda self: len(self.model.members) > 2)
    @rule(target=gone, party=consumes(parties))
    def disconnect(self, party: Party) -> Party:
        self.hub.disconnect(party.client)
        self.model.disconnect(party.member)
        self.compare()
        return party

    @rule(party=gone)
    def something_of_one_who_is_gone(self, party: Party) -> None:
        self.hub.receive(party.client, decode(json.dumps(party.last).encode()))
        self.hub.pong(party.client)
        self.hub.disconnect(party.client)
        self.compare()

    @rule(party=parties, room=rooms, request_id=ids, meta=st.sampled_from([None, {"n": 1}]))
    def join_as_viewer(self, party: Party, room: str | None, request_id: str | None, meta: object) -> None:
        join = {"type": "join", "room": room, "meta": meta}
        self.say(party, {name: value for name, value in join.items() if value is not None}, request_id)

    @rule(
        party=parties,
        room=rooms,
        camera_id=camera_ids,
        places=st.sampled_from([1, 1, 2, None]),
        request_id=ids,
        meta=st.sampled_from([None, {}]),
    )
    def join_as_camera(
        self,
        party: Party,
        room: str | None,
        camera_id: str,
        places: int | None,
        request_id: str | None,
        meta: object,
    ) -> None:
        join = {"type": "join", "room": room, "deviceType": "camera", "cameraId": camera_id, "meta": meta}
        join["maxViewers"] = places
        self.say(party, {name: value for name, value in join.items() if value is not None}, request_id)

    @rule(party=parties, request_id=ids)
    def leave(self, party: Party, request_id: str | None) -> None:
        self.say(party, {"type": "leave"}, request_id)

    @rule(
        party=parties,
        receiver=parties | gone,
        kind=st.sampled_from(["offer", "offer", "answer", "iceCandidate", "bye"]),
        request_id=ids,
        ack=st.booleans(),
        last=st.booleans(),
    )
    def relay(
        self, party: Party, receiver: Party, kind: str, request_id: str | None, ack: bool, last: bool
    ) -> None:
        message: Message = {"type": kind, "target": receiver.member.id}
        if kind == "iceCandidate":
            message["candidate"] = None if last else self.payload(party)
        elif kind != "bye":
            message["sdp"] = self.payload(party)
        elif last:
            message["reason"] = "enough"
        self.say(party, message, request_id, ack)

    @rule(party=parties, camera_id=camera_ids, request_id=ids, ack=st.booleans())
    def request_stream(self, party: Party, camera_id: str, request_id: str | None, ack: bool) -> None:
        self.say(party, {"type": "requestStream", "cameraId": camera_id}, request_id, ack)

    @rule(party=parties, offer=st.booleans(), which=st.integers(0, 2))
    def watch(self, party: Party, offer: bool, which: int) -> None:
        """A request or an offer to a camera that is there."""
        room = self.model.in_room(party.member.room)
        cameras = [member for member in room if member.camera_id is not None]
        if not cameras:
            self.join_as_camera(party, "a", "x", 1, None, None)
        elif offer:
            target = cameras[which % len(cameras)].id
            self.say(party, {"type": "offer", "target": target, "sdp": self.payload(party)})
        else:
            camera_id = cameras[which % len(cameras)].camera_id
            self.say(party, {"type": "requestStream", "cameraId": camera_id})

    @rule(party=parties, request_id=ids)
    def list_cameras(self, party: Party, request_id: str | None) -> None:
        self.say(party, {"type": "listCameras"}, request_id)

    @rule(party=parties, request_id=ids)
    def ping(self, party: Party, request_id: str | None) -> None:
        self.say(party, {"type": "ping", "data": "d"}, request_id)

    @rule(party=parties)
    def repeat(self, party: Party) -> None:
        self.say(party, party.last)

    @rule(party=parties, frame=st.sampled_from(sorted(BAD_FRAMES)))
    def bad_frame(self, party: Party, frame: str) -> None:
        with pytest.raises(ProtocolError) as caught:
            decode(frame.encode())
        code, ref = BAD_FRAMES[frame]
        error = {"type": "error", "code": code, "message": SOME_TEXT, **({"ref": ref} if ref else {})}
        assert matches(error, json.loads(encode(caught.value.answer)), {})
        self.compare()

    @precondition(lambda self: self.model.probes)
    @rule(party=parties)
    def claim_what_is_probed(self, party: Party) -> None:
        """Several claims on one id, or a claim made again, would be rare otherwise."""
        holder = self.model.probes[-1][1]
        room = {} if holder.room == "default" else {"room": holder.room}
        self.say(party, {"type": "join", **room, "deviceType": "camera", "cameraId": holder.camera_id})

    @rule(party=parties)
    def pong(self, party: Party) -> None:
        self.hub.pong(party.client)
        self.model.pong(party.member)
        self.compare()

    @rule(seconds=st.sampled_from([0.25, 1.0, 1.75, 2.0, 2.0, 14.0, 61.0]))
    def time_goes_by(self, seconds: float) -> None:
        end = self.model.now + seconds
        while (deadline := self.model.next_deadline()) is not None and deadline <= end:
            self.let_it_be(deadline)
        self.let_it_be(end)

    def let_it_be(self, time: float) -> None:
        self.clock.advance(time - self.clock.seconds())
        self.model.now = time
        self.model.tick()
        self.compare()

    # --- what is always so

    @invariant()
    def the_counts_are_right(self) -> None:
        members = self.model.members
        rooms = {member.room for member in members} - {None}
        cameras = [(member.room, member.camera_id) for member in members if member.camera_id is not None]
        assert self.hub.counts() == Counts(len(members), len(rooms), len(cameras))
        assert len(set(cameras)) == len(cameras), "a camera id has one holder"

    @invariant()
    def every_room_lists_its_cameras_with_their_viewers(self) -> None:
        asked = set()
        for party in self.everybody:
            if party.member.room is not None and party.member.room not in asked:
                asked.add(party.member.room)
                self.hub.receive(party.client, ListCameras())
                self.model.receive(party.member, {"type": "listCameras"})
        self.compare()

    @invariant()
    def nothing_waits_for_nothing(self) -> None:
        ages = self.hub._answers._repetitions.size > 0
        places = (len(self.hub._places._unanswered) > 0) + (len(self.hub._places._lapsed) > 0)
        probes = len(self.model.probes) > 0
        assert len(self.clock.getDelayedCalls()) == probes + ages + places

    def teardown(self) -> None:
        for party in self.everybody:
            self.hub.disconnect(party.client)
        assert self.hub.counts() == Counts(0, 0, 0)
        self.clock.advance(ANSWER_SECONDS)
        self.clock.advance(ANSWER_SECONDS)
        assert not self.clock.getDelayedCalls()


TestHub = HubMachine.TestCase
TestHub.settings = settings(stateful_step_count=50)

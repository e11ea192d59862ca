"""A plain model of docs/protocol.md for the state machine of tests/unit/test_hub_machine.py.

It is written from the protocol, is as simple as it can be told (everything is a list that is searched), and
knows nothing of the hub: it says, for each event, which client must receive what, in which order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Message: TypeAlias = dict[str, Any]
SOME_TEXT: Final = "$text"
"""Stands for any text in what is expected."""


@dataclass(eq=False)
class Member:
    """What the model knows of one client."""

    id: str
    room: str | None = None
    role: str = "viewer"
    camera_id: str | None = None
    meta: object = None
    max_viewers: int | None = None
    said: dict[str, tuple[float, Message, list[Message]]] = field(default_factory=dict)
    """By requestId: when, what, and what it was answered."""


class Model:
    """Who is connected, and what everybody must have been sent."""

    def __init__(self) -> None:
        self.now = 0.0
        self.members: list[Member] = []
        """All who are connected; cameras of a room in the order in which they became cameras."""
        self.sessions: list[tuple[Member, Member]] = []
        """(camera, viewer)"""
        self.asked: dict[tuple[Member, Member], float] = {}
        """(camera, viewer): when the viewer asked for a camera that has not offered anything since"""
        self.unanswered: dict[tuple[Member, Member], float] = {}
        """(camera, viewer): when the place of a session that nobody answers comes free"""
        self.lapsed: dict[Member, float] = {}
        """Until when a camera keeps its last place from those who have let one lapse."""
        self.probes: list[tuple[float, Member]] = []
        """(when it has failed, who is probed)"""
        self.claims: list[tuple[Member, Message, Member]] = []
        """(who wants the camera id, by which join, of whom)"""
        self.freed: list[tuple[Member, Message]] = []
        self.out: list[tuple[Member, Message]] = []
        self.closed: list[tuple[Member, int]] = []
        self.pinged: list[Member] = []

    # --- who is where

    def others(self, member: Member) -> list[Member]:
        return [other for other in self.in_room(member.room) if other is not member]

    def in_room(self, room: str | None) -> list[Member]:
        return [member for member in self.members if room is not None and member.room == room]

    def camera(self, room: str | None, camera_id: str | None) -> Member | None:
        found = [
            member
            for member in self.in_room(room)
            if camera_id is not None and member.camera_id == camera_id
        ]
        assert len(found) <= 1
        return found[0] if found else None

    # --- what is sent

    def tell(self, to: Member, kind: str, /, **fields: Any) -> None:
        self.out.append((to, {"type": kind, **fields}))

    def tell_others(self, member: Member, kind: str, /, **fields: Any) -> None:
        for other in self.others(member):
            self.tell(other, kind, **fields)

    def answer(self, to: Member, message: Message, kind: str, /, **fields: Any) -> None:
        answer = {"type": kind, **fields}
        if "requestId" in message:
            answer["requestId"] = message["requestId"]
            if message["requestId"] in to.said:
                to.said[message["requestId"]][2].append(answer)
        self.out.append((to, answer))

    def refuse(self, to: Member, message: Message, code: str) -> None:
        self.answer(to, message, "error", code=code, message=SOME_TEXT, ref=message["type"])

    # --- events

    def receive(self, sender: Member, message: Message) -> None:
        if sender not in self.members:
            return
        request_id = message.get("requestId")
        if request_id is not None:
            before = sender.said.get(request_id)
            if before is not None and self.now - before[0] < 60:
                if before[1] == message:
                    self.out += [(sender, answer) for answer in before[2]]
                else:
                    error = {"type": "error", "code": "invalidMessage", "message": SOME_TEXT}
                    self.out.append((sender, {**error, "requestId": request_id, "ref": message["type"]}))
                return
            if message["type"] not in ("listCameras", "ping"):
                sender.said[request_id] = (self.now, message, [])
        handle: Callable[[Member, Message], None] = getattr(self, "on_" + message["type"])
        handle(sender, message)
        self.settle()

    def disconnect(self, member: Member) -> None:
        if member in self.members:
            self.withdraw(member, told=False)
            self.go(member)
            self.members.remove(member)
            self.settle()

    def pong(self, member: Member) -> None:
        for claimant, join in self.end_probe(member):
            self.refuse(claimant, join, "cameraIdInUse")

    def next_deadline(self) -> float | None:
        deadlines = [probe[0] for probe in self.probes[:1]] + list(self.unanswered.values())
        return min(deadlines, default=None)

    def tick(self) -> None:
        """Places that come free, and probes that have failed by now: the newcomer takes over."""
        for session, deadline in list(self.unanswered.items()):
            if deadline <= self.now:
                del self.unanswered[session]
                if session in self.sessions:
                    self.sessions.remove(session)
                    self.lapsed[session[0]] = deadline + 15
        while self.probes and self.probes[0][0] <= self.now:
            holder = self.probes[0][1]
            self.closed.append((holder, 4409))
            self.disconnect(holder)

    # --- joining and going

    def on_join(self, member: Member, join: Message) -> None:
        room, role = join.get("room", "default"), join.get("deviceType", "viewer")
        camera_id = join["cameraId"] if role == "camera" else None
        holder = self.camera(room, camera_id)
        for place, claim in enumerate(self.claims):
            if claim[0] is member and claim[2] is holder:
                # It asks again for what it waits for: it keeps its place, and the probe goes on.
                self.claims[place] = (member, join, claim[2])
                self.refuse_withdrawn(member, claim[1])
                return
        self.withdraw(member)
        if (member.room, member.role, member.camera_id) == (room, role, camera_id):
            member.meta, member.max_viewers = join.get("meta"), join.get("maxViewers")
            self.answer(member, join, "joined", room=room)
            self.tell_cameras(member)
        elif holder is not None:
            self.claims.append((member, join, holder))
            if all(probe[1] is not holder for probe in self.probes):
                self.probes.append((self.now + 2, holder))
                self.pinged.append(holder)
        else:
            self.enter(member, join, room, role, camera_id)

    def enter(self, member: Member, join: Message, room: str, role: str, camera_id: str | None) -> None:
        if member.room == room:
            self.stop_camera(member)
        else:
            self.go(member)
        self.members.remove(member)
        self.members.append(member)
        member.room, member.role, member.camera_id = room, role, camera_id
        member.meta, member.max_viewers = join.get("meta"), join.get("maxViewers")
        self.answer(member, join, "joined", room=room)
        meta = {} if member.meta is None else {"meta": member.meta}
        camera = {} if camera_id is None else {"cameraId": camera_id}
        self.tell_others(member, "clientJoined", clientId=member.id, deviceType=role, **camera, **meta)
        if camera_id is not None:
            self.tell_others(member, "cameraAvailable", clientId=member.id, **camera, **meta)
        self.tell_cameras(member)

    def tell_cameras(self, member: Member) -> None:
        if member.role == "viewer":
            for camera in self.in_room(member.room):
                if camera.camera_id is not None:
                    meta = {} if camera.meta is None else {"meta": camera.meta}
                    fields = {"cameraId": camera.camera_id, "clientId": camera.id, **meta}
                    self.tell(member, "cameraAvailable", **fields)

    def on_leave(self, member: Member, leave: Message) -> None:
        self.withdraw(member)
        if member.room is None:
            self.refuse(member, leave, "notJoined")
        else:
            self.go(member)
            self.answer(member, leave, "left")

    def go(self, member: Member) -> None:
        if member.room is not None:
            self.stop_camera(member)
            self.sessions = [session for session in self.sessions if member not in session]
            self.tell_others(member, "clientDisconnected", clientId=member.id)
            member.room, member.role = None, "viewer"

    def stop_camera(self, member: Member) -> None:
        if member.camera_id is not None:
            self.tell_others(member, "cameraUnavailable", cameraId=member.camera_id, clientId=member.id)
            self.sessions = [session for session in self.sessions if session[0] is not member]
            member.camera_id = None
            self.freed += self.end_probe(member)

    # --- two cameras, one id

    def refuse_withdrawn(self, member: Member, join: Message) -> None:
        if "requestId" in join:
            self.refuse(member, join, "cameraIdInUse")

    def withdraw(self, member: Member, *, told: bool = True) -> None:
        for claim in self.claims:
            if told and claim[0] is member:
                self.refuse_withdrawn(member, claim[1])
        self.claims = [claim for claim in self.claims if claim[0] is not member]
        claimed = [claim[2] for claim in self.claims]
        self.probes = [probe for probe in self.probes if probe[1] in claimed]

    def end_probe(self, holder: Member) -> list[tuple[Member, Message]]:
        claims = [(claimant, join) for claimant, join, held_by in self.claims if held_by is holder]
        self.claims = [claim for claim in self.claims if claim[2] is not holder]
        self.probes = [probe for probe in self.probes if probe[1] is not holder]
        return claims

    def settle(self) -> None:
        while self.freed:
            self.on_join(*self.freed.pop(0))

    # --- what is passed on

    def relay(self, sender: Member, message: Message, fields: Message) -> None:
        if sender.room is None:
            self.refuse(sender, message, "notJoined")
            return
        targets = [member for member in self.in_room(sender.room) if member.id == message["target"]]
        if not targets:
            self.refuse(sender, message, "peerNotFound")
            return
        [target] = targets
        if message["type"] == "bye":
            ended = ((sender, target), (target, sender))
            self.sessions = [session for session in self.sessions if session not in ended]
        elif message["type"] == "answer":
            session = (sender, target) if (sender, target) in self.sessions else (target, sender)
            if session not in self.sessions and target.max_viewers is not None:
                if self.is_full(target, sender):
                    self.refuse(sender, message, "cameraBusy")
                    return
                self.start(target, sender)
            self.unanswered.pop(session, None)
        elif message["type"] == "offer":
            if sender.camera_id is not None:
                self.start(sender, target)
            elif self.is_full(target, sender):
                self.refuse(sender, message, "cameraBusy")
                return
            elif target.camera_id is not None:
                self.start(target, sender)
        self.tell(target, message["type"], sender=sender.id, **fields)
        if message.get("ack"):
            self.answer(sender, message, "ack")

    def start(self, camera: Member, viewer: Member) -> None:
        self.asked.pop((camera, viewer), None)
        if (camera, viewer) not in self.sessions:
            self.sessions.append((camera, viewer))
            self.unanswered.pop((camera, viewer), None)
            self.unanswered[camera, viewer] = self.now + 15

    def is_full(self, camera: Member, viewer: Member) -> bool:
        if camera.camera_id is None or camera.max_viewers is None or (camera, viewer) in self.sessions:
            return False
        free = camera.max_viewers - self.viewers(camera)
        # All of them have one owner.
        return free <= 0 or (free == 1 and self.now < self.lapsed.get(camera, -1.0))

    def viewers(self, camera: Member) -> int:
        return sum(1 for session in self.sessions if session[0] is camera)

    def on_offer(self, sender: Member, message: Message) -> None:
        self.relay(sender, message, {"sdp": message["sdp"]})

    on_answer = on_offer

    def on_iceCandidate(self, sender: Member, message: Message) -> None:
        self.relay(sender, message, {"candidate": message["candidate"]})

    def on_bye(self, sender: Member, message: Message) -> None:
        self.relay(sender, message, {"reason": message["reason"]} if "reason" in message else {})

    def on_requestStream(self, sender: Member, message: Message) -> None:
        if sender.room is None:
            self.refuse(sender, message, "notJoined")
            return
        camera = self.camera(sender.room, message["cameraId"])
        if camera is None:
            self.answer(sender, message, "cameraNotFound", cameraId=message["cameraId"])
        elif (camera, sender) in self.sessions and self.now < self.asked.get((camera, sender), -9) + 5:
            if message.get("ack"):
                self.answer(sender, message, "ack")
        elif self.is_full(camera, sender):
            self.refuse(sender, message, "cameraBusy")
        else:
            self.start(camera, sender)
            self.asked[camera, sender] = self.now
            request_id = message.get("requestId", SOME_TEXT)
            self.tell(camera, "viewerRequest", viewerId=sender.id, requestId=request_id)
            if message.get("ack"):
                self.answer(sender, message, "ack")

    # --- questions

    def on_listCameras(self, sender: Member, message: Message) -> None:
        if sender.room is None:
            self.refuse(sender, message, "notJoined")
            return
        cameras = [
            {
                "cameraId": camera.camera_id,
                "clientId": camera.id,
                "viewers": self.viewers(camera),
                **({} if camera.meta is None else {"meta": camera.meta}),
            }
            for camera in self.in_room(sender.room)
            if camera.camera_id is not None
        ]
        self.answer(sender, message, "cameras", cameras=cameras)

    def on_ping(self, sender: Member, message: Message) -> None:
        self.answer(sender, message, "pong", **({"data": message["data"]} if "data" in message else {}))

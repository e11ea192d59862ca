"""What the clients of each kind of server say to come as far as a relay, and what a relay looks like."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

CANDIDATE: Final = (
    "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 192.0.2.10 rport 46154"
)
SDP_HEAD: Final = (
    "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
)
SDP_LINE: Final = "a=fmtp:{} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"

Content = dict[str, Any]
Message = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Who a client is, and the room that it joins; viewers have no camera id."""

    name: str
    room: str
    camera_id: str | None = None


class Dialect(Protocol):
    """The messages of one kind of server. Texts are the payloads of WebSocket frames."""

    ready: str
    """After a message of this type a client can be sent to."""

    def path(self, place: Place) -> str:
        """Where this client connects."""

    def parse(self, text: bytes) -> Message:
        """What arrived, with its `type`; the `id` of the client where the message says it."""

    def reply(self, message: Message, place: Place) -> bytes | None:
        """What this client answers while it is set up."""

    def relay(self, kind: str, receiver: str, content: Content) -> bytes:
        """A message of this kind to another client."""

    def relayed(self, kind: str, sender: str, content: Content) -> Message:
        """How `parse` shows that message to its receiver."""


class CctvSignal:
    """Section 1 of docs/protocol.md."""

    ready = "joined"

    def path(self, place: Place) -> str:
        return "/"

    def parse(self, text: bytes) -> Message:
        message: Message = json.loads(text)
        if message["type"] == "welcome":
            message["id"] = message["clientId"]
        return message

    def reply(self, message: Message, place: Place) -> bytes | None:
        return join(place) if message["type"] == "welcome" else None

    def relay(self, kind: str, receiver: str, content: Content) -> bytes:
        return dumps({"type": kind, "target": receiver, _BODIES[kind]: content})

    def relayed(self, kind: str, sender: str, content: Content) -> Message:
        return {"type": kind, "sender": sender, _BODIES[kind]: content}


class PeerJs:
    """What PeerJS says to a PeerServer: clients choose their ids, and there are no rooms."""

    ready = "OPEN"

    def path(self, place: Place) -> str:
        return f"/peerjs?key=peerjs&id={place.name}&token={place.name}&version=1.5.4"

    def parse(self, text: bytes) -> Message:
        message: Message = json.loads(text)
        return message

    def reply(self, message: Message, place: Place) -> bytes | None:
        return None

    def relay(self, kind: str, receiver: str, content: Content) -> bytes:
        return dumps(
            {"type": _PEERJS_KINDS[kind], "payload": self._payload(kind, content), "dst": receiver}
        )

    def relayed(self, kind: str, sender: str, content: Content) -> Message:
        return {"type": _PEERJS_KINDS[kind], "src": sender, "payload": self._payload(kind, content)}

    def _payload(self, kind: str, content: Content) -> Content:
        return {_BODIES[kind]: content, "type": "media", "connectionId": "mc_8gk2p0x1"}


class SocketIo:
    """The events of benchmarks/node/socketio.mjs in the text framing of Engine.IO 4 and Socket.IO 5."""

    ready = "joined"

    def path(self, place: Place) -> str:
        return "/socket.io/?EIO=4&transport=websocket"

    def parse(self, text: bytes) -> Message:
        packet = text.lstrip(b"0123456789")
        kind = text[: len(text) - len(packet)].decode()
        content: Any = json.loads(packet) if packet else None
        if kind == "40":
            return {"type": "connected", "id": content["sid"]}
        if kind == "42":
            return {"type": content[0], "arguments": content[1:]}
        return {"type": {"0": "opened", "2": "ping"}.get(kind, kind)}

    def reply(self, message: Message, place: Place) -> bytes | None:
        match message["type"]:
            case "opened":
                return b"40"
            case "ping":
                return b"3"
            case "connected":
                return b"42" + dumps(["join", place.room])
            case _:
                return None

    def relay(self, kind: str, receiver: str, content: Content) -> bytes:
        return b"42" + dumps([kind, receiver, content])

    def relayed(self, kind: str, sender: str, content: Content) -> Message:
        return {"type": kind, "arguments": [sender, content]}


CCTVSIGNAL: Final = "cctvsignal"
PEERJS: Final = "PeerJS"
SOCKETIO: Final = "socket.io"
DIALECTS: Final[dict[str, Dialect]] = {
    CCTVSIGNAL: CctvSignal(),
    PEERJS: PeerJs(),
    SOCKETIO: SocketIo(),
}

_BODIES: Final = {"offer": "sdp", "iceCandidate": "candidate"}
_PEERJS_KINDS: Final = {"offer": "OFFER", "iceCandidate": "CANDIDATE"}


def join(place: Place) -> bytes:
    """A `join` of section 1 of docs/protocol.md."""
    if place.camera_id is None:
        return dumps({"type": "join", "room": place.room, "deviceType": "viewer"})
    message = {"type": "join", "room": place.room, "deviceType": "camera", "cameraId": place.camera_id}
    return dumps(message)


def content_of_size(dialect: Dialect, kind: str, receiver: str, size: int) -> Content:
    """A candidate, or an SDP with the line ends of a real one, whose whole message has `size` bytes."""

    def length(content: Content) -> int:
        return len(dialect.relay(kind, receiver, content))

    if kind == "iceCandidate":
        return _filled(_candidate, length, size)
    sdp = SDP_HEAD
    while length(_description(sdp)) < size - 100:
        sdp += SDP_LINE.format(96 + len(sdp) % 32)
    return _filled(lambda fill: _description(sdp + fill), length, size)


def dumps(message: object) -> bytes:
    """Compact JSON, as browsers send it."""
    return json.dumps(message, separators=(",", ":")).encode()


def _candidate(fill: str) -> Content:
    return {"candidate": CANDIDATE + fill, "sdpMid": "0", "sdpMLineIndex": 0}


def _description(sdp: str) -> Content:
    return {"type": "offer", "sdp": sdp}


def _filled(make: Callable[[str], Content], length: Callable[[Content], int], size: int) -> Content:
    missing = size - length(make(""))
    if missing < 0:
        raise ValueError(f"this message cannot be as short as {size} bytes")
    return make(" " + "x" * (missing - 1) if missing else "")

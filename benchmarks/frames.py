"""WebSocket frames and messages of the protocol, by hand: as little work per message as Python allows."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from typing import Any, Final

TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
FINAL_TEXT: Final = 0x80 | TEXT
"""The first byte of a whole text frame, which is all that a server of this protocol sends as messages."""
HEADS: Final = [bytes((FINAL_TEXT,)) * count for count in range(2000)]
"""The first bytes of so many text frames."""

CANDIDATE: Final = (
    "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 192.0.2.10 rport 46154"
)
SDP_HEAD: Final = (
    "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
)
SDP_LINE: Final = "a=fmtp:{} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"


def handshake(port: int, token: str | None = None) -> bytes:
    """The opening handshake of a client that offers no extension, so that nothing is compressed."""
    key = base64.b64encode(os.urandom(16)).decode()
    authorization = "" if token is None else f"Authorization: Bearer {token}\r\n"
    return (
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"{authorization}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def head(length: int) -> bytes:
    """How a text frame of a server starts."""
    if length < 126:
        return bytes((FINAL_TEXT, length))
    return bytes((FINAL_TEXT, 126)) + length.to_bytes(2, "big")


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole frame as a client sends it."""
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | opcode, 0x80 | length))
    elif length < 65536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + length.to_bytes(2, "big")
    else:
        raise ValueError("no message of the benchmarks is so long")
    mask = os.urandom(4)
    key = (mask * (length // 4 + 1))[:length]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + mask + mixed.to_bytes(length, "big")


def split(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The whole frames of a server at the start of `data`: first byte, payload, where the next starts."""
    position = 0
    while len(data) >= position + 2:
        length, start = data[position + 1], position + 2
        if length == 126:
            length, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        elif length > 126:
            raise ValueError("a frame that the benchmarks do not expect")
        if len(data) < start + length:
            return
        first, position = data[position], start + length
        yield first, data[start:position], position


def dumps(message: dict[str, Any]) -> bytes:
    """Compact JSON, as browsers send it."""
    return json.dumps(message, separators=(",", ":")).encode()


def ice_candidate(target: str, size: int) -> bytes:
    """An `iceCandidate` of exactly `size` bytes."""
    return _filled(
        lambda fill: {
            "type": "iceCandidate",
            "target": target,
            "candidate": {"candidate": CANDIDATE + fill, "sdpMid": "0", "sdpMLineIndex": 0},
        },
        size,
    )


def offer(target: str, size: int) -> bytes:
    """An `offer` of exactly `size` bytes, with the many line ends of a real SDP."""
    sdp = SDP_HEAD
    while (
        len(dumps({"type": "offer", "target": target, "sdp": {"type": "offer", "sdp": sdp}})) < size - 100
    ):
        sdp += SDP_LINE.format(96 + len(sdp) % 32)
    return _filled(
        lambda fill: {"type": "offer", "target": target, "sdp": {"type": "offer", "sdp": sdp + fill}}, size
    )


MESSAGES: Final = {"iceCandidate": ice_candidate, "offer": offer}


def _filled(make: Callable[[str], dict[str, Any]], size: int) -> bytes:
    missing = size - len(dumps(make("")))
    if missing < 0:
        raise ValueError(f"this message cannot be as short as {size} bytes")
    return dumps(make(" " + "x" * (missing - 1) if missing else ""))

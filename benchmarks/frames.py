"""WebSocket frames by hand: as little work as Python allows."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import Final

from websockets.frames import apply_mask  # type: ignore[attr-defined]

TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
FINAL_TEXT: Final = 0x80 | TEXT
"""The first byte of a whole text frame, which is all that the servers send as messages."""


def handshake(port: int, token: str | None = None, path: str = "/") -> bytes:
    """The opening handshake of a client that offers no extension, so that nothing is compressed."""
    key = base64.b64encode(os.urandom(16)).decode()
    authorization = "" if token is None else f"Authorization: Bearer {token}\r\n"
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"{authorization}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


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
    return head + mask + apply_mask(payload, mask)


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

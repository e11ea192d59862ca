"""Plain frames by hand: texts and pongs are nearly all that clients send.

Plain is a frame that is whole, masked, not a fragment, and without extension bits (RFC 6455, section 5.2).
All others are for Autobahn.
"""

from __future__ import annotations

from typing import Final

# Autobahn's own costs twenty times as much for a frame; this is C where the platform has it.
from websockets.frames import apply_mask  # type: ignore[attr-defined]

PING: Final = b"\x89\x00"
"""A ping of a server, without a payload."""
TEXT: Final = 0x81
PONG: Final = 0x8A
"""The first bytes of a text frame and a pong that are no fragments."""
_MASKED: Final = 0x80
_TWO_BYTES: Final = 126
_SHORT_HEADS: Final = [bytes((TEXT, length)) for length in range(_TWO_BYTES)]


def text_frame(payload: bytes) -> bytes:
    """The frame of a server that carries this text."""
    length = len(payload)
    if length < _TWO_BYTES:
        return _SHORT_HEADS[length] + payload
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big") + payload
    return b"\x81\x7f" + length.to_bytes(8, "big") + payload


def take_plain(data: bytes, start: int, longest: float) -> tuple[int, bytes, int] | None:
    """The first byte (TEXT or PONG) and payload of the plain frame here, and where the next one starts.

    None for whatever else starts here, or is not whole, has more than `longest` bytes, or is no UTF-8.
    """
    available = len(data) - start
    if available < 6:
        return None
    first, length = data[start], data[start + 1] - _MASKED
    if first != TEXT and first != PONG:
        return None
    if 0 <= length < _TWO_BYTES:
        body = start + 6
    elif length == _TWO_BYTES and first == TEXT and available >= 8:
        # A pong is never so long (RFC 6455, section 5.5).
        length = data[start + 2] << 8 | data[start + 3]
        # Whoever takes two bytes for what fits into one is turned away (RFC 6455, section 5.2).
        if length < _TWO_BYTES:
            return None
        body = start + 8
    else:
        return None
    end = body + length
    if end > len(data) or length > longest:
        return None
    payload = apply_mask(data[body:end], data[body - 4 : body])
    if first == TEXT and not (payload.isascii() or _is_utf8(payload)):
        return None
    return first, payload, end


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True

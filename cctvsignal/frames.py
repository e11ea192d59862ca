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
_FINAL_TEXT: Final = 0x81
_PONG: Final = 0x8A
_MASKED: Final = 0x80
_TWO_BYTES: Final = 126
_SHORT_HEADS: Final = [bytes((_FINAL_TEXT, length)) for length in range(_TWO_BYTES)]


def text_frame(payload: bytes) -> bytes:
    """The frame of a server that carries this text."""
    length = len(payload)
    if length < _TWO_BYTES:
        return _SHORT_HEADS[length] + payload
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big") + payload
    return b"\x81\x7f" + length.to_bytes(8, "big") + payload


def take_text(data: bytes, start: int, longest: float) -> tuple[bytes, int] | None:
    """The payload of the plain text frame that starts here, and where the next frame starts.

    None for whatever else starts here, or is not whole, has more than `longest` bytes, or is no UTF-8.
    """
    available = len(data) - start
    if available < 6 or data[start] != _FINAL_TEXT:
        return None
    length = data[start + 1] - _MASKED
    if 0 <= length < _TWO_BYTES:
        body = start + 6
    elif length == _TWO_BYTES and available >= 8:
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
    return (payload, end) if payload.isascii() or _is_utf8(payload) else None


def take_pong(data: bytes, start: int) -> tuple[bytes, int] | None:
    """The same for a pong, with which nearly all idle connections answer nearly all pings."""
    available = len(data) - start
    if available < 6 or data[start] != _PONG:
        return None
    length = data[start + 1] - _MASKED
    body = start + 6
    end = body + length
    # A control frame is never longer (RFC 6455, section 5.5).
    if not 0 <= length < _TWO_BYTES or end > len(data):
        return None
    return apply_mask(data[body:end], data[body - 4 : body]), end


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True

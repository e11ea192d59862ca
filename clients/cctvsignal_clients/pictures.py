"""JPEG over a data channel: pictures for viewers that ask for them, without any encoding.

Whoever wants them makes an offer with a data channel `jpeg`. On it, a message that begins as a JPEG does is
a whole picture; a longer picture comes in pieces, as Espressif's esp_webrtc sends them:
`[0x80 if it is the last | number, 7 bits][length, 4 bytes, big-endian][up to 10,000 bytes]`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av
from aiortc import RTCDataChannel

from . import bridge
from .conversion import Converter
from .jpeg import EOI, SOI
from .packets import VIDEO_CLOCK

LABEL: Final = "jpeg"
WHOLE_BYTES: Final = 60_000
"""Longer pictures go in pieces: a message may have 64 KiB unless more is agreed (RFC 8841, 6.1)."""
PIECE_BYTES: Final = 10_000
MOST_PIECES: Final = 128
PADDING_BYTES: Final = 256
"""Some cameras leave out the last bits of the coded data: so much stands for two blocks of 16×16 pixels."""
_LAST: Final = 0x80
_HEAD: Final = struct.Struct(">BI")


def messages_of(jpeg: bytes) -> Iterator[bytes]:
    """The messages for one picture. Raises `ValueError` for one of over `MOST_PIECES` pieces."""
    if len(jpeg) <= WHOLE_BYTES:
        yield jpeg
        return
    pieces = [jpeg[at : at + PIECE_BYTES] for at in range(0, len(jpeg), PIECE_BYTES)]
    if len(pieces) > MOST_PIECES:
        raise ValueError(f"a picture of {len(jpeg)} bytes is too long for a data channel")
    for number, piece in enumerate(pieces):
        last = _LAST if number == len(pieces) - 1 else 0
        yield _HEAD.pack(last | number, len(piece)) + piece


class Joiner:
    """Puts pictures together again. What does not fit is left out, up to the next whole picture."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def take(self, message: bytes) -> bytes | None:
        """The picture that this message completes, if it does."""
        # The first of 127 pieces would have to have 3.6 GB for the two to be mistaken for each other.
        if message.startswith(SOI):
            self._pieces.clear()
            return message
        if len(message) < _HEAD.size:
            return None
        flags, length = _HEAD.unpack_from(message)
        piece = message[_HEAD.size :]
        number = flags & ~_LAST
        if number == 0:
            self._pieces.clear()
        if len(piece) != length or number != len(self._pieces):
            self._pieces.clear()
            return None
        self._pieces.append(piece)
        if not flags & _LAST:
            return None
        picture = b"".join(self._pieces)
        self._pieces.clear()
        return picture if picture.startswith(SOI) else None


class JpegDecoder:
    """For one thread at a time."""

    def __init__(self) -> None:
        self._context = av.CodecContext.create("mjpeg", "r")
        # FFmpeg would show the upper part of a picture, and for the rest, what was in the buffer before.
        self._context.options = {"err_detect": "explode"}

    def decode(self, jpeg: bytes) -> av.VideoFrame | None:
        """The picture, or None if it is damaged. Its last few blocks may be missing."""
        frame = self._decode(jpeg)
        if frame is None and jpeg.endswith(EOI):
            frame = self._decode(jpeg.removesuffix(EOI) + bytes(PADDING_BYTES) + EOI)
        return frame

    def _decode(self, jpeg: bytes) -> av.VideoFrame | None:
        packet: Any = av.Packet(jpeg)
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError:
            return None
        return next((frame for frame in frames if isinstance(frame, av.VideoFrame)), None)


def encode_jpeg(frame: av.VideoFrame) -> bytes:
    """A picture as JPEG."""
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
    encoder.time_base = Fraction(1, VIDEO_CLOCK)
    packets = [*encoder.encode(Converter().convert(frame, "yuvj420p")), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


class PictureSender:
    """Sends pictures over one channel, as many as go through it: the latest, and never a heap of them."""

    def __init__(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        self._next: bytes | None = None
        channel.on("bufferedamountlow", bridge.listener(self._flush))
        channel.on("open", bridge.listener(self._flush))

    def send(self, jpeg: bytes) -> None:
        """Send this one, unless there is a later one before it can be sent."""
        self._next = jpeg
        self._flush()

    def _flush(self) -> None:
        jpeg, channel = self._next, self._channel
        if jpeg is None or channel.readyState != "open" or channel.bufferedAmount:
            return
        self._next = None
        for message in messages_of(jpeg):
            channel.send(message)

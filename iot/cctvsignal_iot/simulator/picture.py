"""The pictures: the clients' test pattern as an OV2640 would show it."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import Final

from av import CodecContext, Packet, VideoCodecContext, VideoFrame
from cctvsignal_clients.sources.pattern import draw

NOISE: Final = 15
"""How bright the sensor's noise is at most: with it, a JPEG of quality 10 has about 0.08 bytes a pixel."""
_TINTS: Final = {2: (128, 128), 3: (80, 192), 4: (80, 80), 5: (192, 96), 6: (96, 152)}
"""The colour (Cb, Cr) that special effects give to everything: grey, red, green, blue, sepia."""
_NEGATIVE: Final = 1


class Lens:
    """Takes pictures of the test pattern, which has a counter that programs can read."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._encoder: tuple[tuple[int, ...], VideoCodecContext] | None = None

    def jpeg(
        self, counter: int, now: datetime, size: tuple[int, int], settings: Mapping[str, int]
    ) -> bytes:
        """The picture with this number and time, in a size, under these settings: a JPEG, 4:2:2."""
        frame = draw(counter, now)
        if settings["hmirror"] or settings["vflip"]:
            _turn(frame, bool(settings["hmirror"]), bool(settings["vflip"]))
        frame = frame.reformat(width=size[0], height=size[1], format="yuvj422p")
        luma, *chroma = frame.planes
        effect = settings["special_effect"]
        tones = bytes(luma).translate(_tones(settings["brightness"], settings["contrast"], effect))
        noise = _noise(luma.width, luma.line_size, luma.height, self._seed)
        # All bytes at once, as one number each: there is no carry, as `_tones` leaves room for the noise.
        luma.update((int.from_bytes(tones, "little") + noise).to_bytes(len(tones), "little"))
        for plane, at in zip(chroma, (0, 1), strict=True):
            plane.update(bytes(plane).translate(_colours(settings["saturation"], effect, at)))
        return self._encode(frame, settings["quality"])

    def _encode(self, frame: VideoFrame, quality: int) -> bytes:
        # FFmpeg's scale (2 to 31) goes as the sensor's (0 to 63): a higher number is a worse picture.
        scale = max(2, min(31, quality // 2))
        kind = (frame.width, frame.height, scale)
        if self._encoder is None or self._encoder[0] != kind:
            encoder = CodecContext.create("mjpeg", "w")
            assert isinstance(encoder, VideoCodecContext)
            encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj422p"
            encoder.time_base = Fraction(1, 25)
            encoder.qmin = encoder.qmax = scale
            encoder.options = {"huffman": "default"}
            encoder.thread_count = 1  # More would keep frames back.
            self._encoder = kind, encoder
        frame.pts = None
        return b"".join(bytes(packet) for packet in self._encoder[1].encode(frame))


def bitmap(jpeg: bytes) -> bytes:
    """The picture as a BMP of 24 bits a pixel."""
    decoder = CodecContext.create("mjpeg", "r")
    assert isinstance(decoder, VideoCodecContext)
    frame = decoder.decode(Packet(jpeg))[0].reformat(format="bgr24")
    encoder = CodecContext.create("bmp", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "bgr24"
    encoder.time_base = Fraction(1, 25)
    return b"".join(bytes(packet) for packet in encoder.encode(frame))


@functools.lru_cache(maxsize=4)
def _noise(width: int, line_size: int, height: int, seed: int) -> int:
    scaled = bytes(value * (NOISE + 1) >> 8 for value in range(256))
    random_bytes = random.Random(seed).randbytes(width * height).translate(scaled)
    padding = bytes(line_size - width)
    rows = (random_bytes[at : at + width] + padding for at in range(0, width * height, width))
    return int.from_bytes(b"".join(rows), "little")


@functools.lru_cache(maxsize=64)
def _tones(brightness: int, contrast: int, effect: int) -> bytes:
    def tone(value: int) -> int:
        if effect == _NEGATIVE:
            value = 255 - value
        return round((value - 128) * (1 + 0.15 * contrast) + 128 + 24 * brightness)

    return bytes(max(0, min(255 - NOISE, tone(value))) for value in range(256))


@functools.lru_cache(maxsize=64)
def _colours(saturation: int, effect: int, at: int) -> bytes:
    if effect in _TINTS:
        return bytes([_TINTS[effect][at]]) * 256
    sign = -1 if effect == _NEGATIVE else 1
    scale = sign * (1 + 0.4 * saturation)
    return bytes(max(0, min(255, round((value - 128) * scale + 128))) for value in range(256))


def _turn(frame: VideoFrame, mirrored: bool, upside_down: bool) -> None:
    for plane in frame.planes:
        content, step = bytes(plane), plane.line_size
        rows = [content[at : at + plane.width] for at in range(0, len(content), step)]
        if upside_down:
            rows.reverse()
        plane.update(b"".join((row[::-1] if mirrored else row).ljust(step, b"\0") for row in rows))

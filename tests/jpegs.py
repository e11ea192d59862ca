"""JPEGs as cameras send them: whole ones with bytes in them that do not belong there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from cctvsignal_clients.pictures import JpegDecoder, encode_jpeg
from cctvsignal_clients.sources.pattern import draw, read_counter

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SCAN = 0xDA


@functools.lru_cache(maxsize=64)
def photograph(counter: int) -> bytes:
    """A picture of the test pattern whose number programs can read."""
    return encode_jpeg(draw(counter, datetime(2026, 1, 1, tzinfo=UTC)))


def counter_of(jpeg: bytes) -> int:
    """The number in a picture of the test pattern."""
    frame = JpegDecoder().decode(jpeg)
    assert frame is not None
    return read_counter(frame)


def segments(jpeg: bytes) -> Iterator[bytes]:
    """The parts of a whole JPEG with one scan; the last one is its scan, to the end."""
    yield jpeg[:2]
    at = 2
    while jpeg[at + 1] != SCAN:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        yield jpeg[at:end]
        at = end
    yield jpeg[at:]


def between(jpeg: bytes, stray: bytes) -> bytes:
    """With these bytes before each segment."""
    start, *others = segments(jpeg)
    return start + b"".join(stray + segment for segment in others)


def with_thumbnail(jpeg: bytes) -> bytes:
    """With another JPEG in its EXIF (APP1)."""
    small = b"Exif\0\0" + SOI + b"\xff\xdb\x00\x43\x00" + bytes(range(1, 65)) + EOI
    return jpeg[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + jpeg[2:]


def everything(jpeg: bytes) -> bytes:
    """All of it at once."""
    stray = between(with_thumbnail(jpeg), b"\0\x12\xff\xff\xff")
    return b"\r\nold" + SOI + stray + EOI + jpeg[-700:] + b"\r\n"


QUIRKS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda jpeg: jpeg,
    "one byte after the end": lambda jpeg: jpeg + b"\0",
    "text after the end": lambda jpeg: jpeg + b"JUNK" * 6,
    "line break after the end": lambda jpeg: jpeg + b"\r\n",
    "padding after the end": lambda jpeg: jpeg + bytes(5000),
    "ones after the end": lambda jpeg: jpeg + b"\xff" * 61,
    "EOI twice": lambda jpeg: jpeg + EOI,
    "the end of an older picture": lambda jpeg: jpeg + jpeg[-1501:],
    "SOI twice": lambda jpeg: SOI + jpeg,
    "SOI three times": lambda jpeg: SOI + SOI + jpeg,
    "SOI after a segment": lambda jpeg: between(jpeg, b"").replace(b"\xff\xdb", SOI + b"\xff\xdb", 1),
    "zeros before the start": lambda jpeg: bytes(7) + jpeg,
    "the end of an older picture before": lambda jpeg: jpeg[-333:] + jpeg,
    "one byte between segments": lambda jpeg: between(jpeg, b"\0"),
    "zeros between segments": lambda jpeg: between(jpeg, bytes(4)),
    "many bytes between segments": lambda jpeg: between(jpeg, b"\x10\x20\x30" * 500),
    "stuffing between segments": lambda jpeg: between(jpeg, b"\xff\x00\xff\x00"),
    "restart markers between segments": lambda jpeg: between(jpeg, b"\xff\xd0\xff\xd7"),
    "fill bytes": lambda jpeg: between(jpeg, b"\xff"),
    "many fill bytes": lambda jpeg: between(jpeg, b"\xff" * 100),
    "fill bytes before the end": lambda jpeg: jpeg[:-2] + b"\xff\xff" + EOI,
    "a thumbnail": with_thumbnail,
    "everything": everything,
}
"""How the bytes of a picture come to be around and in a whole JPEG; decoders would show all of them."""

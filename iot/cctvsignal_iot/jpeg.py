"""Where a JPEG ends, and how large its picture is (ITU-T T.81, annex B). Pure functions."""

from __future__ import annotations

import re
from typing import Final

SOI: Final = b"\xff\xd8"
"""Start of image."""
EOI: Final = b"\xff\xd9"
"""End of image."""
_EOI: Final = EOI[1]
_SOS: Final = 0xDA
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITH_LENGTH: Final = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE})
_MARKER_AFTER_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""In the coded data of a scan, 0xff is followed by 0 or is a restart marker (B.1.1.5)."""


class NotJpeg(ValueError):
    """These bytes are no JPEG, or one that was damaged."""


class Walk:
    """Looks for the end of a JPEG of which more and more is there; nothing is looked at twice."""

    def __init__(self) -> None:
        self._at = 0
        self._in_scan = False
        self.size: tuple[int, int] | None = None
        """Width and height in pixels, as soon as they are known."""
        self.head_bytes = 0
        """What stands before the coded data, as soon as that is known; most cameras never change it."""

    def end(self, data: bytes | bytearray, start: int, stop: int, *, announced: bool = False) -> int | None:
        """Where the JPEG that begins at `start` ends, or None when it goes on after `stop`.

        Give it the same `start` each time. If its sender has `announced` that it ends at `stop`, and JPEGs
        do end like that, the coded data before is not looked through: little of what may be damaged there
        can be seen, and looking takes most of the time. Raises `NotJpeg`.
        """
        if self._at == 0:
            if stop - start < len(SOI):
                return None
            if not data.startswith(SOI, start):
                raise NotJpeg("it does not begin with a start of image")
            self._at = len(SOI)
        while True:
            at = start + self._at
            if self._in_scan:
                if announced:
                    return stop if at <= stop - 2 and data.startswith(EOI, stop - 2) else None
                found = _MARKER_AFTER_SCAN.search(data, at, stop)
                if found is None:
                    self._at = max(self._at, stop - start - 1)
                    return None
                at = found.start()
                self._in_scan, self._at = False, at - start
            if stop - at < 2:
                return None
            marker = data[at + 1]
            if data[at] != 0xFF:
                raise NotJpeg("there is something else where a marker should be")
            if marker in (_EOI, _SOS) and self.size is None:
                raise NotJpeg("it has no frame header")
            if marker == _EOI:
                return at + 2
            if marker == 0xFF:  # A fill byte (B.1.1.2).
                self._at += 1
                continue
            if marker not in _WITH_LENGTH:
                raise NotJpeg(f"marker 0x{marker:02x} has no place there")
            if stop - at < 4:
                return None
            length = data[at + 2] << 8 | data[at + 3]
            if length < 2:
                raise NotJpeg("a segment is shorter than its own length")
            if stop < at + 2 + length:
                return None
            if marker in _FRAME_HEADERS:
                if length < 8:
                    raise NotJpeg("the frame header is too short")
                self.size = (data[at + 7] << 8 | data[at + 8], data[at + 5] << 8 | data[at + 6])
            self._in_scan = marker == _SOS
            self._at += 2 + length
            if self._in_scan and not self.head_bytes:
                self.head_bytes = self._at


def size_of(jpeg: bytes) -> tuple[int, int]:
    """Width and height of a whole JPEG, in pixels. Raises `NotJpeg`."""
    walk = Walk()
    if walk.end(jpeg, 0, len(jpeg)) != len(jpeg):
        raise NotJpeg("it is cut off, or something follows it")
    assert walk.size is not None
    return walk.size

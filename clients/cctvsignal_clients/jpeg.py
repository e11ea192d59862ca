"""Where a JPEG begins and ends, and how large its picture is (ITU-T T.81, annex B). No I/O.

Cameras leave bytes in a JPEG that do not belong there: remains of an older picture after its end or before
its start, padding between its segments, a marker twice. Decoders disagree on which of them they skip, so
what is handed on here has none of them. What was cut off is never handed on.
"""

from __future__ import annotations

import re
from typing import Final

SOI: Final = b"\xff\xd8"
"""Start of image."""
EOI: Final = b"\xff\xd9"
"""End of image."""
MOST_STRAY_BYTES: Final = 64 * 1024
"""Bytes before and between the segments of a JPEG that are left out; with more, it is damaged."""
_SOI: Final = SOI[1]
_EOI: Final = EOI[1]
_DQT: Final = 0xDB
_SOS: Final = 0xDA
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MOST_COMPONENTS: Final = 4
_MARKER: Final = re.compile(rb"\xff[\xc0-\xcf\xd8-\xef\xfe]")
"""The markers of table B.1 that mean something outside a scan."""
_MARKER_AFTER_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""In the coded data of a scan, 0xff is followed by 0 or is a restart marker (B.1.1.5)."""


class NotJpeg(ValueError):
    """These bytes are not a JPEG, or one that is damaged or cut off."""


class JpegScanner:
    """Looks for the end of one JPEG while its bytes come in; none of them is looked at twice."""

    def __init__(self) -> None:
        self.size: tuple[int, int] | None = None
        """Width and height in pixels, as soon as they are known."""
        self.looked_at = 0
        """How far it has come, in bytes from the start."""
        self._pieces: list[tuple[int, int]] = []
        self._piece: int | None = None
        """Where the piece begins that is being read; None before the start of image."""
        self._kept = 0
        """Where the last part ends that belongs to the JPEG."""
        self._stray = 0
        self._has_tables = self._in_scan = self._has_scan = False

    def end(self, data: bytes | bytearray, start: int, stop: int) -> int | None:
        """Where the JPEG ends that comes after `start`, or None if that is not before `stop`.

        Give it the same `start` each time. Raises `NotJpeg`.
        """
        while True:
            at = self._next_marker(data, start, stop)
            if at is None or stop - at < 2:
                return None
            marker, length = data[at + 1], 0
            if marker == _SOI:
                if self.size is not None:
                    raise NotJpeg("another one begins in the middle of it")
                if self._piece is not None:
                    self.looked_at += 2  # Only the first one counts.
                    continue
                self._piece = self._kept = at - start
            elif marker == _EOI:
                if not self._has_scan:
                    raise NotJpeg("it ends before its coded data")
            else:
                if stop - at < 4:
                    return None
                length = data[at + 2] << 8 | data[at + 3]
                if length < 2:
                    raise NotJpeg("a segment is shorter than its own length")
                if stop < at + 2 + length:
                    return None
            self._keep(data, start, at, at + 2 + length)
            if length:
                self._read_segment(marker, data[at + 4 : at + 2 + length])
            if marker == _EOI:
                self._pieces.append((self._piece or 0, self._kept))
                return at + 2

    def picture(self, data: bytes | bytearray, start: int) -> bytes:
        """The JPEG whose end was found, without what does not belong to it."""
        with memoryview(data) as view:
            return b"".join(view[start + begin : start + end] for begin, end in self._pieces)

    def _next_marker(self, data: bytes | bytearray, start: int, stop: int) -> int | None:
        begin = start + self.looked_at
        if self._piece is None:
            at = data.find(SOI, begin, stop)
        else:
            found = (_MARKER_AFTER_SCAN if self._in_scan else _MARKER).search(data, begin, stop)
            at = -1 if found is None else found.start()
        # The last byte may be the first half of a marker.
        self.looked_at = max(self.looked_at, (stop - 1 if at < 0 else at) - start)
        if self._in_scan and at >= 0:
            if _MARKER.match(data, at) is None:
                raise NotJpeg(f"marker 0x{data[at + 1]:02x} is in its coded data")
            self._in_scan, self._kept = False, self.looked_at
        if not self._in_scan and self._stray + self.looked_at - self._kept > MOST_STRAY_BYTES:
            raise NotJpeg(f"over {MOST_STRAY_BYTES} bytes in it do not belong there")
        return None if at < 0 else at

    def _keep(self, data: bytes | bytearray, start: int, begin: int, end: int) -> None:
        """What is from `begin` to `end` belongs to the JPEG; what is between that and `_kept` does not."""
        stray = begin - start - self._kept
        if stray:
            # Fill bytes (B.1.1.2) may be anywhere. Anything else after coded data has been cut off.
            if self._has_scan and data[start + self._kept : begin].strip(b"\xff"):
                raise NotJpeg("there is something else where a marker should be")
            self._pieces.append((self._piece or 0, self._kept))
            self._piece = begin - start
            self._stray += stray
        self._kept = self.looked_at = end - start

    def _read_segment(self, marker: int, body: bytes | bytearray) -> None:
        if marker == _DQT:
            self._has_tables = True
        elif marker in _FRAME_HEADERS:
            if self.size is not None:
                raise NotJpeg("it has two frame headers")
            if len(body) < 6 or not 0 < body[5] <= _MOST_COMPONENTS or len(body) != 6 + 3 * body[5]:
                raise NotJpeg("the frame header is of a wrong length")
            self.size = (body[3] << 8 | body[4], body[1] << 8 | body[2])
        elif marker == _SOS:
            if self.size is None or not self._has_tables:
                raise NotJpeg("it has no frame header or no quantisation table")
            if not body or not 0 < body[0] <= _MOST_COMPONENTS or len(body) != 4 + 2 * body[0]:
                raise NotJpeg("the header of a scan is of a wrong length")
            self._in_scan = self._has_scan = True


def clean(data: bytes) -> tuple[bytes, tuple[int, int]]:
    """The JPEG in these bytes without what does not belong to it; its width and height in pixels.

    Raises `NotJpeg`, also if it is cut off.
    """
    scanner = JpegScanner()
    if scanner.end(data, 0, len(data)) is None:
        raise NotJpeg("it is cut off")
    assert scanner.size is not None
    return scanner.picture(data, 0), scanner.size

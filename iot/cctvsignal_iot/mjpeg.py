"""MJPEG over HTTP: pictures out of a multipart/x-mixed-replace body, fed in any pieces. No I/O.

Cameras take liberties with RFC 2046: boundaries before or after the parts, with and without a leading line
break, lengths that are wrong. What counts here is where a JPEG begins and ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .jpeg import EOI, NotJpeg, Walk

MOST_PART_BYTES: Final = 2 * 1024 * 1024
MOST_HEADER_BYTES: Final = 8 * 1024

_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_LENGTH: Final = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,12})[ \t]*\r?$", re.I | re.M)
_TYPE: Final = re.compile(rb"^content-type[ \t]*:[ \t]*([^\s;]+)", re.I | re.M)
_PADDING: Final = b"\0\r\n"
_ANY_DELIMITER: Final = re.compile(rb"^--[^\r\n]*\S(?=[ \t]*\r?\n)", re.M)


class BadStream(Exception):
    """What the camera sends is no MJPEG stream; the connection is of no use."""


class HeadersTooLong(BadStream):
    """The headers of a part are over `MOST_HEADER_BYTES`."""


class PartTooLong(BadStream):
    """A part is over `MOST_PART_BYTES`."""


@dataclass
class Counts:
    """What came so far."""

    pictures: int = 0
    damaged: int = 0
    """Parts that were no whole JPEG, and were left out."""
    others: int = 0
    """Parts of another kind, such as text, which were left out, too."""


class MjpegParser:
    """Takes the body of a stream piece by piece. `boundary` is that of its Content-Type header, if any.

    Once it has raised `BadStream`, it is of no more use.
    """

    def __init__(self, boundary: str | None = None) -> None:
        # Some cameras have the dashes in their header already.
        name = (boundary or "").lstrip("-").encode("latin-1", "replace")
        self._delimiter = b"--" + name if name else b""
        self._buffer = bytearray()
        self._at = 0
        self._step = self._find_delimiter
        self._length: int | None = None
        self._walk = Walk()
        self._head, self._head_size = b"nothing that begins a JPEG", (0, 0)
        """Those of the last picture of a right length: most pictures of a camera begin alike."""
        self._pictures: list[bytes] = []
        self.counts = Counts()
        self.size = (0, 0)
        """Width and height of the last picture."""

    def feed(self, data: bytes) -> list[bytes]:
        """The JPEGs that these bytes complete. Raises `BadStream`."""
        self._buffer += data
        while self._step():
            pass
        del self._buffer[: self._at]
        self._at = 0
        pictures, self._pictures = self._pictures, []
        return pictures

    # --- steps: each says whether there may be more to do with what is there

    def _find_delimiter(self) -> bool:
        buffer = self._buffer
        if not self._delimiter:
            return self._learn_delimiter()
        found = buffer.find(self._delimiter, self._at)
        if found < 0:
            self._at = max(self._at, len(buffer) - len(self._delimiter) + 1)
            return False
        self._at = found + len(self._delimiter)
        self._step = self._read_headers
        return True

    def _learn_delimiter(self) -> bool:
        found = _ANY_DELIMITER.search(self._buffer)
        if found is None:
            if len(self._buffer) > MOST_HEADER_BYTES:
                raise HeadersTooLong(f"there is no boundary within {MOST_HEADER_BYTES} bytes")
            return False
        self._delimiter = bytes(found[0])
        return True

    def _read_headers(self) -> bool:
        blank = _BLANK_LINE.search(self._buffer, self._at, self._at + MOST_HEADER_BYTES)
        if blank is None:
            if len(self._buffer) - self._at >= MOST_HEADER_BYTES:
                raise HeadersTooLong(f"the headers of a part are over {MOST_HEADER_BYTES} bytes")
            return False
        headers = self._buffer[self._at : blank.start()]
        self._at = blank.end()
        kind = _TYPE.search(headers)
        if kind is not None and not kind[1].lower().startswith(b"image/"):
            self.counts.others += 1
            self._step = self._find_delimiter
            return True
        length = _LENGTH.search(headers)
        self._length = int(length[1]) if length else None
        if self._length is not None and self._length > MOST_PART_BYTES:
            raise PartTooLong(
                f"a part of {self._length} bytes is announced: {MOST_PART_BYTES} are the limit"
            )
        self._walk = Walk()
        self._step = self._read_picture
        return True

    def _read_picture(self) -> bool:
        """By its announced length, or from its first to its last marker where that is not right."""
        buffer, start = self._buffer, self._at
        announced = start + (self._length or 0)
        if len(buffer) < announced:
            return False
        try:
            end = self._announced_end(start, announced) if self._length else None
            if end is None:
                end = self._walk.end(buffer, start, len(buffer))
            if end is not None and buffer.find(self._delimiter, start, end) >= 0:
                raise NotJpeg("it runs into the next part")
        except NotJpeg:
            # From its start: what follows the boundary in a cut JPEG may be whole.
            self.counts.damaged += 1
            self._step = self._find_delimiter
            return True
        if end is None:
            if len(buffer) - start > MOST_PART_BYTES:
                raise PartTooLong(f"a picture does not end within {MOST_PART_BYTES} bytes")
            return False
        self._pictures.append(bytes(memoryview(buffer)[start:end]))
        self.counts.pictures += 1
        self.size = self._walk.size or self.size
        self._at = end
        self._step = self._find_delimiter
        return True

    def _announced_end(self, start: int, announced: int) -> int | None:
        """Where the picture ends, if its length is right. Raises `NotJpeg`."""
        buffer, head = self._buffer, self._head
        if (
            buffer.startswith(head, start)
            and announced - start >= len(head) + len(EOI)
            and buffer.startswith(EOI, announced - len(EOI))
        ):
            self.size = self._head_size
            return announced
        end = self._walk.end(buffer, start, announced, announced=True)
        if end == announced and self._walk.size is not None:
            self._head = bytes(buffer[start : start + self._walk.head_bytes])
            self._head_size = self._walk.size
        return end

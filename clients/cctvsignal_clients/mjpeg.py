"""MJPEG over HTTP: pictures out of a multipart/x-mixed-replace body, fed in any pieces. No I/O.

Cameras take liberties with RFC 2046: boundaries before or after the parts, with and without a leading line
break, another one than in their header or none at all; lengths that are wrong; lines that are not headers.
What counts here is where a JPEG begins and ends. A boundary says where a picture that was cut off ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .jpeg import SOI, JpegScanner, NotJpeg

MOST_PART_BYTES: Final = 2 * 1024 * 1024
MOST_HEADER_BYTES: Final = 8 * 1024
MOST_LINE_BYTES: Final = 200
"""Of a boundary; RFC 2046, section 5.1.1, allows 70."""
LEAST_BARE_BYTES: Final = 4
"""Of a boundary that may be without its dashes; a shorter one may be in a picture by chance."""
SNIFFED_BYTES: Final = 1024
"""So many bytes of a response are enough to say what it is."""

_END_OF_HEADERS: Final = re.compile(rb"\r?\n\r?\n|(?=\xff\xd8\xff)")
_LENGTH: Final = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,12})[ \t]*\r?$", re.I | re.M)
_TYPE: Final = re.compile(rb"^content-type[ \t]*:[ \t]*([^\s;]+)", re.I | re.M)
_MAY_BE_PICTURE: Final = re.compile(rb"image/|.*octet-stream$", re.I)
_PART_HEADER: Final = re.compile(rb"^content-(?:type[ \t]*:[ \t]*image/jp|length[ \t]*:)", re.I | re.M)
_DASHES: Final = rb"--[!-~][ -~]{0,%d}?" % (MOST_LINE_BYTES - 3)
_END_OF_LINE: Final = rb"(?:--)?[ \t]{0,8}(?=\r?\n)"
"""The boundary that closes a multipart has two dashes more."""
_MOST_AFTER: Final = 12
"""Bytes that `_END_OF_LINE` may have."""
_QUOTES: Final = "\"' \t"
_WHITE_SPACE: Final = b"\0\t\r\n "


class BadStream(Exception):
    """What the camera sends is not an MJPEG stream; the connection is of no use."""


class HeadersTooLong(BadStream):
    """The headers of a part are over `MOST_HEADER_BYTES`."""


class PartTooLong(BadStream):
    """A part is over `MOST_PART_BYTES`."""


@dataclass
class Counts:
    """What came so far."""

    pictures: int = 0
    damaged: int = 0
    """Parts that were not a whole JPEG, and were left out."""
    others: int = 0
    """Parts of another kind, such as text, which were left out, too."""


def is_mjpeg(begin: bytes) -> bool | None:
    """Whether the body of a response that begins like this is for `MjpegParser`.

    None if that cannot be said yet; it can of `SNIFFED_BYTES`.
    """
    text = begin.lstrip(_WHITE_SPACE)
    if text.startswith((b"--", SOI)) or _PART_HEADER.search(begin) is not None:
        return True
    return False if len(begin) >= SNIFFED_BYTES else None


class MjpegParser:
    """Takes the body of a stream piece by piece. `boundary` is that of its Content-Type header, if any.

    Once it has raised `BadStream`, it is of no more use.
    """

    def __init__(self, boundary: str | None = None) -> None:
        # Some cameras have the dashes in their header already, and some do not have them in the body.
        name = (boundary or "").strip(_QUOTES).lstrip("-").encode("latin-1", "replace")
        bare = [re.escape(name)] if len(name) >= LEAST_BARE_BYTES else []
        line = b"((?:" + b"|".join([_DASHES, *bare]) + b"))" + _END_OF_LINE
        self._line, self._next_line = re.compile(line), re.compile(b"\n" + line)
        """Anything that looks like a boundary, where a line begins."""
        self._announced = b"--" + name if name else b""
        self._used = b""
        """The last boundary in the body; empty until there was one."""
        self._known = self._either(self._announced)
        """A boundary that is known, wherever it stands."""
        self._skipped = 0
        self._buffer = bytearray()
        self._at = 0
        self._step = self._find_part
        self._scanner = JpegScanner()
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

    def _find_part(self) -> bool:
        buffer, begin = self._buffer, self._at
        searches = (
            self._line.match(buffer, begin),
            self._next_line.search(buffer, begin),
            self._known.search(buffer, begin) if self._known else None,
        )
        found = min((each for each in searches if each), key=re.Match.start, default=None)
        if not self._used:
            # As long as there was no boundary, a picture may begin without one.
            picture = buffer.find(SOI, begin, found.start() if found else len(buffer))
            if picture >= 0:
                self._begin_picture(picture)
                return True
        if found is None:
            self._skip()
            return False
        if found[1] != self._used:
            self._used = found[1]
            self._known = self._either(self._announced, self._used)
        self._at = found.end()
        self._step = self._read_headers
        return True

    def _skip(self) -> None:
        """Keep of what is no part only what may be the beginning of a boundary."""
        end = len(self._buffer)
        if not (self._announced or self._used) and self._skipped + end - self._at > MOST_HEADER_BYTES:
            raise HeadersTooLong(f"there is no boundary within {MOST_HEADER_BYTES} bytes")
        line = max(self._at, self._buffer.rfind(b"\n", self._at))
        if end - line > MOST_LINE_BYTES:
            line = max(line, end - len(max(self._announced, self._used, key=len)) - _MOST_AFTER)
        self._skipped += line - self._at
        self._at = line

    def _read_headers(self) -> bool:
        end = _END_OF_HEADERS.search(self._buffer, self._at, self._at + MOST_HEADER_BYTES)
        if end is None:
            if len(self._buffer) - self._at >= MOST_HEADER_BYTES:
                raise HeadersTooLong(f"the headers of a part are over {MOST_HEADER_BYTES} bytes")
            return False
        headers = self._buffer[self._at : end.start()]
        kind, length = _TYPE.search(headers), _LENGTH.search(headers)
        if kind is not None and _MAY_BE_PICTURE.match(kind[1]) is None:
            self.counts.others += 1
            self._at, self._step = end.end(), self._find_part
            return True
        if length is not None and int(length[1]) > MOST_PART_BYTES:
            raise PartTooLong(
                f"a part of {int(length[1])} bytes is announced: {MOST_PART_BYTES} are the limit"
            )
        self._begin_picture(end.end())
        return True

    def _begin_picture(self, at: int) -> None:
        self._at, self._step, self._scanner = at, self._read_picture, JpegScanner()

    def _read_picture(self) -> bool:
        """From its first to its last marker: what its sender says of its length is often wrong."""
        buffer, start = self._buffer, self._at
        try:
            end = self._scanner.end(buffer, start, len(buffer))
        except NotJpeg:
            return self._leave_out(start)
        if end is None:
            if len(buffer) - start > MOST_PART_BYTES:
                raise PartTooLong(f"a picture does not end within {MOST_PART_BYTES} bytes")
            return False
        next_part = self._known.search(buffer, start, end) if self._known else None
        if next_part is not None:
            return self._leave_out(start, next_part.start())
        self._pictures.append(self._scanner.picture(buffer, start))
        self.counts.pictures += 1
        self.size = self._scanner.size or self.size
        self._at, self._step = end, self._find_part
        return True

    def _leave_out(self, start: int, end: int | None = None) -> bool:
        if self._buffer[start:end].strip(_WHITE_SPACE):
            self.counts.damaged += 1
        self._step = self._find_part
        # What follows the next boundary may be whole, or else, the next start of image.
        self._at = start if self._used else start + max(len(SOI), self._scanner.looked_at)
        return True

    @staticmethod
    def _either(*boundaries: bytes) -> re.Pattern[bytes] | None:
        names = b"|".join(re.escape(each) for each in boundaries if each)
        return re.compile(b"(" + names + b")" + _END_OF_LINE) if names else None

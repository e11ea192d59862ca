"""MJPEG over HTTP, as cameras send it: FFmpeg fetches it, and the parser of the bridge reads it.

FFmpeg's own parser ends at the first part that is not of the type image/jpeg or has another boundary.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ..errors import SourceError
from ..mjpeg import BadStream, MjpegParser, is_mjpeg
from ..pictures import JpegDecoder
from .container import DEFAULT_RATE, ContainerSource, _post

DAMAGED_SECONDS: Final = 10.0
"""A connection that brings nothing but damaged pictures for so long is closed, and opened again."""
PIECE_BYTES: Final = 65536
"""At most so much is read at once."""


class HttpSource(ContainerSource):
    """Whatever is at an http:// or https:// address. What is not MJPEG is left to FFmpeg."""

    def _play(self, loop: asyncio.AbstractEventLoop, stopping: threading.Event) -> None:
        # FFmpeg's format "data" hands on the body as it comes.
        with self._open("data", raw_packet_size=str(PIECE_BYTES)) as body:
            pieces = (bytes(packet) for packet in body.demux() if packet.size)
            begin = _begin(pieces)
            if stopping.is_set():
                return
            if is_mjpeg(begin):
                self._was_opened = True
                _Showing(self, loop, stopping).show(itertools.chain((begin,), pieces))
                return
        super()._play(loop, stopping)


class _Showing:
    """One MJPEG body from its beginning to its end."""

    def __init__(
        self, source: HttpSource, loop: asyncio.AbstractEventLoop, stopping: threading.Event
    ) -> None:
        self._source = source
        self._loop = loop
        self._stopping = stopping
        self._parser = MjpegParser()
        self._decoder = JpegDecoder()
        self._size = (0, 0)

    def show(self, pieces: Iterable[bytes]) -> None:
        self._announce((640, 480))  # That of "no signal", as long as there is no picture.
        good = time.monotonic()
        for data in pieces:
            if self._stopping.is_set():
                return
            try:
                jpegs = self._parser.feed(data)
            except BadStream as error:
                raise SourceError(f"is not an MJPEG stream that can be read: {error}") from None
            if jpegs and self._see(jpegs[-1]):
                good = time.monotonic()
            elif self._parser.counts.damaged and time.monotonic() - good >= DAMAGED_SECONDS:
                raise SourceError("sends only damaged pictures")

    def _see(self, jpeg: bytes) -> bool:
        """Whether the picture is good, as far as is known."""
        source = self._source
        if self._parser.size != self._size:
            self._size = self._parser.size
            self._announce(self._size)
        # One at a time: a loop that is late misses pictures, and does not find a heap of them later.
        if not source.frames.readers or not source._taken.is_set():
            _post(self._loop, source._alive)
            return True
        frame = self._decoder.decode(jpeg)
        if frame is None:
            return False
        source._taken.clear()
        _post(self._loop, source._take_picture, frame)
        return True

    def _announce(self, size: tuple[int, int]) -> None:
        _post(self._loop, self._source._set_up, False, False, size, DEFAULT_RATE)


def _begin(pieces: Iterator[Any]) -> bytes:
    """So much of a body as is needed to say what it is."""
    begin = b""
    for piece in pieces:
        begin += piece
        if is_mjpeg(begin) is not None:
            break
    return begin

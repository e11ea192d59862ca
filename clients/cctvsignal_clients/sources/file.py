"""A video file, again and again."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Final

import av
from twisted.logger import Logger

from ..errors import SourceError
from .base import Source

DEFAULT_RATE: Final = 25
"""Frames a second of a file that does not say."""

log = Logger()


class FileSource(Source):
    """The source `file:PATH`: its first video stream at its own speed, in a loop.

    Reading and decoding block, so they have a thread of their own.
    """

    def __init__(self, path: str) -> None:
        """Raises `SourceError` for a file that cannot be read or has no video."""
        super().__init__()
        self._path = path
        if not Path(path).is_file():
            raise SourceError(f"There is no file {path!r}.")
        try:
            with av.open(path) as container:
                if not container.streams.video:
                    raise SourceError(f"The file {path!r} has no video in it.")
        except av.FFmpegError as error:
            raise SourceError(f"The file {path!r} cannot be read as video: {error}.") from None
        self._stopping = threading.Event()
        self._taken = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._stopping.clear()
        self._taken.set()
        self._thread = threading.Thread(
            target=self._run, args=(loop,), name=f"reading {self._path}", daemon=True
        )
        self._thread.start()

    async def stop(self) -> None:
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(None, thread.join)
        self.feed.end()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._stopping.is_set():
                self._play_once(loop)
        except av.FFmpegError as error:
            log.error("{path} cannot be read any more: {error}", path=self._path, error=error)
            loop.call_soon_threadsafe(self.feed.end)

    def _play_once(self, loop: asyncio.AbstractEventLoop) -> None:
        with av.open(self._path) as container:
            interval = 1 / float(container.streams.video[0].guessed_rate or DEFAULT_RATE)
            # `due` is when a frame with this time is to be shown.
            due, before = time.monotonic(), None
            for frame in container.decode(video=0):
                if before is not None:
                    # Raw streams have no times.
                    due += interval if frame.time is None else max(0.0, frame.time - before)
                before = frame.time or 0.0
                # Waiting also ends when the source is stopped.
                if self._stopping.wait(max(0.0, due - time.monotonic())):
                    return
                self._hand_over(loop, frame)
            self._stopping.wait(interval)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, frame: av.VideoFrame) -> None:
        # One at a time: a loop that is late misses frames, and does not find a heap of them later.
        if self._taken.is_set():
            self._taken.clear()
            loop.call_soon_threadsafe(self._put, frame.reformat(format="yuv420p"))

    def _put(self, frame: av.VideoFrame) -> None:
        self._taken.set()
        self._show(frame)

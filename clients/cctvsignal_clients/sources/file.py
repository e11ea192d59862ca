"""A video file, again and again."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import av
from twisted.logger import Logger

from ..errors import SourceError
from .base import Source

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
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._stopping.clear()
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
            first: float | None = None
            begin = time.monotonic()
            for frame in container.decode(video=0):
                at = frame.time or 0.0
                first = at if first is None else first
                # Waiting also ends when the source is stopped.
                if self._stopping.wait(max(0.0, begin + at - first - time.monotonic())):
                    return
                loop.call_soon_threadsafe(self.feed.put, frame.reformat(format="yuv420p"))
            # A file of one picture would otherwise be read as fast as the machine can.
            self._stopping.wait(0.04)

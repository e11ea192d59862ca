"""From one origin of frames to many readers, each of which gets the latest and slows down nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from weakref import WeakSet

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import VideoFrame

from . import bridge
from .bridge import Result


class FrameReader:
    """One reader of a feed; what it does not fetch in time it never sees."""

    def __init__(self, feed: FrameFeed, keep: int) -> None:
        self._feed = feed
        self._frames: deque[VideoFrame] = deque(maxlen=keep)
        self._changed = asyncio.Event()
        self._ended = False

    async def next(self) -> VideoFrame:
        """The next frame; raises `StopAsyncIteration` after the last one."""
        while not self._frames:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._frames.popleft()

    def close(self) -> None:
        """Read no more."""
        self._feed._readers.discard(self)
        self._end()

    def _put(self, frame: VideoFrame) -> None:
        self._frames.append(frame)
        self._changed.set()

    def _end(self) -> None:
        self._ended = True
        self._changed.set()


class FrameFeed:
    """What a source or a received track puts its frames into."""

    def __init__(self) -> None:
        # Whoever breaks out of an `async for` tells nobody.
        self._readers: WeakSet[FrameReader] = WeakSet()
        self._ended = False

    @property
    def readers(self) -> int:
        """How many read at this moment."""
        return len(self._readers)

    def put(self, frame: VideoFrame) -> None:
        """Hand a frame to all readers. Nobody may change it from here on."""
        for reader in self._readers:
            reader._put(frame)

    def end(self) -> None:
        """There are no more frames."""
        self._ended = True
        for reader in self._readers:
            reader._end()

    def read(self, keep: int) -> FrameReader:
        """A new reader, for which up to `keep` frames are kept."""
        reader = FrameReader(self, keep)
        if self._ended:
            reader._end()
        else:
            self._readers.add(reader)
        return reader


class FrameIterator(AsyncIterator[VideoFrame]):
    """The frames of a feed for `async for`, in asyncio and in Twisted coroutines."""

    def __init__(self, feed: FrameFeed, keep: int) -> None:
        self._reader = feed.read(keep)

    def __anext__(self) -> Result[VideoFrame]:
        return bridge.start(self._reader.next())

    def close(self) -> None:
        """Read no more."""
        self._reader.close()


class FeedTrack(MediaStreamTrack):
    """A video track for one sender, from a feed that others read, too.

    One for each viewer, because aiortc's sender stops the track it was given when it ends. A sender that
    is slow gets the latest frame and misses some, instead of getting later and later.
    """

    kind = "video"

    def __init__(self, feed: FrameFeed) -> None:
        super().__init__()
        self._reader = feed.read(keep=1)

    async def recv(self) -> VideoFrame:
        """The next frame."""
        if self.readyState != "live":
            raise MediaStreamError
        try:
            return await self._reader.next()
        except StopAsyncIteration:
            self.stop()
            raise MediaStreamError from None

    def stop(self) -> None:
        super().stop()
        self._reader.close()

"""From one origin of frames to many readers, each of which gets the latest and slows down nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar
from weakref import WeakSet

from . import bridge
from .bridge import Result
from .queues import Reader

T = TypeVar("T")


class FrameReader(Reader[T]):
    """A reader of one feed or several; what it does not fetch in time it never sees."""


class FrameFeed(Generic[T]):
    """What a source or a received track puts its frames into, decoded or not."""

    def __init__(self) -> None:
        # Whoever breaks out of an `async for` tells nobody.
        self._readers: WeakSet[FrameReader[T]] = WeakSet()
        self.on_readers: Callable[[], None] = lambda: None
        """Called when a reader was added or discarded."""
        self._ended = False

    @property
    def readers(self) -> int:
        """How many read at this moment."""
        return len(self._readers)

    @property
    def pending(self) -> bool:
        """Whether a reader has yet to fetch a frame that it was handed."""
        return any(reader._waiting for reader in self._readers)

    def put(self, frame: T) -> None:
        """Hand a frame to all readers. Nobody may change it from here on."""
        for reader in self._readers:
            reader._put(frame)

    def end(self) -> None:
        """There are no more frames."""
        self._ended = True
        for reader in self._readers:
            reader._end()

    def read(self, keep: int) -> FrameReader[T]:
        """A new reader, for which up to `keep` frames are kept."""
        reader = FrameReader[T](keep)
        if self._ended:
            reader._end()
        else:
            self.add(reader)
        return reader

    def add(self, reader: FrameReader[T]) -> None:
        """Let this reader have the frames from here on, too."""
        self._readers.add(reader)
        self.on_readers()

    def discard(self, reader: FrameReader[T]) -> None:
        """Let this reader have no more of these frames, though perhaps those of another feed."""
        self._readers.discard(reader)
        self.on_readers()


class FrameIterator(AsyncIterator[T], Generic[T]):
    """The frames of a feed for `async for`, in asyncio and in Twisted coroutines."""

    def __init__(self, feed: FrameFeed[T], keep: int) -> None:
        self._feed = feed
        self._reader = feed.read(keep)

    def __anext__(self) -> Result[T]:
        return bridge.start(self._reader.next())

    def close(self) -> None:
        """Read no more."""
        self._feed.discard(self._reader)
        self._reader._end()

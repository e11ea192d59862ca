"""What readers of feeds have in common, of frames as of packets."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Generic, TypeVar

T = TypeVar("T")

GROUP_PACKETS: Final = 600
"""So many pictures without a keyframe are kept, which is 20 s at 30 a second."""


class Reader(Generic[T]):
    """What waits for one reader: the last `keep` items, or all where that is None."""

    def __init__(self, keep: int | None = None) -> None:
        self._waiting: deque[T] = deque(maxlen=keep)
        self._changed = asyncio.Event()
        self._ended = False

    async def next(self) -> T:
        """The next item; raises `StopAsyncIteration` after the last one."""
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()

    def _put(self, item: T) -> None:
        self._waiting.append(item)
        self._changed.set()

    def _end(self) -> None:
        self._ended = True
        self._changed.set()


class SinceKeyframe(Generic[T]):
    """The last keyframe and what came since: empty until there was one, and when it became too many."""

    def __init__(self) -> None:
        self.items: list[T] = []

    def add(self, item: T, *, keyframe: bool) -> None:
        """The next item."""
        if keyframe or len(self.items) >= GROUP_PACKETS:
            self.items.clear()
        if keyframe or self.items:
            self.items.append(item)

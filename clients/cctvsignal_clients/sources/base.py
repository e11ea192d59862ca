"""What all sources share."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..frames import FeedTrack, FrameFeed


class Source(ABC):
    """Pictures for any number of viewers. It runs from `start` to `stop`."""

    def __init__(self) -> None:
        self.feed = FrameFeed()

    def track(self) -> FeedTrack:
        """A new track for one more viewer."""
        return FeedTrack(self.feed)

    @abstractmethod
    def start(self) -> None:
        """Begin to put frames into the feed, on the running loop."""

    @abstractmethod
    async def stop(self) -> None:
        """End, and wait until nothing of it runs any more."""

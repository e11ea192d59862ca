"""What all sources share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from fractions import Fraction
from typing import Final

from av import VideoFrame

from ..frames import FeedTrack, FrameFeed

CLOCK_RATE: Final = 90_000
"""The clock of video in RTP (RFC 3551, section 5): ticks a second."""


class Source(ABC):
    """Pictures for any number of viewers. It runs from `start` to `stop`."""

    def __init__(self) -> None:
        self.feed = FrameFeed()
        self._begin = time.monotonic()

    def track(self) -> FeedTrack:
        """A new track for one more viewer."""
        return FeedTrack(self.feed)

    def _show(self, frame: VideoFrame) -> None:
        """Put a frame into the feed, stamped with the time it is shown at.

        Once for all viewers: several encoders may work on it at the same time, and one fails when the time
        of its frame goes backwards meanwhile.
        """
        elapsed = time.monotonic() - self._begin
        frame.pts, frame.time_base = int(elapsed * CLOCK_RATE), Fraction(1, CLOCK_RATE)
        self.feed.put(frame)

    @abstractmethod
    def start(self) -> None:
        """Begin to put frames into the feed, on the running loop."""

    @abstractmethod
    async def stop(self) -> None:
        """End, and wait until nothing of it runs any more."""

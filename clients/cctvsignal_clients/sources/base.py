"""What all sources share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction

from av import VideoFrame

from ..frames import FrameFeed
from ..packets import VIDEO_CLOCK, GroupOfPictures, Packet, PacketFeed


class Source(ABC):
    """Where pictures, and perhaps sound, come from. It runs from `start` to `stop`.

    A source of a kind of one's own puts its pictures into `frames` by `show`, while that has readers.
    """

    def __init__(self) -> None:
        self.frames = FrameFeed[VideoFrame]()
        """The pictures; they need be made only while somebody reads them."""
        self.placeholders = FrameFeed[VideoFrame]()
        """What to show while there is no picture."""
        self.h264 = PacketFeed(group=GroupOfPictures())
        """H.264 for viewers: the source's own while `passes_h264`, else from an encoder."""
        self.passes_h264 = False
        self.audio: PacketFeed | None = None
        """Opus, if there is sound."""
        self.rate = 25.0
        """Pictures a second at most, as far as is known."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when `passes_h264` has changed."""
        self._begin = time.monotonic()
        self._last_stamp = 0

    def show(self, frame: VideoFrame) -> None:
        """Hand on a picture, to be shown now."""
        self._stamp(frame)
        self.frames.put(frame)

    def _pass_on(self, data: bytes, keyframe: bool) -> None:
        """Hand on an encoded picture, to be shown now."""
        self.h264.put(Packet(data, self._ticks(), keyframe), time.monotonic())

    def _stamp(self, frame: VideoFrame) -> None:
        # Once for all viewers: several encoders may work on it at the same time, and one fails when the
        # time of its frame goes backwards meanwhile.
        frame.pts, frame.time_base = self._ticks(), Fraction(1, VIDEO_CLOCK)

    def _ticks(self) -> int:
        """The time now on the clock of video; no two pictures have the same."""
        now = int((time.monotonic() - self._begin) * VIDEO_CLOCK)
        self._last_stamp = max(now, self._last_stamp + 1)
        return self._last_stamp

    @abstractmethod
    async def start(self) -> None:
        """Begin. Raises `SourceError` if there is nothing to show."""

    @abstractmethod
    async def stop(self) -> None:
        """End, and wait until nothing of it runs any more."""

"""What a viewer receives, before it is decoded: for recordings, and so that nothing is decoded in vain."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any, Final

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterFrame

from . import h264
from .packets import Packet, PacketFeed
from .queues import SinceKeyframe

CODECS: Final = ("H264", "VP8", "opus")
VP8_INTER_FRAME: Final = 0x01
"""The bit of a VP8 frame's first byte that says that it is no keyframe (RFC 6386, section 9.1)."""


class Tap(queue.Queue[Any]):
    """Stands where aiortc's receiver queues what it will decode, and gives it to a feed as well.

    Packets are decoded only while `wanted` says so, from the last keyframe on. Pictures from before that
    moment are not to be shown: `late` tells them.
    """

    def __init__(self, feed: PacketFeed, since: float, wanted: Callable[[], bool]) -> None:
        super().__init__()
        self.codec = ""
        """The codec in use, once something has come."""
        self.last_packet = time.monotonic()
        self._feed = feed
        self._since = since
        self._wanted = wanted
        self._offset: int | None = None
        self._group: SinceKeyframe[Any] = SinceKeyframe()
        self._decoding = False
        self._show_from = 0

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if item is None:  # The end.
            super().put(None)
            return
        codec, frame = item
        self.codec, self.last_packet = codec.name, time.monotonic()
        if codec.name not in CODECS:
            return  # Sound of a kind that recordings do not have, and nobody decodes sound.
        packet = self._feed.put(self._to_packet(frame), self.last_packet)
        # aiortc takes any step back for a wrap of 32 bits, and adds 13 hours.
        frame.timestamp = packet.pts
        self._group.add(item, keyframe=packet.keyframe)
        if not self._wanted():
            self._decoding = False
        elif self._decoding:
            super().put(item)
        elif self._group.items:
            self._decoding, self._show_from = True, frame.timestamp
            for each in self._group.items:
                super().put(each)

    def late(self, pts: int) -> bool:
        """Whether a decoded picture was only needed to decode those after it."""
        return pts < self._show_from

    def _to_packet(self, frame: JitterFrame) -> Packet:
        if self._offset is None:
            # Also in the next session with the same camera: its times go on, on the same line.
            elapsed = int((self.last_packet - self._since) * self._feed.clock)
            self._offset = elapsed - frame.timestamp
        return Packet(frame.data, frame.timestamp + self._offset, _is_keyframe(self.codec, frame.data))


def tap(receiver: RTCRtpReceiver, feed: PacketFeed, since: float, wanted: Callable[[], bool]) -> Tap:
    """Put a tap between a receiver that has not begun and its decoder; times in `feed` are `since` then."""
    made = Tap(feed, since, wanted)
    receiver._RTCRtpReceiver__decoder_queue = made  # type: ignore[attr-defined]
    return made


def _is_keyframe(codec: str, data: bytes) -> bool:
    if codec == "H264":
        return h264.begins_group(list(h264.nal_units(data)))
    return codec != "VP8" or not data[0] & VP8_INTER_FRAME

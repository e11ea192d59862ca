"""Encoded packets on their way from one encoder or source to many viewers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

import av

from .queues import Reader, SinceKeyframe
from .timeline import REORDER_SECONDS, Timeline

VIDEO_CLOCK: Final = 90_000
"""Ticks a second of video in RTP (RFC 3551, section 5)."""
AUDIO_CLOCK: Final = 48_000
"""Ticks a second of Opus in RTP (RFC 7587, section 4.1)."""
QUEUE_PACKETS: Final = 100
"""A viewer that has so many packets left unsent has stopped: it goes on at the next keyframe."""
GROUP_BYTES: Final = 4 * 1024 * 1024
CATCH_UP_TICKS: Final = VIDEO_CLOCK // 1000
CATCH_UP_BITRATE: Final = 20_000_000
"""A group of pictures that a new viewer catches up with is not sent in one burst, which routers drop."""
FRESH_SECONDS: Final = 0.3
"""One keyframe serves all who want one within this time; who comes later gets a new one."""
RESTART_SECONDS: Final = 1.0
"""A viewer that could not follow is given a group of pictures again, though not more often."""
METER_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Packet:
    """One encoded picture, or one packet of audio, with its time in ticks of its clock."""

    data: bytes
    pts: int
    keyframe: bool = True
    pause: float = 0.0
    """Seconds to wait after sending it."""

    def to_av(self, clock: int) -> av.Packet[Any]:
        """The same for PyAV and aiortc."""
        packet = av.Packet(self.data)
        packet.pts = packet.dts = self.pts
        packet.time_base = Fraction(1, clock)
        packet.is_keyframe = self.keyframe
        return packet


class Meter:
    """How many bits and packets a second pass, over the last `METER_SECONDS`."""

    def __init__(self) -> None:
        self._passed: deque[tuple[float, int]] = deque()
        self._bytes = 0

    def add(self, size: int, now: float) -> None:
        """So many bytes passed."""
        self._passed.append((now, size))
        self._bytes += size
        self._forget(now)

    def bits_per_second(self, now: float) -> float:
        """The bitrate."""
        self._forget(now)
        return self._bytes * 8 / METER_SECONDS

    def per_second(self, now: float) -> float:
        """The rate of packets."""
        self._forget(now)
        return len(self._passed) / METER_SECONDS

    def _forget(self, now: float) -> None:
        while self._passed and self._passed[0][0] <= now - METER_SECONDS:
            self._bytes -= self._passed.popleft()[1]


class GroupOfPictures:
    """The last keyframe and what came since, bounded: where a new reader can begin.

    A reader that shows it must catch up with it at once; one that records it wants it `as_it_was`.
    """

    def __init__(self, *, as_it_was: bool = False) -> None:
        self._as_it_was = as_it_was
        self._since: SinceKeyframe[Packet] = SinceKeyframe()
        self._bytes = 0

    def add(self, packet: Packet) -> None:
        """The next packet."""
        self._since.add(packet, keyframe=packet.keyframe)
        self._bytes = len(packet.data) + (0 if packet.keyframe else self._bytes)
        if self._bytes > GROUP_BYTES:
            self.clear()

    def clear(self) -> None:
        """Begin again at the next keyframe."""
        self._since.items.clear()

    def packets(self, after: float = float("-inf")) -> list[Packet]:
        """All of it, with times as if it had happened just now.

        If it is wanted as it was: what is later than `after`, the time of what its reader has already.
        """
        packets = self._since.items
        if self._as_it_was:
            return [packet for packet in packets if packet.pts > after]
        return [
            replace(
                packet,
                pts=packets[-1].pts - (len(packets) - 1 - number) * CATCH_UP_TICKS,
                pause=len(packet.data) * 8 / CATCH_UP_BITRATE,
            )
            for number, packet in enumerate(packets)
        ]


class PacketReader(Reader[Packet]):
    """The packets for one viewer. It begins with a keyframe, and again whenever it has lost some.

    Their times rise, by a millisecond where a group of pictures is given once more.
    """

    def __init__(self, feed: PacketFeed) -> None:
        super().__init__()
        self._feed = feed
        self._room = QUEUE_PACKETS
        self._lost = True
        self._given = float("-inf")
        """The time of the last packet that was given out."""
        self.keyframes_only = False
        self.begun = float("-inf")
        """When it last began with a group of pictures."""

    async def next(self) -> Packet:
        packet = await super().next()
        if packet.pts <= self._given:
            packet = replace(packet, pts=int(self._given) + self._feed.clock // 1000)
        self._given = packet.pts
        return packet

    def need_keyframe(self) -> None:
        """What was sent cannot be decoded: begin again with a keyframe as soon as there is one."""
        self._feed._keyframe_for(self)

    def close(self) -> None:
        """Read no more."""
        self._feed._close(self)
        self._end()

    def _put(self, packet: Packet) -> None:
        if len(self._waiting) >= self._room:
            self._waiting.clear()
            self._lost, self._room = True, QUEUE_PACKETS
            self._feed._keyframe_for(self)
        if packet.keyframe:
            self._lost = False
        elif self._lost or self.keyframes_only:
            # Once pictures were left out, those that build on them are of no use.
            self._lost = True
            return
        super()._put(packet)

    def _begin(self, packets: list[Packet]) -> None:
        self._waiting = deque(packets)
        self._room = QUEUE_PACKETS + len(packets)
        self._lost = not packets
        self._changed.set()


class PacketFeed:
    """Packets from one origin to any number of readers, of which a slow one loses packets and no time.

    Times in it rise, whatever those of its origin do (`Timeline`). A reader can begin with the present
    `group` of pictures. `on_readers` is called when readers come or go, `on_keyframe_wanted` when one needs
    a keyframe and the last one is too long ago; where nobody makes any on demand, because packets come
    encoded, it must do.
    """

    def __init__(self, clock: int = VIDEO_CLOCK, group: GroupOfPictures | None = None) -> None:
        self.clock = clock
        self.group = group
        self.keyframes_on_demand = True
        self.meter = Meter()
        self.line = Timeline(clock, REORDER_SECONDS if clock == VIDEO_CLOCK else 0.0)
        self.readers: list[PacketReader] = []
        self._now = 0.0
        self._keyframe_at = float("-inf")
        self.on_readers: Callable[[], None] = lambda: None
        self.on_keyframe_wanted: Callable[[], None] = lambda: None

    def put(self, packet: Packet, now: float) -> Packet:
        """Hand a packet to all readers, and return it with the time that it has there.

        `now`, when it arrives, is in seconds of the loop's clock.
        """
        self._now = now
        pts = self.line.place(packet.pts, now)
        if pts != packet.pts:
            packet = replace(packet, pts=pts)
        self.meter.add(len(packet.data), now)
        for reader in self.readers:
            reader._put(packet)
        # Afterwards: a reader that begins again in the middle of this must not get it twice.
        if packet.keyframe:
            self._keyframe_at = now
        if self.group is not None:
            self.group.add(packet)
        return packet

    def read(self) -> PacketReader:
        """A new reader, which begins with a keyframe."""
        reader = PacketReader(self)
        self.readers.append(reader)
        self.on_readers()
        self._keyframe_for(reader)
        return reader

    def end(self) -> None:
        """There are no more packets."""
        for reader in self.readers:
            reader._end()

    def _keyframe_for(self, reader: PacketReader) -> None:
        if reader.keyframes_only:
            return  # It has what it needs, and must not cost the others a keyframe.
        fresh = self._now - self._keyframe_at <= FRESH_SECONDS
        usable = fresh or not self.keyframes_on_demand
        packets = self.group.packets(reader._given) if self.group is not None and usable else []
        if not packets:
            self.on_keyframe_wanted()
        elif self._now - reader.begun >= RESTART_SECONDS:
            reader.begun = self._now
            reader._begin(packets)

    def _close(self, reader: PacketReader) -> None:
        if reader in self.readers:
            self.readers.remove(reader)
            self.on_readers()

"""One source to all viewers of a camera: each codec encoded once, and only while somebody watches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from av import VideoFrame

from . import bridge
from .encoder import AS_THE_SOURCE, CODECS, Codec, EncoderSettings, SharedEncoder
from .frames import FrameReader
from .outgoing import OutgoingTrack
from .packets import GroupOfPictures, PacketFeed
from .sources import Source


@dataclass(frozen=True)
class SendingStats:
    """What a camera sends to each of its viewers at this moment; rates are per second."""

    codecs: tuple[Codec, ...]
    frames: float
    bitrate: float


class Channel:
    """The pictures of a source in one codec."""

    def __init__(self, codec: Codec, source: Source, settings: EncoderSettings, feed: PacketFeed) -> None:
        self.codec = codec
        self.feed = feed
        self._source = source
        self._settings = settings
        self._encoder: SharedEncoder | None = None
        self._frames: FrameReader[VideoFrame] | None = None
        self._task: asyncio.Task[None] | None = None
        feed.on_readers = self.update
        feed.on_keyframe_wanted = self._want_keyframe

    @property
    def passes_through(self) -> bool:
        """Whether the source's own packets will do."""
        return self.codec == "H264" and self._source.passes_h264

    def update(self) -> None:
        """Encode what is needed by now, and nothing else."""
        if self.feed.readers and self._task is None:
            self._frames = FrameReader(keep=1)
            self._source.placeholders.add(self._frames)
            settings, rate = self._settings, self._source.rate
            self._encoder = SharedEncoder(self.codec, self._frames, self.feed, settings, rate)
            self._task = bridge.background(self._encoder.run())
        elif not self.feed.readers:
            self.stop()
        if self._frames is not None:
            # A source that is passed on needs an encoder for the pictures that say that it is gone.
            if self.passes_through:
                self._source.frames.discard(self._frames)
            else:
                self._source.frames.add(self._frames)

    def stop(self) -> None:
        """Encode no more."""
        if self._task is not None:
            self._task.cancel()
        if self._frames is not None:
            self._source.frames.discard(self._frames)
            self._source.placeholders.discard(self._frames)
        if self.feed.group is not None and not self.passes_through:
            self.feed.group.clear()  # Whoever comes next must not see pictures of long ago.
        self._task = self._encoder = self._frames = None

    def take_estimate(self, track: OutgoingTrack, tracks: Sequence[OutgoingTrack], bitrate: float) -> None:
        """A viewer of this codec reports what its path takes."""
        now = asyncio.get_running_loop().time()
        shared = self._encoder.bitrate if self._encoder is not None and not self.passes_through else None
        floor = None if shared is None else shared.floor
        track.rate.estimate(bitrate, self.feed.meter.bits_per_second(now), floor, now)
        mine = [each for each in tracks if each.reader in self.feed.readers]
        for each in mine:
            assert each.reader is not None
            each.reader.keyframes_only = each.rate.keyframes_only(now)
        if shared is not None:
            shared.update((each.rate.limit for each in mine), now)

    def _want_keyframe(self) -> None:
        if self._encoder is not None:
            self._encoder.want_keyframe()


class Broadcast:
    """Gives out tracks of a running source. `codecs` are those to offer, the preferred one first."""

    def __init__(
        self,
        source: Source,
        settings: EncoderSettings = AS_THE_SOURCE,
        codecs: Sequence[Codec] = CODECS,
    ) -> None:
        self._codecs = codecs
        self._source = source
        self._tracks: list[OutgoingTrack] = []
        self._channels = {
            "H264": Channel("H264", source, settings, source.h264),
            "VP8": Channel("VP8", source, settings, PacketFeed(group=GroupOfPictures())),
        }
        source.on_change = self._source_changed

    def tracks(self) -> list[OutgoingTrack]:
        """New tracks for one more viewer."""
        video = OutgoingTrack("video", self._codecs, lambda codec: self._channels[codec].feed)
        video.on_estimate = self._take_estimate
        video.on("ended", lambda: self._tracks.remove(video))
        self._tracks.append(video)
        if self._source.audio is None:
            return [video]
        audio = self._source.audio
        return [video, OutgoingTrack("audio", ["opus"], lambda codec: audio)]

    def stats(self) -> SendingStats:
        """What is sent."""
        now = asyncio.get_running_loop().time()
        used = [channel for channel in self._channels.values() if channel.feed.readers]
        meters = [channel.feed.meter for channel in used]
        return SendingStats(
            tuple(channel.codec for channel in used),
            max((meter.per_second(now) for meter in meters), default=0.0),
            max((meter.bits_per_second(now) for meter in meters), default=0.0),
        )

    def end(self) -> None:
        """Give out nothing more."""
        for channel in self._channels.values():
            channel.feed.end()
            channel.stop()
        if self._source.audio is not None:
            self._source.audio.end()

    def _source_changed(self) -> None:
        for channel in self._channels.values():
            # What is being encoded at this moment must not come between the source's own pictures, and what
            # is encoded next must not build on what viewers were sent before that.
            channel.stop()
            channel.update()

    def _take_estimate(self, track: OutgoingTrack, bitrate: float) -> None:
        for channel in self._channels.values():
            if track.reader in channel.feed.readers:
                channel.take_estimate(track, self._tracks, bitrate)

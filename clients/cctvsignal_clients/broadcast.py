"""One source to all viewers of a camera: each codec encoded once, and only while somebody watches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from av import VideoFrame
from twisted.logger import Logger

from . import bridge
from .encoder import (
    AS_THE_SOURCE,
    CODECS,
    Codec,
    EncoderSettings,
    EncodingFailed,
    SharedEncoder,
    VideoEncoder,
    cannot_encode,
)
from .frames import FrameReader
from .outgoing import OutgoingTrack
from .packets import GroupOfPictures, PacketFeed
from .sources import Source

TRY_AGAIN_SECONDS: Final = 60.0
"""An encoder that has failed is not tried again before: viewers come back every few seconds."""

log = Logger()


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
        self._problem = ""
        self._problem_until = float("inf")
        self.on_problem: Callable[[Channel], None] = lambda channel: None
        """Called when viewers that read this channel will get no pictures: `problem` says why."""
        feed.on_readers = self.update
        feed.on_keyframe_wanted = self._want_keyframe

    @property
    def passes_through(self) -> bool:
        """Whether the source's own packets will do."""
        return self.codec == "H264" and self._source.passes_h264

    @property
    def problem(self) -> str:
        """Why there are no pictures in this codec; empty if there are."""
        if self.passes_through or asyncio.get_running_loop().time() >= self._problem_until:
            return ""
        return self._problem

    async def check(self) -> None:
        """See whether there is an encoder for it at all, if it needs one."""
        if not self.passes_through:
            try:
                await asyncio.to_thread(VideoEncoder(self.codec, None, self._source.rate).check)
            except Exception as error:
                self._problem = cannot_encode(self.codec, error)
                log.error("{problem}", problem=self._problem)

    def update(self) -> None:
        """Encode what is needed by now, and nothing else."""
        if self.feed.readers and self.problem:
            self.stop()
            # Not at once: the reader that has just come is not its track's yet.
            asyncio.get_running_loop().call_soon(self.on_problem, self)
            return
        if self.feed.readers and self._task is None:
            self._frames = FrameReader(keep=1)
            self._source.placeholders.add(self._frames)
            settings, rate = self._settings, self._source.rate
            self._encoder = SharedEncoder(self.codec, self._frames, self.feed, settings, rate)
            self._task = bridge.background(self._encode(self._encoder))
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

    async def _encode(self, encoder: SharedEncoder) -> None:
        try:
            await encoder.run()
        except EncodingFailed as error:
            self._problem = str(error)
            self._problem_until = asyncio.get_running_loop().time() + TRY_AGAIN_SECONDS
            log.error(
                "{problem}; not tried again for {pause:.0f} s", problem=error, pause=TRY_AGAIN_SECONDS
            )
            self.update()

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
        for channel in self._channels.values():
            channel.on_problem = self._cannot_encode
        self.on_problem: Callable[[Sequence[OutgoingTrack], str], None] = lambda tracks, problem: None
        """Called when there will be no pictures on these tracks, with the reason."""
        source.on_change = self._source_changed

    async def check(self) -> None:
        """See which of the codecs can be encoded here; the others are not offered."""
        for codec in self._codecs:
            await self._channels[codec].check()

    @property
    def problem(self) -> str:
        """Why there are no pictures in any codec; empty if there are."""
        return "" if self._usable() else self._channels[self._codecs[0]].problem

    def tracks(self) -> list[OutgoingTrack]:
        """New tracks for one more viewer."""
        codecs = self._usable() or self._codecs
        video = OutgoingTrack("video", codecs, lambda codec: self._channels[codec].feed)
        video.on_estimate = self._take_estimate
        video.on("ended", bridge.listener(lambda: self._tracks.remove(video)))
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

    def _usable(self) -> list[Codec]:
        return [codec for codec in self._codecs if not self._channels[codec].problem]

    def _cannot_encode(self, channel: Channel) -> None:
        mine = [track for track in self._tracks if track.reader in channel.feed.readers]
        self.on_problem(mine, channel.problem)

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

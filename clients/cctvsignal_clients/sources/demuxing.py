"""The two ways of a source's video packets, and the one of its audio."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av
from av.bitstream import BitStreamFilterContext
from twisted.logger import Logger

from ..h264 import START_CODE, ParameterSets
from ..packets import AUDIO_CLOCK, Packet
from ..queues import SinceKeyframe

OPUS_SAMPLES: Final = 960
"""20 ms, which is what browsers expect."""
SOUND_GAP: Final = AUDIO_CLOCK // 10
"""So many ticks may times of sound be from what its samples add up to; more is a gap."""
PLAYABLE_PIXELS: Final = ("yuv420p", "yuvj420p")

B_FRAMES: Final = "browsers stutter with its B frames"

log = Logger()


class VideoPath:
    """Video of a container: passed on as it is where browsers can show it, decoded where that is wanted."""

    def __init__(self, stream: av.VideoStream, *, may_pass: bool) -> None:
        self.stream = stream
        context = stream.codec_context
        self.size = (context.width or 640, context.height or 480)
        self.why_not = "other options were asked for"
        """Why it cannot be passed on; empty if it can."""
        if may_pass:
            self.why_not = _why_not(context)
        self._filter = None if self.why_not else BitStreamFilterContext("h264_mp4toannexb", stream)
        extradata = context.extradata or b""
        # An MP4 file's is of another form, which the filter converts.
        is_stream = extradata.startswith((START_CODE, START_CODE[1:]))
        self._sets = ParameterSets(extradata if is_stream else b"")
        self._group: SinceKeyframe[av.Packet[Any]] = SinceKeyframe()
        self._decoding = False

    @property
    def passes(self) -> bool:
        """Whether its packets can be passed on as they are."""
        return not self.why_not

    def pass_on(self, packet: av.Packet[Any]) -> Iterator[tuple[bytes, bool]]:
        """The packet as an Annex B picture, and whether it is a keyframe."""
        assert self._filter is not None
        # A copy, because the filter leaves nothing in the packet that it is given.
        for converted in self._filter.filter(av.Packet(bytes(packet))):
            picture, keyframe, b_slices = self._sets.complete(bytes(converted))
            if b_slices:
                self.why_not = B_FRAMES
                return
            yield picture, keyframe

    def decode(self, packet: av.Packet[Any], *, wanted: bool) -> av.VideoFrame | None:
        """The newest picture that this packet completes, if pictures are `wanted` at all."""
        self._group.add(packet, keyframe=packet.is_keyframe)
        if not wanted:
            self._decoding = False
            return None
        packets = [packet]
        if not self._decoding:
            # Whoever begins to decode in the middle needs all since the last keyframe.
            self.stream.codec_context.flush_buffers()
            packets, self._decoding = list(self._group.items), True
        newest = None
        for each in packets:
            try:
                for frame in self.stream.codec_context.decode(each):
                    newest = frame
            except av.FFmpegError as error:
                log.debug("a damaged picture was left out: {error}", error=error.strerror)
        return newest


def _why_not(context: av.VideoCodecContext) -> str:
    if context.name != "h264":
        return f"browsers cannot play {context.name} by WebRTC"
    if context.pix_fmt not in PLAYABLE_PIXELS:
        return f"browsers cannot play H.264 with {context.pix_fmt} pixels"
    return B_FRAMES if context.has_b_frames else ""


class AudioPath:
    """Audio of a container, as Opus, with times as the container has them."""

    def __init__(self, stream: av.AudioStream) -> None:
        self.stream = stream
        self._resampler = av.AudioResampler(
            format="s16", layout="stereo", rate=AUDIO_CLOCK, frame_size=OPUS_SAMPLES
        )
        encoder = av.CodecContext.create("libopus", "w")
        assert isinstance(encoder, av.AudioCodecContext)
        encoder.format, encoder.layout, encoder.sample_rate = "s16", "stereo", AUDIO_CLOCK
        encoder.bit_rate = 64_000
        encoder.time_base = Fraction(1, AUDIO_CLOCK)
        self._encoder = encoder
        self._next = 0
        """The time of the next packet to be made."""
        self._heard: float | None = None
        """Up to this time there was sound."""

    def encode(self, packet: av.Packet[Any]) -> list[Packet]:
        """The Opus packets that this packet completes; times are in ticks of `AUDIO_CLOCK`."""
        packets = []
        try:
            frames = self.stream.codec_context.decode(packet)
        except av.FFmpegError as error:
            log.debug("damaged sound was left out: {error}", error=error.strerror)
            return []
        for frame in frames:
            self._follow(frame)
            frame.pts = None
            for piece in self._resampler.resample(frame):
                for encoded in self._encoder.encode(piece):
                    packets.append(Packet(bytes(encoded), self._next))
                    self._next += OPUS_SAMPLES
        return packets

    def _follow(self, frame: av.AudioFrame) -> None:
        """Leave out of the times what is missing in the sound."""
        if frame.time is not None:
            at = frame.time * AUDIO_CLOCK
            before = 0.0 if self._heard is None else self._heard
            if self._heard is None or abs(at - before) > SOUND_GAP:
                self._next += round(at - before)
                self._heard = at
        if self._heard is not None:
            self._heard += frame.samples * AUDIO_CLOCK / frame.sample_rate

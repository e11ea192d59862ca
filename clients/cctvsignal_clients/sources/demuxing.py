"""The two ways of a source's video packets, and the one of its audio."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import av
from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags
from av.stream import Disposition
from twisted.logger import Logger

from ..errors import SourceError
from ..h264 import ParameterSets, begins_group, nal_units
from ..packets import AUDIO_CLOCK, GROUP_BYTES, Packet
from ..queues import GROUP_PACKETS, SinceKeyframe

OPUS_SAMPLES: Final = 960
"""20 ms, which is what browsers expect."""
SOUND_GAP: Final = AUDIO_CLOCK // 10
"""So many ticks may times of sound be from what its samples add up to; more is a gap."""
PLAYABLE_PIXELS: Final = ("yuv420p", "yuvj420p")

KEYFRAME_SECONDS: Final = 3.0
"""So long a source may send no keyframe before it is encoded for viewers."""
LARGE_GROUP_SECONDS: Final = 10.0
"""So long a new viewer may have to wait for the next keyframe, where a group is too large to be kept."""
OTHER_OPTIONS: Final = "other options were asked for"
B_FRAMES: Final = "browsers stutter with its B frames"
NO_KEYFRAME: Final = "no keyframe (IDR) has come, and viewers can begin with no other picture"
FEW_KEYFRAMES: Final = "its keyframes (IDR) are too far apart, and viewers can begin with no other picture"
CODEC_NAMES: Final = {"h264": "H.264", "hevc": "H.265", "mpeg4": "MPEG-4", "mpeg2video": "MPEG-2"}
STILL_PICTURES: Final = Disposition.attached_pic | Disposition.timed_thumbnails

log = Logger()


class VideoPath:
    """Video of a container: passed on as it is where browsers can show it, decoded where that is wanted.

    Receivers of WebRTC can begin only at an IDR picture (RFC 6184, section 8.5; Chromium and aiortc), so a
    source that has none of them often enough is not passed on. `why_not` says beforehand why it cannot be.
    """

    def __init__(self, stream: av.VideoStream, why_not: str) -> None:
        self.stream = stream
        context = stream.codec_context
        self.size = (context.width or 640, context.height or 480)
        self.why_not = _why_not(context) or why_not
        """Why it is not passed on; empty while it is."""
        is_h264 = context.name == "h264"
        self._filter = BitStreamFilterContext("h264_mp4toannexb", stream) if is_h264 else None
        self._sets = ParameterSets(context.extradata or b"")
        self._since = time.monotonic()
        self._had_keyframe = False
        self._pictures = self._bytes = 0
        """Since the last keyframe."""
        self._group: SinceKeyframe[av.Packet[Any]] = SinceKeyframe()
        self._begins_group = False
        self._decoding = False

    @property
    def passes(self) -> bool:
        """Whether its packets can be passed on as they are."""
        return not self.why_not

    def pass_on(self, packet: av.Packet[Any]) -> list[tuple[bytes, bool]]:
        """The packet as Annex B pictures, and whether each is a keyframe: none unless it `passes` now."""
        self._begins_group = packet.is_keyframe
        if self._filter is None:
            return []
        pictures = []
        try:
            # A copy, because the filter leaves nothing in the packet that it is given.
            filtered = self._filter.filter(av.Packet(bytes(packet)))
        except av.FFmpegError as error:
            log.debug("a damaged picture was not passed on: {error}", error=error.strerror)
            return []
        for converted in filtered:
            picture, keyframe, b_slices = self._sets.complete(bytes(converted))
            self._begins_group = self._begins_group or begins_group(list(nal_units(picture)))
            if b_slices and self.why_not in ("", NO_KEYFRAME):
                self.why_not = B_FRAMES
            self._count(len(picture), keyframe)
            if self.passes:
                pictures.append((picture, keyframe))
        return pictures

    def decode(self, packet: av.Packet[Any], *, wanted: bool) -> av.VideoFrame | None:
        """The newest picture that this packet completes, if pictures are `wanted` at all.

        `pass_on` has had this packet before.
        """
        self._group.add(packet, keyframe=self._begins_group)
        # Where there is nothing to begin with later, decoding must not stop.
        if not wanted and 0 < len(self._group.items) < GROUP_PACKETS:
            self._decoding = False
            return None
        packets = [packet]
        if not self._decoding:
            # Whoever begins to decode in the middle needs all since the last keyframe.
            self.stream.codec_context.flush_buffers()
            packets, self._decoding = list(self._group.items) or packets, True
        newest = None
        for each in packets:
            try:
                for frame in self.stream.codec_context.decode(each):
                    newest = frame
            except av.FFmpegError as error:
                log.debug("a damaged picture was left out: {error}", error=error.strerror)
        return newest if wanted else None

    def _count(self, size: int, keyframe: bool) -> None:
        """Find out whether there are keyframes for viewers to begin with."""
        now = time.monotonic()
        if keyframe:
            self._had_keyframe, self._since, self._pictures, self._bytes = True, now, 0, 0
            if self.why_not == NO_KEYFRAME:
                self.why_not = ""
        self._pictures, self._bytes = self._pictures + 1, self._bytes + size
        silent = now - self._since
        if not self._had_keyframe and (silent >= KEYFRAME_SECONDS or self.why_not == NO_KEYFRAME):
            self.why_not = self.why_not or NO_KEYFRAME
            if not self._group.items:
                # Not even a recovery point: what is refreshed bit by bit is damaged at first.
                self.stream.codec_context.flags |= Flags.output_corrupt
        large = self._bytes > GROUP_BYTES and silent >= LARGE_GROUP_SECONDS
        if self.passes and (large or self._pictures >= GROUP_PACKETS):
            self.why_not = FEW_KEYFRAMES


def choose_track(tracks: Sequence[av.VideoStream], number: int | None) -> av.VideoStream:
    """The track of this number, counted from 0, or else the best one.

    That is one that can be passed on, before other H.264, before all else, and of these the largest.
    Pictures that come with a recording, such as a cover, do not count. Raises `SourceError`.
    """
    playable = {
        at: track
        for at, track in enumerate(tracks)
        if track.codec_context is not None and not track.disposition & STILL_PICTURES
    }
    if not playable:
        raise SourceError("has no video in it that can be read")
    if number is None:
        return max(playable.values(), key=_worth)
    if number not in playable:
        known = ", ".join(f"{at} ({_described(track)})" for at, track in playable.items())
        raise SourceError(f"has no video track {number}: there are {known}")
    return playable[number]


def _worth(track: av.VideoStream) -> tuple[bool, bool, int]:
    context = track.codec_context
    return not _why_not(context), context.name == "h264", (context.width or 0) * (context.height or 0)


def _described(track: av.VideoStream) -> str:
    context = track.codec_context
    size = f" {context.width}x{context.height}" if context.width else ""
    return f"{codec_name(context.name)}{size}"


def _why_not(context: av.VideoCodecContext) -> str:
    if context.name != "h264":
        return f"only H.264 is passed on, and this is {codec_name(context.name)}"
    if context.pix_fmt not in PLAYABLE_PIXELS:
        return f"browsers cannot play H.264 with {context.pix_fmt} pixels"
    return B_FRAMES if context.has_b_frames else ""


def codec_name(name: str) -> str:
    """What people call a codec of FFmpeg's."""
    return CODEC_NAMES.get(name, name.upper())


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

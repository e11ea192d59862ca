"""One encoder for all viewers of a camera that negotiated its codec."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias

import av
from av.video.frame import PictureType
from twisted.logger import Logger

from .conversion import Converter
from .frames import FrameReader
from .packets import FRESH_SECONDS, VIDEO_CLOCK, Packet, PacketFeed
from .rates import SharedBitrate

Codec: TypeAlias = Literal["H264", "VP8"]
CODECS: Final[tuple[Codec, ...]] = ("H264", "VP8")
"""What browsers can all decode between them; the first is the one to prefer."""

IDLE_SECONDS: Final = 2.0
BITS_PER_PIXEL: Final = 0.1
LEAST_BITRATE: Final = 300_000
FLOOR_OF_CEILING: Final = 0.25
"""A camera's picture is of no use below a quarter of the bitrate it should have."""
CHANGE: Final = 0.15
"""A new bitrate needs a new encoder, which starts with a large keyframe: not for less than this."""
CHANGE_PAUSE_SECONDS: Final = 2.0
PIXELS_PER_THREAD: Final = 500_000
TRIES: Final = 3
"""So many pictures in a row may fail to be encoded, each with a new encoder."""
REASON_LENGTH: Final = 150
TELL_SECONDS: Final = 60.0
"""Single pictures that fail now and then are logged no more often."""

log = Logger()


class EncodingFailed(Exception):
    """Pictures cannot be encoded; the text is for viewers."""


@dataclass(frozen=True)
class EncoderSettings:
    """How to encode. `fps` and `size` are those of the source unless given; bitrate in bits a second."""

    bitrate: int | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None
    keyframe_interval: float = 4.0
    """Seconds between keyframes that nobody asked for."""

    @property
    def as_it_is(self) -> bool:
        """Whether a source that is encoded already will do."""
        return self.bitrate is None and self.fps is None and self.size is None


AS_THE_SOURCE: Final = EncoderSettings()


class VideoEncoder:
    """A libx264 or libvpx encoder, made anew when size or bitrate change. For one thread at a time.

    Both spread their bits by `rate`, frames a second, and not by the times of the frames.
    """

    def __init__(self, codec: Codec, size: tuple[int, int] | None, rate: float) -> None:
        self._codec = codec
        self._size = size
        self._rate = rate
        self._converter = Converter()
        self._context: av.VideoCodecContext | None = None
        self._made_for = (0, 0, 0)
        """Width, height and bitrate; the context itself rounds what it is given."""

    def encode(self, frame: av.VideoFrame, keyframe: bool, bitrate: int) -> list[Packet]:
        """Encode a frame, as a keyframe if so wanted."""
        width, height = self._size or (frame.width, frame.height)
        # Both codecs halve the size of the colour planes.
        width, height = width - width % 2, height - height % 2
        picture = self._converter.convert(frame, "yuv420p", (width, height))
        if self._context is None or self._made_for != (width, height, bitrate):
            self._context = self._open(width, height, bitrate)
            self._made_for = (width, height, bitrate)
        picture.pict_type = PictureType.I if keyframe else PictureType.NONE
        packets = self._context.encode(picture)
        return [Packet(bytes(packet), packet.pts or 0, packet.is_keyframe) for packet in packets]

    def check(self) -> None:
        """Raise whatever it raises if there is no such encoder here; blocks."""
        self._open(64, 64, LEAST_BITRATE).open()

    def _open(self, width: int, height: int, bitrate: int) -> av.VideoCodecContext:
        context = av.CodecContext.create("libx264" if self._codec == "H264" else "libvpx", "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.bit_rate = bitrate
        context.time_base = Fraction(1, VIDEO_CLOCK)
        context.framerate = Fraction(round(self._rate * 1000), 1000)
        context.gop_size = 100_000  # Keyframes come when they are asked for.
        context.thread_count = max(1, min(4, width * height // PIXELS_PER_THREAD))
        common = {"maxrate": str(bitrate), "bufsize": str(bitrate)}
        if self._codec == "H264":
            context.profile = "Baseline"
            context.options = {"preset": "veryfast", "tune": "zerolatency", "forced-idr": "1", **common}
        else:
            context.qmin, context.qmax = 4, 56
            context.options = {
                "deadline": "realtime",
                "cpu-used": "-8",
                "lag-in-frames": "0",
                "minrate": str(bitrate),
                "static-thresh": "1",
                "undershoot-pct": "100",
                "overshoot-pct": "15",
                **common,
            }
        return context


class SharedEncoder:
    """Encodes the frames of a reader, `rate` a second or fewer, into a feed until it is cancelled."""

    def __init__(
        self,
        codec: Codec,
        frames: FrameReader[av.VideoFrame],
        feed: PacketFeed,
        settings: EncoderSettings,
        rate: float,
    ) -> None:
        self._codec = codec
        self._rate = min(rate, settings.fps or rate)
        self._frames = frames
        self._feed = feed
        self._settings = settings
        self.bitrate: SharedBitrate | None = None
        """None until there was a frame to see its size."""
        self._keyframe_wanted = True
        self._last_keyframe = float("-inf")
        self._last_frame = float("-inf")
        self._last_change = float("-inf")
        self._used_bitrate = 0

    def want_keyframe(self) -> None:
        """A viewer needs a keyframe: soon, and one for all who want one."""
        self._keyframe_wanted = True

    async def run(self) -> None:
        """Encode; to be cancelled. Raises `EncodingFailed` after `TRIES` pictures in a row."""
        loop = asyncio.get_running_loop()
        encoder = VideoEncoder(self._codec, self._settings.size, self._rate)
        due = loop.time()
        failed, told = 0, float("-inf")
        while True:
            frame = await self._frames.next()
            now = loop.time()
            if self._settings.fps is not None:
                interval = 1 / self._settings.fps
                # Half an interval of grace: sources are never quite on time.
                if now < due - interval / 2:
                    continue
                due = max(due + interval, now)
            wanted = self._keyframe_due(now)
            try:
                packets = await asyncio.to_thread(encoder.encode, frame, wanted, self._bitrate(frame, now))
            except Exception as error:
                # Not FFmpeg's alone: an encoder that is not there is a ValueError.
                failed += 1
                if now - told >= TELL_SECONDS:
                    told = now
                    log.error(
                        "encoding {width}x{height} {pixels} as {codec} failed: {problem}",
                        width=frame.width,
                        height=frame.height,
                        pixels=frame.format.name,
                        codec=self._codec,
                        problem=reason(error),
                    )
                if failed >= TRIES:
                    raise EncodingFailed(cannot_encode(self._codec, error)) from error
                encoder = VideoEncoder(self._codec, self._settings.size, self._rate)
                continue
            failed = 0
            for packet in packets:
                if packet.keyframe:
                    self._keyframe_wanted, self._last_keyframe = False, now
                self._feed.put(packet, loop.time())

    def _keyframe_due(self, now: float) -> bool:
        since = now - self._last_keyframe
        idle, self._last_frame = now - self._last_frame, now
        # After a pause, others may have put packets into the feed.
        if since >= self._settings.keyframe_interval or idle >= IDLE_SECONDS:
            return True
        return self._keyframe_wanted and since >= FRESH_SECONDS

    def _bitrate(self, frame: av.VideoFrame, now: float) -> int:
        if self.bitrate is None:
            width, height = self._settings.size or (frame.width, frame.height)
            usual = int(width * height * self._rate * BITS_PER_PIXEL)
            ceiling = self._settings.bitrate or max(LEAST_BITRATE, usual)
            self.bitrate = SharedBitrate(int(ceiling * FLOOR_OF_CEILING), ceiling)
            self._used_bitrate = ceiling
        target = self.bitrate.target
        changed = abs(target - self._used_bitrate) > CHANGE * self._used_bitrate
        back = target == self.bitrate.ceiling != self._used_bitrate
        if (changed or back) and now - self._last_change >= CHANGE_PAUSE_SECONDS:
            self._used_bitrate, self._last_change = target, now
        return self._used_bitrate


def reason(error: Exception) -> str:
    """What an error says, in a line that is not too long for a `bye`."""
    return f"{type(error).__name__}: {error}"[:REASON_LENGTH]


def cannot_encode(codec: Codec, error: Exception) -> str:
    """What viewers are told."""
    return f"the camera cannot encode {codec}: {reason(error)}"

"""The pictures and the sound of one camera, as a viewer has them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import av
from aiortc import RTCDataChannel
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.stats import RTCInboundRtpStreamStats

from . import bridge, pictures
from . import control as control_channel
from .bridge import Result
from .control import RemoteControl
from .conversion import Converter
from .errors import MediaFailed
from .frames import FrameFeed, FrameIterator, FrameReader
from .packets import AUDIO_CLOCK, VIDEO_CLOCK, GroupOfPictures, PacketFeed
from .peer import ChannelHandlers, PeerSession
from .receiving import Tap, tap
from .recording import check_path, record

FRAMES_KEPT: Final = 30
"""For a program that iterates over frames and is slow now and then."""
PICTURE_CODECS: Final = {
    ".png": ("png", "rgb24"),
    ".jpg": ("mjpeg", "yuvj420p"),
    ".jpeg": ("mjpeg", "yuvj420p"),
}


@dataclass(frozen=True)
class StreamStats:
    """How a stream does at this moment; `width` and `height` are 0 until a picture was decoded."""

    codec: str
    width: int
    height: int
    frames_per_second: float
    bitrate: float
    """Bits a second, of video."""
    packets_lost: int
    jitter: float
    """Seconds (RFC 3550, section 6.4.1)."""
    path: Literal["direct", "relayed", "none"]
    """Whether media comes straight from the camera, or through a TURN server."""


class Stream:
    """The pictures of one camera, from `ViewerClient.request_stream` until `stop_viewing`.

    When media dies, the viewer asks the camera again, and frames and recordings go on.
    """

    def __init__(self, camera_id: str, as_jpeg: bool = False) -> None:
        self.camera_id = camera_id
        self.as_jpeg = as_jpeg
        self.control = RemoteControl()
        """What the camera says of itself, and its settings; `ViewerClient.set_control` changes them."""
        self.session: PeerSession | None = None
        """The present session with the camera; None while there is none."""
        self.lost = asyncio.Event()
        """Set while there is no session."""
        self.loss: MediaFailed | None = None
        """Why the last session is over; None until one was."""
        self.size = (0, 0)
        self._since = time.monotonic()
        self._frames = FrameFeed[av.VideoFrame]()
        self._pictures = FrameFeed[bytes]()
        self._attached = self._last_picture = self._since
        self._video = _feed(VIDEO_CLOCK)
        self._audio = _feed(AUDIO_CLOCK)
        self._has_audio = False
        self._tap: Tap | None = None
        self._sound: Tap | None = None
        self._receiving: list[asyncio.Task[None]] = []
        self._over = False

    def frames(self) -> FrameIterator[av.VideoFrame]:
        """The decoded frames from here on (`av.VideoFrame`), for `async for`; late readers miss some.

        All who iterate get the same objects: convert them (`frame.reformat`, `frame.to_image`) in one
        thread only, because PyAV keeps a scaler on the frame.
        """
        return FrameIterator(self._frames, FRAMES_KEPT)

    def pictures(self) -> FrameIterator[bytes]:
        """The JPEGs from here on as they came, for `async for`, if they were asked for `as_jpeg`."""
        return FrameIterator(self._pictures, FRAMES_KEPT)

    def snapshot(self, path: str | Path) -> Result[None]:
        """Save the next frame as PNG or JPEG, by the ending of `path`.

        Raises `ValueError` for another ending, `MediaFailed` when the stream is over, `OSError`.
        """
        return bridge.start(self._snapshot(Path(path)))

    def record(self, path: str | Path) -> Result[None]:
        """Record into an MP4, MKV or WebM file, by the ending of `path`, until the stream is over.

        Packets are kept as they come, from the last keyframe on. Cancel it to end the recording: the file
        is completed all the same.

        Raises `ValueError` for an ending that does not go with the camera's codec, `MediaFailed` when the
        stream is over before anything came, or when its codec changes, `OSError` when the file cannot be
        written.
        """
        return bridge.start(self._record(Path(path)))

    def stats(self) -> Result[StreamStats]:
        """How it does."""
        return bridge.start(self._stats())

    # --- for the viewer client

    @property
    def silent_seconds(self) -> float:
        """How long nothing has come."""
        if self.as_jpeg:
            return time.monotonic() - self._last_picture
        last = max((each.last_packet for each in (self._tap, self._sound) if each), default=float("-inf"))
        return time.monotonic() - last

    @property
    def has_begun(self) -> bool:
        """Whether anything has come in the present session."""
        if self.as_jpeg:
            return self._last_picture > self._attached
        return any(each is not None and each.codec for each in (self._tap, self._sound))

    def channels(self) -> tuple[ChannelHandlers, ChannelHandlers]:
        """The data channels for a new session: those to open, and those to take."""
        control = {control_channel.LABEL: self.control.take}
        return ({pictures.LABEL: self._on_pictures, **control}, {}) if self.as_jpeg else ({}, control)

    def attach(self, session: PeerSession) -> None:
        """Take the tracks of this session from now on."""
        self.session = session
        self.lost.clear()
        self._attached = self._last_picture = time.monotonic()
        session.connection.on("track", bridge.listener(self._on_track))

    def detach(self) -> None:
        """The session is over."""
        # It may never have had a track, and aiortc does not end tracks on which nothing came.
        for task in self._receiving:
            task.cancel()
        self._receiving.clear()
        if self.session is not None and self.session.loss is not None:
            self.loss = self.session.loss
        self.session = self._tap = self._sound = None
        self.lost.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._over = True
        self.detach()
        self._frames.end()
        self._pictures.end()
        self._video.end()
        self._audio.end()

    # --- inside

    def _on_pictures(self, channel: RTCDataChannel) -> None:
        joiner = pictures.Joiner()

        def hear(message: str | bytes) -> None:
            jpeg = joiner.take(message) if isinstance(message, bytes) else None
            if jpeg is not None:
                self._last_picture = time.monotonic()
                self._video.meter.add(len(jpeg), self._last_picture)
                self._pictures.put(jpeg)

        channel.on("message", bridge.listener(hear))
        jpegs = self._pictures.read(keep=1)
        self._run(lambda: self._decode(jpegs))

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Receive, as long as the session lasts: one that cannot be received must not last."""
        session = self.session

        async def receive() -> None:
            try:
                await work()
            except Exception:
                if session is not None:
                    session.begin_end("the viewer failed to take what came")
                raise

        what = f"receiving from camera {self.camera_id!r}"
        self._receiving.append(bridge.background(receive(), what))

    async def _decode(self, jpegs: FrameReader[bytes]) -> None:
        decoder = pictures.JpegDecoder()
        while True:
            jpeg = await jpegs.next()
            if self._frames.readers:
                frame = await asyncio.to_thread(decoder.decode, jpeg)
                if frame is not None:
                    now = time.monotonic() - self._since
                    frame.pts, frame.time_base = int(now * VIDEO_CLOCK), Fraction(1, VIDEO_CLOCK)
                    self.size = (frame.width, frame.height)
                    self._frames.put(frame)

    def _on_track(self, track: MediaStreamTrack) -> None:
        assert self.session is not None
        receivers = self.session.connection.getReceivers()
        receiver = next(each for each in receivers if each.track is track)
        if track.kind == "video":
            self._tap = tap(receiver, self._video, self._since, lambda: self._frames.readers > 0)
            source = self._tap
            self._run(lambda: self._receive(track, source))
        else:
            self._has_audio = True
            # Nobody listens to decoded sound yet.
            self._sound = tap(receiver, self._audio, self._since, lambda: False)

    async def _receive(self, track: MediaStreamTrack, source: Tap) -> None:
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, av.VideoFrame) and not source.late(frame.pts or 0):
                    self.size = (frame.width, frame.height)
                    self._frames.put(frame)
        except MediaStreamError:
            return  # The end of the session tells the client.

    async def _snapshot(self, path: Path) -> None:
        if path.suffix.lower() not in PICTURE_CODECS:
            raise ValueError(f"{path}: a snapshot ends in {', '.join(PICTURE_CODECS)}.")
        codec, pixels = PICTURE_CODECS[path.suffix.lower()]
        try:
            frame = await anext(self.frames())
        except StopAsyncIteration:
            raise MediaFailed(f"The stream of camera {self.camera_id!r} is over.") from None
        encoder = av.CodecContext.create(codec, "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, pixels
        encoder.time_base = frame.time_base or Fraction(1, VIDEO_CLOCK)
        packets = [*encoder.encode(Converter().convert(frame, pixels)), *encoder.encode(None)]
        path.write_bytes(b"".join(bytes(packet) for packet in packets))

    async def _record(self, path: Path) -> None:
        check_path(path)
        if self.as_jpeg:
            raise MediaFailed("A stream of JPEGs cannot be recorded: ask for it without as_jpeg.")
        if self._over:
            raise MediaFailed(f"The stream of camera {self.camera_id!r} is over.")
        await record(path, lambda: self._codec, self._video, self._audio if self._has_audio else None)

    @property
    def _codec(self) -> str:
        if self.as_jpeg:
            return "JPEG"
        return "" if self._tap is None else self._tap.codec

    async def _stats(self) -> StreamStats:
        now = time.monotonic()
        lost, jitter = 0, 0.0
        if self.session is not None:
            for report in (await self.session.connection.getStats()).values():
                if isinstance(report, RTCInboundRtpStreamStats) and report.kind == "video":
                    lost += report.packetsLost
                    jitter = max(jitter, report.jitter / VIDEO_CLOCK)
        return StreamStats(
            self._codec,
            *self.size,
            self._video.meter.per_second(now),
            self._video.meter.bits_per_second(now),
            lost,
            jitter,
            "none" if self.session is None else self.session.path,
        )


def _feed(clock: int) -> PacketFeed:
    feed = PacketFeed(clock, GroupOfPictures(as_it_was=True))
    feed.keyframes_on_demand = False
    return feed

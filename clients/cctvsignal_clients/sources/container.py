"""Files, cameras on the network and cameras of this machine: all that FFmpeg opens."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import av
from twisted.logger import Logger

from .. import bridge
from ..errors import SourceError
from ..packets import AUDIO_CLOCK, PacketFeed
from ..redaction import HOW_TO_WRITE, is_cut_short
from ..retry import STABLE_SECONDS, Backoff
from ..timeline import JUMP_SECONDS
from .base import Source
from .demuxing import OTHER_OPTIONS, AudioPath, VideoPath, choose_track
from .drawing import no_signal

OPEN_SECONDS: Final = 10.0
READ_SECONDS: Final = 5.0
STALL_SECONDS: Final = 3.0
"""So long a source may show nothing before viewers are told."""
PLACEHOLDER_SECONDS: Final = 0.5
JOIN_SECONDS: Final = 1.0
"""FFmpeg cannot be interrupted while it waits for a network, only until its own time-out."""
REOPEN: Final = Backoff(first_seconds=1.0, most_seconds=30.0)
DEFAULT_RATE: Final = 25.0
"""Pictures a second of a source that does not say."""
MOST_RATE: Final = 120.0

log = Logger()


@dataclass(frozen=True)
class Location:
    """What to give to FFmpeg, and what to call it where people read: without credentials."""

    name: str
    url: str
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    loops: bool = False
    """A recording: it is played at its own speed, and again when it ends."""


class ContainerSource(Source):
    """A source that FFmpeg reads, in a thread of its own because that blocks.

    What stalls or ends is opened again, ever later, and shown as "no signal" meanwhile. H.264 that browsers
    can show is passed on as it is if `may_pass`. Of several video tracks it takes `video_track`, counted
    from 0 as FFmpeg does, or else the best one.
    """

    def __init__(
        self, location: Location, *, may_pass: bool = True, video_track: int | None = None
    ) -> None:
        super().__init__()
        self._location = location
        self._video_track = video_track
        self._why_not = "" if may_pass else OTHER_OPTIONS
        """Why its H.264 is not passed on, as far as that was found out before it is opened again."""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._watch: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[None] | None = None
        self._size = (640, 480)
        self._last_picture = 0.0
        self._taken = threading.Event()
        self._needs_keyframe = True
        self._told = False
        self._was_opened = False

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        # Not the one of before: a thread that FFmpeg holds would go on when it is cleared.
        self._stopping = threading.Event()
        self._taken.set()
        self._was_opened = False
        self._opened = loop.create_future()
        self._thread = threading.Thread(
            target=self._run,
            args=(loop, self._stopping),
            name=f"reading {self._location.name}",
            daemon=True,
        )
        self._thread.start()
        try:
            await asyncio.shield(self._opened)
        except BaseException:
            self._stopping.set()
            raise
        self._last_picture = loop.time()
        self._watch = bridge.background(self._watch_signal())

    async def stop(self) -> None:
        self._stopping.set()
        if self._watch is not None:
            self._watch.cancel()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(None, thread.join, JOIN_SECONDS)

    # --- on the loop

    async def _watch_signal(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PLACEHOLDER_SECONDS)
            silent = loop.time() - self._last_picture
            if silent >= STALL_SECONDS and self.placeholders.readers:
                picture = no_signal(int(silent), self._size)
                self._stamp(picture)
                self.placeholders.put(picture)
                self._needs_keyframe = True

    def _set_up(self, passes: bool, has_audio: bool, size: tuple[int, int], rate: float) -> None:
        """A container was opened."""
        self._size, self.rate = size, rate
        self._needs_keyframe = True
        if has_audio and self.audio is None:
            self.audio = PacketFeed(AUDIO_CLOCK)
        if passes != self.passes_h264:
            self.passes_h264 = passes
            self.h264.keyframes_on_demand = not passes
            self.on_change()
        assert self._opened is not None
        if not self._opened.done():
            self._opened.set_result(None)

    def _cannot_open(self, problem: str) -> None:
        assert self._opened is not None
        if not self._opened.done():
            self._opened.set_exception(SourceError(f"The source {self._location.name} {problem}."))
            self._opened.exception()  # Whoever waited for it may have given up.

    def _take_picture(self, frame: av.VideoFrame) -> None:
        self._taken.set()
        self._alive()
        self.show(frame)

    def _take_h264(self, data: bytes, keyframe: bool) -> None:
        self._alive()
        if keyframe or not self._needs_keyframe:
            self._needs_keyframe = False
            self._pass_on(data, keyframe)

    def _alive(self) -> None:
        self._last_picture = asyncio.get_running_loop().time()

    # --- in the thread

    def _run(self, loop: asyncio.AbstractEventLoop, stopping: threading.Event) -> None:
        attempt = 0
        while not stopping.is_set():
            begun = time.monotonic()
            try:
                self._play(loop, stopping)
                if self._location.loops:
                    continue
                problem = "ended"
            except Exception as error:
                # A thread that ends without a word would leave viewers in the dark for ever.
                if not isinstance(error, av.FFmpegError | OSError | SourceError):
                    log.failure("reading {source} failed", source=self._location.name)
                problem = _problem(error) + _hint(self._location.url, error)
            if not self._was_opened:
                _post(loop, self._cannot_open, problem)
                return
            if time.monotonic() - begun >= STABLE_SECONDS:
                attempt = 0
            if attempt == 0 and not stopping.is_set():
                name = self._location.name
                log.warn("source {source} {problem}; opening it again", source=name, problem=problem)
            stopping.wait(REOPEN.seconds(attempt))
            attempt += 1

    def _tell_once(self, why: str) -> None:
        if not self._told:
            self._told = True
            log.info("source {source} is encoded anew: {why}", source=self._location.name, why=why)

    def _play(self, loop: asyncio.AbstractEventLoop, stopping: threading.Event) -> None:
        """Open it, and play it until it ends or is stopped."""
        with self._open(self._location.format) as container:
            playing = _Playing(self, loop, container, stopping)
            if not stopping.is_set():
                self._was_opened = True
                playing.play()

    def _open(self, format: str | None, **options: str) -> Any:
        location = self._location
        return av.open(
            location.url,
            format=format,
            options={**location.options, **options},
            timeout=(OPEN_SECONDS, READ_SECONDS),
        )


class _Playing:
    """One container from its opening to its end."""

    def __init__(
        self,
        source: ContainerSource,
        loop: asyncio.AbstractEventLoop,
        container: Any,
        stopping: threading.Event,
    ) -> None:
        track = choose_track(container.streams.video, source._video_track)
        self._source = source
        self._loop = loop
        self._container = container
        self._video = VideoPath(track, source._why_not)
        audio = container.streams.audio
        self._audio = AudioPath(audio[0]) if audio and audio[0].codec_context is not None else None
        self._stopping = stopping
        self._begin: float | None = None
        """The steady clock's time when the container's is zero."""
        self._end = 0.0
        """The container's time when all that was read so far has been shown."""
        rate = float(track.guessed_rate or DEFAULT_RATE)
        # Where there are no times in between, FFmpeg takes the clock for the rate.
        self._rate = rate if 0 < rate <= MOST_RATE else DEFAULT_RATE

    def play(self) -> None:
        source, video = self._source, self._video
        self._announce()
        streams = [video.stream] + ([self._audio.stream] if self._audio else [])
        if video.why_not:
            source._tell_once(video.why_not)
        for packet in self._container.demux(streams):
            if self._stopping.is_set() or self._wait_until_due(packet):
                return
            if self._audio is not None and packet.stream is self._audio.stream:
                self._hear(packet)
            elif packet.size:
                self._see(packet)

    def _announce(self) -> None:
        has_audio, video = self._audio is not None, self._video
        _post(self._loop, self._source._set_up, video.passes, has_audio, video.size, self._rate)

    def _see(self, packet: av.Packet[Any]) -> None:
        source, video = self._source, self._video
        before = video.why_not
        pictures = video.pass_on(packet)
        if video.why_not != before:
            source._why_not = video.why_not
            if video.why_not:
                source._tell_once(video.why_not)
            self._announce()
        for data, keyframe in pictures:
            _post(self._loop, source._take_h264, data, keyframe)
        frame = video.decode(packet, wanted=source.frames.readers > 0)
        # One at a time: a loop that is late misses pictures, and does not find a heap of them later.
        if frame is not None and source._taken.is_set():
            source._taken.clear()
            _post(self._loop, source._take_picture, frame)
        elif not video.passes:
            _post(self._loop, source._alive)

    def _hear(self, packet: av.Packet[Any]) -> None:
        assert self._audio is not None
        feed = self._source.audio
        if feed is not None and feed.readers:
            # On the clock of video, from one opening to the next: sound whose times begin anew with each is
            # silent in browsers, and ends recordings.
            begin = 0.0 if self._begin is None else self._begin - self._source._begin
            for sound in self._audio.encode(packet):
                sound = replace(sound, pts=sound.pts + round(begin * AUDIO_CLOCK))
                _post(self._loop, feed.put, sound, self._loop.time())

    def _wait_until_due(self, packet: av.Packet[Any]) -> bool:
        """Wait until this packet's time has come, if it is from a file; whether to stop reading."""
        loops, now = self._source._location.loops, time.monotonic()
        if packet.dts is not None and packet.time_base is not None:
            at = float(packet.dts * packet.time_base)
            self._end = max(self._end, at + float((packet.duration or 0) * packet.time_base))
        elif self._begin is not None and not packet.size:
            at = self._end  # The last packet of all is empty.
        else:
            # Raw streams have no times.
            return loops and self._stopping.wait(1 / self._rate)
        if self._begin is None:
            self._begin = now - at
        if not loops:
            return False
        early = self._begin + at - now
        if abs(early) > JUMP_SECONDS:
            # Times that jump in a file must not keep it from being shown.
            early = min(max(early, 0.0), JUMP_SECONDS)
            self._begin = now + early - at
        return self._stopping.wait(max(0.0, early))


def _problem(error: Exception) -> str:
    if isinstance(error, SourceError):
        return str(error)
    # The full text of FFmpeg's errors has the whole URL in it, credentials included.
    reason = getattr(error, "strerror", None)
    return f"cannot be read: {reason or type(error).__name__}"


def _hint(url: str, error: Exception) -> str:
    """What to do about it, where that can be guessed."""
    if is_cut_short(url):
        return f"; {HOW_TO_WRITE}"
    if url.startswith("http") and isinstance(error, av.InvalidDataError | SourceError):
        return "; if it is a camera that sends pictures over HTTP, try its bridge, cctvsignal-esp32"
    return ""


def _post(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    try:
        loop.call_soon_threadsafe(call, *arguments)
    except RuntimeError:
        return  # The program has ended.

"""Recordings: packets into a file as they came, not decoded and not encoded again."""

from __future__ import annotations

import asyncio
import contextlib
import io
import math
import struct
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from twisted.logger import Logger

from .errors import MediaFailed
from .packets import AUDIO_CLOCK, CATCH_UP_TICKS, VIDEO_CLOCK, Packet, PacketFeed
from .queues import SinceKeyframe

MP4_GAP_SECONDS: Final = 1800
"""The longest that one picture may be shown: FFmpeg takes over 2^28 ticks (49 minutes) for an error when it
reads, and ends the process when it is to write over 2^31."""
FILE_FORMATS: Final = {".mp4": ("H264",), ".mkv": ("H264", "VP8"), ".webm": ("VP8",)}
"""What can be in files with these endings."""

log = Logger()


class Recording:
    """A file that is being written. It can be played up to its last keyframe even if the power fails.

    Times in it rise for each of its streams, whatever those of packets do: FFmpeg ends the process where
    they do not. They rise by the millisecond that Matroska counts in.
    """

    def __init__(self, path: Path, codec: str, keyframe: bytes, with_audio: bool) -> None:
        self._lock = threading.Lock()
        """A cancelled write goes on in its thread, and must not meet the closing of the file."""
        self._closed = False
        # Written as it comes, so that a crash costs seconds and not the file.
        options = {"flush_packets": "1"}
        self._most_gap: int | None = None
        if path.suffix.lower() == ".mp4":
            options["movflags"] = "+hybrid_fragmented+frag_keyframe"
            self._most_gap = MP4_GAP_SECONDS
        self._path = path
        self._cut = 0
        """So many seconds were left out so far."""
        self._newest = 0.0
        """Where the file ends so far, in seconds."""
        self._container = av.open(str(path), "w", options=options)
        with _template(codec, keyframe) as template:
            pictures = self._container.add_stream_from_template(template)
        # Not that of the template, of whose ticks no track of an MP4 file can have 30 minutes in one step.
        pictures.time_base = Fraction(1, VIDEO_CLOCK)
        self._video = _Track(pictures, VIDEO_CLOCK)
        self._audio: _Track | None = None
        if with_audio:
            sound = self._container.add_stream("libopus", rate=AUDIO_CLOCK)
            sound.layout = "stereo"
            self._audio = _Track(sound, AUDIO_CLOCK)

    def write_video(self, packet: Packet) -> None:
        """Write a picture; blocks."""
        self._write(packet, self._video)

    def write_audio(self, packet: Packet) -> None:
        """Write sound; blocks."""
        assert self._audio is not None
        self._write(packet, self._audio)

    def close(self) -> None:
        """Complete the file; blocks."""
        with self._lock:
            self._closed = True
            self._container.close()

    def _write(self, packet: Packet, track: _Track) -> None:
        with self._lock:
            if self._closed:
                return
            if self._most_gap is not None:
                self._shorten(packet.pts / track.clock, self._most_gap)
            pts = max(packet.pts - self._cut * track.clock, track.last + track.clock // 1000)
            if self._most_gap is not None:
                pts = min(pts, track.last + self._most_gap * track.clock)
            track.last, self._newest = pts, max(self._newest, pts / track.clock)
            muxed = replace(packet, pts=pts).to_av(track.clock)
            muxed.stream = track.stream
            self._container.mux(muxed)

    def _shorten(self, at: float, most: int) -> None:
        """Leave out of the file what a gap has more than `most` seconds; for all of its streams alike."""
        excess = at - self._cut - self._newest - most
        if excess > 0:
            if not self._cut:
                log.warn(
                    "{path}: nothing came for {seconds} s, of which the recording keeps {most} s",
                    path=str(self._path),
                    seconds=round(at - self._cut - self._newest),
                    most=most,
                )
            self._cut += math.ceil(excess)


@dataclass
class _Track:
    """One stream of a file, and the last time in it."""

    stream: Any
    clock: int
    last: int = -AUDIO_CLOCK


async def record(
    path: Path, codec_now: Callable[[], str], video: PacketFeed, audio: PacketFeed | None
) -> None:
    """Write feeds into a file, from the last keyframe on, until the video ends or this is cancelled.

    Raises what `Stream.record` raises.
    """
    jumps = _jumps(video, audio)
    async with contextlib.aclosing(_without_repeats(video)) as pictures:
        try:
            first = await anext(pictures)
        except StopAsyncIteration:
            raise MediaFailed("The stream ended before there was anything to record.") from None
        codec = codec_now()
        check_path(path, codec)
        recording = Recording(path, codec, first.data, audio is not None)
        sound: asyncio.Task[None] | None = None
        told = False
        try:
            await asyncio.to_thread(recording.write_video, _since(first, first.pts))
            if audio is not None:
                begin = first.pts * AUDIO_CLOCK // VIDEO_CLOCK
                sound = asyncio.ensure_future(_record_audio(path, recording, audio, begin))
            async for packet in pictures:
                if codec_now() not in (codec, ""):
                    text = f"The camera sends {codec_now()} now: {path} ends with its last {codec}."
                    raise MediaFailed(text)
                if not told and _jumps(video, audio) != jumps:
                    told = True
                    text = "{path}: time stamps of the camera jumped; the recording goes on in real time"
                    log.warn(text, path=str(path))
                await asyncio.to_thread(recording.write_video, _since(packet, first.pts))
        except av.FFmpegError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
        finally:
            if sound is not None:
                sound.cancel()
                await asyncio.gather(sound, return_exceptions=True)
            await asyncio.to_thread(recording.close)


def check_path(path: Path, codec: str | None = None) -> None:
    """Raise `ValueError` unless a recording, of this codec if it is known, can have this path."""
    allowed = FILE_FORMATS.get(path.suffix.lower())
    if allowed is None:
        raise ValueError(f"{path}: a recording ends in {', '.join(FILE_FORMATS)}.")
    if codec and codec not in allowed:
        others = " or ".join(ending for ending, codecs in FILE_FORMATS.items() if codec in codecs)
        raise ValueError(f"{path}: the camera sends {codec}, which such files cannot hold: use {others}.")


def _jumps(video: PacketFeed, audio: PacketFeed | None) -> int:
    return video.line.jumps + (audio.line.jumps if audio is not None else 0)


async def _record_audio(path: Path, recording: Recording, audio: PacketFeed, begin: int) -> None:
    reader = audio.read()
    try:
        while True:
            packet = await reader.next()
            if packet.pts >= begin:
                await asyncio.to_thread(recording.write_audio, _since(packet, begin))
    except StopAsyncIteration:
        return
    except Exception as error:
        # Pictures may go on; whoever waits for the recording hears of this only at its end.
        log.error("{path}: sound is not recorded any more: {error}", path=str(path), error=error)
    finally:
        reader.close()


async def _without_repeats(feed: PacketFeed) -> AsyncGenerator[Packet, None]:
    """The packets of a feed, but for pictures that came before.

    A camera whose keyframes cannot be asked for sends the present group of pictures again to a viewer that
    has lost some of it, as fast as it can (`GroupOfPictures`). A looped file has the same group again, too,
    but at its own speed.
    """
    reader = feed.read()
    group: SinceKeyframe[bytes] = SinceKeyframe()
    held: Packet | None = None
    """A keyframe that came before: what comes next tells whether its group is a repetition."""
    awaited: bytes | None = None
    """The last of the pictures that came before."""
    try:
        while True:
            try:
                packet = await reader.next()
            except StopAsyncIteration:
                if held is not None:
                    yield held
                return
            again = packet.keyframe and group.items[:1] == [packet.data]
            if held is not None:
                if packet.pts - held.pts > CATCH_UP_TICKS:
                    group.add(held.data, keyframe=True)
                    yield held
                elif len(group.items) > 1:
                    awaited = group.items[-1]
                held = None
            if awaited is not None and (again or not packet.keyframe):
                if packet.data == awaited:
                    awaited = None
                continue
            awaited = None
            if again:
                held = packet
                continue
            group.add(packet.data, keyframe=packet.keyframe)
            yield packet
    finally:
        reader.close()


def _since(packet: Packet, begin: int) -> Packet:
    return Packet(packet.data, packet.pts - begin, packet.keyframe)


@contextlib.contextmanager
def _template(codec: str, keyframe: bytes) -> Iterator[Any]:
    """A stream with the size and the parameters of a keyframe, for the header of a file."""
    form = "h264"
    if codec == "VP8":
        # An IVF file of one frame; FFmpeg finds the size in the frame.
        head = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"VP80", 0, 0, VIDEO_CLOCK, 1, 1, 0)
        keyframe, form = head + struct.pack("<IQ", len(keyframe), 0) + keyframe, "ivf"
    with av.open(io.BytesIO(keyframe), format=form) as container:
        yield container.streams.video[0]

"""Recordings: packets into a file as they came, not decoded and not encoded again."""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import av

from .errors import MediaFailed
from .packets import AUDIO_CLOCK, VIDEO_CLOCK, Packet, PacketFeed

FILE_FORMATS: Final = {".mp4": ("H264",), ".mkv": ("H264", "VP8"), ".webm": ("VP8",)}
"""What can be in files with these endings."""


class Recording:
    """A file that is being written. It can be played up to its last keyframe even if the power fails."""

    def __init__(self, path: Path, codec: str, keyframe: bytes, with_audio: bool) -> None:
        self._lock = threading.Lock()
        """A cancelled write goes on in its thread, and must not meet the closing of the file."""
        # Written as it comes, so that a crash costs seconds and not the file.
        options = {"flush_packets": "1"}
        if path.suffix.lower() == ".mp4":
            options["movflags"] = "+hybrid_fragmented+frag_keyframe"
        self._container = av.open(str(path), "w", options=options)
        with _template(codec, keyframe) as template:
            self._video = self._container.add_stream_from_template(template)
        self._audio: av.AudioStream | None = None
        if with_audio:
            self._audio = self._container.add_stream("libopus", rate=AUDIO_CLOCK)
            self._audio.layout = "stereo"

    def write_video(self, packet: Packet) -> None:
        """Write a picture; blocks."""
        self._write(packet.to_av(VIDEO_CLOCK), self._video)

    def write_audio(self, packet: Packet) -> None:
        """Write sound; blocks."""
        self._write(packet.to_av(AUDIO_CLOCK), self._audio)

    def close(self) -> None:
        """Complete the file; blocks."""
        with self._lock:
            self._container.close()

    def _write(self, packet: Any, stream: Any) -> None:
        packet.stream = stream
        with self._lock:
            self._container.mux(packet)


async def record(
    path: Path, codec_now: Callable[[], str], video: PacketFeed, audio: PacketFeed | None
) -> None:
    """Write feeds into a file, from the last keyframe on, until the video ends or this is cancelled.

    Raises what `Stream.record` raises.
    """
    async with contextlib.aclosing(_in_order(video)) as pictures:
        try:
            first = await anext(pictures)
        except StopAsyncIteration:
            raise MediaFailed("The stream ended before there was anything to record.") from None
        codec = codec_now()
        check_path(path, codec)
        recording = Recording(path, codec, first.data, audio is not None)
        sound: asyncio.Task[None] | None = None
        try:
            await asyncio.to_thread(recording.write_video, _since(first, first.pts))
            if audio is not None:
                begin = first.pts * AUDIO_CLOCK // VIDEO_CLOCK
                sound = asyncio.ensure_future(_record_audio(recording, audio, begin))
            async for packet in pictures:
                if codec_now() not in (codec, ""):
                    text = f"The camera sends {codec_now()} now: {path} ends with its last {codec}."
                    raise MediaFailed(text)
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


async def _record_audio(recording: Recording, audio: PacketFeed, begin: int) -> None:
    async with contextlib.aclosing(_in_order(audio)) as packets:
        async for packet in packets:
            if packet.pts >= begin:
                await asyncio.to_thread(recording.write_audio, _since(packet, begin))


async def _in_order(feed: PacketFeed) -> AsyncGenerator[Packet, None]:
    """The packets of a feed; where some were lost, or come again, on from the next keyframe."""
    reader = feed.read()
    last: int | None = None
    broken = False
    try:
        while True:
            try:
                packet = await reader.next()
            except StopAsyncIteration:
                return
            if last is not None and packet.pts <= last:
                broken = True
            elif packet.keyframe or not broken:
                last, broken = packet.pts, False
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

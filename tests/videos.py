"""Video files for tests, whose frames have their number in them."""

from __future__ import annotations

import itertools
import math
import struct
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
from cctvsignal_clients.sources.pattern import draw


def write_video(path: Path, frames: int, rate: int, pixels: str = "yuv420p", **options: str) -> None:
    """Write so many frames as H.264; `options` are those of libx264."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options=options)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 640, 480, pixels
        for number in range(frames):
            frame = draw(number, datetime.now(UTC))
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


def write_generated(path: Path, source: str, frames: int) -> None:
    """Write so many frames of a picture that FFmpeg makes (`source` as for its lavfi device) as H.264."""
    with av.open(source, format="lavfi") as pictures, av.open(str(path), "w") as container:
        stream = pictures.streams.video[0]
        video = container.add_stream("libx264", rate=stream.average_rate, options={"bf": "0", "g": "15"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = stream.width, stream.height, "yuv420p"
        for frame in itertools.islice(pictures.decode(stream), frames):
            container.mux(video.encode(frame.reformat(format="yuv420p")))
        container.mux(video.encode(None))


def write_video_with_sound(path: Path, seconds: int) -> None:
    """Pictures with their number in them, and a sound of one pitch."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=15, options={"profile": "baseline", "g": "15"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        audio = file.add_stream("aac", rate=44_100)
        assert isinstance(audio, av.AudioStream)
        audio.layout = "mono"
        for number in range(15 * seconds):
            frame = draw(number, datetime.now(UTC))
            frame.pts, frame.time_base = number, Fraction(1, 15)
            file.mux(video.encode(frame))
            sound = av.AudioFrame(format="fltp", layout="mono", samples=2940)
            wave = [0.5 * math.sin(2 * math.pi * 440 * at / 44_100) for at in range(2940)]
            sound.planes[0].update(struct.pack("<2940f", *wave))
            sound.sample_rate, sound.pts, sound.time_base = 44_100, number * 2940, Fraction(1, 44_100)
            file.mux(audio.encode(sound))
        file.mux(video.encode(None))
        file.mux(audio.encode(None))

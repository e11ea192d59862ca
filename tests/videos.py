"""Video files for tests, whose frames have their number in them."""

from __future__ import annotations

import itertools
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

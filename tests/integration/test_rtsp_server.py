"""The RTSP server that tests of RTSP sources rely on does what they expect of it."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from cctvsignal_clients.sources.pattern import read_counter

from tests.rtsp_server import rtsp_server
from tests.videos import write_video


def first_counters(url: str, many: int) -> list[int]:
    """The numbers in the first frames of an RTSP stream."""
    found: list[int] = []
    with av.open(url, options={"rtsp_transport": "tcp"}, timeout=10) as container:
        video = container.streams.video[0]
        assert video.codec_context.name == "h264"
        for frame in container.decode(video):
            found.append(read_counter(frame))
            if len(found) == many:
                break
    return found


def test_a_file_is_served_in_real_time(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, frames=90, rate=15, profile="baseline", g="15")
    with rtsp_server(path) as url:
        assert first_counters(url, 20) == list(range(20))
        # Whoever comes later gets what follows, or the beginning once nobody watches any more.
        assert first_counters(url, 5)


def test_pictures_of_its_own() -> None:
    with rtsp_server(None) as url:
        assert first_counters(url, 20) == list(range(20))


def test_only_who_knows_the_password_may_watch() -> None:
    with rtsp_server(None, user="guard", password="s3cret") as url:
        with pytest.raises(av.FFmpegError):
            first_counters(url, 1)
        with pytest.raises(av.FFmpegError):
            first_counters(url.replace("//", "//guard:wrong@"), 1)
        assert first_counters(url.replace("//", "//guard:s3cret@"), 20) == list(range(20))

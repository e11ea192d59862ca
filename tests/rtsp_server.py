"""An RTSP server that was not written here, GStreamer's, with one video file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.processes import command
from tests.videos import write_video

PYTHON: Final = "/usr/bin/python3"
"""The Python of the system: GStreamer's bindings are a package of the system."""
SCRIPT: Final = Path(__file__).parent / "peers" / "rtsp_server_gst.py"


@contextmanager
def rtsp_server(
    path: Path | None, *, user: str | None = None, password: str | None = None, port: int = 0
) -> Iterator[str]:
    """The URL of a server that sends this H.264 file in real time, or a minute of pictures of its own.

    `port` 0 is a free one.
    """
    with tempfile.TemporaryDirectory() as directory:
        if path is None:
            path = Path(directory) / "minute.mp4"
            write_video(path, frames=900, rate=15, profile="baseline", preset="ultrafast", g="30")
        arguments = [f"--file={path}", f"--port={port}"]
        if user is not None:
            arguments += [f"--user={user}", f"--password={password or ''}"]
        with command(PYTHON, str(SCRIPT), *arguments) as process:
            yield process.wait_for_line(r"ready: (rtsp://\S+)").group(1)

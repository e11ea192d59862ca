"""Where a camera's pictures come from: `open_source` finds the source that a word names."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from ..encoder import AS_THE_SOURCE, EncoderSettings
from ..errors import SourceError
from .base import Source
from .container import ContainerSource, Location
from .http_mjpeg import HttpSource
from .pattern import FRAMES_PER_SECOND, TestPattern

__all__ = ["ContainerSource", "Location", "Source", "TestPattern", "open_source"]

WORDS: Final = "test, webcam, file:PATH, rtsp://..., http://... or screen"


def open_source(word: str, encoding: EncoderSettings = AS_THE_SOURCE) -> Source:
    """The source that a word names.

    Words: test, webcam[:N|/dev/videoN], file:PATH, rtsp://..., http://..., screen. A test pattern or a
    device of this machine is asked for the frames per second and the size of `encoding`.

    Raises `SourceError` for a word that names none. Whether it is there shows when it is started.
    """
    if word == "test":
        return TestPattern(encoding.fps or FRAMES_PER_SECOND)
    location = locate(word, sys.platform, encoding.fps, encoding.size)
    kind = HttpSource if location.url.lower().startswith(("http:", "https:")) else ContainerSource
    return kind(location, may_pass=encoding.as_it_is)


def locate(word: str, platform: str, fps: float | None, size: tuple[int, int] | None) -> Location:
    """What FFmpeg is to open for a word on a platform (`sys.platform`); raises `SourceError`."""
    kind, _, rest = word.partition(":")
    kind = kind.lower()
    if kind == "file" and rest:
        if not Path(rest).is_file():
            raise SourceError(f"There is no file {rest!r}.")
        return Location(repr(rest), rest, loops=True)
    if kind in ("rtsp", "rtsps") and rest.startswith("//"):
        # TCP: over UDP, a camera behind a router sends into the void, and Wi-Fi loses keyframes.
        options = {"rtsp_transport": "tcp", "timeout": "5000000"}
        return Location(redacted(word), word, options=options)
    if kind in ("http", "https") and rest.startswith("//"):
        return Location(redacted(word), word, options={"timeout": "5000000"})
    wishes = {}
    if fps is not None:
        wishes["framerate"] = f"{fps:g}"
    if size is not None:
        wishes["video_size"] = f"{size[0]}x{size[1]}"
    if kind == "webcam":
        return _webcam(word, rest, platform, wishes)
    if word == "screen":
        return _screen(platform, wishes)
    raise SourceError(f"There is no source {redacted(word)!r}: use {WORDS}.")


def redacted(url: str) -> str:
    """The URL without user and password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition(":")[0]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _webcam(word: str, device: str, platform: str, wishes: dict[str, str]) -> Location:
    if platform == "darwin":
        return Location(word, device or "0", "avfoundation", {"framerate": "30", **wishes})
    if platform == "win32":
        if not device:
            raise SourceError("On Windows, name the camera: webcam:NAME, as Windows calls it.")
        return Location(word, f"video={device}", "dshow", wishes)
    if device and not re.fullmatch(r"\d+|/.+", device):
        raise SourceError(f"There is no source {word!r}: use webcam, webcam:1 or webcam:/dev/video1.")
    path = device if device.startswith("/") else f"/dev/video{device or 0}"
    if not Path(path).exists():
        raise SourceError(f"There is no camera {path}: is it plugged in? (ls /dev/video*)")
    return Location(word, path, "v4l2", wishes)


def _screen(platform: str, wishes: dict[str, str]) -> Location:
    wishes = {"framerate": "15", **wishes}
    if platform == "darwin":
        return Location("screen", "Capture screen 0", "avfoundation", wishes)
    if platform == "win32":
        return Location("screen", "desktop", "gdigrab", wishes)
    display = os.environ.get("DISPLAY")
    if not display:
        raise SourceError(
            "There is no screen: the variable DISPLAY is not set (and Wayland has no X display)."
        )
    return Location("screen", display, "x11grab", wishes)

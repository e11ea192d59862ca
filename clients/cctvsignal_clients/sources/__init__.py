"""Where a camera's pictures come from: `open_source` finds the source that a word names."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

from ..encoder import AS_THE_SOURCE, EncoderSettings
from ..errors import SourceError
from ..redaction import HOW_TO_WRITE, cannot_be_parsed, shown, shown_path
from .base import Source
from .container import ContainerSource, Location
from .http_mjpeg import HttpSource
from .pattern import FRAMES_PER_SECOND, TestPattern

__all__ = ["ContainerSource", "Location", "Source", "TestPattern", "open_source"]

WORDS: Final = "test, webcam, file:PATH, rtsp://..., http://... or screen"


def open_source(
    word: str, encoding: EncoderSettings = AS_THE_SOURCE, video_track: int | None = None
) -> Source:
    """The source that a word names.

    Words: test, webcam[:N|/dev/videoN], file:PATH, rtsp://..., http://..., screen. A test pattern or a
    device of this machine is asked for the frames per second and the size of `encoding`. `video_track`,
    counted from 0, is for what has several; unless given, the best one is taken.

    Raises `SourceError` for a word that names none. Whether it is there shows when it is started.
    """
    if word == "test":
        return TestPattern(encoding.fps or FRAMES_PER_SECOND)
    location = locate(word, sys.platform, encoding.fps, encoding.size)
    kind = HttpSource if location.url.lower().startswith(("http:", "https:")) else ContainerSource
    return kind(location, may_pass=encoding.as_it_is, video_track=video_track)


def locate(word: str, platform: str, fps: float | None, size: tuple[int, int] | None) -> Location:
    """What FFmpeg is to open for a word on a platform (`sys.platform`); raises `SourceError`."""
    kind, _, rest = word.partition(":")
    kind = kind.lower()
    if kind == "file" and rest:
        if not Path(rest).is_file():
            raise SourceError(f"There is no file {shown_path(rest)!r}.")
        return Location(repr(rest), rest, loops=True)
    if cannot_be_parsed(word):
        raise SourceError(f"The source {shown(word)} cannot be read: {HOW_TO_WRITE}.")
    if kind in ("rtsp", "rtsps") and rest.startswith("//"):
        # TCP: over UDP, a camera behind a router sends into the void, and Wi-Fi loses keyframes.
        options = {"rtsp_transport": "tcp", "timeout": "5000000"}
        return Location(shown(word), _url(kind, rest), options=options)
    if kind in ("http", "https") and rest.startswith("//"):
        return Location(shown(word), _url(kind, rest), options={"timeout": "5000000"})
    wishes = {}
    if fps is not None:
        wishes["framerate"] = f"{fps:g}"
    if size is not None:
        wishes["video_size"] = f"{size[0]}x{size[1]}"
    if kind == "webcam":
        return _webcam(word, rest, platform, wishes)
    if word == "screen":
        return _screen(platform, wishes)
    raise SourceError(f"There is no source {shown(word)!r}: use {WORDS}.")


def _url(scheme: str, rest: str) -> str:
    # FFmpeg knows schemes in lower case only; they are the same in capitals (RFC 3986, section 3.1).
    return f"{scheme}:{rest}"


def _webcam(word: str, device: str, platform: str, wishes: dict[str, str]) -> Location:
    if platform == "darwin":
        return Location(shown(word), device or "0", "avfoundation", {"framerate": "30", **wishes})
    if platform == "win32":
        if not device:
            raise SourceError("On Windows, name the camera: webcam:NAME, as Windows calls it.")
        return Location(shown(word), f"video={device}", "dshow", wishes)
    if device and not re.fullmatch(r"\d+|/.+", device):
        raise SourceError(
            f"There is no source {shown(word)!r}: use webcam, webcam:1 or webcam:/dev/video1."
        )
    path = device if device.startswith("/") else f"/dev/video{device or 0}"
    if not Path(path).exists():
        raise SourceError(f"There is no camera {shown_path(path)}: is it plugged in? (ls /dev/video*)")
    return Location(shown(word), path, "v4l2", wishes)


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

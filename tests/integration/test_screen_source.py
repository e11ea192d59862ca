"""The source `screen`, with a screen of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from av import VideoFrame
from cctvsignal_clients import bridge
from cctvsignal_clients.encoder import EncoderSettings
from cctvsignal_clients.errors import SourceError
from cctvsignal_clients.frames import FrameIterator
from cctvsignal_clients.sources import open_source

from tests.live import deadline

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="its screens are no X displays")


@contextmanager
def x_server(size: str) -> Iterator[str]:
    """The name of a display that nobody sees."""
    arguments = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{size}x24", "-nolisten", "tcp"]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            number = process.stdout.readline().strip()
            assert number
            yield f":{number}"
        finally:
            process.terminate()


async def first_frames(many: int, encoding: EncoderSettings) -> list[VideoFrame]:
    """What the source shows first."""
    source = open_source("screen", encoding)
    await source.start()
    try:
        found: list[VideoFrame] = []
        async for frame in FrameIterator(source.frames, many):
            found.append(frame)
            if len(found) == many:
                break
        return found
    finally:
        await source.stop()


@deadline()
@pytest.mark.parametrize("size", [None, (160, 120)])
async def test_the_screen_is_shown(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int] | None) -> None:
    with x_server("320x240") as display:
        monkeypatch.setenv("DISPLAY", display)
        frames = await bridge.start(first_frames(5, EncoderSettings(size=size)))
        assert {(frame.width, frame.height) for frame in frames} == {size or (320, 240)}
        stamps = [frame.pts or 0 for frame in frames]
        assert stamps == sorted(set(stamps))


def test_without_a_display_there_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SourceError, match="There is no screen: the variable DISPLAY is not set"):
        open_source("screen")


@deadline()
async def test_a_display_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with x_server("320x240") as display:
        gone = display
    monkeypatch.setenv("DISPLAY", gone)
    with pytest.raises(SourceError, match="The source screen cannot be read"):
        await bridge.start(open_source("screen").start())

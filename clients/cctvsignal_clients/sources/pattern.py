"""A moving test picture with a clock and a frame counter burnt in.

The counter is also there as a row of black and white blocks at the bottom, for programs to read.
"""

from __future__ import annotations

import asyncio
import functools
from datetime import UTC, datetime
from typing import Final

from av import VideoFrame

from .. import bridge
from .base import Source

WIDTH: Final = 640
HEIGHT: Final = 480
FRAMES_PER_SECOND: Final = 15
COUNTER_BITS: Final = 32
BLOCK_HEIGHT: Final = 24
BLACK: Final = 16
WHITE: Final = 235
DIGIT_SCALE: Final = 5

_GLYPHS: Final = {
    "0": ("01110", "10001", "10011", "10101", "11001", "10001", "01110"),
    "1": ("00100", "01100", "00100", "00100", "00100", "00100", "01110"),
    "2": ("01110", "10001", "00001", "00110", "01000", "10000", "11111"),
    "3": ("11110", "00001", "00001", "01110", "00001", "00001", "11110"),
    "4": ("00010", "00110", "01010", "10010", "11111", "00010", "00010"),
    "5": ("11111", "10000", "11110", "00001", "00001", "10001", "01110"),
    "6": ("00110", "01000", "10000", "11110", "10001", "10001", "01110"),
    "7": ("11111", "00001", "00010", "00100", "01000", "01000", "01000"),
    "8": ("01110", "10001", "10001", "01110", "10001", "10001", "01110"),
    "9": ("01110", "10001", "10001", "01111", "00001", "00010", "01100"),
    ":": ("00000", "00100", "00100", "00000", "00100", "00100", "00000"),
    ".": ("00000", "00000", "00000", "00000", "00000", "00100", "00100"),
    "#": ("01010", "01010", "11111", "01010", "11111", "01010", "01010"),
    " ": ("00000", "00000", "00000", "00000", "00000", "00000", "00000"),
}


def draw(counter: int, now: datetime) -> VideoFrame:
    """The picture with this number and time: `WIDTH` x `HEIGHT`, yuv420p."""
    background, *chroma = _background()
    luma = bytearray(background)
    bar = counter * 8 % WIDTH
    stripe = bytes([WHITE]) * min(32, WIDTH - bar)
    for row in range(160, 320):
        start = row * WIDTH + bar
        luma[start : start + len(stripe)] = stripe
    _write(luma, 24, 40, now.strftime("%H:%M:%S.") + f"{now.microsecond // 1000:03}")
    _write(luma, 24, 96, f"#{counter:06}")
    block = WIDTH // COUNTER_BITS
    bits = f"{counter % 2**COUNTER_BITS:0{COUNTER_BITS}b}"
    row_of_blocks = b"".join(bytes([WHITE if bit == "1" else BLACK]) * block for bit in bits)
    luma[(HEIGHT - BLOCK_HEIGHT) * WIDTH :] = row_of_blocks * BLOCK_HEIGHT
    frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, content in zip(frame.planes, (bytes(luma), *chroma), strict=True):
        plane.update(_padded(content, plane.width, plane.line_size))
    return frame


def read_counter(frame: VideoFrame) -> int:
    """The number in a picture that `draw` has made, also after it was coded and scaled."""
    plane = frame.reformat(format="gray").planes[0]
    picture = bytes(plane)
    block = frame.width / COUNTER_BITS
    middle = int(frame.height - frame.height * BLOCK_HEIGHT / HEIGHT / 2) * plane.line_size
    threshold = (BLACK + WHITE) // 2
    bits = (picture[middle + int((at + 0.5) * block)] > threshold for at in range(COUNTER_BITS))
    return int("".join("1" if bit else "0" for bit in bits), 2)


class TestPattern(Source):
    """The source `test`."""

    __test__ = False  # Not a test, whatever its name suggests to test runners.

    def __init__(self) -> None:
        super().__init__()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = bridge.background(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.feed.end()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        counter, due = 0, loop.time()
        while True:
            if self.feed.readers:
                self._show(draw(counter, datetime.now(UTC)))
            # After a stall, it goes on; it does not catch up.
            counter, due = counter + 1, max(due + 1 / FRAMES_PER_SECOND, loop.time())
            await asyncio.sleep(due - loop.time())


def _write(luma: bytearray, x: int, y: int, text: str) -> None:
    for line in range(7):
        pixels = "".join(_GLYPHS[character][line] + "0" for character in text)
        row = b"".join(bytes([WHITE if pixel == "1" else BLACK]) * DIGIT_SCALE for pixel in pixels)
        for copy in range(DIGIT_SCALE):
            start = (y + line * DIGIT_SCALE + copy) * WIDTH + x
            luma[start : start + len(row)] = row


def _padded(content: bytes, width: int, line_size: int) -> bytes:
    if line_size == width:
        return content
    padding = bytes(line_size - width)
    return b"".join(content[at : at + width] + padding for at in range(0, len(content), width))


@functools.cache
def _background() -> tuple[bytes, bytes, bytes]:
    """The three planes without anything on them. Not before they are needed: they take a while."""
    rows, columns = range(HEIGHT // 2), range(WIDTH // 2)
    return (
        bytes(40 + (x * 96 // WIDTH) + (y * 64 // HEIGHT) for y in range(HEIGHT) for x in range(WIDTH)),
        bytes(112 + x * 48 // WIDTH for _ in rows for x in columns),
        bytes(112 + y * 32 // HEIGHT for y in rows for _ in columns),
    )

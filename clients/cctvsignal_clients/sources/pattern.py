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
from .drawing import BLACK, WHITE, frame_of, write

WIDTH: Final = 640
HEIGHT: Final = 480
FRAMES_PER_SECOND: Final = 15
COUNTER_BITS: Final = 32
BLOCK_HEIGHT: Final = 24
DIGIT_SCALE: Final = 5


def draw(counter: int, now: datetime) -> VideoFrame:
    """The picture with this number and time: `WIDTH` x `HEIGHT`, yuv420p."""
    background, red, blue = _background()
    luma = bytearray(background)
    bar = counter * 8 % WIDTH
    stripe = bytes([WHITE]) * min(32, WIDTH - bar)
    for row in range(160, 320):
        start = row * WIDTH + bar
        luma[start : start + len(stripe)] = stripe
    write(luma, WIDTH, 24, 40, now.strftime("%H:%M:%S.") + f"{now.microsecond // 1000:03}", DIGIT_SCALE)
    write(luma, WIDTH, 24, 96, f"#{counter:06}", DIGIT_SCALE)
    block = WIDTH // COUNTER_BITS
    bits = f"{counter % 2**COUNTER_BITS:0{COUNTER_BITS}b}"
    row_of_blocks = b"".join(bytes([WHITE if bit == "1" else BLACK]) * block for bit in bits)
    luma[(HEIGHT - BLOCK_HEIGHT) * WIDTH :] = row_of_blocks * BLOCK_HEIGHT
    return frame_of(bytes(luma), (red, blue), WIDTH, HEIGHT)


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

    def __init__(self, fps: float = FRAMES_PER_SECOND) -> None:
        super().__init__()
        self.rate = fps
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = bridge.background(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        counter, due = 0, loop.time()
        while True:
            # An encoder that is late would miss the picture: it gets the next number when it is ready.
            if self.frames.readers and not self.frames.pending:
                self.show(draw(counter, datetime.now(UTC)))
                counter += 1
            # After a stall, it goes on; it does not catch up.
            due = max(due + 1 / self.rate, loop.time())
            await asyncio.sleep(due - loop.time())


@functools.cache
def _background() -> tuple[bytes, bytes, bytes]:
    """The three planes without anything on them. Not before they are needed: they take a while."""
    rows, columns = range(HEIGHT // 2), range(WIDTH // 2)
    return (
        bytes(40 + (x * 96 // WIDTH) + (y * 64 // HEIGHT) for y in range(HEIGHT) for x in range(WIDTH)),
        bytes(112 + x * 48 // WIDTH for _ in rows for x in columns),
        bytes(112 + y * 32 // HEIGHT for y in rows for _ in columns),
    )

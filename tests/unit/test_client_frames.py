"""Frames on their way from one source to many readers."""

from __future__ import annotations

import asyncio
import gc
import time
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest
from cctvsignal_clients import bridge, open_source
from cctvsignal_clients.frames import FrameFeed, FrameIterator
from cctvsignal_clients.sources.pattern import TestPattern, draw, read_counter

from tests.live import deadline
from tests.videos import write_video

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def picture(number: int) -> av.VideoFrame:
    return draw(number, NOON)


@deadline()
async def test_a_reader_that_is_late_gets_the_latest_frames() -> None:
    feed = FrameFeed[av.VideoFrame]()
    late, later = feed.read(keep=1), feed.read(keep=2)
    for number in range(5):
        feed.put(picture(number))
    feed.end()
    assert read_counter(await bridge.start(late.next())) == 4
    assert [read_counter(await bridge.start(later.next())) for _ in range(2)] == [3, 4]
    assert [frame async for frame in FrameIterator(feed, keep=1)] == []


@deadline()
async def test_a_reader_that_was_abandoned_is_forgotten() -> None:
    feed = FrameFeed[av.VideoFrame]()
    frames = FrameIterator(feed, keep=30)
    feed.put(picture(1))
    async for frame in frames:
        assert read_counter(frame) == 1
        break
    assert feed.readers == 1
    del frames
    gc.collect()
    assert feed.readers == 0


async def _counters(word: str, many: int) -> tuple[list[int], float]:
    """The numbers in the first frames of a source, and the seconds they took."""
    source = open_source(word)
    reader = source.frames.read(keep=many)
    begin = time.monotonic()
    await source.start()
    frames = [await reader.next() for _ in range(many)]
    seconds = time.monotonic() - begin
    await source.stop()
    stamps = [frame.time or 0.0 for frame in frames]
    assert stamps == sorted(set(stamps))
    return [read_counter(frame) for frame in frames], seconds


@deadline()
async def test_the_test_pattern_counts_at_its_own_speed() -> None:
    found, seconds = await bridge.start(_counters("test", 5))
    assert found == sorted(set(found))
    assert seconds >= 4 / 15 - 0.01


@deadline()
@pytest.mark.parametrize("name", ["with-times.mp4", "without-times.h264"])
async def test_a_file_is_read_at_its_own_speed(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_video(path, frames=8, rate=20, bf="0")
    found, seconds = await bridge.start(_counters(f"file:{path}", 6))
    assert found[0] == 0
    assert set(found) <= set(range(8))
    assert seconds >= 5 / 25 - 0.01


@deadline()
async def test_a_test_pattern_waits_for_a_reader_that_is_late() -> None:
    late, clock = TestPattern(fps=1000), TestPattern(fps=1000)
    reader, ticks = late.frames.read(keep=1), clock.frames.read(keep=1)

    async def read() -> list[int]:
        await asyncio.gather(late.start(), clock.start())
        for _ in range(20):
            await ticks.next()
        try:
            return [read_counter(await reader.next()) for _ in range(3)]
        finally:
            await asyncio.gather(late.stop(), clock.stop())

    assert await bridge.start(read()) == [0, 1, 2]

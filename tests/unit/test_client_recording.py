"""Recordings: real files of packets whose times nobody should trust."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import av
import pytest
from cctvsignal_clients import bridge
from cctvsignal_clients.encoder import Codec, VideoEncoder
from cctvsignal_clients.packets import AUDIO_CLOCK, CATCH_UP_TICKS, VIDEO_CLOCK, Packet, PacketFeed
from cctvsignal_clients.recording import MP4_GAP_SECONDS, Recording, record

from tests.live import deadline
from tests.media import counters_of_file
from tests.unit.test_client_encoder import BITRATE, numbered

FILES: list[tuple[Codec, str]] = [("H264", "mp4"), ("H264", "mkv"), ("VP8", "mkv"), ("VP8", "webm")]
SILENCE = b"\xf8\xff\xfe"
"""20 ms of it, as Opus."""
FRAME = 6000


def pictures(codec: Codec, many: int, group: int = 10) -> list[Packet]:
    """Encoded pictures with their number in them, 15 a second."""
    encoder = VideoEncoder(codec, None, 15)
    encoded = [encoder.encode(numbered(number), number % group == 0, BITRATE) for number in range(many)]
    return [packet for packets in encoded for packet in packets]


def times(path: Path, kind: str = "video") -> list[float]:
    """The times in a file, which must rise."""
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(**{kind: 0}) if packet.size]
    found = [float(packet.dts * packet.time_base) for packet in packets]  # type: ignore[operator]
    assert found == sorted(set(found))
    return found


@pytest.mark.parametrize(("codec", "ending"), FILES)
@pytest.mark.parametrize("gap", [60, 3600, 20 * 3600])
def test_a_gap_of_any_length_can_be_written(codec: Codec, ending: str, gap: int, tmp_path: Path) -> None:
    path, packets = tmp_path / f"gap.{ending}", pictures(codec, 20)
    recording = Recording(path, codec, packets[0].data, with_audio=True)
    for number, packet in enumerate(packets):
        pts = packet.pts + (gap * VIDEO_CLOCK if number >= 10 else 0)
        recording.write_video(Packet(packet.data, pts, packet.keyframe))
        recording.write_audio(Packet(SILENCE, pts * AUDIO_CLOCK // VIDEO_CLOCK))
    recording.close()
    kept = min(gap, MP4_GAP_SECONDS) if ending == "mp4" else gap
    assert times(path)[-1] == pytest.approx(19 / 15 + kept, abs=1.1)
    assert times(path, "audio")[-1] == pytest.approx(times(path)[-1], abs=0.1)
    assert counters_of_file(path) == list(range(20))


@pytest.mark.parametrize(("codec", "ending"), FILES)
def test_no_times_end_the_process(codec: Codec, ending: str, tmp_path: Path) -> None:
    path, packets = tmp_path / f"wild.{ending}", pictures(codec, 20)
    recording = Recording(path, codec, packets[0].data, with_audio=True)
    wild = [0, -FRAME, 2**33, 5, 5, -(2**40), 2**31 * FRAME, 0]
    for packet, pts in zip(packets, [*wild, *range(12)], strict=True):
        recording.write_video(Packet(packet.data, pts, packet.keyframe))
        recording.write_audio(Packet(SILENCE, -pts))
    recording.close()
    # What was cancelled goes on in its thread, and may come after the end.
    recording.write_video(packets[0])
    assert len(times(path)) == len(times(path, "audio")) == 20


async def _recorded(path: Path, codec: Codec, packets: Iterable[Packet]) -> None:
    """Record packets that come at their own times."""
    feed = PacketFeed()
    recording = asyncio.ensure_future(record(path, lambda: codec, feed, None))
    await asyncio.sleep(0)
    for packet in packets:
        feed.put(packet, packet.pts / VIDEO_CLOCK)
        while not recording.done() and any(reader._waiting for reader in feed.readers):
            await asyncio.sleep(0)
    feed.end()
    await recording


@deadline()
@pytest.mark.parametrize(("codec", "ending"), FILES)
async def test_a_group_that_is_sent_again_is_not_recorded_twice(
    codec: Codec, ending: str, tmp_path: Path
) -> None:
    path, packets = tmp_path / f"again.{ending}", pictures(codec, 30, group=15)
    # 20 to 22 are lost on the way; the camera sends from 15 to 25 once more.
    again = [
        Packet(packet.data, packets[25].pts + number * CATCH_UP_TICKS, packet.keyframe)
        for number, packet in enumerate(packets[15:26])
    ]
    await bridge.start(_recorded(path, codec, [*packets[:20], *again, *packets[26:]]))
    assert counters_of_file(path) == list(range(30))
    assert times(path)[-1] == pytest.approx(29 / 15, abs=0.1)
    # What is behind a loss within the group is not written again behind what came after it.
    await bridge.start(_recorded(path, codec, [*packets[:18], *packets[23:25], *again, *packets[26:]]))
    assert len(times(path)) == 18 + 2 + 1 + 4


@deadline()
async def test_a_looped_file_of_one_group_is_recorded_round_after_round(tmp_path: Path) -> None:
    path, packets = tmp_path / "loop.mp4", pictures("H264", 15, group=15)
    rounds = [
        Packet(packet.data, packet.pts + turn * 15 * FRAME, packet.keyframe)
        for turn in range(3)
        for packet in packets
    ]
    await bridge.start(_recorded(path, "H264", rounds))
    assert counters_of_file(path) == [*range(15)] * 3
    assert times(path)[-1] == pytest.approx(44 / 15, abs=0.01)

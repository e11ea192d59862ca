"""Sources whose H.264 is not as libx264 makes it: several parameter sets, few keyframes or none."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from cctvsignal_clients import ViewerClient, queues
from cctvsignal_clients.sources import demuxing
from twisted.logger import LogEvent

from tests.h264_streams import (
    I_PICTURES,
    INTRA_REFRESH,
    SUPPLEMENTAL_INFORMATION,
    Picture,
    joined_late,
    pictures,
    scenes,
    with_ids,
    without,
    write_mp4,
    write_stream,
)
from tests.integration.test_sources import is_encoding
from tests.live import deadline
from tests.media import MEDIA_SECONDS, assert_no_loss, counters, logged, only_vp8, streaming_camera
from tests.processes import Server
from tests.rtsp_server import rtsp_server

FRAMES = 300
NO_KEYFRAME = "no keyframe (IDR) has come, and viewers can begin with no other picture"


def in_order(numbers: list[int]) -> bool:
    """Whether these may be numbers in undamaged pictures of a looped file, some of them left out."""
    return all((later - earlier) % FRAMES < 60 for earlier, later in itertools.pairwise(numbers)) and all(
        number < FRAMES for number in numbers
    )


def reasons(events: list[LogEvent]) -> list[str]:
    """Why the log says that the source is encoded anew."""
    return [each["why"] for each in events if "why" in each]


@deadline(MEDIA_SECONDS)
async def test_picture_parameters_in_the_sdp_alone_reach_who_joins_late(
    shared_server: Server, tmp_path: Path
) -> None:
    url, room, original = shared_server.websocket_url, "two-pps", tmp_path / "original.mp4"
    stream = pictures(600, profile="baseline", g="15")
    sets = stream[0][:2]
    # Groups use each of two in turn.
    changed = [
        [with_ids(unit, 0, at // 15 % 2) for unit in picture]
        for at, picture in enumerate(without({7, 8}, stream))
    ]
    changed[0] = [*sets, with_ids(sets[1], 0, 1), *changed[0]]
    write_mp4(original, changed, rate=15)
    with rtsp_server(original) as rtsp:
        async with streaming_camera(url, room, rtsp) as camera, ViewerClient(url, room=room) as client:
            assert_no_loss(await counters(await client.request_stream("cam-1"), 20))
            for _ in range(2):
                async with ViewerClient(url, room=room) as late:
                    assert_no_loss(await counters(await late.request_stream("cam-1"), 35))
            assert not is_encoding(camera)


WITHOUT_IDR = {
    "recovery points": lambda: pictures(FRAMES, **INTRA_REFRESH),
    "I pictures": lambda: pictures(FRAMES, scenes, **I_PICTURES),
    "neither": lambda: without({SUPPLEMENTAL_INFORMATION}, pictures(FRAMES, **INTRA_REFRESH)),
}


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("make", WITHOUT_IDR.values(), ids=WITHOUT_IDR.keys())
async def test_a_source_without_keyframes_is_seen_and_the_log_says_why_it_is_encoded(
    shared_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], list[Picture]],
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(demuxing, "KEYFRAME_SECONDS", 1.0, raising=False)
    url, room, path = (
        shared_server.websocket_url,
        f"no-idr-{request.node.callspec.id}",
        tmp_path / "late.h264",
    )
    write_stream(path, joined_late(make()))
    async with (
        logged() as events,
        streaming_camera(url, room, f"file:{path}") as camera,
        ViewerClient(url, room=room) as client,
        ViewerClient(url, room=room) as encoded,
    ):
        only_vp8(encoded)
        for viewer in (client, encoded):
            stream = await viewer.request_stream("cam-1")
            # What is refreshed bit by bit is damaged at first.
            while not in_order(await counters(stream, 10)):
                pass
            assert in_order(await counters(stream, 30))
        assert is_encoding(camera)
        assert reasons(events) == [NO_KEYFRAME]


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("options", [{"profile": "baseline", "g": "10000"}, INTRA_REFRESH])
async def test_who_joins_long_after_the_last_keyframe_sees_a_picture(
    shared_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    for module in (queues, demuxing):
        monkeypatch.setattr(module, "GROUP_PACKETS", 45, raising=False)
    url, room, path = shared_server.websocket_url, f"long-group-{len(options)}", tmp_path / "long.h264"
    write_stream(path, pictures(FRAMES, **options))
    async with (
        logged() as events,
        streaming_camera(url, room, f"file:{path}") as camera,
        ViewerClient(url, room=room) as early,
    ):
        stream = await early.request_stream("cam-1")
        first = await counters(stream, 20)
        assert_no_loss(first)
        assert not is_encoding(camera)
        while (await counters(stream, 1))[0] < 50:
            pass
        async with ViewerClient(url, room=room) as late:
            found = await counters(await late.request_stream("cam-1"), 20)
        assert in_order(found)
        assert found[0] >= 45
        assert in_order(await counters(stream, 20))
        assert is_encoding(camera)
        assert reasons(events) == [
            "its keyframes (IDR) are too far apart, and viewers can begin with no other picture",
        ]


@deadline(MEDIA_SECONDS)
async def test_a_source_whose_first_keyframe_is_late_is_passed_on_from_there(
    shared_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demuxing, "KEYFRAME_SECONDS", 0.5, raising=False)
    url, room, path = shared_server.websocket_url, "late-idr", tmp_path / "late.h264"
    write_stream(path, joined_late(pictures(FRAMES, profile="baseline", g="60")))
    async with logged() as events, streaming_camera(url, room, f"file:{path}") as camera:
        source = camera._source
        assert source is not None
        passes = [source.passes_h264]
        changed = source.on_change

        def on_change() -> None:
            passes.append(source.passes_h264)
            changed()

        source.on_change = on_change
        async with ViewerClient(url, room=room) as client:
            stream = await client.request_stream("cam-1")
            while passes != [True, False, True]:
                await counters(stream, 1)
            await counters(stream, 5)
            assert_no_loss(await counters(stream, 30))
        assert reasons(events) == [NO_KEYFRAME]

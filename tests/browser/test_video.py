"""Real video from cameras to viewers, in pages and in Python."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import (
    expect_moving_picture,
    item,
    start_camera,
    tile,
    tile_status,
    video_of,
    wait_until,
    watched,
)
from tests.h264_streams import INTRA_REFRESH, joined_late, pictures, write_stream
from tests.processes import Server, command, script, server
from tests.videos import write_video

ROOMS = (f"room-{number}" for number in itertools.count(1))


def watched_camera(open_page: OpenPage, room: str, **options: Any) -> tuple[Page, Page]:
    """A camera page and a viewer page that shows its picture."""
    camera = open_page(f"/camera.html?room={room}&camera=porch", **options)
    start_camera(camera)
    viewer = open_page(f"/?room={room}", **options)
    expect_moving_picture(viewer, watched(viewer, "porch"))
    return camera, viewer


def test_a_camera_page_is_seen_on_a_viewer_page(open_page: OpenPage) -> None:
    watched_camera(open_page, next(ROOMS))


KEEP_CONNECTIONS = """
const Original = RTCPeerConnection;
window.connections = [];
window.RTCPeerConnection = class extends Original {
    constructor(...options) { super(...options); window.connections.push(this); }
};
"""
RECEIVED = """async () => {
    const reports = [...(await window.connections.at(-1).getStats()).values()];
    const video = reports.find((report) => report.type === "inbound-rtp" && report.kind === "video");
    return { ...video, codec: reports.find((report) => report.id === video.codecId).mimeType };
}"""

# For who catches up: the pictures of a group come at once, and to Chromium it is a freeze already when the
# next one comes 150 ms later than they did on average.
LAG_SECONDS = 1


@contextmanager
def python_camera(server: Server, room: str, *options: str) -> Iterator[None]:
    arguments = [f"--server={server.websocket_url}", f"--room={room}", "--id=cam-1", *options]
    with command(script("cctvsignal-camera"), *arguments) as camera:
        camera.wait_for_line("Camera cam-1 is in room")
        yield


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_a_python_camera_is_seen_on_a_viewer_page(
    open_page: OpenPage, shared_server: Server, codec: str
) -> None:
    room = next(ROOMS)
    viewer = open_page(f"/?room={room}", script=KEEP_CONNECTIONS)
    with python_camera(shared_server, room, f"--codec={codec.lower()}"):
        expect_moving_picture(viewer, watched(viewer, "cam-1"))
        assert viewer.evaluate("document.querySelector('video').videoWidth") == 640
        received = viewer.evaluate(RECEIVED)
        assert received["codec"] == f"video/{codec}"
        assert received["freezeCount"] == 0


def test_h264_that_is_passed_on_plays_for_who_comes_early_and_late(
    open_page: OpenPage, shared_server: Server, tmp_path: Path
) -> None:
    room, path = next(ROOMS), tmp_path / "video.mp4"
    # High profile, and long groups of pictures: who comes late is given the present one.
    write_video(path, frames=900, rate=15, bf="0", g="300")
    with python_camera(shared_server, room, f"--source=file:{path}"):
        for _ in range(2):
            viewer = open_page(f"/?room={room}", script=KEEP_CONNECTIONS)
            expect_moving_picture(viewer, watched(viewer, "cam-1"))
            wait_until(viewer, f"async () => (await ({RECEIVED})()).framesDecoded > 60")
            received = viewer.evaluate(RECEIVED)
            assert received["codec"] == "video/H264"
            assert received["pliCount"] == 0, "it could not be decoded as it came"
            # It neither waits for what it caught up with nor is shown late by as much.
            assert received["totalFreezesDuration"] < LAG_SECONDS
            assert received["jitterBufferDelay"] / received["jitterBufferEmittedCount"] < LAG_SECONDS


def test_h264_without_keyframes_is_seen_on_a_viewer_page(
    open_page: OpenPage, shared_server: Server, tmp_path: Path
) -> None:
    room, path = next(ROOMS), tmp_path / "late.h264"
    # Chromium puts together no frame of a stream that begins at a recovery point.
    write_stream(path, joined_late(pictures(300, **INTRA_REFRESH)))
    with python_camera(shared_server, room, f"--source=file:{path}"):
        viewer = open_page(f"/?room={room}", script=KEEP_CONNECTIONS)
        expect_moving_picture(viewer, watched(viewer, "cam-1"))
        assert viewer.evaluate(RECEIVED)["codec"] == "video/H264"


def test_a_camera_page_is_seen_by_a_python_viewer(
    open_page: OpenPage, shared_server: Server, tmp_path: Path
) -> None:
    room = next(ROOMS)
    start_camera(open_page(f"/camera.html?room={room}&camera=porch"))
    picture = tmp_path / "out.png"
    arguments = [f"--server={shared_server.websocket_url}", f"--room={room}", "--camera=porch"]
    with command(script("cctvsignal-viewer"), *arguments, f"--snapshot={picture}") as viewer:
        assert viewer.wait() == 0, viewer.output
    with av.open(str(picture)) as container:
        frame = next(container.decode(video=0))
    assert frame.width >= 320
    luma = bytes(frame.reformat(format="gray").planes[0])
    assert len(set(luma)) > 20, "the picture is uniform"


def test_two_viewers_on_one_camera(open_page: OpenPage) -> None:
    room = next(ROOMS)
    camera = open_page(f"/camera.html?room={room}&camera=porch")
    start_camera(camera)
    first, second = open_page(f"/?room={room}"), open_page(f"/?room={room}")
    for viewer in (first, second):
        expect_moving_picture(viewer, watched(viewer, "porch"))
    expect(camera.locator("#viewers")).to_have_attribute("data-count", "2")
    second.close()
    expect(camera.locator("#viewers")).to_have_attribute("data-count", "1")
    expect_moving_picture(first, video_of(first, "porch"))


def test_one_viewer_on_two_cameras(open_page: OpenPage) -> None:
    room = next(ROOMS)
    for camera_id in ("porch", "gate"):
        start_camera(open_page(f"/camera.html?room={room}&camera={camera_id}"))
    viewer = open_page(f"/?room={room}")
    for camera_id in ("porch", "gate"):
        expect_moving_picture(viewer, watched(viewer, camera_id))
    item(viewer, "gate").locator('[data-action="hide"]').click()
    expect(video_of(viewer, "gate")).to_have_count(0)
    expect_moving_picture(viewer, video_of(viewer, "porch"))


def test_a_camera_tab_that_is_closed_is_told_within_a_second(open_page: OpenPage) -> None:
    camera, viewer = watched_camera(open_page, next(ROOMS))
    camera.close()
    expect(tile(viewer, "porch")).to_have_attribute("data-state", "gone", timeout=1000)
    expect(tile_status(viewer, "porch")).not_to_be_empty()
    expect(viewer.locator("#announcements")).to_contain_text("porch")
    expect(item(viewer, "porch").locator(".camera-state")).to_contain_text("Gone since")


def test_a_camera_that_comes_back_is_seen_again_without_a_click(open_page: OpenPage) -> None:
    camera, viewer = watched_camera(open_page, next(ROOMS))
    camera.click("#stop")
    expect(tile(viewer, "porch")).not_to_have_attribute("data-state", "live")
    start_camera(camera)
    expect(tile(viewer, "porch")).to_have_attribute("data-state", "live")
    expect_moving_picture(viewer, video_of(viewer, "porch"))


def test_a_picture_goes_on_while_the_server_is_away(open_page: OpenPage) -> None:
    with server() as first:
        port = first.port
        refused = "ERR_CONNECTION_REFUSED"
        camera, viewer = watched_camera(open_page, "away", of=first, allowed=refused)
        first.stop()
        for page in (camera, viewer):
            expect(page.locator("#status")).to_have_attribute("data-state", "reconnecting")
        expect_moving_picture(viewer, video_of(viewer, "porch"))
    with server(port=port) as second:
        for page in (camera, viewer):
            expect(page.locator("#status")).to_have_attribute("data-state", "connected", timeout=60_000)
        expect_moving_picture(viewer, video_of(viewer, "porch"))
        another = open_page("/?room=away", of=second)
        expect_moving_picture(another, watched(another, "porch"))
        for page in (camera, viewer, another):
            page.close()

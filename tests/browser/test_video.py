"""Real video from cameras to viewers, in pages and in Python."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import av
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import expect_moving_picture, start_camera, tile_status, video_of, watch
from tests.processes import Server, command, script, server

ROOMS = (f"room-{number}" for number in itertools.count(1))


def watched_camera(open_page: OpenPage, room: str, **options: Any) -> tuple[Page, Page]:
    """A camera page and a viewer page that shows its picture."""
    camera = open_page(f"/camera.html?room={room}&camera=porch", **options)
    start_camera(camera)
    viewer = open_page(f"/?room={room}", **options)
    expect_moving_picture(viewer, watch(viewer, "porch"))
    return camera, viewer


def test_a_camera_page_is_seen_on_a_viewer_page(open_page: OpenPage) -> None:
    watched_camera(open_page, next(ROOMS))


def test_a_python_camera_is_seen_on_a_viewer_page(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    viewer = open_page(f"/?room={room}")
    arguments = [f"--server={shared_server.websocket_url}", f"--room={room}", "--id=cam-1"]
    with command(script("cctvsignal-camera"), *arguments) as camera:
        camera.wait_for_line("Camera cam-1 is in room")
        expect_moving_picture(viewer, watch(viewer, "cam-1"))
        assert viewer.evaluate("document.querySelector('video').videoWidth") == 640


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
        expect_moving_picture(viewer, watch(viewer, "porch"))
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
        expect_moving_picture(viewer, watch(viewer, camera_id))
    viewer.locator('[data-camera="gate"] [data-action="stop"]').click()
    expect(video_of(viewer, "gate")).to_have_count(0)
    expect_moving_picture(viewer, video_of(viewer, "porch"))


def test_a_camera_tab_that_is_closed_is_told_within_a_second(open_page: OpenPage) -> None:
    camera, viewer = watched_camera(open_page, next(ROOMS))
    camera.close()
    expect(viewer.locator('[data-tile="porch"]')).to_have_attribute("data-state", "gone", timeout=1000)
    expect(tile_status(viewer, "porch")).not_to_be_empty()
    expect(viewer.locator("#announcements")).to_contain_text("porch")
    expect(viewer.locator('[data-camera="porch"]')).to_have_count(0)


def test_a_camera_that_comes_back_is_seen_again_without_a_click(open_page: OpenPage) -> None:
    camera, viewer = watched_camera(open_page, next(ROOMS))
    camera.click("#stop")
    expect(viewer.locator('[data-tile="porch"]')).not_to_have_attribute("data-state", "live")
    start_camera(camera)
    expect(viewer.locator('[data-tile="porch"]')).to_have_attribute("data-state", "live")
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
        expect_moving_picture(another, watch(another, "porch"))
        for page in (camera, viewer, another):
            page.close()

"""What can be done with a camera on the wall: pictures, recordings, sound, talk, statistics."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import av
import pytest
from playwright.sync_api import Dialog, Download, Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import (
    LEVEL,
    camera,
    expect_moving_picture,
    start_camera,
    tile,
    video_of,
    wait_until,
    watched,
)
from tests.processes import Server

ROOMS = (f"tools-{number}" for number in itertools.count(1))
DESKTOP = {"width": 1280, "height": 800}


def tool(page: Page, action: str) -> Locator:
    """A button of the only tile."""
    page.locator("[data-tile]").hover()
    return page.locator(f'[data-tile] [data-action="{action}"]')


def keep(download: Download, folder: Path) -> Path:
    path = folder / download.suggested_filename
    download.save_as(path)
    return path


def frames_of(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_a_picture_is_saved(open_page: OpenPage, shared_server: Server, tmp_path: Path) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "a/porch", "--size=640x480"):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        expect_moving_picture(viewer, watched(viewer, "a/porch"))
        with viewer.expect_download() as by_key:
            viewer.keyboard.press("s")
        with viewer.expect_download() as by_button:
            tool(viewer, "snapshot").click()
        for saved in (by_key.value, by_button.value):
            path = keep(saved, tmp_path)
            assert re.fullmatch(r"a_porch-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.png", path.name)
            [picture] = frames_of(path)
            assert (picture.width, picture.height) == (640, 480)
            assert len(set(bytes(picture.reformat(format="gray").planes[0]))) > 20
        expect(viewer.locator("#notice")).to_have_text(f"Saved as {path.name}")


def record_until(page: Page, clock: str) -> None:
    """Start a recording and wait until its clock shows this."""
    tool(page, "record").click()
    expect(page.locator(".tile-clock")).to_have_text("00:00")
    expect(page.locator(".tile-clock")).to_have_text(clock, timeout=15_000)


def test_a_recording_is_saved_and_plays(open_page: OpenPage, shared_server: Server, tmp_path: Path) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch"):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        expect_moving_picture(viewer, watched(viewer, "porch"))
        record_until(viewer, "00:04")
        with viewer.expect_download() as saved:
            viewer.keyboard.press("r")
        path = keep(saved.value, tmp_path)
        expect(viewer.locator(".tile-clock")).to_be_hidden()
    assert re.fullmatch(r"porch-[\dT-]+\.(webm|mp4)", path.name)
    frames = frames_of(path)
    assert (frames[0].width, frames[0].height) == (320, 240)
    assert 20 <= len(frames) <= 70
    assert frames[-1].time is not None
    assert 2.5 <= frames[-1].time <= 6


def test_a_recording_is_saved_when_the_camera_drops_and_goes_on_when_it_is_back(
    open_page: OpenPage, shared_server: Server, tmp_path: Path
) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch") as running:
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        expect_moving_picture(viewer, watched(viewer, "porch"))
        record_until(viewer, "00:02")
        with viewer.expect_download() as first:
            running.process.kill()
        assert len(frames_of(keep(first.value, tmp_path))) > 10
        expect(tile(viewer, "porch")).to_have_attribute("data-state", "gone")
        expect(viewer.locator(".tile-clock")).to_be_visible()
    with camera(shared_server, room, "porch"):
        expect_moving_picture(viewer, watched(viewer, "porch"))
        expect(viewer.locator(".tile-clock")).to_have_text("00:05", timeout=15_000)
        with viewer.expect_download() as second:
            tool(viewer, "record").click()
        assert second.value.suggested_filename != first.value.suggested_filename
        assert len(frames_of(keep(second.value, tmp_path))) > 10


def test_a_recording_goes_on_unseen(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch"), camera(shared_server, room, "gate"):
        viewer = open_page(f"/?room={room}&layout=1", viewport=DESKTOP)
        # Only with a picture has a tile the size that it keeps.
        expect_moving_picture(viewer, watched(viewer, "gate"))
        tile(viewer, "gate").hover()
        tile(viewer, "gate").locator('[data-action="record"]').click()
        viewer.evaluate("document.querySelector('[data-tile=porch]').scrollIntoView()")
        watched(viewer, "porch")
        clock = tile(viewer, "gate").locator(".tile-clock")
        expect(clock).to_have_text("00:06", timeout=15_000)
        expect(tile(viewer, "gate")).to_have_attribute("data-state", "live")
        with viewer.expect_download():
            tile(viewer, "gate").locator('[data-action="record"]').evaluate("button => button.click()")
        expect(tile(viewer, "gate")).to_have_attribute("data-state", "paused")


def test_leaving_a_page_that_records_asks_first(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch"):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        expect_moving_picture(viewer, watched(viewer, "porch"))
        asked: list[str] = []

        def leave(dialog: Dialog) -> None:
            asked.append(dialog.type)
            dialog.accept()

        viewer.on("dialog", leave)
        viewer.reload()
        expect_moving_picture(viewer, watched(viewer, "porch"))
        assert asked == []
        record_until(viewer, "00:01")
        viewer.reload()
        assert asked == ["beforeunload"]


def test_sound_is_heard_when_it_is_wanted(open_page: OpenPage) -> None:
    room = next(ROOMS)
    start_camera(open_page(f"/camera.html?room={room}&camera=porch"))
    viewer = open_page(f"/?room={room}", viewport=DESKTOP)
    video = watched(viewer, "porch")
    handle = video.element_handle()
    assert viewer.evaluate("video => video.muted", handle)
    tool(viewer, "sound").click()
    assert not viewer.evaluate("video => video.muted", handle)
    wait_until(viewer, f"async (video) => await ({LEVEL})(video) > 0.01", handle)
    volume = viewer.get_by_role("slider", name="Volume of porch")
    volume.fill("0.5")
    assert viewer.evaluate("video => video.volume", handle) == 0.5
    volume.fill("0")
    assert viewer.evaluate("video => video.muted", handle)
    viewer.keyboard.press("Escape")
    tile(viewer, "porch").focus()
    viewer.keyboard.press("m")
    assert viewer.evaluate("video => !video.muted && video.volume > 0", handle)


def test_without_sound_there_is_no_button_for_it(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch"):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        watched(viewer, "porch")
        expect(tool(viewer, "sound")).to_be_hidden()
        expect(tool(viewer, "talk")).to_be_hidden()


KEEP_VOICES = """
window.voices = [];
const { set } = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "srcObject");
Object.defineProperty(HTMLMediaElement.prototype, "srcObject", {
    ...Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "srcObject"),
    set(stream) {
        if (this instanceof HTMLAudioElement && stream) window.voices.push(this);
        set.call(this, stream);
    },
});
"""
HEARD = f"async () => window.voices.length > 0 && await ({LEVEL})(window.voices.at(-1)) > 0.005"
SILENT = f"async () => await ({LEVEL})(window.voices.at(-1)) < 0.001"


@pytest.mark.parametrize("sound", [True, False], ids=["with-microphone", "without-microphone"])
def test_one_talks_to_a_camera_for_as_long_as_one_presses(open_page: OpenPage, sound: bool) -> None:
    room = next(ROOMS)
    source = open_page(f"/camera.html?room={room}&camera=porch", script=KEEP_VOICES)
    source.click("#settings summary")
    source.set_checked("#microphone", sound)
    source.check("#accepts-audio")
    start_camera(source)
    viewer = open_page(f"/?room={room}", viewport=DESKTOP)
    watched(viewer, "porch")
    tool(viewer, "talk").hover()
    viewer.mouse.down()
    expect(tool(viewer, "talk")).to_have_attribute("aria-pressed", "true")
    wait_until(source, HEARD)
    viewer.mouse.up()
    expect(tool(viewer, "talk")).to_have_attribute("aria-pressed", "false")
    wait_until(source, SILENT)
    tile(viewer, "porch").focus()
    viewer.keyboard.down("t")
    wait_until(source, HEARD)
    viewer.keyboard.up("t")
    wait_until(source, SILENT)


DENIED = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotAllowedError"); };
"""


def test_a_microphone_that_may_not_be_used_is_a_sentence(open_page: OpenPage) -> None:
    room = next(ROOMS)
    source = open_page(f"/camera.html?room={room}&camera=porch")
    source.click("#settings summary")
    source.check("#accepts-audio")
    start_camera(source)
    viewer = open_page(f"/?room={room}", viewport=DESKTOP, script=DENIED)
    watched(viewer, "porch")
    tool(viewer, "talk").click()
    expect(viewer.locator("#notice")).to_contain_text("not allowed to use the microphone")


def test_a_picture_floats(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch"):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        expect_moving_picture(viewer, watched(viewer, "porch"))
        tool(viewer, "float").click()
        floats = "() => document.pictureInPictureElement === document.querySelector('[data-tile] video')"
        viewer.wait_for_function(floats)
        expect(tool(viewer, "float")).to_have_attribute("aria-pressed", "true")
        tool(viewer, "float").click()
        viewer.wait_for_function("() => document.pictureInPictureElement === null")


def test_statistics_say_how_it_does(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch", "--size=640x480", "--fps=15"):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        expect_moving_picture(viewer, watched(viewer, "porch"))
        tool(viewer, "stats").click()
        facts = viewer.locator(".facts")
        expect(facts).to_contain_text("640 × 480 · H264 · direct · first picture after")
        plots = viewer.locator(".plot")
        expect(plots).to_have_count(5)
        bitrate, pictures, loss = (plots.nth(number).locator("dd") for number in range(3))
        expect(pictures).to_have_text(re.compile(r"^1[3-7] /s$"))
        expect(bitrate).to_have_text(re.compile(r"^[1-9]\d* kbit/s|^\d+\.\d Mbit/s"))
        expect(loss).to_have_text("0.0 %")
        expect(plots.first.locator("path")).to_have_attribute("d", re.compile(r"^M.*L.*L"))
        tile(viewer, "porch").focus()
        viewer.keyboard.press("i")
        expect(facts).to_be_hidden()


def test_a_picture_fills_the_screen(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch"):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        watched(viewer, "porch")
        for begin in (
            lambda: tool(viewer, "fullscreen").click(),
            lambda: viewer.keyboard.press("f"),
            lambda: video_of(viewer, "porch").dblclick(),
        ):
            begin()
            viewer.wait_for_function("() => document.fullscreenElement?.dataset.tile === 'porch'")
            viewer.keyboard.press("f")
            viewer.wait_for_function("() => document.fullscreenElement === null")
        expect_moving_picture(viewer, video_of(viewer, "porch"))

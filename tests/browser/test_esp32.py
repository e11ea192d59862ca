"""ESP32 cameras on the wall: counters in their pictures, their JPEGs, their settings, how they do."""

from __future__ import annotations

import base64
import itertools
import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from cctvsignal_clients.jpeg import clean
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import OpenPage
from tests.browser.pages import expect_moving_picture, tile, video_of, watched
from tests.jpegs import QUIRKS, photograph
from tests.processes import Server, command, script
from tests.simulators import simulators

ROOMS = (f"esp32-{number}" for number in itertools.count(1))
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 667}
COUNTER = """video => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    const row = Math.floor(canvas.height - canvas.height * 24 / 480 / 2);
    const { data } = context.getImageData(0, row, canvas.width, 1);
    let counter = 0;
    for (let bit = 0; bit < 32; bit++) {
        const red = data[Math.floor((bit + 0.5) * canvas.width / 32) * 4];
        counter = counter * 2 + (red > 128 ? 1 : 0);
    }
    return counter;
}"""
"""The number that is burnt into a picture of the simulator."""
LATER = f"([video, before]) => ({COUNTER})(video) > before"


@contextmanager
def esp32(server: Server, room: str, port: int, stream_port: int, *options: str) -> Iterator[None]:
    """The bridge of a device, which is camera "porch" of the room."""
    arguments = [f"--server={server.websocket_url}", f"--room={room}", "--id=porch", "--name=Front door"]
    arguments += [f"--device=http://127.0.0.1:{port}", f"--stream-port={stream_port}", *options]
    with command(script("cctvsignal-esp32"), *arguments) as running:
        running.wait_for_line("Camera porch is in room")
        yield


def expect_counting(page: Page, video: Locator) -> None:
    """The numbers in the pictures grow, again and again."""
    handle = video.element_handle()
    assert handle is not None
    page.wait_for_function("video => video.videoWidth > 0", arg=handle)
    # Before its first JPEG, what shows them is a black picture.
    page.wait_for_function(LATER, arg=[handle, 0])
    for _ in range(3):
        before = page.evaluate(COUNTER, handle)
        assert 0 < before < 100_000
        page.wait_for_function(LATER, arg=[handle, before])


def setting(page: Page, name: str) -> Locator:
    """A row of the settings that are open."""
    return page.locator(f'[data-control="{name}"]')


def status(port: int) -> dict[str, int]:
    """What the device itself says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=10) as answer:
        return dict(json.load(answer))


def open_settings(page: Page) -> None:
    tile(page, "porch").hover()
    page.locator('[data-action="settings"]').click()
    expect(page.locator(".control-panel")).to_be_visible()


def test_video_of_a_device_counts_up(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with simulators(1) as ((port, stream_port),), esp32(shared_server, room, port, stream_port):
        page = open_page(f"/?room={room}", viewport=DESKTOP)
        expect_counting(page, watched(page, "porch"))
        expect(tile(page, "porch").locator("h2")).to_have_text("Front door")


def test_jpegs_of_a_device_count_up_and_are_used_as_video_is(
    open_page: OpenPage, shared_server: Server, tmp_path: Path
) -> None:
    room = next(ROOMS)
    with simulators(1) as ((port, stream_port),), esp32(shared_server, room, port, stream_port):
        page = open_page(f"/?room={room}&pictures=jpeg", viewport=DESKTOP)
        video = watched(page, "porch")
        expect_counting(page, video)
        page.keyboard.press("i")
        expect(page.locator(".stats-overlay .facts")).to_contain_text("jpeg")
        expect(page.locator(".stats-overlay .facts")).to_contain_text("direct")
        with page.expect_download() as saved:
            page.keyboard.press("s")
        assert saved.value.suggested_filename.endswith(".png")
        page.keyboard.press("r")
        expect(page.locator(".tile-clock")).to_have_text("00:02", timeout=15_000)
        with page.expect_download() as recorded:
            page.keyboard.press("r")
        recorded.value.save_as(tmp_path / "recording")
        assert (tmp_path / "recording").stat().st_size > 10_000
        assert "pictures=jpeg" in page.url


BITMAP = """async text => {
    const bytes = Uint8Array.from(atob(text), byte => byte.charCodeAt(0));
    const { width, height } = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    return [width, height];
}"""
"""As the client makes a picture of a JPEG that came over a data channel."""


def test_chromium_shows_every_jpeg_that_the_bridge_has_cleaned(browser: Browser) -> None:
    page = browser.new_page()
    try:
        for name, quirk in QUIRKS.items():
            cleaned, size = clean(quirk(photograph(77)))
            shown = page.evaluate(BITMAP, base64.b64encode(cleaned).decode())
            assert tuple(shown) == size, name
    finally:
        page.close()


def test_jpegs_with_stray_bytes_count_up(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    options = ("--port=0", "--stream-port=0", "--fault=strayBytes:600@0")
    with command(script("cctvsignal-esp32-sim"), *options) as device:
        started = json.loads(device.wait_for_line('"started"').string)
        ports = [urlsplit(started[name]).port or 0 for name in ("url", "stream")]
        with esp32(shared_server, room, ports[0], ports[1]):
            page = open_page(f"/?room={room}&pictures=jpeg", viewport=DESKTOP)
            expect_counting(page, watched(page, "porch"))


def test_a_device_that_has_only_jpegs_needs_no_special_address(
    open_page: OpenPage, shared_server: Server
) -> None:
    room = next(ROOMS)
    with (
        simulators(1) as ((port, stream_port),),
        esp32(shared_server, room, port, stream_port, "--send=jpeg"),
    ):
        page = open_page(f"/?room={room}", viewport=DESKTOP)
        expect_counting(page, watched(page, "porch"))


def test_settings_are_changed_and_another_viewer_sees_it(
    open_page: OpenPage, shared_server: Server
) -> None:
    room = next(ROOMS)
    with simulators(1) as ((port, stream_port),), esp32(shared_server, room, port, stream_port):
        pages = [open_page(f"/?room={room}", viewport=DESKTOP) for _ in range(2)]
        for page in pages:
            expect_moving_picture(page, watched(page, "porch"))
            open_settings(page)
        one, other = pages
        setting(one, "framesize").locator("select").select_option(label="640 × 480")
        video = video_of(other, "porch").element_handle()
        other.wait_for_function("video => video.videoWidth === 640", arg=video)
        expect(setting(other, "framesize").locator("option:checked")).to_have_text("640 × 480")
        slider = setting(one, "brightness").locator("input")
        slider.focus()
        slider.press("ArrowRight")
        slider.press("ArrowRight")
        expect(setting(other, "brightness").locator("output")).to_have_text("2")
        assert status(port)["brightness"] == 2
        flip = setting(other, "vflip").locator("input")
        assert flip.evaluate("input => input.indeterminate"), "the stock firmware does not tell"
        flip.check()
        expect(setting(one, "vflip").locator("input")).to_be_checked()
        expect_accessible(one)
        # Keys that mean something on the wall mean what they usually do in here.
        slider.press("Escape")
        expect(one.locator(".control-panel")).to_be_hidden()
        expect(one.locator('[data-action="settings"]')).to_be_focused()
        expect(tile(one, "porch")).not_to_have_attribute("data-large", "")


def test_settings_fit_on_a_phone(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with simulators(1) as ((port, stream_port),), esp32(shared_server, room, port, stream_port):
        page = open_page(f"/?room={room}&focus=porch", viewport=PHONE)
        expect_moving_picture(page, watched(page, "porch"))
        open_settings(page)
        panel, picture = (page.locator(each).bounding_box() for each in (".control-panel", ".tile"))
        assert panel is not None
        assert picture is not None
        assert panel["x"] >= picture["x"]
        assert panel["x"] + panel["width"] <= picture["x"] + picture["width"]
        assert panel["y"] + panel["height"] <= picture["y"] + picture["height"]
        setting(page, "brightness").scroll_into_view_if_needed()
        expect(setting(page, "brightness")).to_be_in_viewport()
        expect_accessible(page)


def test_a_camera_without_settings_has_no_button_for_them(
    open_page: OpenPage, shared_server: Server
) -> None:
    room = next(ROOMS)
    with simulators(1) as ((_, stream_port),):
        place = f"http://127.0.0.1:{stream_port}/stream"
        arguments = [f"--server={shared_server.websocket_url}", f"--room={room}", f"--device={place}"]
        with command(script("cctvsignal-esp32"), *arguments) as running:
            running.wait_for_line("Camera cam-1 is in room")
            page = open_page(f"/?room={room}", viewport=DESKTOP)
            expect_moving_picture(page, watched(page, "cam-1"))
            page.keyboard.press("c")
            expect(page.locator(".control-panel")).to_be_hidden()
            expect(page.locator('[data-action="settings"]')).to_be_hidden()


def test_what_is_the_matter_with_a_device_is_said_on_its_tile(
    open_page: OpenPage, shared_server: Server
) -> None:
    room = next(ROOMS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with esp32(shared_server, room, port, port):
        page = open_page(f"/?room={room}", viewport=DESKTOP)
        expect(tile(page, "porch")).to_have_attribute("data-state", "troubled")
        expect(tile(page, "porch").locator(".badge")).to_have_text("Trouble")
        expect(page.locator(".tile-note")).to_contain_text("cannot be reached")
        expect_accessible(page)

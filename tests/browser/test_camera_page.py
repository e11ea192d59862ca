"""A device as a camera: its settings while viewers watch, its link, and what it says of problems."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from typing import Any

import av
import pytest
import zxingcpp
from playwright.sync_api import Browser, Page, Playwright, WebSocketRoute, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.chromium import find_chromium
from tests.browser.conftest import ARGUMENTS, OpenPage
from tests.browser.pages import (
    HIDEABLE,
    LEVEL,
    expect_moving_picture,
    start_camera,
    tile,
    video_of,
    wait_until,
    watched,
)
from tests.processes import Server

ROOMS = (f"camera-{number}" for number in itertools.count(1))
FAKE_DEVICE = "--use-fake-device-for-media-stream"
DENIED = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotAllowedError"); };
"""
NO_DEVICE = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotFoundError"); };
"""
BUSY_DEVICE = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotReadableError"); };
"""
ABORTED_DEVICE = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "AbortError"); };
"""
SYSTEM_DENIES = """
navigator.mediaDevices.getUserMedia = async () => {
    throw new DOMException("Permission denied by system", "NotAllowedError");
};
"""
INSECURE = """
navigator.mediaDevices.getUserMedia = async () => { throw new TypeError("no"); };
"""
EXACTLY = """
const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wanted) => {
    const video = { ...wanted.video };
    // What the browser itself then says that its camera cannot do.
    for (const name of IMPOSSIBLE) if (name in video) video[name] = { exact: 100_000 };
    return getUserMedia({ ...wanted, video: wanted.video === true || video });
};
"""
NO_MICROPHONE = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
    if (wanted.audio) throw new DOMException("no", "NotFoundError");
    return open(wanted);
};
"""
SETTINGS = "() => document.querySelector('#preview').srcObject.getVideoTracks()[0].getSettings()"


def camera_page(open_page: OpenPage, room: str, **options: Any) -> Page:
    """A camera that is on."""
    page = open_page(f"/camera.html?room={room}&camera=porch", **options)
    start_camera(page)
    return page


def count_streams(page: Page) -> None:
    """Count the streams that the first tile is given."""
    page.evaluate("""() => {
        window.streams = new Set();
        const video = document.querySelector("[data-tile] video");
        video.addEventListener("loadedmetadata", () => window.streams.add(video.srcObject.id));
        window.streams.add(video.srcObject.id);
    }""")


# --- settings, while viewers watch -----------------------------------------------------------------------


def test_resolution_and_rate_change_while_viewers_watch(open_page: OpenPage) -> None:
    room = next(ROOMS)
    camera = camera_page(open_page, room)
    viewer = open_page(f"/?room={room}")
    expect_moving_picture(viewer, watched(viewer, "porch"))
    count_streams(viewer)
    camera.click("#settings summary")
    camera.select_option("#height", "480")
    viewer.wait_for_function("() => document.querySelector('[data-tile] video').videoHeight === 480")
    camera.select_option("#frame-rate", "10")
    camera.wait_for_function(f"() => ({SETTINGS})().frameRate <= 10")
    expect_moving_picture(viewer, video_of(viewer, "porch"))
    assert viewer.evaluate("window.streams.size") == 1
    camera.reload()
    camera.click("#settings summary")
    expect(camera.locator("#height")).to_have_value("480")
    expect(camera.locator("#frame-rate")).to_have_value("10")


def test_the_microphone_is_switched_off_and_on_while_viewers_listen(open_page: OpenPage) -> None:
    room = next(ROOMS)
    camera = camera_page(open_page, room)
    viewer = open_page(f"/?room={room}")
    video = watched(viewer, "porch")
    handle = video.element_handle()
    wait_until(viewer, f"async (video) => await ({LEVEL})(video) > 0.01", handle)
    track = camera.evaluate_handle("document.querySelector('#preview').srcObject.getAudioTracks()[0]")
    camera.click("#mute")
    expect(camera.locator("#mute")).to_have_attribute("aria-pressed", "true")
    expect(camera.locator("#status")).to_contain_text("without sound")
    # Off is off: the browser shows no microphone in use.
    assert track.get_property("readyState").json_value() == "ended"
    wait_until(viewer, f"async (video) => await ({LEVEL})(video) < 0.001", handle)
    camera.click("#mute")
    expect(camera.locator("#mute")).to_have_attribute("aria-pressed", "false")
    wait_until(viewer, f"async (video) => await ({LEVEL})(video) > 0.01", handle)


def test_sound_can_come_later(open_page: OpenPage) -> None:
    room = next(ROOMS)
    camera = open_page(f"/camera.html?room={room}&camera=porch")
    camera.click("#settings summary")
    camera.uncheck("#microphone")
    start_camera(camera)
    viewer = open_page(f"/?room={room}")
    expect_moving_picture(viewer, watched(viewer, "porch"))
    sound = tile(viewer, "porch").locator('[data-action="sound"]')
    expect(sound).to_be_hidden()
    camera.check("#microphone")
    tile(viewer, "porch").hover()
    expect(sound).to_be_visible()
    handle = video_of(viewer, "porch").element_handle()
    wait_until(viewer, f"async (video) => await ({LEVEL})(video) > 0.01", handle)


@pytest.fixture(scope="module")
def two_devices(playwright: Playwright) -> Iterator[Browser]:
    """A browser with two cameras and one that nobody can encode, and a name of the server."""
    arguments = [f"{FAKE_DEVICE}=device-count=3" if word == FAKE_DEVICE else word for word in ARGUMENTS]
    names = "--host-resolver-rules=MAP cctv.test 127.0.0.1"
    running = playwright.chromium.launch(executable_path=find_chromium(), args=[*arguments, names])
    yield running
    running.close()


def test_another_device_is_chosen_while_viewers_watch(
    open_page: OpenPage, two_devices: Browser, shared_server: Server
) -> None:
    room = next(ROOMS)
    camera = two_devices.new_page(has_touch=True, is_mobile=True)
    camera.goto(f"{shared_server.url}/camera.html?room={room}&camera=porch")
    start_camera(camera)
    camera.click("#settings summary")
    first, second = (choose(camera, f"fake_device_{number}") for number in (2, 0))
    viewer = open_page(f"/?room={room}")
    expect_moving_picture(viewer, watched(viewer, "porch"))
    count_streams(viewer)
    assert choose(camera, "fake_device_2") == first
    expect_moving_picture(viewer, video_of(viewer, "porch"))
    assert choose(camera, "fake_device_0") == second
    camera.click("#flip")
    camera.wait_for_function(f"before => ({SETTINGS})().deviceId !== before", arg=second)
    expect(camera.locator("#device")).not_to_have_value(second)
    assert choose(camera, "fake_device_2") == first
    expect_moving_picture(viewer, video_of(viewer, "porch"))
    assert viewer.evaluate("window.streams.size") == 1
    camera.context.close()


def choose(camera: Page, label: str) -> str:
    """Choose a device, and return its id once it is the one that is seen."""
    camera.select_option("#device", label=label)
    chosen = camera.locator("#device").input_value()
    camera.wait_for_function(f"chosen => ({SETTINGS})().deviceId === chosen", arg=chosen)
    return chosen


def test_a_device_that_cannot_be_opened_leaves_the_other_one_on(open_page: OpenPage) -> None:
    room = next(ROOMS)
    camera = camera_page(open_page, room)
    viewer = open_page(f"/?room={room}")
    expect_moving_picture(viewer, watched(viewer, "porch"))
    camera.click("#settings summary")
    camera.evaluate("document.querySelector('#device').add(new Option('broken', 'no-such-device'))")
    camera.select_option("#device", "no-such-device")
    expect(camera.locator("#notice")).to_contain_text("Nothing was changed.")
    expect(camera.locator("#status")).to_have_attribute("data-state", "connected")
    expect_moving_picture(viewer, video_of(viewer, "porch"))


TORCH = """
const capabilities = MediaStreamTrack.prototype.getCapabilities;
MediaStreamTrack.prototype.getCapabilities = function () {
    return { ...capabilities.call(this), torch: true };
};
const apply = MediaStreamTrack.prototype.applyConstraints;
MediaStreamTrack.prototype.applyConstraints = function (wanted) {
    if (!wanted?.advanced) return apply.call(this, wanted);
    window.torch = wanted.advanced[0].torch;
    return Promise.resolve();
};
"""


def test_a_light_is_switched_where_there_is_one(open_page: OpenPage) -> None:
    without = camera_page(open_page, next(ROOMS))
    expect(without.locator("#torch")).to_be_hidden()
    # No machine that runs tests has a light: the browser's part is played here.
    camera = camera_page(open_page, next(ROOMS), script=TORCH)
    camera.click("#torch")
    expect(camera.locator("#torch")).to_have_attribute("aria-pressed", "true")
    assert camera.evaluate("window.torch") is True
    camera.click("#torch")
    expect(camera.locator("#torch")).to_have_attribute("aria-pressed", "false")
    assert camera.evaluate("window.torch") is False


def test_a_camera_without_a_microphone_is_one(open_page: OpenPage) -> None:
    camera = camera_page(open_page, next(ROOMS), script=NO_MICROPHONE)
    expect(camera.locator("#status")).to_contain_text("without sound")
    camera.click("#mute")
    expect(camera.locator("#notice")).to_contain_text("Nothing was changed.")


# --- who watches, and how they come ----------------------------------------------------------------------


def test_the_code_and_the_link_open_the_viewer_on_this_camera(open_page: OpenPage) -> None:
    room = f"my room #{next(ROOMS)}"
    camera = open_page("/camera.html")
    camera.fill("#room", room)
    camera.fill("#camera-id", "pörch ?=#")
    start_camera(camera)
    link = camera.locator("#share-link").get_attribute("href")
    assert read_code(camera.locator("#qr").screenshot()) == link
    expect(camera.locator("#local-note")).to_be_visible()
    viewer = open_page(str(link)[str(link).index("/?") :])
    expect(viewer.locator("#room-name")).to_have_text(f"Room {room}")
    expect_moving_picture(viewer, watched(viewer, "pörch ?=#"))
    expect(viewer.locator("[data-tile]")).to_have_count(1)


def read_code(png: bytes) -> str:
    """The text of the one code in a picture."""
    with av.open(io.BytesIO(png), "r") as container:
        frame = next(container.decode(video=0)).reformat(format="gray")
    [plane] = frame.planes
    rows = [bytes(plane)[at : at + frame.width] for at in range(0, plane.buffer_size, plane.line_size)]
    picture = memoryview(b"".join(rows)).cast("B", shape=[frame.height, frame.width])
    [code] = zxingcpp.read_barcodes(picture)
    return str(code.text)


def test_the_link_is_copied(open_page: OpenPage) -> None:
    camera = camera_page(open_page, next(ROOMS), permissions=["clipboard-read", "clipboard-write"])
    camera.click("#copy")
    expect(camera.locator("#notice")).to_have_text("The link is copied.")
    copied = camera.evaluate("navigator.clipboard.readText()")
    assert copied == camera.locator("#share-link").get_attribute("href")


def test_who_watches_is_listed(open_page: OpenPage) -> None:
    room = next(ROOMS)
    camera = camera_page(open_page, room)
    expect(camera.locator("#viewers")).to_have_text("Nobody is watching")
    viewer = open_page(f"/?room={room}")
    watched(viewer, "porch")
    expect(camera.locator("#viewers")).to_have_text("1 viewer")
    expect(camera.locator("#watchers li")).to_have_text(re.compile(r"^Chrome on \w+, since \d"))
    viewer.close()
    expect(camera.locator("#watchers li")).to_have_count(0)


def test_the_page_links_to_its_room(open_page: OpenPage) -> None:
    camera = open_page("/camera.html?room=my%20room")
    camera.click("#watch-link")
    expect(camera.locator("#room-name")).to_contain_text("my room")


# --- on and off ------------------------------------------------------------------------------------------


def test_the_first_tap_is_enough_and_the_name_stays(open_page: OpenPage) -> None:
    camera = open_page("/camera.html")
    name = camera.locator("#camera-id").input_value()
    assert re.fullmatch(r"laptop-\w{4}", name)
    start_camera(camera)
    camera.reload()
    expect(camera.locator("#camera-id")).to_have_value(name)


def test_stop_turns_the_devices_off(open_page: OpenPage) -> None:
    camera = camera_page(open_page, next(ROOMS))
    tracks = camera.evaluate_handle("document.querySelector('#preview').srcObject.getTracks()")
    camera.click("#stop")
    expect(camera.locator("#start")).to_be_focused()
    states = camera.evaluate("tracks => tracks.map((track) => track.readyState)", tracks)
    assert states == ["ended", "ended"]
    expect(camera.locator("#share")).to_be_hidden()


COUNT_LOCKS = """
window.locks = 0;
const request = navigator.wakeLock.request.bind(navigator.wakeLock);
navigator.wakeLock.request = async (kind) => {
    const lock = await request(kind);
    window.locks++;
    lock.addEventListener("release", () => window.locks--);
    return lock;
};
"""
NO_LOCK = """
navigator.wakeLock.request = async () => { throw new DOMException("no", "NotAllowedError"); };
"""


def test_the_screen_stays_on_while_the_camera_is_on(open_page: OpenPage) -> None:
    camera = camera_page(open_page, next(ROOMS), script=COUNT_LOCKS)
    camera.wait_for_function("() => window.locks === 1")
    camera.click("#stop")
    camera.wait_for_function("() => window.locks === 0")


def test_a_screen_that_may_go_off_is_told(open_page: OpenPage) -> None:
    camera = camera_page(open_page, next(ROOMS), script=NO_LOCK)
    expect(camera.locator("#notice")).to_contain_text("cannot keep the screen on")


def test_a_camera_that_was_taken_away_while_hidden_comes_back(open_page: OpenPage) -> None:
    room = next(ROOMS)
    camera = camera_page(open_page, room, script=HIDEABLE)
    viewer = open_page(f"/?room={room}")
    expect_moving_picture(viewer, watched(viewer, "porch"))
    # Headless browsers take no camera away: the page is told so, as phones tell it when they are locked.
    camera.evaluate("""() => {
        hide(true);
        const [track] = document.querySelector("#preview").srcObject.getVideoTracks();
        track.stop();
        track.dispatchEvent(new Event("ended"));
    }""")
    expect(tile(viewer, "porch")).to_have_attribute("data-state", "noSignal", timeout=15_000)
    camera.evaluate("hide(false)")
    expect(camera.locator("#notice")).to_contain_text("The picture stood still from")
    expect(camera.locator("#status")).to_have_attribute("data-state", "connected")
    expect_moving_picture(viewer, watched(viewer, "porch"))


def test_a_device_that_is_unplugged_ends_the_camera_with_a_sentence(open_page: OpenPage) -> None:
    camera = camera_page(open_page, next(ROOMS))
    camera.evaluate("""() => {
        const [track] = document.querySelector("#preview").srcObject.getVideoTracks();
        track.dispatchEvent(new Event("ended"));
    }""")
    expect(camera.locator("#status")).to_contain_text("Plug it in again")
    expect(camera.locator("#start")).to_be_visible()


# --- what is wrong, and what to do -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (DENIED, "Allow it in the settings of this page"),
        (SYSTEM_DENIES, "Allow it in the privacy settings of the device"),
        (NO_DEVICE, "No camera was found"),
        (BUSY_DEVICE, "Another program"),
        (ABORTED_DEVICE, "Unplug it"),
        (INSECURE, "only on https://"),
    ],
    ids=["denied", "denied-by-system", "no-device", "busy", "aborted", "insecure"],
)
def test_a_device_that_cannot_be_had_is_a_sentence(open_page: OpenPage, script: str, sentence: str) -> None:
    camera = open_page("/camera.html?room=device", script=script)
    camera.click("#start")
    expect(camera.locator("#status")).to_have_attribute("data-state", "failed")
    expect(camera.locator("#status")).to_contain_text(sentence)
    expect(camera.locator("#start")).to_be_visible()


@pytest.mark.parametrize(
    ("impossible", "told"),
    [
        (["frameRate"], r"does not take 10 pictures a second\. It takes \d\d now\.$"),
        (["height"], r"does not take 10 pictures a second.*does not take 1080p\. It takes \d+p now\.$"),
        (["width", "frameRate"], r"does not take 1080p"),
        (["deviceId"], r"The chosen camera is not there\. Another one is used\.$"),
    ],
    ids=["rate", "height", "size-and-rate", "device"],
)
def test_a_camera_that_cannot_do_what_is_set_is_on_with_less(
    open_page: OpenPage, impossible: list[str], told: str
) -> None:
    room = next(ROOMS)
    # That the browser has no such device, it says by itself.
    script = EXACTLY.replace("IMPOSSIBLE", str([name for name in impossible if name != "deviceId"]))
    camera = open_page(f"/camera.html?room={room}&camera=porch", script=script)
    camera.click("#settings summary")
    if "deviceId" in impossible:
        expect(camera.locator("#device option")).to_have_count(1)
        camera.evaluate("document.querySelector('#device').add(new Option('gone', 'gone', true, true))")
    else:
        camera.select_option("#height", "1080")
        camera.select_option("#frame-rate", "10")
    start_camera(camera)
    expect(camera.locator("#notice")).to_have_text(re.compile(told))
    viewer = open_page(f"/?room={room}")
    expect_moving_picture(viewer, watched(viewer, "porch"))


def test_a_page_that_is_not_secure_says_so(two_devices: Browser, shared_server: Server) -> None:
    page = two_devices.new_page()
    page.goto(f"http://cctv.test:{shared_server.port}/camera.html")
    expect(page.locator("#status")).to_contain_text("only on https://")
    page.click("#start")
    expect(page.locator("#status")).to_contain_text("only on https://")
    page.context.close()


def test_a_camera_id_in_use_is_a_sentence(open_page: OpenPage) -> None:
    room = next(ROOMS)
    first = camera_page(open_page, room)
    # Of the same device: the name of another one belongs to that one.
    second = first.context.new_page()
    second.goto(first.url)
    second.click("#start")
    expect(second.locator("#status")).to_contain_text("Another camera in this room has this name")
    expect(second.locator("#start")).to_be_visible()


def test_a_server_that_cannot_be_reached_is_a_sentence(open_page: OpenPage) -> None:
    def refuse(socket: WebSocketRoute) -> None:
        socket.close(code=1013)

    camera = open_page("/camera.html", route=refuse)
    camera.click("#start")
    expect(camera.locator("#status")).to_contain_text("The server cannot be reached")


def test_a_token_that_is_wanted_is_asked_for(open_page: OpenPage) -> None:
    def check(socket: WebSocketRoute) -> None:
        if "token=right" in socket.url:
            socket.connect_to_server()
        else:
            socket.close(code=4401)

    camera = open_page(f"/camera.html?room={next(ROOMS)}", route=check)
    camera.click("#start")
    expect(camera.locator("#token")).to_be_visible()
    expect(camera.locator("#status")).to_contain_text("token")
    camera.fill("#token", "right")
    start_camera(camera)
    expect(camera.locator("#token")).to_be_hidden()


# --- for everyone ----------------------------------------------------------------------------------------


def focusable(page: Page) -> set[str]:
    """What can be reached with the Tab key, from wherever the focus is now."""
    reached = set()
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    return reached


def test_everything_can_be_done_with_the_keyboard(open_page: OpenPage) -> None:
    camera = open_page(f"/camera.html?room={next(ROOMS)}&camera=porch")
    assert {"camera-id", "room", "start", "watch-link", "SUMMARY"} <= focusable(camera)
    camera.focus("#start")
    camera.keyboard.press("Enter")
    expect(camera.locator("#status")).to_have_attribute("data-state", "connected")
    expect(camera.locator("#stop")).to_be_focused()
    camera.locator("#settings summary").focus()
    camera.keyboard.press("Enter")
    wanted = {"mute", "stop", "device", "height", "frame-rate", "microphone", "share-link", "copy"}
    assert wanted <= focusable(camera)


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light"), (3840, "light")])
def test_everybody_can_use_the_page(open_page: OpenPage, width: int, scheme: Any) -> None:
    look: dict[str, Any] = {"viewport": {"width": width, "height": 740}, "color_scheme": scheme}
    camera = open_page(f"/camera.html?room={next(ROOMS)}&camera=porch-{'x' * 60}", **look)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    expect_accessible(camera)
    assert camera.evaluate(overflow) == 0
    start_camera(camera)
    camera.click("#settings summary")
    expect_accessible(camera)
    assert camera.evaluate(overflow) == 0

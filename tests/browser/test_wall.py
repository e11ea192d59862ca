"""The wall: which cameras are on it, how they stand, and what it says when there is nothing to see."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import OpenPage
from tests.browser.pages import (
    HIDEABLE,
    camera,
    expect_moving_picture,
    item,
    tile,
    tile_status,
    video_of,
    watched,
)
from tests.cameras import cameras
from tests.processes import Server

ROOMS = (f"wall-{number}" for number in itertools.count(1))
DESKTOP = {"width": 1280, "height": 800}
VISIBLE = """() => [...document.querySelectorAll("[data-tile]")].filter((tile) => {
    const box = tile.getBoundingClientRect();
    const stage = document.querySelector("#stage").getBoundingClientRect();
    return box.top >= stage.top - 1 && box.bottom <= stage.bottom + 1 && box.left >= stage.left - 1
        && box.right <= stage.right + 1;
}).length"""
ORDER = "() => [...document.querySelectorAll('[data-tile]')].map((tile) => tile.dataset.tile)"
FRAMES = """() => [...document.querySelectorAll("[data-tile] video")].map((video) =>
    video.getVideoPlaybackQuality().totalVideoFrames)"""
LIVE = "count => document.querySelectorAll('[data-tile][data-state=live]').length === count"


def wait_for_live(page: Page, count: int) -> None:
    page.wait_for_function(LIVE, arg=count)


# --- which cameras ---------------------------------------------------------------------------------------


def test_cameras_come_and_go_by_themselves(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    viewer = open_page(f"/?room={room}")
    expect(viewer.locator("#no-cameras")).to_be_visible()
    with camera(shared_server, room, "porch", "--name=Front door"):
        expect_moving_picture(viewer, watched(viewer, "porch"))
        expect(viewer.locator("#no-cameras")).to_be_hidden()
        expect(tile(viewer, "porch").locator("h2")).to_have_text("Front door")
        expect(tile(viewer, "porch").locator(".badge")).to_have_text("Live")
        expect(item(viewer, "porch").locator(".camera-state")).to_contain_text("Live")
        expect(viewer.locator("#announcements")).to_contain_text("Camera porch is available.")
        another = open_page(f"/?room={room}")
        watched(another, "porch")
        # How many watch is asked when a camera appears, and now and then.
        expect(item(another, "porch").locator(".camera-state")).to_contain_text("viewer")
        another.close()
    expect(tile(viewer, "porch")).to_have_attribute("data-state", "gone")
    expect(tile_status(viewer, "porch")).to_contain_text("gone since")
    expect(item(viewer, "porch").locator(".camera-state")).to_contain_text("Gone since")
    expect(viewer.locator("#announcements")).to_contain_text("Camera porch is gone.")


def test_a_camera_of_another_room_is_not_seen(open_page: OpenPage, shared_server: Server) -> None:
    with camera(shared_server, next(ROOMS), "porch"):
        elsewhere = open_page(f"/?room={next(ROOMS)}")
        expect(elsewhere.locator("#no-cameras")).to_be_visible()
        expect(elsewhere.locator("[data-camera]")).to_have_count(0)
        expect(elsewhere.locator("[data-tile]")).to_have_count(0)


def test_names_are_text_and_nothing_else(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    camera_id = "cam ; DROP | * % $ {x} (1) [2] = 💡 گ"
    name = '<img src=x onerror="document.title=1"><b>&amp;'
    with camera(shared_server, room, camera_id, f"--name={name}"):
        viewer = open_page(f"/?room={room}")
        wait_for_live(viewer, 1)
        expect(viewer.locator("#cameras .camera-name")).to_have_text(name)
        expect(viewer.locator("[data-tile] h2")).to_have_text(name)
        expect(viewer.locator("[data-tile]")).to_have_attribute("data-tile", camera_id)
        viewer.locator("[data-tile] video").click()
        expect(viewer).to_have_url(re.compile("focus="))
        assert viewer.locator("img:not(.logo), [data-tile] b").count() == 0
        viewer.reload()
        wait_for_live(viewer, 1)
        expect(viewer.locator("[data-large]")).to_have_attribute("data-tile", camera_id)


@pytest.mark.parametrize("room", ["%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", "a%22b", "x" * 129])
def test_a_room_name_that_may_not_be_is_a_sentence(open_page: OpenPage, room: str) -> None:
    viewer = open_page(f"/?room={room}")
    expect(viewer.locator("#status")).to_have_attribute("data-state", "failed")
    expect(viewer.locator("#refused-why")).to_contain_text("name")
    assert viewer.locator("img:not(.logo)").count() == 0


def test_a_link_opens_what_was_on_the_screen(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with cameras(shared_server, room, 4):
        first = open_page(f"/?room={room}")
        wait_for_live(first, 4)
        item(first, "cam-3").locator("button").click()
        first.click('[data-layout="4"]')
        tile(first, "cam-2").focus()
        first.keyboard.press("Shift+ArrowLeft")
        expect(first).to_have_url(re.compile(r"camera=cam-2&camera=cam-1&camera=cam-4&layout=4$"))
        second = open_page(first.url.removeprefix(shared_server.url))
        wait_for_live(second, 3)
        assert second.evaluate(ORDER) == ["cam-2", "cam-1", "cam-4"]
        expect(second.locator('[data-layout="4"]')).to_have_attribute("aria-pressed", "true")
        # A camera that was not chosen is in the list, and can be.
        expect(item(second, "cam-3").locator(".camera-state")).to_contain_text("Available")
        item(second, "cam-3").locator("button").click()
        wait_for_live(second, 4)
        second.click("#show-all")
        expect(second).to_have_url(re.compile(rf"room={room}&layout=4$"))


def test_a_link_to_a_camera_that_is_not_there_says_so_and_waits(
    open_page: OpenPage, shared_server: Server
) -> None:
    room = next(ROOMS)
    viewer = open_page(f"/?room={room}&camera=porch")
    expect(tile(viewer, "porch")).to_have_attribute("data-state", "absent")
    expect(tile_status(viewer, "porch")).to_contain_text("as soon as it starts")
    with camera(shared_server, room, "porch"), camera(shared_server, room, "gate"):
        expect_moving_picture(viewer, watched(viewer, "porch"))
        expect(item(viewer, "gate")).to_be_visible()
        expect(tile(viewer, "gate")).to_have_count(0)


def test_a_wall_from_which_all_was_taken_says_how_to_go_on(
    open_page: OpenPage, shared_server: Server
) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch"):
        viewer = open_page(f"/?room={room}")
        watched(viewer, "porch")
        tile(viewer, "porch").hover()
        tile(viewer, "porch").locator('[data-action="hide"]').click()
        expect(viewer.locator("#none-shown")).to_be_visible()
        viewer.reload()
        expect(viewer.locator("#none-shown")).to_be_visible()
        viewer.locator("#none-shown [data-show-all]").click()
        watched(viewer, "porch")


# --- how they stand --------------------------------------------------------------------------------------


def test_layouts_show_as_many_as_they_say(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with cameras(shared_server, room, 10):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        expect(viewer.locator("[data-tile]")).to_have_count(10)
        for layout, visible in (("1", 1), ("4", 4), ("9", 9), ("16", 10), ("fit", 10)):
            viewer.click(f'[data-layout="{layout}"]')
            viewer.wait_for_function(f"visible => ({VISIBLE})() === visible", arg=visible)
        viewer.click('[data-layout="4"]')
        viewer.reload()
        expect(viewer.locator('[data-layout="4"]')).to_have_attribute("aria-pressed", "true")
        # The device remembers, whatever the address says.
        viewer.goto(f"{shared_server.url}/?room={room}")
        expect(viewer.locator('[data-layout="4"]')).to_have_attribute("aria-pressed", "true")


def test_a_picture_is_enlarged_by_click_and_key(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with cameras(shared_server, room, 3):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        wait_for_live(viewer, 3)
        width = "id => document.querySelector(`[data-tile=${id}]`).getBoundingClientRect().width"
        before = viewer.evaluate(width, "cam-2")
        video_of(viewer, "cam-2").click()
        expect(tile(viewer, "cam-2")).to_have_attribute("data-large", "")
        assert viewer.evaluate(width, "cam-2") > before * 1.5
        # The others go on, small.
        wait_for_live(viewer, 3)
        viewer.keyboard.press("ArrowRight")
        expect(tile(viewer, "cam-3")).to_have_attribute("data-large", "")
        expect(tile(viewer, "cam-3")).to_be_focused()
        viewer.keyboard.press("Escape")
        expect(viewer.locator("[data-large]")).to_have_count(0)
        viewer.keyboard.press("1")
        expect(tile(viewer, "cam-1")).to_have_attribute("data-large", "")
        viewer.keyboard.press("0")
        viewer.keyboard.press("Enter")
        expect(tile(viewer, "cam-1")).to_have_attribute("data-large", "")
        tile(viewer, "cam-1").locator('[data-action="enlarge"]').click()
        expect(viewer.locator("[data-large]")).to_have_count(0)
        expect_moving_picture(viewer, video_of(viewer, "cam-1"))


def test_tiles_are_dragged_to_where_they_stay(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with cameras(shared_server, room, 4):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        wait_for_live(viewer, 4)
        handle = video_of(viewer, "cam-1").element_handle()
        start, goal = (tile(viewer, one).bounding_box() for one in ("cam-1", "cam-4"))
        assert start is not None
        assert goal is not None
        viewer.mouse.move(start["x"] + 150, start["y"] + 150)
        viewer.mouse.down()
        viewer.mouse.move(goal["x"] + 120, goal["y"] + 120, steps=12)
        viewer.mouse.up()
        assert viewer.evaluate(ORDER) == ["cam-2", "cam-3", "cam-4", "cam-1"]
        # Nothing was enlarged by it, and the picture plays on.
        expect(viewer.locator("[data-large]")).to_have_count(0)
        assert viewer.evaluate("video => !video.paused", handle)
        expect_moving_picture(viewer, video_of(viewer, "cam-1"))
        expect(viewer.locator("#announcements")).to_contain_text("cam-1 is now number 4 of 4.")
        viewer.reload()
        wait_for_live(viewer, 4)
        assert viewer.evaluate(ORDER) == ["cam-2", "cam-3", "cam-4", "cam-1"]


def test_a_finger_drags_a_tile_by_its_name(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with cameras(shared_server, room, 2):
        viewer = open_page(f"/?room={room}", viewport={"width": 375, "height": 740}, has_touch=True)
        wait_for_live(viewer, 2)
        start = tile(viewer, "cam-1").locator(".tile-head").bounding_box()
        goal = tile(viewer, "cam-2").bounding_box()
        assert start is not None
        assert goal is not None
        devtools = viewer.context.new_cdp_session(viewer)
        [x, y] = [start["x"] + 10, start["y"] + 10]
        down = (goal["y"] + goal["height"] / 2 - y) / 10

        def touch(kind: str, points: list[dict[str, float]]) -> None:
            devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", [{"x": x, "y": y}])
        for step in range(1, 11):
            touch("touchMove", [{"x": x, "y": y + down * step}])
        touch("touchEnd", [])
        viewer.wait_for_function(f"() => ({ORDER})()[0] === 'cam-2'")


def test_keys_lead_over_the_wall_and_can_be_switched_off(
    open_page: OpenPage, shared_server: Server
) -> None:
    room = next(ROOMS)
    with cameras(shared_server, room, 4):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        wait_for_live(viewer, 4)
        tile(viewer, "cam-1").focus()
        for key, reached in (
            ("ArrowRight", "cam-2"),
            ("ArrowDown", "cam-4"),
            ("ArrowDown", "cam-4"),
            ("ArrowLeft", "cam-3"),
            ("ArrowUp", "cam-1"),
        ):
            viewer.keyboard.press(key)
            expect(tile(viewer, reached)).to_be_focused()
        viewer.keyboard.press("Delete")
        expect(viewer.locator("[data-tile]")).to_have_count(3)
        expect(tile(viewer, "cam-2")).to_be_focused()
        viewer.keyboard.press("?")
        expect(viewer.locator("#help-dialog")).to_be_visible()
        viewer.locator("#characters").uncheck()
        viewer.click("#help-close")
        tile(viewer, "cam-2").focus()
        for key in ("3", "?", "m"):
            viewer.keyboard.press(key)
        expect(viewer.locator("[data-large]")).to_have_count(0)
        expect(viewer.locator("#help-dialog")).to_be_hidden()
        viewer.keyboard.press("Enter")
        expect(tile(viewer, "cam-2")).to_have_attribute("data-large", "")
        viewer.reload()
        expect(viewer.locator("#characters")).not_to_be_checked()


def test_the_tab_key_goes_through_header_list_and_one_tile(
    open_page: OpenPage, shared_server: Server
) -> None:
    room = next(ROOMS)
    with cameras(shared_server, room, 2):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        wait_for_live(viewer, 2)
        name = (
            "(e => e.dataset.tile ?? e.dataset.layout ?? e.dataset.action ?? e.id)(document.activeElement)"
        )
        reached = []
        for _ in range(19):
            viewer.keyboard.press("Tab")
            reached.append(viewer.evaluate(name))
        header = ["1", "4", "9", "16", "fit", "side-toggle", "help"]
        listed = ["hide", "hide", ""]  # The last is the link to the camera page.
        room_form = ["other-room", ""]
        tools = ["snapshot", "record", "float", "stats", "enlarge", "fullscreen", "hide"]
        assert reached == [*header, *listed, *room_form, "cam-1", *tools[: 19 - 13]]


def test_the_list_can_be_put_away(open_page: OpenPage) -> None:
    viewer = open_page(f"/?room={next(ROOMS)}", viewport=DESKTOP)
    toggle = viewer.locator("#side-toggle")
    expect(toggle).to_have_attribute("aria-expanded", "true")
    toggle.click()
    expect(viewer.locator("#side")).to_be_hidden()
    viewer.reload()
    expect(viewer.locator("#side")).to_be_hidden()
    toggle.click()
    expect(viewer.locator("#side")).to_be_visible()


def test_one_goes_to_another_room(open_page: OpenPage) -> None:
    viewer = open_page(f"/?room={next(ROOMS)}", viewport=DESKTOP)
    viewer.fill("#other-room", "back yard")
    viewer.keyboard.press("Enter")
    expect(viewer.locator("#room-name")).to_have_text("Room back yard")


# --- what nobody sees ------------------------------------------------------------------------------------


def test_a_tile_out_of_sight_pauses_and_comes_back(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with cameras(shared_server, room, 3):
        viewer = open_page(f"/?room={room}&layout=1", viewport=DESKTOP)
        # Only with a picture has a tile the size that it keeps.
        expect_moving_picture(viewer, watched(viewer, "cam-1"))
        expect(tile(viewer, "cam-3")).to_have_attribute("data-state", "paused")
        viewer.evaluate("document.querySelector('[data-tile=cam-3]').scrollIntoView()")
        expect_moving_picture(viewer, watched(viewer, "cam-3"))
        expect(tile(viewer, "cam-1")).to_have_attribute("data-state", "paused")
        expect(item(viewer, "cam-1").locator(".camera-state")).to_contain_text("Paused")


def test_a_hidden_page_pauses_and_comes_back(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch"):
        viewer = open_page(f"/?room={room}", script=HIDEABLE)
        watched(viewer, "porch")
        viewer.evaluate("hide(true)")
        expect(tile(viewer, "porch")).to_have_attribute("data-state", "paused")
        viewer.evaluate("hide(false)")
        expect_moving_picture(viewer, watched(viewer, "porch"))


# --- many, and strange ones ------------------------------------------------------------------------------


def test_sixteen_cameras_at_once(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with cameras(shared_server, room, 16):
        viewer = open_page(f"/?room={room}&layout=16", viewport=DESKTOP)
        wait_for_live(viewer, 16)
        expect(viewer.locator("#announcements")).to_contain_text("16 cameras are available.")
        before = viewer.evaluate(FRAMES)
        # All of them go on, not only the last that came.
        more = f"before => ({FRAMES})().every((frames, tile) => frames > before[tile] + 10)"
        viewer.wait_for_function(more, arg=before)
        for number in (1, 16):
            expect_moving_picture(viewer, video_of(viewer, f"cam-{number}"))


def test_a_camera_that_is_busy_says_so(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with cameras(shared_server, room, 1, max_viewers=1):
        first, second = open_page(f"/?room={room}"), open_page(f"/?room={room}")
        watched(first, "cam-1")
        expect(tile(second, "cam-1")).to_have_attribute("data-state", re.compile("busy|live"))
        busy, live = (second, first)
        expect(tile_status(busy, "cam-1")).to_contain_text("as many viewers as it allows")
        live.close()
        tile(busy, "cam-1").locator('[data-action="retry"]').click()
        watched(busy, "cam-1")


STILL_CAMERA = """async (room) => {
    const { CameraClient } = await import("/client/index.js");
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d");
    let pictures = 0;
    window.drawing = setInterval(() => {
        context.fillStyle = `hsl(${++pictures * 20} 80% 50%)`;
        context.fillRect(0, 0, canvas.width, canvas.height);
    }, 50);
    const camera = new CameraClient({ room, cameraId: "still" });
    camera.startStreaming(canvas.captureStream());
    await camera.register();
}"""


def test_a_picture_that_stands_still_is_no_signal(open_page: OpenPage) -> None:
    room = next(ROOMS)
    source = open_page("/camera.html")
    source.evaluate(STILL_CAMERA, room)
    viewer = open_page(f"/?room={room}")
    # It is live when it is connected; without any picture, the tile would rightly say so.
    video = watched(viewer, "still").element_handle()
    viewer.wait_for_function("video => video.videoWidth > 0", arg=video)
    source.evaluate("clearInterval(window.drawing)")
    expect(tile(viewer, "still")).to_have_attribute("data-state", "noSignal", timeout=15_000)
    expect(tile_status(viewer, "still")).to_contain_text("No signal")


# --- what is wrong, and what to do -----------------------------------------------------------------------


def test_a_server_that_cannot_be_reached_is_a_sentence(open_page: OpenPage) -> None:
    def refuse(socket: WebSocketRoute) -> None:
        socket.close(code=1013)

    viewer = open_page(f"/?room={next(ROOMS)}", route=refuse)
    expect(viewer.locator("#server-away")).to_be_visible()
    expect(viewer.locator("#status")).to_contain_text("Trying again")
    viewer.context.unroute_all()


def test_a_token_that_is_wanted_is_asked_for(open_page: OpenPage, shared_server: Server) -> None:
    def check(socket: WebSocketRoute) -> None:
        if "token=right+one" in socket.url:
            socket.connect_to_server()
        else:
            socket.close(code=4401)

    room = next(ROOMS)
    with camera(shared_server, room, "porch"):
        viewer = open_page(f"/?room={room}#token=wrong", route=check)
        expect(viewer.locator("#token-form")).to_be_visible()
        expect(viewer.locator("#status")).to_contain_text("token is needed")
        expect(viewer).not_to_have_url(re.compile("token"))
        viewer.fill("#token", "right one")
        viewer.keyboard.press("Enter")
        expect(viewer.locator("#token-form")).to_be_hidden()
        watched(viewer, "porch")
        viewer.reload()
        watched(viewer, "porch")


BLOCKED = """
const play = HTMLMediaElement.prototype.play;
window.allowed = false;
HTMLMediaElement.prototype.play = function () {
    return window.allowed ? play.call(this) : Promise.reject(new DOMException("no", "NotAllowedError"));
};
window.addEventListener("pointerdown", () => { window.allowed = true; }, true);
"""


def test_a_browser_that_does_not_play_by_itself_is_asked_to(
    open_page: OpenPage, shared_server: Server
) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch"):
        viewer = open_page(f"/?room={room}", script=BLOCKED)
        expect(tile(viewer, "porch")).to_have_attribute("data-state", "blocked")
        expect(tile_status(viewer, "porch")).to_contain_text("Press to see the picture")
        tile(viewer, "porch").locator('[data-action="play"]').click()
        expect_moving_picture(viewer, watched(viewer, "porch"))


NO_DIRECT_PATH = """
const Original = RTCPeerConnection;
window.RTCPeerConnection = class extends Original {
    constructor(configuration) { super({ ...configuration, iceTransportPolicy: "relay" }); }
};
"""


def test_networks_that_need_a_turn_server_are_told_from_cameras_that_do_not_answer(
    open_page: OpenPage, shared_server: Server
) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch"):
        viewer = open_page(f"/?room={room}", script=NO_DIRECT_PATH)
        expect(tile(viewer, "porch")).to_have_attribute("data-state", "relayNeeded", timeout=30_000)
        expect(tile_status(viewer, "porch")).to_contain_text("TURN server")


# --- for everyone ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [320, 375, 1280, 3840])
def test_nothing_is_wider_than_the_screen(open_page: OpenPage, shared_server: Server, width: int) -> None:
    room = f"a-rather-long-room-name-{'y' * 60}-{width}"
    viewport: Any = {"width": width, "height": 740}
    with camera(shared_server, room, f"a-rather-long-camera-name-{'x' * 60}"):
        viewer = open_page(f"/?room={room}", viewport=viewport)
        wait_for_live(viewer, 1)
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert viewer.evaluate(overflow) == 0
        viewer.locator("[data-tile] video").click()
        expect(viewer.locator("[data-large]")).to_have_count(1)
        assert viewer.evaluate(overflow) == 0
        viewer.keyboard.press("Escape")
        if viewer.locator("#side").is_hidden():
            viewer.click("#side-toggle")
        assert viewer.evaluate(overflow) == 0


def test_nothing_moves_for_people_who_want_it_calm(open_page: OpenPage) -> None:
    viewer = open_page(f"/?room={next(ROOMS)}", reduced_motion="reduce")
    animated = "() => document.getAnimations().length"
    viewer.evaluate("document.querySelector('#status').dataset.state = 'connecting'")
    assert viewer.evaluate(animated) == 0


def test_a_screen_reader_hears_names_and_states(open_page: OpenPage, shared_server: Server) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "porch", "--name=Front door"):
        viewer = open_page(f"/?room={room}", viewport=DESKTOP)
        watched(viewer, "porch")
        expect(viewer.get_by_role("group", name="Pictures of the cameras")).to_be_visible()
        expect(viewer.get_by_role("article", name="Front door: Live")).to_be_visible()
        for name in ("Save a picture of Front door", "Record Front door", "Enlarge Front door"):
            expect(viewer.get_by_role("button", name=name)).to_have_count(1)
        expect(viewer.get_by_role("button", name="Fit all pictures on the screen")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light")])
def test_everybody_can_use_the_wall(
    open_page: OpenPage, shared_server: Server, width: int, scheme: Any
) -> None:
    room = next(ROOMS)
    look: dict[str, Any] = {"viewport": {"width": width, "height": 740}, "color_scheme": scheme}
    expect_accessible(open_page("/?room=empty", **look))
    with camera(shared_server, room, "porch", "--name=Front door"):
        viewer = open_page(f"/?room={room}&camera=porch&camera=absent", **look)
        watched(viewer, "porch")
        expect(tile(viewer, "absent")).to_have_attribute("data-state", "absent")
        expect_accessible(viewer)
        tile(viewer, "porch").focus()
        viewer.keyboard.press("Enter")
        viewer.keyboard.press("i")
        expect(tile(viewer, "porch").locator(".facts")).to_contain_text("H264")
        expect_accessible(viewer)
        viewer.keyboard.press("?")
        expect(viewer.locator("#help-dialog")).to_be_visible()
        expect_accessible(viewer)
        viewer.click("#help-close")
        if viewer.locator("#side").is_hidden():
            viewer.click("#side-toggle")
        expect_accessible(viewer)
    expect(tile(viewer, "porch")).to_have_attribute("data-state", "gone")
    expect_accessible(viewer)

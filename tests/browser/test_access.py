"""What the pages do and say about who may come in."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import OpenPage
from tests.browser.pages import start_camera

ROOMS = (f"access-{number}" for number in itertools.count(1))
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OVERLAP = """() => {
    const badge = document.querySelector("#open-badge").getBoundingClientRect();
    const others = document.querySelectorAll("#room-name, #status, .bar button, .logo, [data-tile], #side");
    return [...others].filter((other) => {
        const box = other.getBoundingClientRect();
        const isBeside = box.right <= badge.left || badge.right <= box.left;
        return !isBeside && box.top < badge.bottom && badge.top < box.bottom;
    }).map((other) => other.id || other.className);
}"""

Route = Callable[[WebSocketRoute], None]


def says_authenticated(socket: WebSocketRoute) -> None:
    """The server, as one that has checked a token."""
    server = socket.connect_to_server()

    def change(text: Any) -> None:
        message = json.loads(text)
        if message["type"] == "welcome":
            message["authenticated"] = True
        socket.send(json.dumps(message))

    server.on_message(change)


def refusing(code: str, joins: int = 1_000_000) -> Route:
    """A server that refuses so many joins, and from then on lets everybody in."""
    left = [joins]

    def route(socket: WebSocketRoute) -> None:
        welcome = {"type": "welcome", "clientId": "me", "iceServers": [], "authenticated": False}
        socket.send(json.dumps(welcome))

        def answer(text: Any) -> None:
            message = json.loads(text)
            if message["type"] != "join":
                return
            about = {"requestId": message["requestId"]}
            left[0] -= 1
            if left[0] >= 0:
                refusal = {"type": "error", "code": code, "message": "No.", "ref": "join"}
                socket.send(json.dumps(refusal | about))
            else:
                socket.send(json.dumps({"type": "joined", "room": message["room"]} | about))

        socket.on_message(answer)

    return route


# --- servers that ask for no token ------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (390, "light"), (1280, "light")])
def test_a_wall_that_is_open_to_everyone_says_so_and_covers_nothing(
    open_page: OpenPage, width: int, scheme: Any
) -> None:
    look: dict[str, Any] = {"viewport": {"width": width, "height": 740}, "color_scheme": scheme}
    viewer = open_page(f"/?room={next(ROOMS)}", **look)
    badge = viewer.locator("#open-badge")
    expect(badge).to_be_visible()
    expect(badge).to_have_text("Open to everyone")
    assert "asks for no token" in (badge.get_attribute("title") or "")
    assert viewer.evaluate(OVERLAP) == []
    assert viewer.evaluate(OVERFLOW) == 0
    expect_accessible(viewer)
    if viewer.locator("#side").is_hidden():
        viewer.click("#side-toggle")
    expect(viewer.locator("#open-note")).to_contain_text("asks for no token")


def test_a_camera_whose_server_is_open_to_everyone_says_so(open_page: OpenPage) -> None:
    camera = open_page(f"/camera.html?room={next(ROOMS)}&camera=porch")
    expect(camera.locator("#open-note")).to_be_hidden()
    start_camera(camera)
    expect(camera.locator("#open-note")).to_contain_text("Open to everyone")


def test_nothing_is_said_where_the_server_has_checked_a_token(open_page: OpenPage) -> None:
    room = next(ROOMS)
    viewer = open_page(f"/?room={room}", route=says_authenticated)
    expect(viewer.locator("#status")).to_have_attribute("data-state", "connected")
    camera = open_page(f"/camera.html?room={room}&camera=porch", route=says_authenticated)
    start_camera(camera)
    for page in (viewer, camera):
        for note in page.locator("#open-badge, #open-note").all():
            expect(note).to_be_hidden()


def test_a_server_that_wants_a_token_after_its_welcome_is_not_called_open(open_page: OpenPage) -> None:
    viewer = open_page(f"/?room={next(ROOMS)}", route=refusing("unauthorized"))
    expect(viewer.locator("#token-form")).to_be_visible()
    expect(viewer.locator("#open-badge")).to_be_hidden()
    camera = open_page("/camera.html", route=refusing("unauthorized"))
    camera.click("#start")
    expect(camera.locator("#token")).to_be_visible()
    expect(camera.locator("#status")).to_contain_text("token")
    expect(camera.locator("#open-note")).to_be_hidden()


# --- the device's key -------------------------------------------------------------------------------------


def joins_of(page: Page) -> list[dict[str, Any]]:
    """The `join` messages of a page, as it sends them from now on."""
    joins: list[dict[str, Any]] = []

    def sent(frame: Any) -> None:
        message = json.loads(frame)
        if message["type"] == "join":
            joins.append(message)

    page.on("websocket", lambda socket: socket.on("framesent", sent))
    return joins


def test_a_camera_sends_the_same_key_every_time_and_no_other_device_has_it(open_page: OpenPage) -> None:
    keys = []
    for times in (2, 1):
        camera = open_page(f"/camera.html?room={next(ROOMS)}&camera=porch")
        joins = joins_of(camera)
        for _ in range(times):
            start_camera(camera)
            camera.reload()
        keys.append({join["deviceKey"] for join in joins})
        assert len(joins) == times
    [first], [second] = keys
    assert len(first) >= 32
    assert first != second


def test_the_key_is_for_the_server_only(open_page: OpenPage) -> None:
    room = next(ROOMS)
    heard: list[str] = []

    def listen(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def hear(text: Any) -> None:
            heard.append(text)
            socket.send(text)

        server.on_message(hear)

    viewer = open_page(f"/?room={room}", route=listen)
    camera = open_page(f"/camera.html?room={room}&camera=porch")
    joins = joins_of(camera)
    start_camera(camera)
    expect(viewer.locator('[data-tile="porch"]')).to_have_attribute("data-state", "live")
    [key] = [join["deviceKey"] for join in joins]
    assert not [text for text in heard if key in text]


# --- who is not let in ------------------------------------------------------------------------------------

REFUSALS = [
    ("forbidden", "does not let this page into this room", "belongs to another device"),
    ("roomFull", "This room is full", "This room is full"),
    ("rateLimited", "too many requests", "too many requests"),
    ("serverBusy", "too much to do", "too much to do"),
]


@pytest.mark.parametrize(("code", "sentence", "of_cameras"), REFUSALS)
def test_a_join_that_is_refused_is_a_sentence(
    open_page: OpenPage, code: str, sentence: str, of_cameras: str
) -> None:
    viewer = open_page("/?room=refused", route=refusing(code), viewport={"width": 320, "height": 740})
    expect(viewer.locator("#refused")).to_be_visible()
    expect(viewer.locator("#refused-why")).to_contain_text(sentence)
    expect(viewer.locator("#status")).to_have_text("Not connected")
    expect(viewer.locator("#announcements")).to_contain_text(sentence)
    assert viewer.evaluate(OVERFLOW) == 0
    expect_accessible(viewer)
    camera = open_page("/camera.html?room=refused&camera=porch", route=refusing(code))
    camera.click("#start")
    expect(camera.locator("#status")).to_contain_text(of_cameras)
    expect(camera.locator("#status")).to_have_attribute("data-state", "failed")
    expect(camera.locator("#camera-id" if code == "forbidden" else "#start")).to_be_focused()


def test_a_wall_whose_room_was_full_comes_in_by_itself(open_page: OpenPage) -> None:
    viewer = open_page("/?room=full", route=refusing("roomFull", joins=1))
    expect(viewer.locator("#refused-why")).to_contain_text("Trying again")
    expect(viewer.locator("#status")).to_have_attribute("data-state", "connected")
    expect(viewer.locator("#refused")).to_be_hidden()


def test_what_a_token_does_not_allow_another_one_may(open_page: OpenPage) -> None:
    viewer = open_page("/?room=secret#token=weak", route=refusing("forbidden", joins=1))
    expect(viewer.locator("#token-form")).to_be_visible()
    expect(viewer.locator("#status")).to_contain_text("does not let this page into this room")
    viewer.fill("#token", "strong")
    viewer.keyboard.press("Enter")
    expect(viewer.locator("#status")).to_have_attribute("data-state", "connected")
    expect(viewer.locator("#token-form")).to_be_hidden()
    camera = open_page("/camera.html?room=secret#token=weak", route=refusing("forbidden", joins=1))
    camera.click("#start")
    expect(camera.locator("#token")).to_be_visible()
    camera.fill("#token", "strong")
    start_camera(camera)


@pytest.mark.parametrize("code", [4401, 4403, 4408])
def test_a_connection_that_is_closed_for_want_of_a_right_is_not_made_again(
    open_page: OpenPage, code: int
) -> None:
    sockets: list[WebSocketRoute] = []

    def route(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    room = next(ROOMS)
    viewer = open_page(f"/?room={room}", route=route)
    expect(viewer.locator("#status")).to_have_attribute("data-state", "connected")
    camera = open_page(f"/camera.html?room={room}", route=route)
    start_camera(camera)
    for socket in sockets:
        socket.close(code=code)
    for page in (viewer, camera):
        expect(page.locator("#status")).to_have_attribute("data-state", "failed")
    forms = (viewer.locator("#token-form"), camera.locator("#token"))
    for form in forms:
        expect(form).to_be_visible(visible=code != 4403)
    assert len(sockets) == 2

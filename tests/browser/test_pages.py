"""What the pages say and let people do, whatever happens."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import start_camera, watch

DENIED = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotAllowedError"); };
"""
NO_DEVICE = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotFoundError"); };
"""


def test_the_list_of_cameras_follows_events(open_page: OpenPage) -> None:
    viewer = open_page("/?room=list")
    expect(viewer.locator("#no-cameras")).to_be_visible()
    camera = open_page("/camera.html?room=list&camera=porch")
    start_camera(camera)
    expect(viewer.locator('[data-camera="porch"]')).to_be_visible()
    expect(viewer.locator("#no-cameras")).to_be_hidden()
    expect(viewer.locator("#announcements")).to_contain_text("porch")
    camera.click("#stop")
    expect(viewer.locator('[data-camera="porch"]')).to_have_count(0)
    expect(viewer.locator("#no-cameras")).to_be_visible()


def test_a_camera_of_another_room_is_not_seen(open_page: OpenPage) -> None:
    start_camera(open_page("/camera.html?room=here&camera=porch"))
    elsewhere = open_page("/?room=elsewhere")
    expect(elsewhere.locator("#status")).to_have_attribute("data-state", "connected")
    expect(elsewhere.locator("#no-cameras")).to_be_visible()
    expect(elsewhere.locator("[data-camera]")).to_have_count(0)


def test_names_are_text_and_nothing_else(open_page: OpenPage) -> None:
    camera_id = "cam ; DROP | * % $ {x} (1) [2] = 💡 گ"
    camera = open_page("/camera.html?room=names")
    camera.fill("#camera-id", camera_id)
    start_camera(camera)
    viewer = open_page("/?room=names")
    expect(viewer.locator("#cameras li .camera-name")).to_have_text(camera_id)
    viewer.click('#cameras [data-action="watch"]')
    expect(viewer.locator("[data-tile] h3")).to_have_text(camera_id)


@pytest.mark.parametrize("room", ["%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", "a%22b", "x" * 129])
def test_a_room_name_that_may_not_be_is_a_sentence(open_page: OpenPage, room: str) -> None:
    viewer = open_page(f"/?room={room}")
    expect(viewer.locator("#status")).to_have_attribute("data-state", "failed")
    expect(viewer.locator("#status")).to_contain_text("name")
    assert viewer.locator("img:not(.logo)").count() == 0


def test_a_camera_id_in_use_is_a_sentence(open_page: OpenPage) -> None:
    start_camera(open_page("/camera.html?room=taken&camera=porch"))
    second = open_page("/camera.html?room=taken&camera=porch")
    second.click("#start")
    expect(second.locator("#status")).to_have_attribute("data-state", "failed")
    expect(second.locator("#status")).to_contain_text("Another camera in this room has this name")
    expect(second.locator("#start")).to_be_visible()


@pytest.mark.parametrize("script", [DENIED, NO_DEVICE], ids=["denied", "no-device"])
def test_a_device_that_cannot_be_had_is_a_sentence(open_page: OpenPage, script: str) -> None:
    camera = open_page("/camera.html?room=device", script=script)
    camera.click("#start")
    expect(camera.locator("#status")).to_have_attribute("data-state", "failed")
    expect(camera.locator("#status")).not_to_be_empty()
    expect(camera.locator("#start")).to_be_visible()


def test_the_microphone_can_be_muted(open_page: OpenPage) -> None:
    camera = open_page("/camera.html?room=mute")
    start_camera(camera)
    audible = "document.querySelector('#preview').srcObject.getAudioTracks()[0].enabled"
    assert camera.evaluate(audible) is True
    camera.click("#mute")
    expect(camera.locator("#mute")).to_have_attribute("aria-pressed", "true")
    assert camera.evaluate(audible) is False
    camera.click("#mute")
    assert camera.evaluate(audible) is True


def test_stop_turns_the_devices_off(open_page: OpenPage) -> None:
    camera = open_page("/camera.html?room=stop")
    start_camera(camera)
    tracks = camera.evaluate_handle("document.querySelector('#preview').srcObject.getTracks()")
    camera.click("#stop")
    expect(camera.locator("#start")).to_be_visible()
    states = camera.evaluate("tracks => tracks.map((track) => track.readyState)", tracks)
    assert states == ["ended", "ended"]


def test_the_camera_page_links_to_its_viewer(open_page: OpenPage) -> None:
    camera = open_page("/camera.html?room=my%20room")
    camera.click("#watch-link")
    expect(camera.locator("#room-name")).to_contain_text("my room")


def test_the_pages_say_that_there_is_no_password(open_page: OpenPage) -> None:
    expect(open_page("/").locator("#open-note")).to_be_visible()
    camera = open_page("/camera.html?room=note")
    start_camera(camera)
    expect(camera.locator("#open-note")).to_be_visible()


def focusable(page: Page) -> set[str]:
    """What can be reached with the Tab key, from wherever the focus is now."""
    name = "(e => e.id || e.dataset.action || e.tagName)(document.activeElement)"
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(name))
    return reached


def test_everything_can_be_done_with_the_keyboard(open_page: OpenPage) -> None:
    camera = open_page("/camera.html?room=keyboard&camera=porch")
    assert {"camera-id", "room", "start", "watch-link"} <= focusable(camera)
    camera.focus("#start")
    camera.keyboard.press("Enter")
    expect(camera.locator("#status")).to_have_attribute("data-state", "connected")
    assert {"mute", "stop"} <= focusable(camera)
    viewer = open_page("/?room=keyboard")
    expect(viewer.locator('[data-camera="porch"]')).to_be_visible()
    assert {"watch", "camera-link"} <= focusable(viewer)
    viewer.locator('[data-action="watch"]').focus()
    viewer.keyboard.press("Enter")
    expect(viewer.locator('[data-tile="porch"]')).to_have_attribute("data-state", "live")


@pytest.mark.parametrize("width", [320, 375, 1280, 3840])
def test_nothing_is_wider_than_the_screen(open_page: OpenPage, width: int) -> None:
    room = f"width-{width}"
    viewport = {"width": width, "height": 740}
    camera = open_page(
        f"/camera.html?room={room}&camera=a-rather-long-camera-name-{'x' * 60}", viewport=viewport
    )
    start_camera(camera)
    viewer = open_page(f"/?room={room}", viewport=viewport)
    viewer.click('[data-action="watch"]')
    expect(viewer.locator("[data-tile]")).to_have_attribute("data-state", "live")
    for page in (camera, viewer):
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) == 0


def test_a_viewer_sends_one_request_for_each_press(open_page: OpenPage) -> None:
    camera = open_page("/camera.html?room=once&camera=porch")
    start_camera(camera)
    viewer = open_page("/?room=once")
    video = watch(viewer, "porch")
    expect(viewer.locator('[data-tile="porch"]')).to_have_attribute("data-state", "live")
    expect(video).to_have_count(1)
    expect(camera.locator("#viewers")).to_have_attribute("data-count", "1")

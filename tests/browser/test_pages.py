"""What the pages say and let people do, whatever happens."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import start_camera

DENIED = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotAllowedError"); };
"""
NO_DEVICE = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotFoundError"); };
"""


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


def focusable(page: Page) -> set[str]:
    """What can be reached with the Tab key, from wherever the focus is now."""
    name = "(e => e.id || e.dataset.action || e.tagName)(document.activeElement)"
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(name))
    return reached

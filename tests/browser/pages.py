"""What a person does with the pages, and sees on them."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

ADVANCES = "([video, since]) => video.currentTime > since + 0.5 && video.videoWidth > 0"
PICTURE = """video => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [64, 48];
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0, 64, 48);
    return Array.from(context.getImageData(0, 0, 64, 48).data);
}"""

HIDEABLE = """
let hidden = false;
Object.defineProperty(document, "visibilityState", { get: () => (hidden ? "hidden" : "visible") });
window.hide = (isHidden) => { hidden = isHidden; document.dispatchEvent(new Event("visibilitychange")); };
"""
"""A script with which a page can be told that it is hidden: headless browsers hide none."""


def start_camera(page: Page) -> None:
    """Press start and wait until viewers can watch."""
    page.click("#start")
    expect(page.locator("#status")).to_have_attribute("data-state", "connected")


def watched(page: Page, camera_id: str) -> Locator:
    """The video of a camera on the wall, once it is live."""
    expect(tile(page, camera_id)).to_have_attribute("data-state", "live")
    return video_of(page, camera_id)


def tile(page: Page, camera_id: str) -> Locator:
    """The place of a camera on the wall."""
    return page.locator(f'[data-tile="{camera_id}"]')


def item(page: Page, camera_id: str) -> Locator:
    """The line of a camera in the list beside the wall."""
    return page.locator(f'[data-camera="{camera_id}"]')


def video_of(page: Page, camera_id: str) -> Locator:
    """The video of a camera that is watched."""
    return page.locator(f'[data-tile="{camera_id}"] video')


def tile_status(page: Page, camera_id: str) -> Locator:
    """The sentence on a tile."""
    return page.locator(f'[data-tile="{camera_id}"] [data-role="tile-status"]')


def expect_moving_picture(page: Page, video: Locator) -> None:
    """The video plays, and what it shows changes."""
    handle = video.element_handle()
    assert handle is not None
    since = page.evaluate("video => video.currentTime", handle)
    page.wait_for_function(ADVANCES, arg=[handle, since])
    before = page.evaluate(PICTURE, handle)
    assert len(set(before)) > 10, "the picture is uniform"
    since = page.evaluate("video => video.currentTime", handle)
    page.wait_for_function(ADVANCES, arg=[handle, since])
    after = page.evaluate(PICTURE, handle)
    assert before != after, "the picture stands still"

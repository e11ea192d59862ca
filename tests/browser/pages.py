"""What a person does with the pages, and sees on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.processes import Process, Server, command, script

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


LEVEL = """async (video) => {
    const context = new AudioContext();
    await context.resume();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(video.srcObject).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    let most = 0;
    const end = performance.now() + 700;
    while (performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        analyser.getFloatTimeDomainData(samples);
        most = Math.max(most, ...samples.map(Math.abs));
    }
    await context.close();
    return most;
}"""
"""How loud a media element is at most, within a while."""


@contextmanager
def camera(server: Server, room: str, camera_id: str, *options: str) -> Iterator[Process]:
    """A Python camera with a small picture."""
    arguments = [f"--server={server.websocket_url}", f"--room={room}", f"--id={camera_id}", *options]
    with command(script("cctvsignal-camera"), "--size=320x240", "--fps=10", *arguments) as running:
        running.wait_for_line(f"Camera {re.escape(camera_id)} is in room")
        yield running


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


WAIT_SECONDS = 20


def wait_until(page: Page, predicate: str, argument: Any = None) -> None:
    """Wait for an asynchronous function of JavaScript to say that something is true of `argument`.

    Playwright's own `wait_for_function` takes the promise of such a function for a true value.
    """
    page.evaluate(
        f"""async (argument) => {{
            const deadline = performance.now() + {1000 * WAIT_SECONDS};
            while (!await ({predicate})(argument)) {{
                if (performance.now() > deadline) throw new Error("It did not come true in time");
                await new Promise((resolve) => setTimeout(resolve, 50));
            }}
        }}""",
        argument,
    )


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

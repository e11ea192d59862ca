"""Pictures of the pages, for people to look at: `make screenshots` puts them into docs/images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import start_camera, tile, video_of
from tests.processes import REPOSITORY, Server, command, script
from tests.videos import write_generated

pytestmark = pytest.mark.long
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 740}
IN_DOCUMENTS = {
    ("desktop", "light"): "wall-light.png",
    ("desktop", "dark"): "wall-dark.png",
    ("phone", "dark"): "wall-phone.png",
}
CAMERA = "camera.png"
SHOWN = """() => [...document.querySelectorAll("video")].every((video) =>
    video.getVideoPlaybackQuality().totalVideoFrames > 5)"""
SCENES = {
    "Driveway": "mandelbrot=size=640x360:rate=15:start_scale=0.3",
    "Front door": "gradients=size=640x360:rate=15:seed=3:speed=0.05",
    "Workshop": "testsrc2=size=640x360:rate=15",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return REPOSITORY / "docs" / "images" if os.environ.get("SCREENSHOTS") else tmp_path


@pytest.fixture(scope="module")
def home(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A room with four cameras."""
    room, sources = "home", {"Garden": "test"}
    for name, scene in SCENES.items():
        path = tmp_path_factory.mktemp("scenes") / f"{name}.mp4"
        write_generated(path, scene, frames=75)
        sources[name] = f"file:{path}"
    with ExitStack() as stack:
        for name, source in sources.items():
            camera_id = name.lower().replace(" ", "-")
            options = {"--server": shared_server.websocket_url, "--room": room, "--id": camera_id}
            arguments = [f"{key}={value}" for key, value in {**options, "--name": name}.items()]
            running = command(script("cctvsignal-camera"), *arguments, f"--source={source}")
            stack.enter_context(running).wait_for_line("is in room")
        yield room


def save(page: Page, directory: Path, name: str, tmp_path: Path) -> None:
    """Save what the page looks like; those not in the documents go to a temporary place."""
    path = (directory if name in (CAMERA, *IN_DOCUMENTS.values()) else tmp_path) / name
    page.screenshot(path=path)
    with av.open(str(path)) as container:
        luma = bytes(next(container.decode(video=0)).reformat(format="gray").planes[0])
    assert len(set(luma)) > 20, "the page is blank"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("size", "viewport"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_screenshots(
    open_page: OpenPage, home: str, directory: Path, tmp_path: Path, scheme: str, size: str, viewport: Any
) -> None:
    look = {"viewport": viewport, "color_scheme": scheme}
    save(open_page("/?room=nobody-home", **look), directory, f"empty-{size}-{scheme}.png", tmp_path)
    viewer = open_page(f"/?room={home}", **look)
    for camera_id in ("driveway", "front-door", "garden", "workshop"):
        expect(tile(viewer, camera_id)).to_have_attribute("data-state", "live")
    viewer.wait_for_function(SHOWN)
    name = IN_DOCUMENTS.get((size, scheme), f"wall-{size}-{scheme}.png")
    save(viewer, directory, name, tmp_path)
    video_of(viewer, "driveway").click()
    expect(tile(viewer, "driveway")).to_have_attribute("data-large", "")
    tile(viewer, "driveway").locator('[data-action="stats"]').click()
    expect(tile(viewer, "driveway").locator(".facts")).to_contain_text("H264")
    save(viewer, directory, f"large-{size}-{scheme}.png", tmp_path)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("size", "viewport"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_screenshots_of_the_camera_page(
    open_page: OpenPage, directory: Path, tmp_path: Path, scheme: str, size: str, viewport: Any
) -> None:
    room = f"camera-{size}-{scheme}"
    camera = open_page(f"/camera.html?room={room}&camera=porch", viewport=viewport, color_scheme=scheme)
    save(camera, directory, f"camera-idle-{size}-{scheme}.png", tmp_path)
    start_camera(camera)
    expect(camera.locator("#qr svg")).to_be_visible()
    name = CAMERA if (size, scheme) == ("desktop", "light") else f"camera-{size}-{scheme}.png"
    save(camera, directory, name, tmp_path)

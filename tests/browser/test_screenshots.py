"""Pictures of the pages, for people to look at: SCREENSHOTS=1 puts them into docs/images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import av
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import expect_moving_picture, start_camera, tile, video_of
from tests.processes import REPOSITORY, Server, command, script
from tests.videos import write_generated

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 740}
IN_DOCUMENTS = {"wall-light.png", "wall-dark.png", "wall-phone.png", "camera.png"}
SCENES = {
    "Driveway": "mandelbrot=size=640x360:rate=15:start_scale=0.3",
    "Front door": "gradients=size=640x360:rate=15:seed=3:speed=0.05",
    "Workshop": "testsrc2=size=640x360:rate=15",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return REPOSITORY / "docs" / "images" if os.environ.get("SCREENSHOTS") else tmp_path


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For each camera, what it shows."""
    found = {"Garden": "test"}
    for name, source in SCENES.items():
        path = tmp_path_factory.mktemp("scenes") / f"{name}.mp4"
        write_generated(path, source, frames=75)
        found[name] = f"file:{path}"
    return found


@contextmanager
def cameras(server: Server, room: str, scenes: dict[str, str]) -> Iterator[None]:
    with ExitStack() as stack:
        for name, source in scenes.items():
            camera_id = name.lower().replace(" ", "-")
            options = {"--server": server.websocket_url, "--room": room, "--id": camera_id, "--name": name}
            arguments = [word for pair in {**options, "--source": source}.items() for word in pair]
            stack.enter_context(command(script("cctvsignal-camera"), *arguments)).wait_for_line(
                "is in room"
            )
        yield


def save(page: Page, directory: Path, name: str, tmp_path: Path) -> None:
    """Save what the page looks like; those not in the documents go to a temporary place."""
    path = (directory if name in IN_DOCUMENTS else tmp_path) / name
    page.screenshot(path=path)
    with av.open(str(path)) as container:
        luma = bytes(next(container.decode(video=0)).reformat(format="gray").planes[0])
    assert len(set(luma)) > 20, "the page is blank"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("size", "viewport"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_screenshots(
    open_page: OpenPage,
    shared_server: Server,
    scenes: dict[str, str],
    directory: Path,
    tmp_path: Path,
    scheme: str,
    size: str,
    viewport: Any,
) -> None:
    room = f"home-{size}-{scheme}"
    look = {"viewport": viewport, "color_scheme": scheme}
    save(open_page("/?room=nobody-home", **look), directory, f"empty-{size}-{scheme}.png", tmp_path)
    with cameras(shared_server, room, scenes):
        viewer = open_page(f"/?room={room}", **look)
        for camera_id in ("driveway", "front-door", "garden", "workshop"):
            expect(tile(viewer, camera_id)).to_have_attribute("data-state", "live")
            expect_moving_picture(viewer, video_of(viewer, camera_id))
        names = {
            ("desktop", "light"): "wall-light",
            ("desktop", "dark"): "wall-dark",
            ("phone", "dark"): "wall-phone",
        }
        save(viewer, directory, f"{names.get((size, scheme), f'wall-{size}-{scheme}')}.png", tmp_path)
        video_of(viewer, "driveway").click()
        expect(tile(viewer, "driveway")).to_have_attribute("data-large", "")
        tile(viewer, "driveway").locator('[data-action="stats"]').click()
        expect(tile(viewer, "driveway").locator(".facts")).to_contain_text("H264")
        save(viewer, directory, f"large-{size}-{scheme}.png", tmp_path)
    expect(tile(viewer, "garden")).to_have_attribute("data-state", "gone")
    save(viewer, directory, f"gone-{size}-{scheme}.png", tmp_path)


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
    name = "camera" if (size, scheme) == ("desktop", "light") else f"camera-{size}-{scheme}"
    save(camera, directory, f"{name}.png", tmp_path)

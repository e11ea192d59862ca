"""Pictures of the pages, for people to look at: SCREENSHOTS=1 puts them into docs/images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import expect_moving_picture, start_camera, watched
from tests.processes import REPOSITORY, Server, command, script

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 740}
IN_DOCUMENTS = {"viewer.png", "viewer-phone.png", "camera.png"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return REPOSITORY / "docs" / "images" if os.environ.get("SCREENSHOTS") else tmp_path


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
    directory: Path,
    tmp_path: Path,
    scheme: str,
    size: str,
    viewport: Any,
) -> None:
    room = "home"
    look = {"viewport": viewport, "color_scheme": scheme}
    save(open_page("/?room=nobody-home", **look), directory, f"empty-{size}-{scheme}.png", tmp_path)
    camera = open_page(f"/camera.html?room={room}&camera=porch", **look)
    save(camera, directory, f"camera-idle-{size}-{scheme}.png", tmp_path)
    start_camera(camera)
    arguments = [f"--server={shared_server.websocket_url}", f"--room={room}", "--id=garden"]
    with command(script("cctvsignal-camera"), *arguments) as garden:
        garden.wait_for_line("Camera garden is in room")
        viewer = open_page(f"/?room={room}", **look)
        for camera_id in ("garden", "porch"):
            expect_moving_picture(viewer, watched(viewer, camera_id))
        expect(camera.locator("#viewers")).to_have_attribute("data-count", "1")
        name = {("desktop", "dark"): "viewer", ("phone", "dark"): "viewer-phone"}.get((size, scheme))
        save(viewer, directory, f"{name or f'viewer-{size}-{scheme}'}.png", tmp_path)
        name = "camera" if (size, scheme) == ("desktop", "light") else f"camera-{size}-{scheme}"
        save(camera, directory, f"{name}.png", tmp_path)

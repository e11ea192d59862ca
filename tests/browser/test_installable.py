"""The app on a device: it can be installed, and says so when its server cannot be reached."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import OpenPage
from tests.browser.pages import wait_until
from tests.processes import REPOSITORY, server

ACTIVE = "async () => (await navigator.serviceWorker.ready).active.state === 'activated'"
REFUSED = "ERR_CONNECTION_REFUSED"
NOT_OURS = {"in-incognito"}
"""What keeps the tests' browsers from installing anything."""


def wait_for_worker(page: Page) -> None:
    wait_until(page, ACTIVE)


def test_the_app_can_be_installed(open_page: OpenPage) -> None:
    page = open_page("/")
    wait_for_worker(page)
    devtools = page.context.new_cdp_session(page)
    manifest: dict[str, Any] = devtools.send("Page.getAppManifest")
    assert manifest["errors"] == []
    errors: dict[str, Any] = devtools.send("Page.getInstallabilityErrors")
    assert {error["errorId"] for error in errors["installabilityErrors"]} <= NOT_OURS
    for icon in json.loads(manifest["data"])["icons"]:
        loaded = "async (src) => { const image = new Image(); image.src = src; await image.decode();"
        width = page.evaluate(f"{loaded} return image.naturalWidth; }}", icon["src"])
        assert icon["sizes"] in ("any", f"{width}x{width}")


@pytest.mark.parametrize("path", ["/?room=away", "/camera.html?room=away"])
def test_without_the_server_a_page_says_so_and_comes_back(open_page: OpenPage, path: str) -> None:
    with server() as first:
        port = first.port
        page = open_page(path, of=first, allowed=REFUSED)
        wait_for_worker(page)
        title = page.title()
        first.stop()
        page.reload()
        expect(page.locator("h1")).to_have_text("The server cannot be reached")
        expect(page.locator("main")).to_contain_text("Check that the server runs")
        expect_accessible(page)
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        page.set_viewport_size({"width": 320, "height": 640})
        assert page.evaluate(overflow) == 0
    with server(port=port):
        # By itself, where it was wanted.
        expect(page).to_have_title(title, timeout=20_000)
        expect(page).to_have_url(re.compile(re.escape(path)))
        page.close()


def test_pages_are_never_older_than_the_server(open_page: OpenPage) -> None:
    page = open_page("/")
    wait_for_worker(page)
    page.reload()
    # From now on the worker answers, also for what it keeps.
    served = (REPOSITORY / "web" / "texts.js").read_text(encoding="utf-8")
    changed = served.replace('camerasTitle: "Cameras"', 'camerasTitle: "Newer"')
    assert changed != served
    page.context.route(
        "**/texts.js", lambda route: route.fulfill(body=changed, content_type="text/javascript")
    )
    page.reload()
    expect(page.locator("#cameras-title")).to_have_text("Newer")

"""The pages behind reverse proxies: below a path, and behind one that spoils the Host header."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import OpenPage
from tests.browser.pages import camera, expect_moving_picture, start_camera, tile, wait_until, watched
from tests.browser.proxies import proxy
from tests.processes import Server

ROOMS = (f"proxy-{number}" for number in itertools.count(1))
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WORKER = "async () => (await navigator.serviceWorker.ready).scope"


@pytest.mark.parametrize("prefix", ["/cctv/", "/a/b/"])
def test_wall_and_camera_page_work_below_a_path(
    open_page: OpenPage, shared_server: Server, prefix: str
) -> None:
    room = next(ROOMS)
    # The server takes pages of the proxy for its own: it hears the Host header of the browser.
    with proxy(shared_server, prefix) as place, camera(shared_server, room, "gate"):
        source = open_page(f"/camera.html?room={room}&camera=porch", of=place)
        start_camera(source)
        viewer = open_page(f"/?room={room}", of=place)
        for camera_id in ("porch", "gate"):
            expect_moving_picture(viewer, watched(viewer, camera_id))
        link = source.locator("#share-link").get_attribute("href")
        assert link == f"{place.url}/?room={room}&camera=porch"
        assert viewer.url.startswith(f"{place.url}/?room={room}")
        assert viewer.evaluate(WORKER) == f"{place.url}/"
        # From page to page, and everything that a tile needs.
        tile(viewer, "gate").hover()
        icon = tile(viewer, "gate").locator('[data-action="stats"] use').get_attribute("href")
        assert viewer.request.get(f"{place.url}/{icon}").ok
        source.click("#watch-link")
        expect(source).to_have_url(re.compile(re.escape(f"{place.url}/?room={room}")))
        viewer.click("[data-camera-link]:visible")
        expect(viewer).to_have_url(f"{place.url}/camera.html?room={room}")
        devtools = viewer.context.new_cdp_session(viewer)
        assert devtools.send("Page.getAppManifest")["errors"] == []
        for page in (source, viewer):
            page.close()


def test_without_the_server_a_page_below_a_path_says_so(open_page: OpenPage, shared_server: Server) -> None:
    with proxy(shared_server, "/cctv/") as place:
        page = open_page(f"/?room={next(ROOMS)}", of=place, allowed="ERR_CONNECTION_REFUSED")
        wait_until(page, "async () => (await navigator.serviceWorker.ready).active.state === 'activated'")
    page.reload()
    expect(page.locator("h1")).to_have_text("The server cannot be reached")
    expect(page.locator(".logo")).to_have_js_property("complete", True)
    assert page.locator(".logo").evaluate("image => image.naturalWidth") > 0
    page.close()


@pytest.mark.parametrize("page", ["/?room=x", "/camera.html?room=x"])
def test_a_page_that_is_refused_by_its_origin_says_what_to_do(
    open_page: OpenPage, shared_server: Server, page: str
) -> None:
    # As `proxy_set_header Host $host` does: without the port, no page seems to be of this server.
    with proxy(shared_server, host="127.0.0.1") as place:
        refused = open_page(page, of=place, allowed="")
        if page.startswith("/camera"):
            refused.click("#start")
            said = refused.locator("#status")
        else:
            said = refused.locator("#refused-why")
            expect(refused.locator("#server-away")).to_be_hidden()
        expect(said).to_contain_text(f"--allow-origin {place.url}")
        expect(said).to_contain_text("Host header")
        for text in ("cannot be reached", "ended the connection"):
            assert refused.get_by_text(text).filter(visible=True).count() == 0
            assert text not in (refused.locator("[role=log]").all_inner_texts() or [""])[0]
        expect_accessible(refused)
        refused.set_viewport_size({"width": 320, "height": 640})
        assert refused.evaluate(OVERFLOW) == 0
        refused.close()


@pytest.mark.parametrize("page", ["/?room=x", "/camera.html?room=x"])
def test_a_server_that_is_not_there_is_not_said_to_refuse_a_page(
    open_page: OpenPage, shared_server: Server, page: str
) -> None:
    with proxy(shared_server) as place:
        away = open_page("/camera.html?room=x", of=place, allowed="")
        away.evaluate("navigator.serviceWorker.ready")
        away.goto(place.url + page)
    if page.startswith("/camera"):
        away.click("#start")
    expect(away.locator("#status")).to_contain_text(re.compile("cannot be reached|is lost"))
    expect(away.locator("body")).not_to_contain_text("--allow-origin")
    away.close()

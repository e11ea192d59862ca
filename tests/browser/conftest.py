"""A real Chromium with a fake camera and microphone, and pages that must behave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Playwright,
    WebSocketRoute,
    expect,
    sync_playwright,
)

from tests.browser.chromium import find_chromium
from tests.browser.proxies import Proxied
from tests.processes import Server

ARGUMENTS = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    # Both ends are on this machine.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks",
    # The browser's own errands.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

OpenPage = Callable[..., Page]

# Machines that run tests are slow now and then.
expect.set_options(timeout=15_000)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    running = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
    yield running
    running.close()


@dataclass
class Watched:
    """What pages did that pages of ours must not do."""

    complaints: list[str] = field(default_factory=list)

    def watch(self, page: Page, origin: str, allowed: str | None) -> None:
        def complain(text: str) -> None:
            if allowed is None or allowed not in text:
                self.complaints.append(text)

        def request(made: Any) -> None:
            if not made.url.startswith((origin, origin.replace("http", "ws", 1), "data:", "blob:")):
                self.complaints.append(f"request to {made.url}")

        page.on("pageerror", lambda error: complain(f"page error: {error}"))
        page.on("request", request)
        page.on(
            "console",
            lambda message: complain(f"console: {message.text}") if message.type == "error" else None,
        )


@pytest.fixture
def open_page(browser: Browser, shared_server: Server) -> Iterator[OpenPage]:
    """Opens a page of the server in a context of its own; complains of errors and foreign requests."""
    watched = Watched()
    contexts: list[BrowserContext] = []

    def open_page(
        path: str,
        *,
        of: Server | Proxied = shared_server,
        script: str | None = None,
        allowed: str | None = None,
        route: Callable[[WebSocketRoute], None] | None = None,
        **options: Any,
    ) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        watched.watch(page, of.url, allowed)
        if script is not None:
            page.add_init_script(script)
        if route is not None:
            page.route_web_socket("**/ws*", route)
        page.goto(of.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not watched.complaints

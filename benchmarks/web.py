"""The web suite: the wall of the web app in a real Chromium, beside a page that only shows the pictures."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import processes
from tests.browser.chromium import find_chromium
from tests.browser.conftest import ARGUMENTS
from tests.cameras import cameras

from . import machine
from .machine import SetupError
from .servers import on_core

TILES: Final = 16
WALL: Final = "the wall"
BARE: Final = "a bare page"
PAGES: Final = (WALL, BARE)
MIB: Final = 1024 * 1024
SIZE: Final = {"width": 1280, "height": 800}
WAIT_MS: Final = 30_000

CLICK: Final = """async (cameraId) => {
    const button = document.querySelector(`[data-camera="${cameraId}"] button`);
    const clicked = performance.now();
    button.click();
    const video = document.querySelector(`[data-tile="${cameraId}"] video`);
    const shown = await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    button.click();
    return shown - clicked;
}"""
ALL_LIVE: Final = """count => [...document.querySelectorAll("video")]
    .filter((video) => video.getVideoPlaybackQuality().totalVideoFrames > 5).length === count"""
BARE_PAGE: Final = """<!doctype html><title>bare</title><body style="display: grid; gap: 8px;
    grid-template-columns: repeat(4, 1fr); height: 100vh; margin: 0; background: #000">"""
SHOW_BARE: Final = """async ([room, count]) => {
    const { ViewerClient } = await import("/client/index.js");
    const viewer = new ViewerClient({ room });
    await viewer.connect();
    await Promise.all(Array.from({ length: count }, async (_, number) => {
        const video = document.createElement("video");
        Object.assign(video, { autoplay: true, muted: true, playsInline: true });
        Object.assign(video.style, { width: "100%", height: "100%", minHeight: 0 });
        document.body.append(video);
        video.srcObject = await viewer.requestStream(`cam-${number + 1}`);
    }));
}"""
WATCH_RETURN: Final = """cameraId => {
    const tile = document.querySelector(`[data-tile="${cameraId}"]`);
    let left = null;
    window.returned = new Promise((resolve) => {
        new MutationObserver((_, observer) => {
            const { state } = tile.dataset;
            if (state !== "gone") left ??= performance.now();
            if (state !== "live") return;
            observer.disconnect();
            tile.querySelector("video").requestVideoFrameCallback((now) => {
                resolve({ milliseconds: now - left, at: Date.now() });
            });
        }).observe(tile, { attributeFilter: ["data-state"] });
    });
}"""


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int
    seconds: float
    tries: int
    returns: int


FULL: Final = Plan(rounds=3, seconds=6.0, tries=50, returns=10)
QUICK: Final = Plan(rounds=1, seconds=2.0, tries=10, returns=2)


@dataclass(frozen=True)
class Tab:
    """What a tab with all pictures took."""

    renderer_seconds: float
    """Processor time of the tab's own process, for each second."""
    browser_seconds: float
    """The same of all processes of the browser."""
    renderer_bytes: int | None
    heap_bytes: int


@dataclass(frozen=True)
class Measured:
    """All that was measured; times are in milliseconds."""

    clicks: list[float]
    tabs: dict[str, list[Tab]]
    returns: list[float]
    """From the moment when the wall learns of the camera."""
    returns_in_all: list[float]
    """From the moment when the camera says that it is in the room."""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def run(
    plan: Plan, camera_core: int | None, browser_core: int | None, say: Callable[[str], None]
) -> Measured:
    """All measurements."""
    if sys.platform != "linux":
        raise SetupError("the web suite reads /proc: it needs Linux")
    with ExitStack() as stack:
        with on_core(camera_core):
            server = stack.enter_context(processes.server())
        with on_core(browser_core):
            playwright = stack.enter_context(sync_playwright())
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        stack.callback(browser.close)
        with on_core(camera_core), cameras(server, "many", TILES):
            tabs: dict[str, list[Tab]] = {name: [] for name in PAGES}
            for number in range(plan.rounds):
                for name in PAGES if number % 2 == 0 else PAGES[::-1]:
                    say(f"round {number + 1} of {plan.rounds}: {TILES} pictures on {name}")
                    tabs[name].append(_tab(browser, server.url, name, plan.seconds))
        say(f"from a click to the first picture, {plan.tries} times")
        with on_core(camera_core), cameras(server, "few", 1):
            clicks = _clicks(browser, server.url, plan.tries)
        say(f"a camera that comes back, {plan.returns} times")
        returns = list(_returns(browser, server, plan.returns, camera_core))
        return Measured(clicks, tabs, [one for one, _ in returns], [both for _, both in returns])


@contextmanager
def _page(browser: Browser, url: str) -> Iterator[Page]:
    context: BrowserContext = browser.new_context(viewport=SIZE)  # type: ignore[arg-type]
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.route("**/bare.html", lambda route: route.fulfill(body=BARE_PAGE, content_type="text/html"))
    page.goto(url)
    try:
        yield page
    finally:
        context.close()


def _tab(browser: Browser, url: str, name: str, seconds: float) -> Tab:
    path = f"/?room=many&layout={TILES}" if name == WALL else "/bare.html"
    with _page(browser, url + path) as page:
        if name == BARE:
            page.evaluate(SHOW_BARE, ["many", TILES])
        page.wait_for_function(ALL_LIVE, arg=TILES)
        devtools, of_page = browser.new_browser_cdp_session(), page.context.new_cdp_session(page)

        def times() -> tuple[float, dict[int, float]]:
            found = devtools.send("SystemInfo.getProcessInfo")["processInfo"]
            renderers = {each["id"]: each["cpuTime"] for each in found if each["type"] == "renderer"}
            return sum(each["cpuTime"] for each in found), renderers

        began, (all_before, before) = time.monotonic(), times()
        page.wait_for_timeout(seconds * 1000)
        took, (all_after, after) = time.monotonic() - began, times()
        # A browser keeps a renderer in reserve; the tab's own is the one that works.
        own = max(after, key=lambda pid: after[pid] - before.get(pid, 0.0))
        of_page.send("HeapProfiler.collectGarbage")
        of_page.send("Performance.enable")
        metrics = {
            each["name"]: each["value"] for each in of_page.send("Performance.getMetrics")["metrics"]
        }
        return Tab(
            (after[own] - before.get(own, 0.0)) / took,
            (all_after - all_before) / took,
            machine.resident_bytes(own),
            int(metrics["JSHeapUsedSize"]),
        )


def _clicks(browser: Browser, url: str, tries: int) -> list[float]:
    with _page(browser, f"{url}/?room=few") as another, _page(browser, f"{url}/?room=few&camera=") as page:
        another.wait_for_function(ALL_LIVE, arg=1)
        page.wait_for_selector('[data-camera="cam-1"] button')
        return [page.evaluate(CLICK, "cam-1") for _ in range(tries)]


def _returns(
    browser: Browser, server: processes.Server, tries: int, core: int | None
) -> Iterator[tuple[float, float]]:
    arguments = ["--size=320x240", "--fps=10", "--room=back", "--id=cam-1"]
    start = [processes.script("cctvsignal-camera"), f"--server={server.websocket_url}", *arguments]
    with _page(browser, f"{server.url}/?room=back") as page:
        for number in range(tries + 1):
            with on_core(core), processes.command(*start) as camera:
                camera.wait_for_line("is in room")
                said = time.time() * 1000
                if number:
                    found = page.evaluate("() => window.returned")
                    yield found["milliseconds"], found["at"] - said
                page.wait_for_selector('[data-tile="cam-1"][data-state="live"]')
                camera.process.kill()
                page.wait_for_selector('[data-tile="cam-1"][data-state="gone"]')
                page.evaluate(WATCH_RETURN, "cam-1")


def lines(measured: Measured) -> list[str]:
    """The tables."""
    wall, bare = (_medians(measured.tabs[name]) for name in PAGES)
    rows = [
        ("processor time of the tab, of a core", "renderer_seconds", "{:.2f}", 1.0),
        ("processor time of the whole browser, of a core", "browser_seconds", "{:.2f}", 1.0),
        ("memory of the tab, resident", "renderer_bytes", "{:.0f} MiB", MIB),
        ("memory of the tab, JavaScript", "heap_bytes", "{:.1f} MiB", MIB),
    ]
    found = [f"| {TILES} pictures | {WALL} | {BARE} | {WALL} / {BARE} |", "|---|---:|---:|---:|"]
    for title, key, form, scale in rows:
        values = (form.format(each[key] / scale) for each in (wall, bare))
        found.append(f"| {title} | {' | '.join(values)} | {wall[key] / bare[key]:.2f} |")
    cuts = statistics.quantiles(measured.clicks, n=20, method="inclusive")
    found += [
        "",
        f"- From a click to the first picture: p50 {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms "
        f"({len(measured.clicks)} tries, with another viewer all the time).",
        "- A camera that was killed and comes back is seen again, without a click, "
        f"{_spread(measured.returns)} after the wall learns of it, and {_spread(measured.returns_in_all)} "
        f"after it says that it is in the room ({len(measured.returns)} tries).",
    ]
    return found


def _spread(milliseconds: list[float]) -> str:
    return f"{statistics.median(milliseconds):.0f} ms (median; at most {max(milliseconds):.0f} ms)"


def _medians(tabs: list[Tab]) -> dict[str, float]:
    return {key: statistics.median(asdict(tab)[key] or 0 for tab in tabs) for key in asdict(tabs[0])}

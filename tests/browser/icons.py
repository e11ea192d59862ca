"""Make the icons of the web app from its logo: python -m tests.browser.icons

Run it after web/favicon.svg has changed; the icons are kept beside it.
"""

from __future__ import annotations

from playwright.sync_api import sync_playwright

from tests.browser.chromium import find_chromium
from tests.processes import REPOSITORY

WEB = REPOSITORY / "web"
GROUND = "#0a6570"
SIZES = {"icon-192": 192, "icon-512": 512, "maskable-512": 512, "apple-touch-icon": 180}
INSET = {"maskable-512": 0.1, "apple-touch-icon": 0.04}
"""The part of the side that systems may cut away, whose ground must be filled."""


def main() -> None:
    logo = (WEB / "favicon.svg").read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        for name, size in SIZES.items():
            page = browser.new_page(viewport={"width": size, "height": size})
            inset = INSET.get(name, 0)
            ground = GROUND if inset else "transparent"
            place = f"display:block;width:{size * (1 - 2 * inset)}px;margin:{size * inset}px"
            page.set_content(f"<style>body{{margin:0;background:{ground}}}svg{{{place}}}</style>{logo}")
            page.screenshot(path=WEB / "icons" / f"{name}.png", omit_background=True)
        browser.close()


if __name__ == "__main__":
    main()

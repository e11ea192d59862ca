"""Which Chromium the tests use. `python -m tests.browser.chromium` prints it; without one it fails."""

from __future__ import annotations

import os
import shutil

CANDIDATES = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
]


def find_chromium() -> str:
    """The path of a Chromium; CHROMIUM in the environment names one."""
    for candidate in (os.environ.get("CHROMIUM", ""), *CANDIDATES):
        if candidate and (path := shutil.which(candidate)):
            return path
    raise AssertionError("There is no Chromium: install it, or name it in the variable CHROMIUM.")


if __name__ == "__main__":
    print(find_chromium())

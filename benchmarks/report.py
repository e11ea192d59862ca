"""The suites' names, their figures as JSON, and their tables in the page of docs/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results" / "latest.json"
PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
RELAY: Final = "relay"
PATH: Final = "path"
SECURITY: Final = "security"
MEDIA: Final = "media"
WEB: Final = "web"
ESP32: Final = "esp32"
SOAK: Final = "soak"
BUSY: Final = 0.9
"""A load generator that uses more of its core than this may be the bottleneck."""
SUITES: Final = (RELAY, PATH, SECURITY, MEDIA, WEB, ESP32, SOAK)


def save(suites: dict[str, Any]) -> None:
    """Write the JSON file; suites that were not run now stay as they are in it."""
    RESULTS.parent.mkdir(exist_ok=True)
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    kept = {name: before[name] for name in SUITES if name in before}
    RESULTS.write_text(json.dumps({**kept, **suites}, indent=2) + "\n", encoding="utf-8")


def write_page(mark: str, lines: Sequence[str]) -> None:
    """Put these lines between the two marks of the page that have this name."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    text = PAGE.read_text(encoding="utf-8")
    head, found_begin, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{PAGE} has lost its marks {begin} and {end}")
    PAGE.write_text(head + "\n".join([begin, *lines, end]) + tail, encoding="utf-8")

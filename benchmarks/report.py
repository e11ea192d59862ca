"""Figures of the rounds to medians, a table, JSON and the page in docs/."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .servers import NODE, OURS

RESULTS: Final = Path(__file__).parent / "results" / "latest.json"
PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
RELAY: Final = "relay"
SECURITY: Final = "security"
MEDIA: Final = "media"
WEB: Final = "web"
ESP32: Final = "esp32"
SOAK: Final = "soak"
SUITES: Final = (RELAY, SECURITY, MEDIA, WEB, ESP32)
LONG: Final = (SOAK,)
"""Suites that run only when they are named."""
BUSY: Final = 0.9
"""A load generator that uses more of its core than this may be the bottleneck."""
NOISE: Final = 0.03
"""A smaller difference is none, on any machine that is used for this."""

Rounds = Sequence[dict[str, dict[str, Any]]]
"""For each round, for each server, what the load generator reported."""


@dataclass(frozen=True)
class Measure:
    """One line of the table."""

    name: str
    key: str
    unit: str
    more_is_better: bool
    scale: float = 1.0


PER_SECOND: Final = Measure("", "perSecond", "/s", True)
LATENCIES: Final = (Measure("p50", "p50Ms", "ms", False), Measure("p99", "p99Ms", "ms", False))
MEMORY: Final = Measure("", "bytesPerConnection", "KiB", False, 1 / 1024)


@dataclass(frozen=True)
class Row:
    """A measure with the medians of both servers, and the least and the greatest ratio of a round."""

    case: str
    measure: Measure
    ours: float
    node: float
    low: float
    high: float

    @property
    def ratio(self) -> float:
        """Ours to Node's."""
        return self.ours / self.node

    @property
    def standing(self) -> str:
        """Where ours stands, if the rounds agree on it."""
        if self.low > 1 - NOISE and self.high < 1 + NOISE:
            return "equal"
        if self.low <= 1 <= self.high:
            return "unclear"
        return "ahead" if (self.ratio > 1) == self.measure.more_is_better else "behind"


def row(case: str, measure: Measure, rounds: Rounds) -> Row | None:
    """One line from all rounds, or None where the machine could not tell."""
    pairs = [(each[OURS][measure.key], each[NODE][measure.key]) for each in rounds]
    if any(ours is None or not node for ours, node in pairs):
        return None
    ratios = [ours / node for ours, node in pairs]
    ours, node = (statistics.median(column) * measure.scale for column in zip(*pairs, strict=True))
    return Row(
        f"{case}, {measure.name}" if measure.name else case, measure, ours, node, min(ratios), max(ratios)
    )


def table(rows: Sequence[Row]) -> list[str]:
    """The table of ratios."""
    lines = [
        f"| | {OURS} | {NODE} | {OURS} / {NODE} | rounds | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for each in rows:
        ours, node = (f"{_number(value)} {each.measure.unit}" for value in (each.ours, each.node))
        spread = f"{each.low:.2f} to {each.high:.2f}"
        lines.append(f"| {each.case} | {ours} | {node} | {each.ratio:.2f} | {spread} | {each.standing} |")
    return lines


def headroom(cases: Mapping[str, Rounds]) -> list[str]:
    """The table that shows who was busy."""
    lines = [
        f"| share of a core | {OURS} | its load generator | {NODE} | its load generator |",
        "|---|---:|---:|---:|---:|",
    ]
    for case, rounds in cases.items():
        cells = []
        for server in (OURS, NODE):
            for part in ("server", "generator"):
                shares = [each[server]["cpu"][part] for each in rounds]
                cells.append("?" if None in shares else f"{statistics.median(shares):.0%}")
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return lines


def bottlenecks(cases: Mapping[str, Rounds]) -> list[str]:
    """Warnings about measurements in which the load generator had no headroom."""
    lines = []
    for case, rounds in cases.items():
        for server in (OURS, NODE):
            share = statistics.median(each[server]["cpu"]["generator"] for each in rounds)
            if share > BUSY:
                lines.append(f"{case}, {server}: the load generator itself used {share:.0%} of its core.")
    return lines


def held_up(case: str, rounds: Rounds) -> list[str]:
    """A warning if other work kept the generator, which waits in a loop at a given rate, from its core."""
    least = min(each[server]["cpu"]["generator"] for each in rounds for server in (OURS, NODE))
    if least > BUSY:
        return []
    return [f"{case}: in one round other work left the load generator only {least:.0%} of its core."]


def save(suites: dict[str, Any]) -> None:
    """Write the JSON file; suites that were not run now stay as they are in it."""
    RESULTS.parent.mkdir(exist_ok=True)
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    kept = {name: before[name] for name in (*SUITES, *LONG) if name in before}
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


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

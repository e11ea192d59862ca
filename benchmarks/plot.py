"""The relay suite as bars: messages and joins per second, with Node's `ws` relay as 1."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from .relay import Measured
from .relay_report import medians, throughput_cases
from .servers import FLOOR, NODE, OURS, PEERSERVER, SOCKETIO

PICTURE: Final = Path(__file__).parent.parent / "docs" / "images" / "performance.svg"
SERVERS: Final = (OURS, NODE, PEERSERVER, SOCKETIO, FLOOR)
WIDTH: Final = 760
LEFT: Final = 100
RIGHT: Final = 90
BAR: Final = 16
TITLE: Final = 24
GAP: Final = 14
LEGEND: Final = 34
STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; }
.ours { fill: #0969da; }
.other { fill: #afb8c1; }
.limit { fill: none; stroke: #8c959f; stroke-dasharray: 3 2; }
.one { stroke: #57606a; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .ours { fill: #4493f8; }
  .other { fill: #545d68; }
  .limit { stroke: #9198a1; }
  .one { stroke: #b1bac4; }
}
"""
CLASSES: Final = {OURS: "ours", FLOOR: "limit"}


@dataclass(frozen=True)
class Group:
    """One measurement: how many times Node's figure each server reaches."""

    title: str
    bars: tuple[tuple[str, float], ...]


def groups(measured: Measured) -> list[Group]:
    """What is drawn."""
    found = []
    for case, measure in throughput_cases():
        node = medians(measured[case], NODE, measure)
        values = ((server, medians(measured[case], server, measure)) for server in SERVERS)
        if node:
            found.append(Group(case, tuple((server, value / node) for server, value in values if value)))
    return found


def draw(drawn: list[Group]) -> str:
    """An SVG that follows the reader's light or dark colours."""
    # The limit is far out; its bars are cut off, so that those of servers can be told apart.
    longest = max(1.5 * value for group in drawn for server, value in group.bars if server != FLOOR)
    unit = (WIDTH - LEFT - RIGHT) / longest
    one = LEFT + unit
    parts: list[str] = []
    y = LEGEND
    for group in drawn:
        parts.append(f'<text class="title" x="{LEFT}" y="{y + 15}">{escape(group.title)}</text>')
        y += TITLE
        top = y
        for server, value in group.bars:
            kind = CLASSES.get(server, "other")
            width = unit * min(value, longest)
            label = LEFT + width if value >= 1 else one
            figure = f"{value:.2f}" if value <= longest else f"{value:.1f} \N{RIGHTWARDS ARROW}"
            parts += [
                f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(server)}</text>',
                f'<rect class="{kind}" x="{LEFT}" y="{y + 1}" width="{width:.1f}" height="13"/>',
                f'<text x="{label + 6:.1f}" y="{y + 12}">{figure}</text>',
            ]
            y += BAR
        parts.append(f'<line class="one" x1="{one:.1f}" x2="{one:.1f}" y1="{top}" y2="{y}"/>')
        y += GAP
    legend = f"Messages or joins per second as multiples of {NODE}; the {FLOOR} shows the limit"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}"'
        f' role="img" aria-label="{escape(legend)}">\n<style>{STYLE}</style>\n'
        f'<text x="{LEFT}" y="18">{escape(legend)}</text>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def write(measured: Measured) -> None:
    """Put the plot into docs/."""
    PICTURE.write_text(draw(groups(measured)), encoding="utf-8")

"""The results as a table, on the terminal and in docs/performance.md."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from . import servers

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
LESS_IS_BETTER = ("ms", "KiB")


def machine() -> str:
    """What the figures were measured on, in one sentence."""
    model = "unknown processor"
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        model = found.group(1) if found else platform.processor() or model
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    pinned = "server and load generator pinned to a core each" if servers.PINNED else "nothing pinned"
    libraries = ", ".join(f"{name} {version(name)}" for name in ("twisted", "autobahn", "msgspec"))
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, "
        f"{libraries}; Node {node}; {pinned}."
    )


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """A Markdown table: both servers, and the ratio that is above 1 where this one is ahead."""
    ours, theirs = servers.COMMANDS
    lines = [f"| what | | {ours} | {theirs} | ratio |", "|---|---|---:|---:|---:|"]
    for title, measured in results.items():
        for key, own in measured[ours].items():
            other = measured[theirs][key]
            ratio = ""
            if "load" not in key and own and other:
                better = other / own if key.split()[-1].startswith(LESS_IS_BETTER) else own / other
                ratio = f"{better:.2f}"
            lines.append(f"| {title} | {key} | {_figure(own)} | {_figure(other)} | {ratio} |")
    return "\n".join(lines)


def write_docs(machine: str, table: str) -> None:
    """Replace the table in docs/performance.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{machine}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"

"""The security suite: what checks and limits cost, and what a flood does to those beside it."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cctvsignal.auth import mint
from cctvsignal.keys import from_secrets
from tests.processes import command

from . import servers
from .servers import OURS, Server

OPEN: Final = "open"
SECURED: Final = "secured"
KINDS: Final = (OPEN, SECURED)
SECRET: Final = "a secret of a benchmark, long enough".replace(" ", "-")
PAIRS: Final = 50
CASES: Final = {
    "250 B iceCandidate": ("iceCandidate", 250, 8),
    "2.5 KB offer": ("offer", 2500, 8),
}
PACED: Final = 500
FLOODED: Final = f"250 B iceCandidate, {PACED} messages/s, p99"
HIGH: Final = "1000000000/1000000000"
"""A limit that is counted, but never reached."""


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int
    warm_seconds: float
    seconds: float


FULL: Final = Plan(rounds=15, warm_seconds=0.3, seconds=1.0)
QUICK: Final = Plan(rounds=1, warm_seconds=0.3, seconds=1.0)

Measured = dict[str, list[dict[str, dict[str, Any]]]]


@contextmanager
def running(kind: str, core: int | None) -> Iterator[Server]:
    """A server without any limit, or one that checks tokens, counts everything and writes it down."""
    arguments = ["--no-limits"]
    if kind == SECURED:
        limits = ("messages", "candidates", "bytes", "joins", "connects")
        arguments = [f"--limit-{name}={HIGH}" for name in limits]
    with ExitStack() as stack:
        if kind == SECURED:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            arguments += [f"--auth-secret={SECRET}", f"--audit-log={Path(directory, 'audit')}"]
        yield stack.enter_context(servers.running(OURS, core, *arguments))


@contextmanager
def flood(server: Server, core: int | None) -> Iterator[None]:
    """Somebody who ignores every limit."""
    with ExitStack() as stack:
        with servers.on_core(core):
            arguments = ["-m", "benchmarks.flooder", str(server.port)]
            flooder = stack.enter_context(command(sys.executable, *arguments))
        flooder.wait_for_line("flooding")
        yield


def run(plan: Plan, server_core: int | None, load_core: int | None, say: Callable[[str], None]) -> Measured:
    """All rounds."""
    [key] = from_secrets(SECRET)
    token = mint(key, subject="bench", role="both", rooms=["*"], cameras=["cam-*"], seconds=3600)
    measured: Measured = {case: [] for case in (*CASES, FLOODED)}

    def relay(
        server: Server, kind: str, message: str, size: int, in_flight: int, rate: int
    ) -> dict[str, Any]:
        job = {"message": message, "size": size, "in_flight": in_flight, "rate": rate, "pairs": PAIRS}
        job |= {"warm_seconds": plan.warm_seconds, "seconds": plan.seconds}
        job |= {"port": server.port, "pid": server.pid, "token": token if kind == SECURED else None}
        return servers.load({"relay": job}, load_core)

    with ExitStack() as stack:
        up = {kind: stack.enter_context(running(kind, server_core)) for kind in KINDS}
        for number in range(plan.rounds):
            for case, what in CASES.items():
                say(f"round {number + 1} of {plan.rounds}: {case}")
                order = KINDS if number % 2 == 0 else KINDS[::-1]
                measured[case].append({kind: relay(up[kind], kind, *what, 0) for kind in order})
    # All come from one address here, so its limits would be those of all together.
    with servers.running(OURS, server_core, "--limit-joins=0", "--limit-connects=0") as server:
        for number in range(plan.rounds):
            say(f"round {number + 1} of {plan.rounds}: a flood")
            paced = ("iceCandidate", 250, 1, PACED)
            calm = relay(server, OPEN, *paced)
            with flood(server, load_core):
                measured[FLOODED].append({"calm": calm, "flooded": relay(server, OPEN, *paced)})
    return measured


def lines(measured: Measured) -> list[str]:
    """The tables."""
    found = [
        f"| processor time for a relay | {OPEN} | {SECURED} | {SECURED} / {OPEN} | rounds |",
        "|---|---:|---:|---:|---:|",
    ]
    for case in CASES:
        found.append(_row(case, _cost, "us", OPEN, SECURED, measured[case]))
    found += ["", "| | calm | beside a flood | ratio | rounds |", "|---|---:|---:|---:|---:|"]
    found.append(_row(FLOODED, _lateness, "ms", "calm", "flooded", measured[FLOODED]))
    return found


def _cost(result: dict[str, Any]) -> float:
    """Microseconds of the server's processor time for each message: what other work takes is not in it."""
    return float(result["cpu"]["server"] / result["perSecond"] * 1e6)


def _lateness(result: dict[str, Any]) -> float:
    return float(result["p99Ms"])


def _row(
    case: str,
    value: Callable[[dict[str, Any]], float],
    unit: str,
    one: str,
    other: str,
    rounds: list[dict[str, dict[str, Any]]],
) -> str:
    pairs = [(value(each[one]), value(each[other])) for each in rounds]
    ratios = [second / first for first, second in pairs]
    first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    ratio = statistics.median(ratios)
    return f"| {case} | {first:.3g} {unit} | {second:.3g} {unit} | {ratio:.2f} | {spread} |"

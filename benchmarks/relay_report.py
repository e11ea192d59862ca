"""The relay suite's figures: medians of the rounds, targets that are met or not, and who was busy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .relay import HALF, IDLE, ONE, RELAYS, ROOM, ROOM_PACED, STORM, Measured, Plan, Rounds
from .report import BUSY
from .servers import FLOOR, NODE, OURS, PEERSERVER, SOCKETIO

KEPT_UP: Final = 0.98
"""A server that relays a smaller part of what it is offered does not keep up."""


@dataclass(frozen=True)
class Measure:
    """One figure of what the load generator reports."""

    name: str
    key: str
    unit: str
    scale: float = 1.0


PER_SECOND: Final = Measure("messages", "perSecond", "/s")
JOINS: Final = Measure("joins", "perSecond", "/s")
PER_CPU_SECOND: Final = Measure("for each second of the server's processor time", "perCpuSecond", "")
P50: Final = Measure("p50", "p50Ms", "ms")
P99: Final = Measure("p99", "p99Ms", "ms")
LAST_PER_MEDIAN: Final = Measure("the last join, in medians", "lastPerMedian", "")
MEMORY: Final = Measure("memory of a connection", "bytesPerConnection", "KiB", 1 / 1024)
IDLE_CPU: Final = Measure("processor time", "cpuPercent", "% of a core")


@dataclass(frozen=True)
class Target:
    """What is wanted of a median: as a ratio to Node's, or of ours alone."""

    case: str
    measure: Measure
    bound: float
    at_least: bool
    is_ratio: bool = True

    def is_met(self, ours: float, node: float) -> bool:
        """Whether these medians meet it."""
        value = ours / node if self.is_ratio else ours
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        unit = " x" if self.is_ratio else f" {self.measure.unit}".rstrip()
        return f"{'at least' if self.at_least else 'at most'} {self.bound:g}{unit}"


TARGETS: Final = (
    *(Target(case.name, PER_SECOND, 1.5 if case == ONE else 2.0, True) for case in RELAYS),
    Target(HALF, P99, 1.0, False),
    Target(STORM, JOINS, 1.5, True),
    Target(STORM, LAST_PER_MEDIAN, 2.0, False, is_ratio=False),
    Target(ROOM, JOINS, 2.0, True),
    Target(IDLE, MEMORY, 1.0, False),
    Target(IDLE, IDLE_CPU, 1.0, False, is_ratio=False),
)
DETAILS: Final = (
    *((case.name, PER_CPU_SECOND) for case in RELAYS),
    (STORM, PER_CPU_SECOND),
    (ROOM, PER_CPU_SECOND),
    *((case.name, measure) for case in RELAYS for measure in (P50, P99)),
    (HALF, Measure("offered", "offered", "/s")),
    (HALF, P50),
    (HALF, P99),
    (STORM, Measure("from a client's connect to its join, median", "medianMs", "ms")),
    (STORM, Measure("the same, last", "lastMs", "ms")),
    (STORM, Measure("from the start of the storm, median", "medianSinceStartMs", "ms")),
    (STORM, Measure("the same, last", "lastSinceStartMs", "ms")),
    (ROOM_PACED, Measure("until the last member heard of it, median", "medianMs", "ms")),
    (ROOM_PACED, Measure("the same, of the slowest join", "lastMs", "ms")),
    (IDLE, Measure("their joins, to a process that has just started", "perSecond", "/s")),
    (IDLE, Measure("pings in that time", "pings", "")),
)
PEERS: Final = (NODE, PEERSERVER, SOCKETIO, FLOOR)


def medians(rounds: Rounds, server: str, measure: Measure) -> float | None:
    """The median of all rounds, or None where it was not measured, or the machine could not tell."""
    values = [each.get(server, {}).get(measure.key) for each in rounds]
    known = [value for value in values if value is not None]
    return statistics.median(known) * measure.scale if known and len(known) == len(values) else None


def spread(rounds: Rounds, server: str, measure: Measure) -> tuple[float, float]:
    """The least and the greatest ratio of ours to that server's in one round."""
    ratios = [each[OURS][measure.key] / (each[server][measure.key] or math.nan) for each in rounds]
    return min(ratios), max(ratios)


def lines(measured: Measured, plan: Plan) -> list[str]:
    """All tables of the suite."""
    warnings = bottlenecks(measured) + overloads(measured[HALF])
    return [
        f"The storm has {plan.storm:,} clients, the room {plan.members:,} members.",
        "",
        *targets(measured),
        "",
        *throughputs(measured),
        "",
        *details(measured),
        "",
        *headroom(measured),
        "",
        *limit(measured),
        *warnings,
    ]


def targets(measured: Measured) -> list[str]:
    """Each target beside what was measured."""
    found = [
        f"| | target | {OURS} | {NODE} | {OURS} / {NODE} | rounds | |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for target in TARGETS:
        rounds, measure = measured[target.case], target.measure
        ours, node = (medians(rounds, server, measure) for server in (OURS, NODE))
        name = f"{target.case}: {measure.name}"
        if ours is None or node is None or (target.is_ratio and node == 0):
            found.append(f"| {name} | {target} | | | | | not measured |")
            continue
        low, high = spread(rounds, NODE, measure)
        verdict = "met" if target.is_met(ours, node) else "**not met**"
        cells = (
            name,
            str(target),
            _with_unit(ours, measure),
            _with_unit(node, measure),
            f"{ours / node:.2f}" if node else "",
            f"{low:.2f} to {high:.2f}" if node else "",
            verdict,
        )
        found.append(f"| {' | '.join(cells)} |")
    return found


def throughputs(measured: Measured) -> list[str]:
    """All servers, and how many times as fast ours is."""
    found = [
        f"| | {OURS} | {' | '.join(f'{peer} | {OURS} / {peer}' for peer in PEERS)} |",
        f"|---|---:|{'---:|---:|' * len(PEERS)}",
    ]
    for case, measure in throughput_cases():
        ours = medians(measured[case], OURS, measure)
        cells = [_with_unit(ours, measure)]
        for peer in PEERS:
            theirs = medians(measured[case], peer, measure)
            cells += [_with_unit(theirs, measure), f"{ours / theirs:.2f}" if ours and theirs else ""]
        found.append(f"| {case} | {' | '.join(cells)} |")
    return found


def throughput_cases() -> list[tuple[str, Measure]]:
    """The measurements whose result is a number per second."""
    return [*((case.name, PER_SECOND) for case in RELAYS), (STORM, JOINS), (ROOM, JOINS)]


def details(measured: Measured) -> list[str]:
    """What has no target."""
    found = [f"| | {OURS} | {NODE} | {OURS} / {NODE} |", "|---|---:|---:|---:|"]
    for case, measure in DETAILS:
        ours, node = (medians(measured[case], server, measure) for server in (OURS, NODE))
        ratio = f"{ours / node:.2f}" if ours and node else ""
        cells = (_with_unit(ours, measure), _with_unit(node, measure), ratio)
        found.append(f"| {case}: {measure.name} | {' | '.join(cells)} |")
    return found


def headroom(measured: Measured) -> list[str]:
    """The table that shows who was busy."""
    servers = (OURS, NODE, FLOOR)
    found = [
        f"| share of a core | {' | '.join(f'{server} | its load generator' for server in servers)} |",
        f"|---|{'---:|---:|' * len(servers)}",
    ]
    for case, _ in throughput_cases():
        cells = []
        for server in servers:
            for part in ("server", "generator"):
                share = _share(measured[case], server, part)
                cells.append("" if share is None else f"{share:.0%}")
        found.append(f"| {case} | {' | '.join(cells)} |")
    return found


def limit(measured: Measured) -> list[str]:
    """What the same load generator does with the floor: it is no slower than that."""
    found = []
    for case, measure in throughput_cases():
        floor = medians(measured[case], FLOOR, measure)
        fastest = max(medians(measured[case], server, measure) or 0.0 for server in (OURS, NODE))
        if floor and fastest:
            times = f"{floor / fastest:.1f} times as fast as the faster of {OURS} and {NODE}"
            found.append(f"- {case}: the load generator drives the floor {times}.")
    return found


def bottlenecks(measured: Measured) -> list[str]:
    """Warnings about measurements in which the load generator had no headroom."""
    found = []
    for case, _ in throughput_cases():
        for server in (OURS, NODE):
            share = _share(measured[case], server, "generator")
            if share is not None and share > BUSY:
                found.append(f"- {case}, {server}: the load generator itself used {share:.0%} of its core.")
    return found


def overloads(rounds: Rounds) -> list[str]:
    """Warnings about latencies that say little: a server did not keep up, or other work was in the way."""
    found = []
    for server in (OURS, NODE):
        least = min(each[server]["perSecond"] / each[server]["offered"] for each in rounds)
        if least < KEPT_UP:
            found.append(f"- {HALF}, {server}: in one round only {least:.0%} of it came through.")
        share = min(each[server]["cpu"]["generator"] for each in rounds)
        # It waits in a loop to be on time, so that it would use all of its core.
        if share < BUSY:
            held_up = f"other work left the load generator only {share:.0%} of its core"
            found.append(f"- {HALF}, {server}: in one round {held_up}.")
    return found


def _share(rounds: Rounds, server: str, part: str) -> float | None:
    shares: Sequence[Any] = [each[server]["cpu"][part] for each in rounds if server in each]
    return statistics.median(shares) if shares and None not in shares else None


def _with_unit(value: float | None, measure: Measure) -> str:
    if value is None:
        return ""
    number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{number} {measure.unit}".rstrip()

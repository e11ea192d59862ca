"""The ESP32 suite: the bridge with simulated devices, and its parser beside one from PyPI."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import machine, servers
from .esp32_load import RATE
from .machine import SetupError
from .report import BUSY

LOAD: Final = "benchmarks.esp32_load"
OTHER: Final = "python-multipart"
DEVICES: Final = 4
KINDS: Final = {
    "video": "a viewer of video each",
    "jpeg": "a viewer of JPEGs each",
    "none": "nobody watches",
}
MIB: Final = 1024 * 1024
MB: Final = 1e6


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int
    warm_seconds: float
    seconds: float
    parsed_bytes: int
    tries: int
    """Of each parser: odd, so that a median is one of them."""


@dataclass(frozen=True)
class SoakPlan:
    """How long, in how many periods, and how often to look within one."""

    warm_seconds: float
    seconds: float
    samples: int
    look_seconds: float


FULL: Final = Plan(rounds=3, warm_seconds=2.0, seconds=6.0, parsed_bytes=30_000_000, tries=9)
QUICK: Final = Plan(rounds=1, warm_seconds=1.0, seconds=2.0, parsed_bytes=5_000_000, tries=3)
SOAK: Final = SoakPlan(warm_seconds=10.0, seconds=60.0, samples=10, look_seconds=10.0)
SOAK_QUICK: Final = SoakPlan(warm_seconds=5.0, seconds=10.0, samples=6, look_seconds=2.0)

Measured = dict[str, Any]


def run(plan: Plan, bridge_core: int | None, load_core: int | None, say: Callable[[str], None]) -> Measured:
    """All rounds of all measurements."""
    _needs_linux()
    say("parsers")
    parsed = servers.load({"parse": {"bytes": plan.parsed_bytes, "tries": plan.tries}}, load_core, LOAD)
    job: Measured = {"bridge_core": bridge_core, "devices": DEVICES}
    job |= {"warm_seconds": plan.warm_seconds, "seconds": plan.seconds}
    rounds = []
    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}: {DEVICES} devices")
        each = {kind: servers.load({"watch": job | {"kind": kind}}, load_core, LOAD) for kind in KINDS}
        rounds.append(each)
    return {**parsed, "rounds": rounds}


def soak(
    plan: SoakPlan, bridge_core: int | None, load_core: int | None, say: Callable[[str], None]
) -> Measured:
    """Two devices and two viewers for long."""
    _needs_linux()
    seconds = plan.warm_seconds + plan.seconds * plan.samples
    say(f"two devices for {seconds / 60:.0f} minutes")
    return servers.load(
        {"soak": vars(plan) | {"bridge_core": bridge_core}}, load_core, LOAD, seconds=seconds + 60
    )


def lines(measured: Measured) -> list[str]:
    """The tables."""
    found = [
        "| JPEGs | in pieces of | right Content-Length | without one | "
        f"{OTHER}, Content-Length | cctvsignal / {OTHER} | tries |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for each in measured["parsers"]:
        rates = [statistics.median(each[name]) / MB for name in ("announced", "scanned", "other")]
        ratios = [ours / other for ours, other in zip(each["announced"], each["other"], strict=True)]
        cells = [f"{each['jpeg']}, {each['jpegBytes'] / 1000:.0f} kB", each["pieces"]]
        cells += [f"{rate:,.0f} MB/s" for rate in rates]
        cells += [f"{rates[0] / rates[2]:.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"]
        found.append(f"| {' | '.join(cells)} |")
    found += [
        "",
        f"| {DEVICES} devices, VGA, {RATE} pictures/s | CPU of the bridge, s per device-minute "
        "| of video's | pictures/s of each viewer | latency p50 | p95 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    video = _cost(measured["rounds"], "video")
    for kind, text in KINDS.items():
        cost = _cost(measured["rounds"], kind)
        cells = ["", "", ""]
        if kind != "none":
            of_kind = [each[kind] for each in measured["rounds"]]
            rates = [len(each["latencies"]) / each["seconds"] / DEVICES for each in of_kind]
            cells = [f"{statistics.median(rates):.1f}"]
            for part in (50, 95):
                late = [_percentile(each["latencies"], part) for each in of_kind]
                cells.append(f"{statistics.median(late) * 1000:.0f} ms")
        found.append(f"| {text} | {cost:.2f} | {cost / video:.2f} | {' | '.join(cells)} |")
    warnings = [
        f"{KINDS[kind]}: devices and viewers used {share:.0%} of their core."
        for kind in KINDS
        if (share := _own_share(measured["rounds"], kind)) > BUSY
    ]
    return [*found, "", *warnings] if warnings else found


def soak_lines(measured: Measured) -> list[str]:
    """The table, and what is different at its end."""
    samples = measured["samples"]
    found = [
        "| period | video, pictures/s | latency p50 | p95 | JPEGs, pictures/s | latency p50 | p95 "
        "| CPU of the bridge, of a core | its resident memory | open files |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for number, each in enumerate(samples, 1):
        cells = [str(number)]
        for late in each["latencies"].values():
            cells.append(f"{len(late) / each['seconds']:.1f}")
            cells += [f"{_percentile(late, part) * 1000:.0f} ms" if late else "none" for part in (50, 95)]
        cells.append(f"{each['bridgeCpuSeconds'] / each['seconds']:.2f}")
        cells.append(f"{min(each['bytes']) / MIB:.1f} to {max(each['bytes']) / MIB:.1f} MiB")
        cells.append(str(max(each["files"])))
        found.append(f"| {' | '.join(cells)} |")
    first, last = samples[0], samples[-1]
    grown = (statistics.median(last["bytes"]) - statistics.median(first["bytes"])) / MIB
    changes = [f"memory {grown:+.1f} MiB", f"open files {max(last['files']) - max(first['files']):+d}"]
    for kind, text in (("video", "video"), ("jpeg", "JPEGs")):
        before, after = first["latencies"][kind], last["latencies"][kind]
        if before and after:
            later = _percentile(after, 50) - _percentile(before, 50)
            changes.append(f"latency of {text} {later * 1000:+.0f} ms")
    return [*found, "", f"From the first period to the last (medians): {', '.join(changes)}."]


def _percentile(values: Sequence[float], part: int) -> float:
    return sorted(values)[len(values) * part // 100]


def _cost(rounds: Sequence[Measured], kind: str) -> float:
    return _median(rounds, kind, "bridgeCpuSeconds") / DEVICES * 60


def _own_share(rounds: Sequence[Measured], kind: str) -> float:
    return _median(rounds, kind, "ownCpuSeconds")


def _median(rounds: Sequence[Measured], kind: str, name: str) -> float:
    """Of the rounds, per second."""
    return float(statistics.median(each[kind][name] / each[kind]["seconds"] for each in rounds))


def _needs_linux() -> None:
    if machine.cpu_seconds(os.getpid()) is None:
        raise SetupError("this suite reads /proc: it needs Linux")

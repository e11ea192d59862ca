"""The media suite: this project's camera beside one of plain aiortc, in turns on the same core."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from cctvsignal_clients.sources.pattern import FRAMES_PER_SECOND

from tests import processes

from . import machine, servers
from .machine import SetupError
from .media_viewers import CAMERA, ROOM
from .report import BUSY
from .servers import OURS

PLAIN: Final = "plain aiortc"
CAMERAS: Final = (OURS, PLAIN)
VIEWERS: Final = (1, 2, 4, 8, 16)
AT_A_TIME: Final = 4
"""Viewers that come and go at the same time."""
SETTLE_SECONDS: Final = 0.5
LATE: Final = 0.95
"""A viewer that gets a smaller part of the pictures than this misses some; one may come a bit later."""
MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int
    warm_seconds: float
    seconds: float
    tries: int
    cycles: int
    step: int


FULL: Final = Plan(rounds=2, warm_seconds=2.0, seconds=6.0, tries=50, cycles=500, step=100)
QUICK: Final = Plan(rounds=1, warm_seconds=0.4, seconds=1.2, tries=10, cycles=50, step=25)


@dataclass(frozen=True)
class Measured:
    """What the viewers' process reported."""

    rounds: list[dict[str, list[dict[str, Any]]]]
    """For each round, for each camera, what it did with each number of viewers."""
    first_frame: list[float]
    """Milliseconds of each try."""
    come_and_go: list[dict[str, Any]]


@contextmanager
def camera(name: str, core: int | None) -> Iterator[tuple[str, int]]:
    """Start a server and a camera, and end them; the server's URL and the camera's process."""
    with ExitStack() as stack:
        url = stack.enter_context(processes.server()).websocket_url
        with servers.on_core(core):
            process = stack.enter_context(processes.command(*_command(name, url)))
        try:
            process.wait_for_line("is in room")
        except AssertionError as error:
            raise SetupError(f"the camera of {name} did not start: {error}") from None
        yield url, process.process.pid


def _command(name: str, url: str) -> Sequence[str]:
    if name == OURS:
        options = {"--server": url, "--room": ROOM, "--id": CAMERA, "--source": "test"}
        return [processes.script("cctvsignal-camera"), *(word for pair in options.items() for word in pair)]
    return [sys.executable, "-m", "benchmarks.plain_camera", url, ROOM, CAMERA]


def run(
    plan: Plan, camera_core: int | None, viewer_core: int | None, say: Callable[[str], None]
) -> Measured:
    """All rounds of all measurements."""
    if machine.cpu_seconds(os.getpid()) is None:
        raise SetupError("the media suite reads /proc: it needs Linux")

    def viewers(name: str, kind: str, job: dict[str, Any], *, with_pid: bool = True) -> dict[str, Any]:
        with camera(name, camera_core) as (url, pid):
            job = {**job, "server": url, **({"pid": pid} if with_pid else {})}
            return servers.load({kind: job}, viewer_core, "benchmarks.media_viewers")

    job = {"viewers": VIEWERS, "warm_seconds": plan.warm_seconds, "seconds": plan.seconds}
    rounds = []
    for number in range(plan.rounds):
        found = {}
        for name in CAMERAS if number % 2 == 0 else CAMERAS[::-1]:
            say(f"round {number + 1} of {plan.rounds}: {', '.join(map(str, VIEWERS))} viewers of {name}")
            found[name] = viewers(name, "watch", job)["steps"]
        rounds.append(found)
    say(f"time to the first frame, {plan.tries} times")
    first = viewers(OURS, "firstFrame", {"tries": plan.tries}, with_pid=False)["milliseconds"]
    say(f"{plan.cycles} viewers that come and go")
    job = {"cycles": plan.cycles, "step": plan.step, "at_a_time": AT_A_TIME, "settle": SETTLE_SECONDS}
    return Measured(rounds, first, viewers(OURS, "comeAndGo", job)["steps"])


def lines(measured: Measured) -> list[str]:
    """The tables."""
    ours, plain = (_costs(measured, name) for name in CAMERAS)
    rates = {name: _medians(measured, name, lambda step: step["framesPerSecond"]) for name in CAMERAS}
    bits = {name: _medians(measured, name, lambda step: step["bitsPerSecond"] / 1000) for name in CAMERAS}
    found = [
        f"| viewers | {OURS}, CPU s per viewer-minute | {PLAIN} | {OURS} / {PLAIN} "
        f"| frames/s of each viewer | {PLAIN} | kbit/s of each viewer | {PLAIN} |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for at, number in enumerate(VIEWERS):
        cells = [
            f"{ours[at]:.2f}",
            f"{plain[at]:.2f}",
            f"{ours[at] / plain[at]:.2f}",
            *(f"{rates[name][at]:.1f}" for name in CAMERAS),
            *(f"{bits[name][at]:.0f}" for name in CAMERAS),
        ]
        found.append(f"| {number} | {' | '.join(cells)} |")
    first, most = VIEWERS[0], VIEWERS[-1]
    found += ["", f"Codecs: {'; '.join(f'{name}: {_codecs(measured, name)}' for name in CAMERAS)}.", ""]
    for name, costs in ((OURS, ours), (PLAIN, plain)):
        each = (costs[-1] * most - costs[0] * first) / (most - first) / costs[0]
        found.append(f"- {name}: each of viewers 2 to {most} costs {each:.2f} of the first.")
    for number in (8, most):
        at = VIEWERS.index(number)
        found.append(f"- The total at {number} viewers is {ours[at] / plain[at]:.2f} of {PLAIN}'s.")
    cuts = statistics.quantiles(measured.first_frame, n=20, method="inclusive")
    found += [
        f"- From `request_stream` to the first decoded frame: p50 {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms "
        f"({len(measured.first_frame)} tries, with another viewer all the time).",
        "",
        "| viewers that came and went | resident memory of the camera | open files |",
        "|---:|---:|---:|",
    ]
    for step in measured.come_and_go:
        found.append(f"| {step['viewers']} | {step['bytes'] / MIB:.1f} MiB | {step['files']} |")
    warnings = _warnings(measured)
    return [*found, "", *warnings] if warnings else found


def _cost(step: dict[str, Any]) -> float:
    # What was not delivered was not paid for: a camera that is too slow must not look cheap.
    viewer_minutes = step["frames"] / FRAMES_PER_SECOND / 60
    return float(step["cameraCpuSeconds"] / viewer_minutes)


def _costs(measured: Measured, name: str) -> list[float]:
    return _medians(measured, name, _cost)


def _medians(measured: Measured, name: str, value: Callable[[dict[str, Any]], float]) -> list[float]:
    steps = zip(*(each[name] for each in measured.rounds), strict=True)
    return [statistics.median(value(step) for step in same) for same in steps]


def _codecs(measured: Measured, name: str) -> str:
    return ", ".join(
        sorted({codec for each in measured.rounds for step in each[name] for codec in step["codecs"]})
    )


def _warnings(measured: Measured) -> list[str]:
    found = []
    for name in CAMERAS:
        least = _medians(measured, name, lambda step: step["leastFramesPerSecond"])
        one = _medians(measured, name, lambda step: 1 / step["seconds"])
        camera_busy = _medians(measured, name, lambda step: step["cameraCpuSeconds"] / step["seconds"])
        busy = _medians(measured, name, lambda step: step["viewersCpuSeconds"] / step["seconds"])
        steps = zip(VIEWERS, least, one, camera_busy, busy, strict=True)
        for number, frames, late, share, own in steps:
            if frames + late < LATE * FRAMES_PER_SECOND:
                found.append(
                    f"{name}, {number} viewers: one of them got only {frames:.1f} frames/s; "
                    f"the camera used {share:.0%} of its core."
                )
            if own > BUSY:
                found.append(f"{name}, {number} viewers: they themselves used {own:.0%} of their core.")
    return found

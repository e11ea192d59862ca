"""Compare server, camera and web app with plain ones, in turns on one core: see docs/performance.md."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from . import esp32, machine, media, report, security, servers, web
from .servers import OURS, SERVERS, Server, SetupError

PAIRS: Final = 50
WINDOW: Final = 16
"""Connections under way at the same time while the rate of joins is measured."""
PACED: Final = 1000
SPARE_FILES: Final = 100


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int
    warm_seconds: float
    seconds: float
    joins: int
    idle: int
    settle: float


FULL: Final = Plan(rounds=3, warm_seconds=1.0, seconds=3.0, joins=1000, idle=2000, settle=1.0)
QUICK: Final = Plan(rounds=1, warm_seconds=0.4, seconds=1.0, joins=300, idle=500, settle=0.5)


@dataclass(frozen=True)
class Case:
    """One measurement of relays; a `rate` of 0 is as fast as it goes, else messages per second."""

    name: str
    message: str
    size: int
    in_flight: int
    rate: int = 0


RELAYS: Final = (
    Case("250 B iceCandidate, 1 in flight", "iceCandidate", 250, 1),
    Case("250 B iceCandidate, 8 in flight", "iceCandidate", 250, 8),
    Case("2.5 KB offer, 1 in flight", "offer", 2500, 1),
    Case("2.5 KB offer, 8 in flight", "offer", 2500, 8),
    Case(f"250 B iceCandidate, {PACED} messages/s", "iceCandidate", 250, 1, PACED),
)
JOINS: Final = "connections and joins"
IDLE: Final = "memory of an idle joined connection"

AnyPlan = Plan | security.Plan | media.Plan | web.Plan | esp32.Plan | esp32.SoakPlan
Measured = dict[str, list[dict[str, dict[str, Any]]]]
Suite = tuple[list[str], dict[str, Any]]
"""The lines of a suite for people, and all its figures."""


def say(text: str) -> None:
    """Progress, beside the output."""
    print(text, file=sys.stderr, flush=True)


def alternate(number: int, measure: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Measure both servers, one right after the other; who is first changes with the round."""
    order = SERVERS if number % 2 == 0 else SERVERS[::-1]
    return {name: measure(name) for name in order}


def _arguments(name: str) -> list[str]:
    """The Node relay has no limits either."""
    return ["--no-limits"] if name == OURS else []


def run(plan: Plan, server_core: int | None, load_core: int | None) -> Measured:
    """All rounds of all measurements."""
    measured: Measured = {case: [] for case in (*(relay.name for relay in RELAYS), JOINS, IDLE)}

    def joins(server: Server, connections: int, settle: float) -> dict[str, Any]:
        job = {"connections": connections, "window": WINDOW, "settle": settle}
        return servers.load({"join": {"port": server.port, "pid": server.pid, **job}}, load_core)

    def idle(name: str) -> dict[str, Any]:
        # In a fresh process: memory that was freed, but not given back, would be used again.
        with servers.running(name, server_core, *_arguments(name)) as server:
            return joins(server, plan.idle, plan.settle)

    with ExitStack() as stack:
        up = {
            name: stack.enter_context(servers.running(name, server_core, *_arguments(name)))
            for name in SERVERS
        }

        def relay(case: Case, name: str) -> dict[str, Any]:
            job = asdict(case) | {"port": up[name].port, "pid": up[name].pid, "pairs": PAIRS}
            del job["name"]
            times = {"warm_seconds": plan.warm_seconds, "seconds": plan.seconds}
            return servers.load({"relay": job | times}, load_core)

        for number in range(plan.rounds):
            for case in RELAYS:
                say(f"round {number + 1} of {plan.rounds}: {case.name}")
                measured[case.name].append(alternate(number, partial(relay, case)))
            say(f"round {number + 1} of {plan.rounds}: {JOINS}")
            measured[JOINS].append(alternate(number, lambda name: joins(up[name], plan.joins, 0.0)))
    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}: {IDLE}")
        measured[IDLE].append(alternate(number, idle))
    return measured


def rows(measured: Measured) -> list[report.Row]:
    """The lines of the table."""
    found = []
    for case in RELAYS:
        # Where the rate is given, it is no result.
        measures = report.LATENCIES if case.rate else (report.PER_SECOND, *report.LATENCIES)
        found += [report.row(case.name, measure, measured[case.name]) for measure in measures]
    found.append(report.row(JOINS, report.PER_SECOND, measured[JOINS]))
    found.append(report.row(IDLE, report.MEMORY, measured[IDLE]))
    return [each for each in found if each is not None]


def _heading(described: dict[str, Any], where: str, plan: AnyPlan, started: float) -> list[str]:
    facts = ", ".join(f"{key} {value}" for key, value in described.items())
    if isinstance(plan, esp32.SoakPlan):
        medians = f"{plan.samples} periods of {plan.seconds:g} s"
    else:
        medians = f"Medians of {plan.rounds} round(s) of {plan.seconds:g} s"
    return [
        f"Run of {time.strftime('%Y-%m-%d', time.gmtime())}: {facts}.",
        f"{where} {medians}; {time.monotonic() - started:.0f} s in all.",
        "",
    ]


def _where(core: int | None, together: str, pinned: str) -> str:
    """On which cores it ran."""
    return f"Not pinned: {together} share all cores, so figures are rough." if core is None else pinned


def relay_suite(plan: Plan, server_core: int | None, load_core: int | None) -> Suite:
    """This server beside a plain relay."""
    started = time.monotonic()
    files = machine.raise_file_limit()
    if files < plan.idle + SPARE_FILES:
        text = f"{plan.idle} connections need more open files than the {files} that are allowed here"
        raise SetupError(text)
    node, ws = servers.install_node()
    described = machine.describe(("twisted", "autobahn", "msgspec", "cctvsignal"), node=node, ws=ws)
    measured = run(plan, server_core, load_core)

    where = _where(
        server_core,
        "the servers and the load generator",
        f"The servers ran on core {server_core}, the load generator on core {load_core}.",
    )
    relays = {case.name: measured[case.name] for case in RELAYS if not case.rate}
    lines = [
        *_heading(described, where, plan, started),
        *report.table(rows(measured)),
        "",
        *report.headroom({**relays, JOINS: measured[JOINS]}),
    ]
    warnings = report.bottlenecks(relays)
    for case in RELAYS:
        if case.rate:
            warnings += report.held_up(case.name, measured[case.name])
    if warnings:
        lines += ["", *warnings]
    pinned = {"server": server_core, "load": load_core}
    return lines, {"machine": described, "pinned": pinned, "plan": vars(plan), "rounds": measured}


def security_suite(plan: security.Plan, server_core: int | None, load_core: int | None) -> Suite:
    """This server with all checks beside itself without."""
    started = time.monotonic()
    described = machine.describe(("twisted", "autobahn", "msgspec", "pyjwt", "cctvsignal"))
    measured = security.run(plan, server_core, load_core, say)
    where = _where(
        server_core,
        "the servers and the load generator",
        f"The servers ran on core {server_core}, the load generator on core {load_core}.",
    )
    lines = [*_heading(described, where, plan, started), *security.lines(measured)]
    pinned = {"server": server_core, "load": load_core}
    return lines, {"machine": described, "pinned": pinned, "plan": vars(plan), "rounds": measured}


def media_suite(plan: media.Plan, camera_core: int | None, viewer_core: int | None) -> Suite:
    """This project's camera beside a plain one."""
    started = time.monotonic()
    described = machine.describe(("aiortc", "av", "cctvsignal"))
    measured = media.run(plan, camera_core, viewer_core, say)
    where = _where(
        camera_core,
        "cameras and viewers",
        f"The cameras ran on core {camera_core}, the viewers on core {viewer_core}.",
    )
    lines = [*_heading(described, where, plan, started), *media.lines(measured)]
    pinned = {"camera": camera_core, "viewers": viewer_core}
    return lines, {"machine": described, "pinned": pinned, "plan": vars(plan), **vars(measured)}


def web_suite(plan: web.Plan, camera_core: int | None, browser_core: int | None) -> Suite:
    """The web app in a browser."""
    started = time.monotonic()
    described = machine.describe(("aiortc", "av", "playwright", "cctvsignal"))
    measured = web.run(plan, camera_core, browser_core, say)
    where = _where(
        camera_core,
        "cameras and the browser",
        f"Server and cameras ran on core {camera_core}, the browser on core {browser_core}.",
    )
    lines = [*_heading(described, where, plan, started), *web.lines(measured)]
    pinned = {"camera": camera_core, "browser": browser_core}
    return lines, {"machine": described, "pinned": pinned, "plan": vars(plan), **measured.plain()}


def esp32_suite(plan: esp32.Plan | esp32.SoakPlan, bridge_core: int | None, load_core: int | None) -> Suite:
    """The bridge with simulated devices."""
    started = time.monotonic()
    described = machine.describe(("aiortc", "av", "python-multipart", "cctvsignal"))
    if isinstance(plan, esp32.SoakPlan):
        measured = esp32.soak(plan, bridge_core, load_core, say)
        table = esp32.soak_lines(measured)
    else:
        measured = esp32.run(plan, bridge_core, load_core, say)
        table = esp32.lines(measured)
    where = _where(
        bridge_core,
        "the bridge, devices and viewers",
        f"The bridge ran on core {bridge_core}, devices, viewers and server on core {load_core}.",
    )
    lines = [*_heading(described, where, plan, started), *table]
    pinned = {"bridge": bridge_core, "load": load_core}
    return lines, {"machine": described, "pinned": pinned, "plan": vars(plan), **measured}


def main() -> int:
    """Run the suites; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    help_text = f"only this one (default: all but {', '.join(report.LONG)})"
    parser.add_argument("suite", nargs="?", choices=(*report.SUITES, *report.LONG), help=help_text)
    parser.add_argument("--quick", action="store_true", help="short rounds, in less than two minutes")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    # An ordinary end, so that the servers are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cores = machine.cores()
    quick = options.quick
    suites: dict[str, Callable[[], Suite]] = {
        report.RELAY: lambda: relay_suite(QUICK if quick else FULL, *cores),
        report.SECURITY: lambda: security_suite(security.QUICK if quick else security.FULL, *cores),
        report.MEDIA: lambda: media_suite(media.QUICK if quick else media.FULL, *cores),
        report.WEB: lambda: web_suite(web.QUICK if quick else web.FULL, *cores),
        report.ESP32: lambda: esp32_suite(esp32.QUICK if quick else esp32.FULL, *cores),
        report.SOAK: lambda: esp32_suite(esp32.SOAK_QUICK if quick else esp32.SOAK, *cores),
    }
    for name in report.SUITES if options.suite is None else (options.suite,):
        try:
            lines, result = suites[name]()
        except SetupError as error:
            say(str(error))
            return 1
        print("\n".join(lines), flush=True)
        report.save({name: result})
        if options.write_docs:
            report.write_page(name, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())

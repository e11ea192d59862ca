"""Compare server, camera and web app with plain ones, in turns on one core: see docs/performance.md."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from . import compiled, esp32, machine, media, path, plot, relay, relay_report, report, security, web
from .machine import SetupError

AnyPlan = relay.Plan | path.Plan | security.Plan | media.Plan | web.Plan | esp32.Plan | esp32.SoakPlan
Suite = tuple[list[str], dict[str, Any]]
"""The lines of a suite for people, and all its figures."""


def say(text: str) -> None:
    """Progress, beside the output."""
    print(text, file=sys.stderr, flush=True)


def _heading(described: dict[str, Any], where: str, plan: AnyPlan, started: float) -> list[str]:
    facts = ", ".join(f"{key} {value}" for key, value in described.items())
    if isinstance(plan, esp32.SoakPlan):
        medians = f"{plan.samples} periods of {plan.seconds:g} s"
    elif isinstance(plan, path.Plan):
        medians = f"The least of {plan.rounds} tries"
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


def relay_suite(plan: relay.Plan, server_core: int | None, load_core: int | None) -> Suite:
    """This server beside Node's."""
    started = time.monotonic()
    versions = relay.prepare(plan)
    described = machine.describe(("twisted", "autobahn", "msgspec", "cctvsignal"), **versions)
    measured = relay.run(plan, server_core, load_core, say)
    where = _where(
        server_core,
        "the servers and the load generator",
        f"The servers ran on core {server_core}, the load generator on core {load_core}.",
    )
    lines = [*_heading(described, where, plan, started), *relay_report.lines(measured, plan)]
    pinned = {"server": server_core, "load": load_core}
    return lines, {"machine": described, "pinned": pinned, "plan": vars(plan), "rounds": measured}


def path_suite(plan: path.Plan, core: int | None) -> Suite:
    """Where the time of a relayed message goes."""
    started = time.monotonic()
    described = machine.describe(("twisted", "autobahn", "msgspec", "websockets", "cctvsignal"))
    measured = path.run(plan, core, say)
    where = _where(core, "clients and server", f"Clients and server ran on core {core}.")
    lines = [*_heading(described, where, plan, started), *path.lines(measured)]
    return lines, {"machine": described, "pinned": core, "plan": vars(plan), "parts": measured}


def security_suite(plan: security.Plan, server_core: int | None, load_core: int | None) -> Suite:
    """This server with all checks beside itself without."""
    started = time.monotonic()
    compiled.build()
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
    """Run a suite; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "suite", nargs="?", choices=report.SUITES, default=report.RELAY, help="which (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="short rounds: a glance, not a result")
    parser.add_argument("--write-docs", action="store_true", help="put the tables and the plot into docs/")
    options = parser.parse_args()
    # An ordinary end, so that the servers are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cores = machine.cores()
    quick = options.quick
    suites: dict[str, Callable[[], Suite]] = {
        report.RELAY: lambda: relay_suite(relay.QUICK if quick else relay.FULL, *cores),
        report.PATH: lambda: path_suite(path.QUICK if quick else path.FULL, cores[0]),
        report.SECURITY: lambda: security_suite(security.QUICK if quick else security.FULL, *cores),
        report.MEDIA: lambda: media_suite(media.QUICK if quick else media.FULL, *cores),
        report.WEB: lambda: web_suite(web.QUICK if quick else web.FULL, *cores),
        report.ESP32: lambda: esp32_suite(esp32.QUICK if quick else esp32.FULL, *cores),
        report.SOAK: lambda: esp32_suite(esp32.SOAK_QUICK if quick else esp32.SOAK, *cores),
    }
    try:
        lines, result = suites[options.suite]()
    except SetupError as error:
        say(str(error))
        return 1
    print("\n".join(lines), flush=True)
    report.save({options.suite: result})
    if options.write_docs:
        report.write_page(options.suite, lines)
        if options.suite == report.RELAY:
            plot.write(result["rounds"])
    return 0


if __name__ == "__main__":
    sys.exit(main())

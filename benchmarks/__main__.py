"""Run the benchmarks and print a table: `python -m benchmarks [--quick] [--write-docs]`."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import load, report, servers

PAIRS = 50
RELAYS = [("iceCandidate", 1), ("iceCandidate", 8), ("offer", 1), ("offer", 8)]
SETTLE_SECONDS = 0.5

Measured = dict[str, float]


def measure_relay(name: str, kind: str, in_flight: int, seconds: float) -> Measured:
    """One relay run against a fresh server."""
    with servers.running(name) as server:
        cpu, begin = server.cpu_seconds(), time.perf_counter()
        result = load.relay(server.port, PAIRS, kind, in_flight, seconds)
        server_load = (server.cpu_seconds() - cpu) / (time.perf_counter() - begin)
    return {
        "messages/s": result.messages_per_second,
        "p50 ms": result.p50 * 1000,
        "p99 ms": result.p99 * 1000,
        "server load %": server_load * 100,
        "generator load %": result.generator_load * 100,
    }


def measure_connections(name: str, count: int) -> Measured:
    """Connections a second, and the memory that each costs while it is idle."""
    with servers.running(name) as server:
        for connection in load.connect_and_join(server.port, 20, 20)[1]:
            connection.socket.close()
        before = server.resident_bytes()
        rate, connections = load.connect_and_join(server.port, count, 50)
        time.sleep(SETTLE_SECONDS)  # For garbage to be collected; nothing waits for it.
        grown = server.resident_bytes() - before
        for connection in connections:
            connection.socket.close()
    return {"connections/s": rate, "KiB/connection": grown / count / 1024}


def medians(measure: Callable[[str], Measured], repeat: int) -> dict[str, Measured]:
    """Measure all servers in turn, several times, so that a noisy moment hits them alike."""
    runs: dict[str, list[Measured]] = {name: [] for name in servers.COMMANDS}
    for _ in range(repeat):
        for name in servers.COMMANDS:
            runs[name].append(measure(name))
    return {
        name: {key: statistics.median(run[key] for run in measured) for key in measured[0]}
        for name, measured in runs.items()
    }


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, for a first impression")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    arguments = parser.parse_args()
    seconds, repeat, connections = (2.0, 1, 1000) if arguments.quick else (5.0, 5, 2000)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    servers.install_node_relay()
    servers.pin_this_process()
    results: dict[str, dict[str, Measured]] = {}
    for kind, in_flight in RELAYS:
        title = f"{kind}, {in_flight} in flight"
        print(f"{title} ...", flush=True)
        measure = partial(measure_relay, kind=kind, in_flight=in_flight, seconds=seconds)
        results[title] = medians(measure, repeat)
    print("connections ...", flush=True)
    results["connections"] = medians(partial(measure_connections, count=connections), repeat)
    machine = report.machine()
    table = report.table(results)
    print(f"\n{machine}\n\n{table}")
    output = Path(__file__).parent / "results" / "latest.json"
    output.write_text(json.dumps({"machine": machine, "results": results}, indent=1))
    if arguments.write_docs:
        report.write_docs(machine, table)


if __name__ == "__main__":
    main()

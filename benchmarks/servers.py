"""The two servers that are compared: started on loopback, pinned to a core, ended by the suite."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.processes import command

NODE_DIRECTORY: Final = Path(__file__).parent / "node"
JOB_SECONDS: Final = 120.0
ADDRESS: Final = r"http://127\.0\.0\.1:(\d+)/"

OURS: Final = "cctvsignal"
NODE: Final = "Node ws"
SERVERS: Final = (OURS, NODE)


class SetupError(Exception):
    """The benchmark cannot run here; the text says why."""


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    name: str
    pid: int
    port: int


def install_node() -> tuple[str, str]:
    """Install the relay's only package if it is missing; the versions of Node and of `ws`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise SetupError("the benchmarks compare with a Node server: node and npm must be installed")
    package = NODE_DIRECTORY / "node_modules" / "ws" / "package.json"
    if not package.exists():
        done = subprocess.run([npm, "ci"], cwd=NODE_DIRECTORY, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise SetupError(f"npm ci failed in {NODE_DIRECTORY}:\n{done.stderr.strip()}")
    shown = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=True)
    return shown.stdout.strip().lstrip("v"), str(json.loads(package.read_text())["version"])


@contextmanager
def running(name: str, core: int | None, *arguments: str) -> Iterator[Server]:
    """Start a server and end it; the arguments are for ours."""
    with ExitStack() as stack:
        with on_core(core):
            process = stack.enter_context(command(*_command(name), *arguments))
        try:
            port = process.wait_for_line(ADDRESS)[1]
        except AssertionError as error:
            raise SetupError(f"{name} did not start: {error}") from None
        yield Server(name, process.process.pid, int(port))


def load(
    job: dict[str, Any],
    core: int | None,
    module: str = "benchmarks.load",
    seconds: float = JOB_SECONDS,
) -> dict[str, Any]:
    """Let the load generator do one job in a process of its own, within so many seconds."""
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps({**job, "core": core}),
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if done.returncode:
        raise SetupError(f"the load generator failed:\n{done.stderr.strip()}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _command(name: str) -> Sequence[str]:
    if name == OURS:
        return [sys.executable, "-m", "cctvsignal", "--listen", "tcp:0:interface=127.0.0.1"]
    return ["node", str(NODE_DIRECTORY / "relay.mjs")]


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Start processes on this core."""
    # A child inherits the core, and so do the threads that Node starts: pinned later, they would not be.
    if core is None or sys.platform != "linux":
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)

"""The two servers that are compared: started on loopback, pinned to a core, ended by the suite."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

NODE_DIRECTORY: Final = Path(__file__).parent / "node"
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0
JOB_SECONDS: Final = 120.0
ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:(\d+)/")

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
def running(name: str, core: int | None) -> Iterator[Server]:
    """Start a server and end it."""
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory, "output")
        with output.open("wb") as file, _on_core(core):
            process = subprocess.Popen(_command(name), stdout=file, stderr=subprocess.STDOUT)
        try:
            yield Server(name, process.pid, _wait_for_port(name, process, output))
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def load(job: dict[str, Any], core: int | None) -> dict[str, Any]:
    """Let the load generator do one job in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps({**job, "core": core}),
        capture_output=True,
        text=True,
        timeout=JOB_SECONDS,
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
def _on_core(core: int | None) -> Iterator[None]:
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


def _wait_for_port(name: str, process: subprocess.Popen[bytes], output: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = ADDRESS.search(output.read_text(errors="replace"))
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise SetupError(f"{name} did not start:\n{output.read_text(errors='replace')}")

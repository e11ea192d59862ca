"""The servers that are compared: started on loopback, pinned to a core, ended by the suite."""

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

from . import compiled
from .machine import SetupError

NODE_DIRECTORY: Final = Path(__file__).parent / "node"
JOB_SECONDS: Final = 120.0
ADDRESS: Final = r"http://127\.0\.0\.1:(\d+)/"

OURS: Final = "cctvsignal"
NODE: Final = "Node ws"
PEERSERVER: Final = "PeerServer"
SOCKETIO: Final = "socket.io"
FLOOR: Final = "C floor"

NODE_PROGRAMS: Final = {NODE: "relay.mjs", PEERSERVER: "peerserver.mjs", SOCKETIO: "socketio.mjs"}
NODE_PACKAGES: Final = ("ws", "peer", "socket.io")


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    name: str
    pid: int
    port: int


def install_node() -> dict[str, str]:
    """Install the packages of the Node servers if they are missing; the versions of Node and of them."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise SetupError("the benchmarks compare with Node servers: node and npm must be installed")
    packages = {name: NODE_DIRECTORY / "node_modules" / name / "package.json" for name in NODE_PACKAGES}
    if not all(package.exists() for package in packages.values()):
        done = subprocess.run([npm, "ci"], cwd=NODE_DIRECTORY, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise SetupError(f"npm ci failed in {NODE_DIRECTORY}:\n{done.stderr.strip()}")
    shown = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=True)
    versions = {name: str(json.loads(package.read_text())["version"]) for name, package in packages.items()}
    return {"node": shown.stdout.strip().lstrip("v"), **versions}


@contextmanager
def running(
    name: str, core: int | None, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[Server]:
    """Start a server and end it; the arguments are for ours."""
    with ExitStack() as stack:
        with on_core(core):
            process = stack.enter_context(command(*_command(name), *arguments, environment=environment))
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


class Crowd:
    """A process of benchmarks.crowd, whose clients stay until it is told to end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def order(self, **what: Any) -> None:
        """Let it do something; `result` has to be called before the next order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """What came of the order."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise SetupError(f"the load generator failed:\n{self._process.stderr.read().strip()}")
        result: dict[str, Any] = json.loads(line)
        return result

    def ask(self, **what: Any) -> dict[str, Any]:
        """An order and its result."""
        self.order(**what)
        return self.result()


@contextmanager
def crowd(server: Server, core: int | None) -> Iterator[Crowd]:
    """Start a process for many clients of this server, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.crowd"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            crowd = Crowd(process)
            crowd.order(port=server.port, pid=server.pid, core=core)
            yield crowd
            assert process.stdin is not None
            process.stdin.close()
            process.wait(JOB_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()


def _command(name: str) -> Sequence[str]:
    if name == OURS:
        return [sys.executable, "-m", "cctvsignal", "--listen", "tcp:0:interface=127.0.0.1"]
    if name == FLOOR:
        return [str(compiled.program("floor"))]
    return ["node", str(NODE_DIRECTORY / NODE_PROGRAMS[name])]


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

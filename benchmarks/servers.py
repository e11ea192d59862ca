"""The servers under test, one at a time, on a core of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
NODE = HERE / "node"

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PINNED = len(CORES) > 1
"""Whether server and load generator have a core each."""


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """The processor time it has used, from /proc; 0 where there is none."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """The memory it holds, from /proc; 0 where there is none."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 0


COMMANDS = {
    "cctvsignal": [sys.executable, "-m", "cctvsignal", "--listen", "tcp:0:interface=127.0.0.1"],
    "node ws": ["node", str(NODE / "relay.mjs")],
}


def install_node_relay() -> None:
    """Install what the Node relay needs, from the lock file, where it is missing."""
    if not (NODE / "node_modules").is_dir():
        print("Installing the ws package for the Node relay ...")
        subprocess.run(
            ["npm", "ci", "--no-fund", "--no-audit"], cwd=NODE, check=True, stdout=subprocess.DEVNULL
        )


def pin_this_process() -> None:
    """Keep the load generator off the servers' core."""
    if PINNED:
        os.sched_setaffinity(0, {CORES[-1]})


@contextmanager
def running(name: str) -> Iterator[RunningServer]:
    """One of `COMMANDS`, ready, and ended with the block."""
    process = subprocess.Popen(COMMANDS[name], stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
    try:
        if PINNED:
            os.sched_setaffinity(process.pid, {CORES[0]})
        assert process.stdout is not None
        for line in process.stdout:
            if match := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                yield RunningServer(int(match.group(1)), process.pid)
                break
        else:
            raise SystemExit(f"{name} did not start")
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()

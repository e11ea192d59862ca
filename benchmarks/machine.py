"""What the suite asks of the operating system: cores, processor time, memory, limits; or None."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

FILES: Final = 12288
"""Open files that the largest measurement needs, with room to spare."""


class SetupError(Exception):
    """The benchmark cannot run here; the text says why."""


@dataclass
class Clock:
    """Wall time and processor time of a server and of this process at one moment, in seconds."""

    wall: float
    server: float | None
    generator: float

    @classmethod
    def now(cls, pid: int) -> Clock:
        """This moment."""
        return cls(time.perf_counter(), cpu_seconds(pid), time.process_time())


@dataclass
class Usage:
    """Shares of a core that a server and this process used, and in what time."""

    server: float | None
    generator: float
    seconds: float

    @classmethod
    def since(cls, start: Clock, pid: int) -> Usage:
        """What was used since `start` was taken."""
        end = Clock.now(pid)
        wall = end.wall - start.wall
        known = end.server is not None and start.server is not None
        server = ((end.server or 0.0) - (start.server or 0.0)) / wall if known else None
        return cls(server, (end.generator - start.generator) / wall, wall)

    def per_server_second(self, count: float) -> float | None:
        """How many of `count` things the server did for each second of its processor time."""
        return count / (self.server * self.seconds) if self.server else None


def raise_file_limit() -> int:
    """Raise the soft limit of open files for this process and its children; the limit that holds then."""
    if sys.platform == "win32":
        return FILES
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return FILES if soft == resource.RLIM_INFINITY else soft


def cores() -> tuple[int | None, int | None]:
    """A core for the server and another one for the load generator, or (None, None): no pinning."""
    if sys.platform != "linux":
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else (None, None)


def cpu_seconds(pid: int) -> float | None:
    """Processor time of a process with all its threads."""
    if sys.platform != "linux":
        return None
    # The name of the command may hold spaces and brackets; what follows its last bracket does not.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process."""
    if sys.platform == "linux":
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    if sys.platform == "win32":
        return None
    out = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, timeout=10)
    return int(out.stdout) * 1024 if out.stdout.strip() else None


def open_files(pid: int) -> int | None:
    """Open file descriptors of a process."""
    return len(os.listdir(f"/proc/{pid}/fd")) if sys.platform == "linux" else None


def describe(packages: Sequence[str], **others: str) -> dict[str, Any]:
    """The machine and the versions of these packages and of others, for whoever reads figures later."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        **others,
    }


def _memory() -> str:
    if sys.platform == "win32":
        return "unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

"""Real processes for tests: started, waited for without sleeping, and ended by whoever started them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

REPOSITORY = Path(__file__).parent.parent
START_SECONDS = 30.0
STOP_SECONDS = 15.0


@dataclass
class Process:
    """A running command whose output is collected line by line."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    """All that it has printed so far, on both of its outputs."""
    _queue: Queue[str | None] = field(default_factory=Queue)

    def __post_init__(self) -> None:
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def wait_for_line(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """The first line from here on that matches; an `AssertionError` with all output if none comes."""
        while True:
            try:
                line = self._queue.get(timeout=seconds)
            except Empty:
                raise AssertionError(f"no line like {pattern!r} in time:\n{self.output}") from None
            if line is None:
                raise AssertionError(f"it ended without a line like {pattern!r}:\n{self.output}")
            if match := re.search(pattern, line):
                return match

    def wait(self, seconds: float = START_SECONDS) -> int:
        """The exit status of a command that ends by itself; all that it has printed is there by then."""
        status = self.process.wait(seconds)
        self._collector.join(seconds)
        return status

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it, if it still runs, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not stop:\n{self.output}") from None

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return "\n".join(self.lines)


@dataclass
class Server(Process):
    """A running cctvsignal server."""

    port: int = 0
    address: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """Where its web app is."""
        return f"http://{self.address}:{self.port}"

    @property
    def websocket_url(self) -> str:
        """Where its WebSocket is."""
        return f"ws://{self.address}:{self.port}"


def _start(arguments: Sequence[str], environment: dict[str, str] | None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        cwd=REPOSITORY,
    )


@contextmanager
def command(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[Process]:
    """A command that is ended with the block, if it has not ended by then."""
    process = Process(_start(arguments, environment))
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def server(*arguments: str, port: int = 0, address: str = "127.0.0.1") -> Iterator[Server]:
    """A cctvsignal server on a port of an address (0: a free one), ready for clients."""
    listen = f"--listen=tcp:{port}:interface={address}"
    running = Server(
        _start([sys.executable, "-m", "cctvsignal", listen, *arguments], None), address=address
    )
    try:
        running.port = int(running.wait_for_line(r"http://[\d.]+:(\d+)/").group(1))
        yield running
    finally:
        running.stop()


def script(name: str) -> str:
    """The path of a command that is installed beside this Python."""
    return str(Path(sys.executable).parent / name)

"""Two networks that reach the same server and not each other: network namespaces on Linux, of root.

    camera --- middle --- viewer

Each of the three is a host of its own. `middle` passes nothing on between the two, as the internet passes
nothing on to hosts behind firewalls.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from tests import slow_network

REACH_SECONDS: Final = 2.0
_NOT_REACHED: Final = 7
_REACH: Final = f"""\
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), {REACH_SECONDS})
except OSError:
    sys.exit({_NOT_REACHED})
"""
_LISTEN: Final = """\
import socket, sys
listening = socket.create_server(("", 0))
print("port", listening.getsockname()[1], flush=True)
sys.stdin.read()
"""


def why_not() -> str:
    """Why there can be no such networks here; empty if there can."""
    if reason := slow_network.why_not():
        return reason
    try:
        with _host("probe") as probe:
            probe.forward(True)
            probe.forward(False)
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be set up here: {error.stderr.strip()}"
    return ""


@dataclass(frozen=True)
class Host:
    """A host in a network namespace, with one address."""

    name: str
    address: str = ""

    def command(self, *arguments: str) -> list[str]:
        """The command to run something there."""
        return ["ip", "netns", "exec", self.name, *arguments]

    def run(self, *arguments: str) -> None:
        """Run a command there to its end."""
        _run(*self.command(*arguments))

    def forward(self, on: bool) -> None:
        """Pass on what is for others, or drop it."""
        self.run("sh", "-c", f"echo {int(on)} > /proc/sys/net/ipv4/ip_forward")

    def reaches(self, other: Host) -> bool:
        """Whether a TCP connection from here to there can be made."""
        listening = subprocess.Popen(
            other.command(sys.executable, "-c", _LISTEN),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with listening:
            assert listening.stdout is not None
            port = listening.stdout.readline().split()[1]
            attempt = self.command(sys.executable, "-c", _REACH, other.address, port)
            tried = subprocess.run(attempt, capture_output=True, text=True)
            # The end of its input ends it.
            listening.communicate()
        assert tried.returncode in (0, _NOT_REACHED), tried.stderr
        return tried.returncode == 0


@dataclass(frozen=True)
class Networks:
    """The three hosts."""

    camera: Host
    middle: Host
    viewer: Host


@contextmanager
def networks(net: str) -> Iterator[Networks]:
    """Make the hosts, with addresses that begin with these two bytes, such as "11.213"."""
    with ExitStack() as stack:
        middle = stack.enter_context(_host("middle", f"{net}.0.1"))
        middle.run("ip", "addr", "add", f"{middle.address}/32", "dev", "lo")
        ends = []
        for number, name in enumerate(("camera", "viewer"), 1):
            here, there = f"{net}.{number}.1", f"{net}.{number}.2"
            end = stack.enter_context(_host(name, there))
            middle.run("ip", "link", "add", name, "type", "veth", "peer", "name", "net", "netns", end.name)
            middle.run("ip", "addr", "add", f"{here}/24", "dev", name)
            middle.run("ip", "link", "set", name, "up")
            end.run("ip", "addr", "add", f"{there}/24", "dev", "net")
            end.run("ip", "link", "set", "net", "up")
            end.run("ip", "route", "add", "default", "via", here)
            ends.append(end)
        # What a new namespace begins with is the system's choice.
        middle.forward(False)
        yield Networks(ends[0], middle, ends[1])


@contextmanager
def _host(name: str, address: str = "") -> Iterator[Host]:
    made = Host(f"cctv-{os.getpid()}-{name}", address)
    _run("ip", "netns", "add", made.name)
    try:
        made.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        # Its links go with it, and so do their other ends.
        _run("ip", "netns", "del", made.name)


def _run(*arguments: str) -> None:
    subprocess.run(arguments, check=True, capture_output=True, text=True)

"""A host of its own behind a slow link: a network namespace on Linux, which only root can make."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


def why_not() -> str:
    """Why there can be no such network here; empty if there can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    if not all(map(shutil.which, ("ip", "tc"))):
        return "there is no ip or no tc: run tests/install-peers.sh"
    probe = subprocess.run(["ip", "netns", "add", "cctv-probe"], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", "cctv-probe"], capture_output=True)
    return f"network namespaces cannot be made here: {probe.stderr.strip()}" if probe.returncode else ""


@dataclass(frozen=True)
class SlowHost:
    """A host whose link from `address`, which is this machine's, is slow."""

    name: str
    address: str

    def command(self, *arguments: str) -> list[str]:
        """The command to run something there."""
        return ["ip", "netns", "exec", self.name, *arguments]


@contextmanager
def slow_host(rate: str) -> Iterator[SlowHost]:
    """A host to which no more gets than `rate`, as tc writes it."""
    name, net = f"cctv-{os.getpid()}", f"10.213.{os.getpid() % 256}"
    here, there = f"cctv{os.getpid() % 100_000}a", f"cctv{os.getpid() % 100_000}b"
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        _run("ip", "addr", "add", f"{net}.1/24", "dev", here)
        _run("ip", "link", "set", here, "up")
        _run("ip", "-n", name, "addr", "add", f"{net}.2/24", "dev", there)
        _run("ip", "-n", name, "link", "set", there, "up")
        _run(
            "tc",
            "qdisc",
            "add",
            "dev",
            here,
            "root",
            "tbf",
            "rate",
            rate,
            "burst",
            "5kb",
            "latency",
            "1s",
        )
        yield SlowHost(name, f"{net}.1")
    finally:
        # The pair of links goes with it.
        _run("ip", "netns", "del", name)


def _run(*arguments: str) -> None:
    subprocess.run(arguments, check=True, capture_output=True)

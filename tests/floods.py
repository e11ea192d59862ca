"""Strangers by the hundred, for tests of what a server does when there are too many of them."""

from __future__ import annotations

import json
import os
import re
import resource
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.integration.test_arbitrary_bytes import CLOSE, Connection, frame
from tests.processes import Process, command

PATIENCE: Final = 20.0
"""How long, in seconds, anything may take that a server is to do at once."""


class TurnedAway(Exception):
    """The server had no place for a connection."""


class Stranger(Connection):
    """A connection to a server, from an address of this machine and with a buffer of this size.

    `received` has what came so far.
    """

    def __init__(self, port: int, source: str = "127.0.0.1", receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        try:
            if receive_buffer is not None:
                # The kernel fixes the window of a connection when it opens, and keeps room for ten
                # segments at the other end, which are very long within one machine.
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            self.socket.settimeout(PATIENCE)
            self.socket.bind((source, 0))
            self.socket.connect(("127.0.0.1", port))
        except BaseException:
            self.socket.close()
            raise
        self.received = b""

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, *headers: str, path: str = "/health") -> tuple[int, dict[str, str]]:
        """Ask by plain HTTP and return the status and the headers, whose names are in lower case."""
        lines = (f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", "")
        self.send("\r\n".join(lines).encode())
        return self.head()

    def is_told(self, expected: int, *headers: str, path: str = "/health") -> None:
        """Ask by plain HTTP and expect this status; raises `TurnedAway` if there is no place for it."""
        status, _ = self.request(*headers, path=path)
        if status == 503:
            raise TurnedAway
        assert status == expected

    def ask_to_upgrade(self, *headers: str) -> tuple[int, dict[str, str]]:
        """Ask to become a WebSocket and return the status and the headers."""
        return self.request(
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *headers,
            path="/",
        )

    def head(self) -> tuple[int, dict[str, str]]:
        """The next status and headers that the server sends; raises `ConnectionError` if there are none."""
        while b"\r\n\r\n" not in self.received:
            if not self._more():
                raise ConnectionError(f"the connection is over after {self.received!r}")
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}

    def join(self, room: str, camera_id: str | None = None) -> str:
        """Become a WebSocket and a member of a room; returns the client id, or raises `TurnedAway`."""
        status, _ = self.ask_to_upgrade()
        if status == 503:
            raise TurnedAway
        assert status == 101
        welcome = self.next_message()
        assert isinstance(welcome, dict)
        role = {"deviceType": "camera", "cameraId": camera_id} if camera_id else {}
        self.say({"type": "join", "room": room, **role})
        joined = self.next_message()
        assert isinstance(joined, dict)
        assert joined["type"] == "joined"
        return str(welcome["clientId"])

    def hears(self, kind: str) -> dict[str, object]:
        """The next message of this type that comes to this WebSocket."""
        while True:
            message = self.next_message()
            assert isinstance(message, dict)
            if message["type"] == kind:
                return message

    def is_served(self) -> bool:
        """Whether the server answers a message of this WebSocket."""
        self.say({"type": "ping", "data": "still here?"})
        return self.next_message() == {"type": "pong", "data": "still here?"}

    def is_ended(self, seconds: float = PATIENCE) -> bool:
        """Whether the server ends the connection, by a close or a reset, in this time."""
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                self.socket.settimeout(left)
                if not self.socket.recv(65536):
                    return True
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)
        return False

    def close_code(self) -> int | None:
        """What the server closes this WebSocket with; what else it says is skipped."""
        while True:
            opcode, payload = self.next_frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big") if payload else None

    def leave(self) -> None:
        """Close this WebSocket properly and wait until the server has hung up."""
        self.send(frame(b"\x03\xe8", CLOSE))
        assert self.is_ended()

    def drop(self) -> None:
        """Reset the connection."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()


def until(happens: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Try until this happens; each try asks the server, and so waits for it."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it does not happen"


@contextmanager
def crowd(number: int, port: int, **options: object) -> Iterator[list[Stranger]]:
    """So many connections, closed at the end of the block. No more than some thousand from one address."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(Stranger(port, **options))  # type: ignore[arg-type]
            for _ in range(number)
        ]


def ended(strangers: list[Stranger], seconds: float) -> int:
    """How many of them, of which none reads, the server has ended when this time is over, or all are."""
    poller = select.poll()
    for stranger in strangers:
        # Of these, only the end itself is told: what there is to read stays unread.
        poller.register(stranger.socket.fileno(), 0)
    count, end = 0, time.monotonic() + seconds
    while count < len(strangers) and (left := end - time.monotonic()) > 0:
        for number, _ in poller.poll(left * 1000):
            poller.unregister(number)
            count += 1
    return count


def most_memory(running: Process) -> int:
    """How much memory the server has used at most, in bytes."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return int(match.group(1)) * 1024


def open_files(running: Process) -> int:
    """How many files and sockets the server has open."""
    return len(os.listdir(f"/proc/{running.process.pid}/fd"))


def large_offer(target: str) -> bytes:
    """An offer of 60 KB in a frame whose mask changes nothing: all of them take too long to mask."""
    payload = json.dumps({"type": "offer", "target": target, "sdp": {"sdp": "x" * 60_000}}).encode()
    return b"\x81\xfe" + struct.pack("!HI", len(payload), 0) + payload


def is_answered(stranger: Stranger) -> bool:
    """Whether the server serves a page; else it says that it is full, or has no file to say so with."""
    try:
        return stranger.request()[0] == 200
    except ConnectionError:
        return False


def newcomer_is_answered(port: int) -> bool:
    """Whether the server serves a page to a connection that is new."""
    with Stranger(port) as newcomer:
        return is_answered(newcomer)


def is_refused(stranger: Stranger) -> bool:
    """Whether the server has no place for a connection; it must say when to try again, and end it."""
    status, headers = stranger.request()
    if status == 503:
        assert int(headers["retry-after"]) >= 1
        assert stranger.is_ended()
    return status == 503


def fills(port: int, number: int, *sources: str) -> bool:
    """Whether there is place for so many connections from each address, and for no more."""
    with ExitStack() as stack:
        for source in sources:
            for _ in range(number):
                if is_refused(stack.enter_context(Stranger(port, source))):
                    return False
        return is_refused(stack.enter_context(Stranger(port, sources[-1])))


def lines_of(running: Process, text: str) -> list[str]:
    """The lines of the server's log so far that have this in them."""
    return [line for line in running.lines if text in line]


@contextmanager
def many_files(number: int) -> Iterator[bool]:
    """Let this process have so many open files; false if the system does not."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = before[1] == resource.RLIM_INFINITY or before[1] >= number
    if enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], number), before[1]))
    try:
        yield enough
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


_WITH_LIMITS: Final = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
os.execv(sys.executable, [sys.executable, "-m", "cctvsignal", *sys.argv[3:]])
"""
LISTEN: Final = "--listen=tcp:0:interface=127.0.0.1:backlog=4096"
"""A server at which everybody may come at once, so that the kernel turns none away."""


@contextmanager
def server_with_files(soft: int, hard: int, *arguments: str) -> Iterator[tuple[Process, int]]:
    """A server whose system lets it have so many open files, and its port."""
    wrapper = (sys.executable, "-c", _WITH_LIMITS, str(soft), str(hard))
    with command(*wrapper, *arguments) as running:
        yield running, int(running.wait_for_line(r"https?://[\w.]+:(\d+)/").group(1))

"""Clients of the load generator: raw non-blocking sockets that are brought into their rooms."""

from __future__ import annotations

import json
import select
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from . import frames

RECEIVE: Final = 64 * 1024
CLOSE_SECONDS: Final = 3.0


class LoadError(Exception):
    """The server did something that makes a measurement worthless."""


class Poller:
    """Which sockets have something to read: epoll where there is one, selectors elsewhere."""

    def __init__(self) -> None:
        if sys.platform == "linux":
            self._epoll = select.epoll()
        else:
            self._selector = selectors.DefaultSelector()

    def add(self, fd: int) -> None:
        """Watch this socket."""
        if sys.platform == "linux":
            self._epoll.register(fd, select.EPOLLIN)
        else:
            self._selector.register(fd, selectors.EVENT_READ)

    def remove(self, fd: int) -> None:
        """Do not watch it any more."""
        if sys.platform == "linux":
            self._epoll.unregister(fd)
        else:
            self._selector.unregister(fd)

    def poll(self, timeout: float) -> Sequence[tuple[int, Any]]:
        """Pairs of a file descriptor that is readable and something that does not matter."""
        if sys.platform == "linux":
            return self._epoll.poll(timeout)
        return [(key.fd, events) for key, events in self._selector.select(timeout)]


class Client:
    """One connection. `seen` has the messages of the server by type, for as long as it is set up."""

    def __init__(self, port: int, room: str, camera_id: str | None, token: str | None) -> None:
        self.room = room
        self.camera_id = camera_id
        self.id = ""
        self.seen: dict[str, dict[str, Any]] = {}
        self.pending = b""
        self.peer = self
        self.burst = b""
        """The pre-built frames of the messages for the peer."""
        self.sent: deque[int] = deque()
        """When the messages were sent that have not arrived, in nanoseconds."""
        self.last_length = 0
        """Length of the last message of the server, while the client is set up."""
        self.payload_length = self.frame_length = 0
        self.frame_head = b""
        """What the messages of the peer look like as they arrive; the head without its first byte."""
        self._upgraded = False
        # Loopback connects at once; a non-blocking connect would only be one more state.
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.fd = self.socket.fileno()
        self.socket.send(frames.handshake(port, token))

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; not for the measured path."""
        self.write(frames.masked(frames.dumps(message)))

    def write(self, data: bytes) -> None:
        """Send bytes. What is in flight is far below the buffer of a socket, so all of it must fit."""
        if self.socket.send(data) != len(data):
            raise LoadError("the server does not read what it is sent")

    def receive(self, size: int) -> bytes:
        """What there is to read, at most `size` bytes."""
        data = self.socket.recv(size)
        if not data:
            raise LoadError("the server closed a connection")
        return data

    def read(self) -> None:
        """Take what the server sent while the client is set up."""
        data = self.pending + self.receive(RECEIVE)
        if not self._upgraded:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                self.pending = data
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise LoadError(f"no WebSocket: {head.decode(errors='replace')}")
            self._upgraded, data = True, rest
        position = 0
        for first, payload, position in frames.split(data):  # noqa: B007
            self.take(first, payload)
        self.pending = data[position:]

    def take(self, first: int, payload: bytes) -> None:
        """One frame: a message, or a ping, which is answered."""
        if first == frames.FINAL_TEXT:
            message = json.loads(payload)
            self.last_length = len(payload)
            self.seen[message["type"]] = message
            if message["type"] == "error":
                raise LoadError(f"the server answered {payload.decode()}")
            if message["type"] == "welcome":
                self.id = message["clientId"]
                self._join()
        elif first == 0x80 | frames.PING:
            self.write(frames.masked(payload, frames.PONG))
        else:
            raise LoadError(f"the server sent a frame of kind {first:#x}: {payload!r}")

    def _join(self) -> None:
        if self.camera_id is None:
            self.send({"type": "join", "room": self.room, "deviceType": "viewer"})
        else:
            self.send(
                {"type": "join", "room": self.room, "deviceType": "camera", "cameraId": self.camera_id}
            )


class Crowd:
    """Connections that belong together, and the poller that watches them."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port = port
        self.token = token
        self.poller = Poller()
        self.clients: dict[int, Client] = {}

    def open(self, places: Iterable[tuple[str, str | None]], window: int, deadline: float) -> list[Client]:
        """Connect and join (room, camera id or None), at most `window` of them at a time."""
        waiting = iter(places)
        opened: list[Client] = []
        under_way: set[int] = set()
        more = True
        while more or under_way:
            while more and len(under_way) < window:
                place = next(waiting, None)
                if place is None:
                    more = False
                    break
                client = Client(self.port, *place, self.token)
                self.clients[client.fd] = client
                self.poller.add(client.fd)
                under_way.add(client.fd)
                opened.append(client)
            for client in self._read(deadline, "connections that join"):
                if "joined" in client.seen:
                    under_way.discard(client.fd)
        return opened

    def until(self, done: Callable[[], bool], deadline: float, what: str) -> None:
        """Read until `done()`."""
        while not done():
            self._read(deadline, what)

    def _read(self, deadline: float, what: str) -> list[Client]:
        if time.monotonic() > deadline:
            raise LoadError(f"timeout: waiting for {what}")
        ready = [self.clients[fd] for fd, _ in self.poller.poll(0.1)]
        for client in ready:
            client.read()
        return ready

    def close(self) -> None:
        """Say goodbye on every connection and wait a little for the server to have taken it in."""
        deadline = time.monotonic() + CLOSE_SECONDS
        goodbye = frames.masked((1000).to_bytes(2, "big"), frames.CLOSE)
        for client in self.clients.values():
            try:
                client.socket.send(goodbye)
            except OSError:
                continue
        left = dict(self.clients)
        while left and time.monotonic() < deadline:
            for fd, _ in self.poller.poll(0.1):
                if self._is_over(left[fd]):
                    self.poller.remove(fd)
                    left.pop(fd)
        for client in self.clients.values():
            client.socket.close()
        self.clients.clear()

    @staticmethod
    def _is_over(client: Client) -> bool:
        try:
            return not client.socket.recv(RECEIVE)
        except BlockingIOError:
            return False
        except OSError:
            return True

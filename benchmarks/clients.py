"""Clients of the load generator: raw non-blocking sockets that are brought into their rooms."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from . import frames
from .dialects import Dialect, Place

RECEIVE: Final = 64 * 1024
CLOSE_SECONDS: Final = 3.0


class LoadError(Exception):
    """The server did something that makes a measurement worthless."""


class Client:
    """One connection. `seen` has the messages of the server by type."""

    def __init__(self, port: int, place: Place, dialect: Dialect, token: str | None) -> None:
        self.place = place
        self.dialect = dialect
        self.id = place.name
        self.seen: dict[str, dict[str, Any]] = {}
        self.peer = self
        self.burst = b""
        """The pre-built frames of the messages for the peer."""
        self.last_length = 0
        """Length of the last message of the server."""
        self._pending = b""
        self._is_open = False
        # Loopback connects at once; a non-blocking connect would only be one more state.
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.fd = self.socket.fileno()
        self.socket.send(frames.handshake(port, token, dialect.path(place)))

    def send(self, text: bytes) -> None:
        """Send one message."""
        self.write(frames.masked(text))

    def write(self, data: bytes) -> None:
        """Send bytes. What is in flight is far below the buffer of a socket, so all of it must fit."""
        if self.socket.send(data) != len(data):
            raise LoadError("the server does not read what it is sent")

    def read(self) -> None:
        """Take what the server sent."""
        received = self.socket.recv(RECEIVE)
        if not received:
            raise LoadError("the server closed a connection")
        data = self._pending + received
        if not self._is_open:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                self._pending = data
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise LoadError(f"no WebSocket: {head.decode(errors='replace')}")
            self._is_open, data = True, rest
        position = 0
        for first, payload, position in frames.split(data):  # noqa: B007
            self._take(first, payload)
        self._pending = data[position:]

    def _take(self, first: int, payload: bytes) -> None:
        """One frame: a message, or a ping, which is answered."""
        if first == 0x80 | frames.PING:
            self.write(frames.masked(payload, frames.PONG))
            return
        if first != frames.FINAL_TEXT:
            raise LoadError(f"the server sent a frame of kind {first:#x}: {payload!r}")
        message = self.dialect.parse(payload)
        if message["type"].lower() == "error":
            raise LoadError(f"the server answered {payload.decode()}")
        self.last_length = len(payload)
        self.seen[message["type"]] = message
        self.id = message.get("id", self.id)
        answer = self.dialect.reply(message, self.place)
        if answer is not None:
            self.send(answer)


class Crowd:
    """Connections that belong together, and the poller that watches them."""

    def __init__(self, port: int, dialect: Dialect, token: str | None = None) -> None:
        self.port = port
        self.dialect = dialect
        self.token = token
        self.poller = select.epoll()
        self.clients: dict[int, Client] = {}

    def open(self, places: Iterable[Place], window: int, deadline: float) -> list[Client]:
        """Connect and join, at most `window` of them at a time."""
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
                client = Client(self.port, place, self.dialect, self.token)
                self.clients[client.fd] = client
                self.poller.register(client.fd, select.EPOLLIN)
                under_way.add(client.fd)
                opened.append(client)
            for client in self._read(deadline, "connections that join"):
                if self.dialect.ready in client.seen:
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
                    self.poller.unregister(fd)
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

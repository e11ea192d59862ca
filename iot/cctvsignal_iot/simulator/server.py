"""esp_http_server: one task, which serves one request after the other."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from twisted.internet import tcp
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from . import http
from .stream import SEND_SECONDS, Stream

RECEIVE_SECONDS: Final = 5.0
"""How long the rest of a request may take (esp_http_server's receive time-out)."""
BACKLOG: Final = 5
_KERNEL_BUFFER: Final = 16384
"""Bytes that the kernel takes of a stream: a chip has 5,744, with which Linux is slow."""


class Connection(Protocol):
    """A TCP connection. What it receives is kept until its turn comes."""

    transport: tcp.Server

    def __init__(self, server: Server) -> None:
        self._server = server
        self.received = b""
        self.stream: Stream | None = None
        self._closing: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        # Whatever waits in buffers is old by the time a slow viewer gets it.
        self.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BUFFER)
        self.transport.bufferSize = _KERNEL_BUFFER
        self._server.opened(self)

    def dataReceived(self, data: bytes) -> None:
        if len(self.received) <= http.MAX_HEADERS:
            self.received += data
        self._server.work()

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        self._server.lost(self)

    @property
    def has_request(self) -> bool:
        """Whether something has come that is not answered, at least in part."""
        return bool(self.received) and self.stream is None and self._closing is None

    def reply(self, data: bytes, *, close: bool = False) -> None:
        """Answer the request that this connection is served for, and serve the next."""
        self.transport.write(data)
        if close:
            self.close()
        self._server.done(self)

    def close(self) -> None:
        """Close it, which takes no longer than a send may."""
        if self.stream is not None:
            self.stream.stop()
        if self._closing is None:
            self._closing = self._server.clock.callLater(SEND_SECONDS, self.transport.abortConnection)
        self.transport.loseConnection()


class Server(Factory):
    """A port of the device."""

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        handle: Callable[[Connection, http.Request], None],
        *,
        sockets: int = 7,
        purges: bool = False,
    ) -> None:
        self.clock = clock
        self._handle = handle
        self._sockets = sockets
        self._purges = purges
        self.connections: list[Connection] = []
        """The open ones, the oldest first."""
        self.listening: tcp.Port | None = None
        self._current: Connection | None = None
        self._handling = False
        self._patience: IDelayedCall | None = None
        self._frozen = False

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        return Connection(self)

    def freeze(self, frozen: bool) -> None:
        """Answer nothing, or go on with what has come meanwhile."""
        self._frozen = frozen
        for stream in self.streams:
            stream.silence(frozen)
        self.work()

    @property
    def streams(self) -> list[Stream]:
        """What is being streamed."""
        return [connection.stream for connection in self.connections if connection.stream is not None]

    def abort(self) -> None:
        """Drop all connections."""
        for connection in self.connections:
            connection.transport.abortConnection()

    def opened(self, connection: Connection) -> None:
        """For a connection: it is there."""
        self.connections.append(connection)
        if len(self.connections) > self._sockets and self._purges:
            self.connections[0].close()
        self._limit()

    def lost(self, connection: Connection) -> None:
        """For a connection: it is gone."""
        if connection.stream is not None:
            connection.stream.stop()
            connection.stream = None
        self.connections.remove(connection)
        self._limit()
        self.done(connection)

    def done(self, connection: Connection) -> None:
        """The request of a connection is dealt with."""
        if self._current is connection:
            self._current, self._handling = None, False
            self._wait_no_longer()
            self.clock.callLater(0, self.work)

    def work(self) -> None:
        """Serve the next request, if none is being served."""
        if self._frozen or self._handling:
            return
        if self._current is None:
            self._current = next((each for each in self.connections if each.has_request), None)
        if self._current is not None:
            self._serve(self._current)

    def _serve(self, connection: Connection) -> None:
        try:
            parsed = http.parse(connection.received)
        except ValueError:
            return self._refuse(connection, http.BAD_REQUEST)
        if parsed is None and len(connection.received) <= http.MAX_HEADERS:
            # The task waits in recv(), and everybody with it.
            if self._patience is None:
                self._patience = self.clock.callLater(
                    RECEIVE_SECONDS, self._refuse, connection, http.TIMED_OUT
                )
            return None
        self._wait_no_longer()
        if parsed is None:
            return self._refuse(connection, http.TOO_LARGE)
        request, connection.received = parsed
        self._handling = True
        return self._handle(connection, request)

    def _refuse(self, connection: Connection, error: tuple[str, str]) -> None:
        connection.received = b""
        connection.reply(http.failure(error), close=True)

    def _wait_no_longer(self) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        self._patience = None

    def _limit(self) -> None:
        # As many more as the backlog holds are connected by the kernel, and wait there.
        port = self.listening
        if port is not None and not self._purges:
            if len(self.connections) >= self._sockets:
                port.stopReading()
            elif port.connected:
                port.startReading()

"""The server's port in this process, and connections to it that are no sockets."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from cctvsignal.entrance import Visitor
from cctvsignal.websocket import SignalingProtocol
from tests.assembled import assembled

KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
"""The example of RFC 6455, section 1.3."""
HEADERS: Final = (
    "Host: cameras.example",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
)


def request(*more: str, path: str = "/", without: str = "none") -> bytes:
    """An upgrade request with these headers more, and without the usual ones that begin so."""
    headers = (line for line in HEADERS if not line.startswith(without))
    lines = (f"GET {path} HTTP/1.1", *headers, *more, "")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


class House:
    """A server with these options. `checked` is what its entrance was asked, `identified` whom it found."""

    def __init__(self, *arguments: str) -> None:
        # Without pages, which would be sent by the real reactor.
        web = f"--web-dir={tempfile.gettempdir()}/"
        self.clock = Clock()
        parts = assembled(self.clock, web, "--ping-interval=0", *arguments)
        self.port, self.websocket = parts.port, parts.websocket
        self.entrance = parts.websocket.entrance
        self.checked: list[tuple[str, bool, dict[str, str | None], Sequence[str]]] = []
        self.identified: list[Visitor] = []
        self._check, self._identify = self.entrance.check, self.entrance.identify
        self.entrance.check = self._remember_check  # type: ignore[method-assign]
        self.entrance.identify = self._remember_identify  # type: ignore[method-assign]

    def connect(self, factory: Any = None, peer: str = "127.0.0.1") -> Line:
        """A connection to the port; to its site at once, if that is the factory."""
        return Line(factory or self.port, peer, self.clock)

    def _remember_check(
        self,
        connection: object,
        peer: str,
        secure: bool,
        headers: Mapping[str, str],
        query: Mapping[str, Sequence[str]],
    ) -> None:
        names = ("host", "origin", "authorization", "x-forwarded-for", "x-forwarded-proto")
        tokens = query.get("token", ())[:1]
        self.checked.append((peer, secure, {name: headers.get(name) for name in names}, tokens))
        self._check(connection, peer, secure, headers, query)

    def _remember_identify(self, connection: object, done: Callable[[Visitor], None]) -> None:
        def remember(visitor: Visitor) -> None:
            self.identified.append(visitor)
            done(visitor)

        self._identify(connection, remember)


class Line(StringTransport):
    """One connection; what it receives goes to whichever protocol it has by then."""

    def __init__(self, factory: Any, peer: str, clock: Clock) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", peer, 50_000))
        self._clock = clock
        self.is_lost = self.was_aborted = False
        self.dataBuffer, self.offset, self._tempDataLen = b"", 0, 0
        self.protocol: Any = factory.buildProtocol(self.getPeer())
        self.protocol.makeConnection(self)

    def receive(self, *segments: bytes) -> bytes:
        """All that was sent to the other end so far, after these have come from there."""
        for segment in segments:
            if not (self.is_lost or self.disconnecting):
                self.protocol.dataReceived(segment)
        return self.sent

    @property
    def sent(self) -> bytes:
        # What a WebSocket has to say goes out at the end of a turn.
        self._clock.advance(0)
        return bytes(self.value())

    @property
    def answer(self) -> bytes:
        """The same without the time of day and client ids."""
        return re.sub(rb"(?m)^Date: .*\r\n|(?<=\"clientId\":\")[0-9a-f-]+", b"", self.sent)

    @property
    def is_websocket(self) -> bool:
        return isinstance(self.protocol, SignalingProtocol)

    def unregisterProducer(self) -> None:
        # As of a socket, there need not be any.
        self.producer = None

    def abortConnection(self) -> None:
        self.was_aborted = True
        self.connectionLost(Failure(ConnectionAborted()))

    def hang_up(self) -> None:
        """The other end has gone."""
        if not self.is_lost:
            self.connectionLost(Failure(ConnectionDone()))

    def connectionLost(self, reason: Failure) -> None:
        self.is_lost = True
        self.protocol.connectionLost(reason)

    # A socket that is written to at once.

    def getHandle(self) -> Line:
        return self

    def send(self, data: bytes) -> None:
        self.write(data)

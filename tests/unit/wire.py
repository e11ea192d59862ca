"""Frames of a client byte by byte, and a connection without a socket to send them over.

Everything is said that a test may want to get wrong: no WebSocket library would let it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import Any, Final, cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from cctvsignal.assembly import assemble
from cctvsignal.hub import Hub
from cctvsignal.options import Options
from cctvsignal.websocket import SignalingProtocol
from tests.echo import EchoHub, EchoProtocol, PlainEchoProtocol

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY: Final = bytes.fromhex("37fa213d")
"""The masking key of the examples in RFC 6455, section 5.7."""
NO_KEY: Final = bytes(4)
"""A key that changes nothing is a key as well."""

UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CLOSE_ME: Final = b"close me"
"""A text upon which the server begins to close."""
ABORT_ME: Final = b"abort me"
"""A text upon which the server ends the connection without a word."""


def frame(
    payload: bytes = b"",
    opcode: int = TEXT,
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = KEY,
    bits: int | None = None,
    length: int | None = None,
) -> bytes:
    """One frame of a client (RFC 6455, section 5.2).

    `key` of None: it is not masked. `bits` are those of the field for the length, 7, 16 or 64, and None is
    as few as will do. `length` is what the frame says to have if that is not true.
    """
    length = len(payload) if length is None else length
    if bits is None:
        bits = 7 if length < 126 else 16 if length < 65536 else 64
    mask_bit = 0 if key is None else 0x80
    first = bytes([fin << 7 | rsv << 4 | opcode])
    head = {
        7: lambda: bytes([mask_bit | length]),
        16: lambda: struct.pack("!BH", mask_bit | 126, length),
        64: lambda: struct.pack("!BQ", mask_bit | 127, length),
    }[bits]()
    return first + head + (payload if key is None else key + masked(payload, key))


def masked(payload: bytes, key: bytes) -> bytes:
    """What a payload is sent as (RFC 6455, section 5.3)."""
    # As numbers of any size: tests send a lot of it.
    size = len(payload)
    stream = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")


def close_frame(code: int | None = 1000, reason: bytes = b"", key: bytes | None = KEY) -> bytes:
    """A close frame of a client; a `code` of None leaves its body empty."""
    return frame(b"" if code is None else struct.pack("!H", code) + reason, CLOSE, key=key)


def answer(payload: bytes = b"", opcode: int = TEXT) -> bytes:
    """One frame of the server: complete, not masked, and as short as can be."""
    return frame(payload, opcode, key=None)


class Recording(SignalingProtocol):
    """Remembers what it is told, and has two texts on which a hub might end a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, bytes]] = []
        self.ended: list[tuple[bool, int | None, str | None]] = []

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        assert type(payload) is bytes
        self.events.append(("binary" if isBinary else "text", payload))
        super().onMessage(payload, isBinary)
        if payload == CLOSE_ME:
            self.close(4000, "as you wish")
        elif payload == ABORT_ME:
            self.abort()

    def onPing(self, payload: bytes) -> None:
        self.events.append(("ping", payload))
        super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        self.events.append(("pong", payload))
        super().onPong(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.ended.append((wasClean, code, reason))
        super().onClose(wasClean, code, reason)


# Autobahn's own bases do not agree on types, which mypy tells whoever has more than one base.
class Echo(Recording, EchoProtocol):  # type: ignore[misc]
    """As the server does it."""


class PlainEcho(Recording, PlainEchoProtocol):  # type: ignore[misc]
    """As Autobahn does it."""


@dataclass(frozen=True)
class Setup:
    """What a server allows; None is what it allows by default."""

    no_limits: bool = False
    accept_binary: bool = False
    max_message_bytes: int | None = None
    max_fragments: int | None = None


DEFAULT: Final = Setup()
UNLIMITED: Final = Setup(no_limits=True, accept_binary=True, max_message_bytes=0, max_fragments=0)


@dataclass(frozen=True)
class Outcome:
    """All of a connection that can be seen at its client and at its hub."""

    received: bytes
    """What the client got after the opening handshake."""
    end: str
    """Who ended it: the client ("left"), or the server ("closed", "aborted")."""
    events: tuple[tuple[str, bytes], ...]
    """What the protocol was told: messages, pings and pongs, in order."""
    ended: tuple[tuple[bool, int | None, str | None], ...]
    """What onClose was told, once for every time."""


class Socket(FileDescriptor):
    """The buffer of Twisted's transports, and a client that reads everything once in a turn."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(cast(Any, clock))
        self._clock = clock
        self.connected = 1
        self.received = b""
        self.end = "left"
        self._has_to_write = False

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 50000)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 8080)

    def startWriting(self) -> None:
        self._has_to_write = True

    def stopWriting(self) -> None:
        self._has_to_write = False

    def startReading(self) -> None:
        """There is no reactor to be told."""

    def stopReading(self) -> None:
        """There is no reactor to be told."""

    def writeSomeData(self, data: bytes) -> int:
        self.received += data
        return len(data)

    def write(self, data: bytes) -> None:
        # TLS has no use for anything that comes after loseConnection: whoever depends on it is wrong.
        if not self.disconnecting:
            super().write(data)

    def loseConnection(self) -> None:
        if self.end == "left":
            self.end = "closed"
        super().loseConnection()

    def abortConnection(self) -> None:
        # As with TCP, what has been written since the last turn is gone.
        self.end = "aborted"
        self.connected = 0
        self.stopWriting()

    def turn(self) -> None:
        """What a reactor does before it reads again."""
        self._clock.advance(0)
        while self._has_to_write:
            # What this returns at the end of a connection is for `Connection.finish`.
            self.doWrite()


@cache
def parsed(setup: Setup) -> Options:
    """The options of a server; there are few, and many connections."""
    options = Options({})
    options.parseOptions(["--ping-interval=0", *(["--no-limits"] if setup.no_limits else [])])
    if setup.max_message_bytes is not None:
        # Shorter or longer than any that may be asked for.
        options["max-message-bytes"] = setup.max_message_bytes
    return options


class Server:
    """A server without a port, whose hub is an echo."""

    def __init__(self, kind: type[Recording], setup: Setup) -> None:
        self.clock = Clock()
        parts = assemble(parsed(setup), self.clock, lambda hub: {})
        self.factory, self._closers = parts.websocket, parts.closers
        self.factory.hub = cast(Hub, EchoHub())
        self.factory.protocol = kind
        self.factory.accept_binary = setup.accept_binary
        if setup.max_fragments is not None:
            self.factory.max_fragments = setup.max_fragments
        # Autobahn would set its timers in the real reactor.
        self.factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)

    def close(self) -> None:
        """Close the files that it has open."""
        for close in self._closers:
            close()


class Connection:
    """One connection of a client, from the opening handshake on."""

    def __init__(self, server: Server) -> None:
        self.socket = Socket(server.clock)
        protocol = server.factory.buildProtocol(self.socket.getPeer())
        assert isinstance(protocol, Recording)
        self.protocol: Recording = protocol
        # What the site does before it hands a connection over.
        server.factory.entrance.check(self.socket, "192.0.2.1", False, {}, {})
        protocol.makeConnection(self.socket)

    def receive(self, segment: bytes) -> None:
        """One segment of TCP comes, and is all that comes in this turn of the reactor."""
        # What comes after loseConnection is read all the same where there is TLS.
        if self.socket.end != "aborted":
            self.protocol.dataReceived(segment)
            self.socket.turn()

    def finish(self) -> Outcome:
        """The client leaves, if the server has not ended the connection; what has become of it."""
        socket, protocol = self.socket, self.protocol
        protocol.connectionLost(
            Failure(ConnectionAborted() if socket.end == "aborted" else ConnectionDone())
        )
        socket.turn()
        head, separator, received = socket.received.partition(b"\r\n\r\n")
        # An answer to the handshake that was written in the turn of an abort is gone as well.
        assert (head.startswith(b"HTTP/1.1 101 ") and separator) or socket.end == "aborted"
        return Outcome(received, socket.end, tuple(protocol.events), tuple(protocol.ended))


def outcome(kind: type[Recording], segments: Iterable[bytes], setup: Setup = UNLIMITED) -> Outcome:
    """What becomes of a connection over which these segments come after the opening handshake."""
    return outcome_from_the_start(kind, [UPGRADE, *segments], setup)


def outcome_from_the_start(
    kind: type[Recording], segments: Iterable[bytes], setup: Setup = UNLIMITED
) -> Outcome:
    """The same where the request for the opening handshake is in the segments."""
    return outcomes_side_by_side(kind, [segments], setup)[0]


def outcomes_side_by_side(
    kind: type[Recording], streams: Sequence[Iterable[bytes]], setup: Setup = UNLIMITED
) -> list[Outcome]:
    """The same of several connections to one server, whose segments come in turn."""
    server = Server(kind, setup)
    connections = [Connection(server) for _ in streams]
    for segments in zip_longest(*streams):
        for connection, segment in zip(connections, segments, strict=True):
            if segment is not None:
                connection.receive(segment)
    results = [connection.finish() for connection in connections]
    server.close()
    return results


def both(segments: Sequence[bytes], setup: Setup = UNLIMITED, what: str = "") -> Outcome:
    """Assert that the server does with these segments what Autobahn does; what that is."""
    plain = outcome(PlainEcho, segments, setup)
    assert outcome(Echo, segments, setup) == plain, what
    return plain


SLOWLY: Final = 600
"""So many bytes at the start and at the end of a stream come one by one."""


def byte_by_byte(stream: bytes) -> list[bytes]:
    """Segments of one byte; but for the middle of a long stream, which is payload and comes faster."""
    middle = stream[SLOWLY : max(SLOWLY, len(stream) - SLOWLY)]
    pieces = [middle[at : at + 997] for at in range(0, len(middle), 997)]
    start, rest = stream[:SLOWLY], stream[SLOWLY + len(middle) :]
    return [*(bytes([byte]) for byte in start), *pieces, *(bytes([byte]) for byte in rest)]


def frame_by_frame(stream: bytes, *, heads: bool = False) -> list[bytes]:
    """Segments of one frame, as far as there are whole ones; with `heads`, each head is one by itself."""
    segments, start = [], 0
    while len(stream) - start >= 2:
        code = stream[start + 1] & 0x7F
        head = start + 2 + {126: 2, 127: 8}.get(code, 0)
        length = code if code < 126 else int.from_bytes(stream[start + 2 : head], "big")
        head += 4 if stream[start + 1] & 0x80 else 0
        end = min(head + length, len(stream))
        segments += [stream[start:head], stream[head:end]] if heads else [stream[start:end]]
        start = end
    return [segment for segment in (*segments, stream[start:]) if segment]

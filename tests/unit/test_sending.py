"""What is sent is gathered for a turn of the reactor, keeps its order, and survives whoever vanishes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs

from cctvsignal.access import ANYONE
from cctvsignal.entrance import Visitor
from cctvsignal.sending import TRANSPORT_BUFFER, Outbox, Sender
from tests.assembled import assembled

MANY = 4 * 1024 * 1024
"""More bytes than a socket takes at once."""


class Reactor(Clock):
    """Remembers who wants to know when a socket has room."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        """Nothing is read here."""

    def removeReader(self, reader: Any) -> None:
        """Nothing is read here."""

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def turn(self) -> None:
        """The current turn ends."""
        self.advance(0)

    def write(self) -> None:
        """All sockets have room, or so it seems."""
        for writer in list(self.writers):
            lost = writer.doWrite()
            if lost:
                self.writers.discard(writer)
                writer.lost = lost


class Line(Connection):
    """Twisted's end of a pair of sockets; `other` is the client's."""

    lost: Any = None

    def __init__(self, reactor: Reactor) -> None:
        own, self.other = socket.socketpair()
        for end in (own, self.other):
            end.setblocking(False)
        super().__init__(own, None, reactor)  # type: ignore[arg-type]
        self.connected = 1

    def getPeer(self) -> str:
        return "client"

    def read(self) -> bytes:
        """All that has come to the client."""
        found = b""
        try:
            while piece := self.other.recv(1 << 20):
                found += piece
        except BlockingIOError:
            pass
        return found


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def line(reactor: Reactor) -> Iterator[Line]:
    line = Line(reactor)
    yield line
    line.socket.close()
    line.other.close()


@pytest.fixture
def sender(reactor: Reactor, line: Line) -> Sender:
    return Sender(Outbox(reactor, 65536), line, pytest.fail)


def test_what_a_turn_brings_goes_out_in_one_piece_without_asking_the_reactor(
    reactor: Reactor, line: Line, sender: Sender
) -> None:
    for piece in (b"one", b"two", b"three"):
        sender.send(piece)
    assert line.read() == b""
    reactor.turn()
    assert line.read() == b"onetwothree"
    assert not reactor.writers
    assert not reactor.getDelayedCalls()


def test_each_turn_sends_what_is_new(reactor: Reactor, line: Line, sender: Sender) -> None:
    for piece in (b"one", b"two"):
        sender.send(piece)
        reactor.turn()
        assert line.read() == piece


def test_what_the_socket_does_not_take_comes_later_in_its_order(
    reactor: Reactor, line: Line, sender: Sender
) -> None:
    pieces = [bytes([number]) * (MANY // 8) for number in range(8)]
    for piece in pieces:
        sender.send(piece)
        sender.send(b"and a little more")
    reactor.turn()
    assert reactor.writers
    came = line.read()
    sender.send(b"the last")
    reactor.turn()
    while reactor.writers:
        reactor.write()
        came += line.read()
    assert came == b"".join(piece + b"and a little more" for piece in pieces) + b"the last"
    sender.send(b"again at once")
    reactor.turn()
    assert line.read() == b"again at once"


def test_no_more_is_gathered_than_a_transport_holds(line: Line, sender: Sender) -> None:
    sender.send(bytes(TRANSPORT_BUFFER))
    assert line.read() == b""
    sender.send(b"x")
    assert len(line.read()) == TRANSPORT_BUFFER + 1


def test_who_vanishes_while_something_is_sent_is_noticed_by_the_transport(
    reactor: Reactor, line: Line, sender: Sender
) -> None:
    sender.send(b"hello")
    line.other.close()
    reactor.turn()
    reactor.write()
    assert isinstance(line.lost, ConnectionLost)
    sender.send(b"anybody there?")
    reactor.turn()


def test_nothing_is_sent_when_the_connection_is_over(reactor: Reactor, line: Line, sender: Sender) -> None:
    sender.send(b"hello")
    sender.end()
    line.connected = 0
    reactor.turn()
    sender.send(b"hello")
    reactor.turn()
    assert line.read() == b""
    assert not reactor.writers


def test_one_that_cannot_send_takes_no_other_along(reactor: Reactor, line: Line) -> None:
    class Broken(StringTransport):
        def write(self, data: bytes) -> None:
            raise ValueError("of the test")

    outbox = Outbox(reactor, 65536)
    broken, sender = Sender(outbox, Broken(), pytest.fail), Sender(outbox, line, pytest.fail)
    for turn in (b"one", b"two"):
        broken.send(turn)
        sender.send(turn)
        with capturedLogs() as events:
            reactor.turn()
        assert line.read() == turn
        assert [str(event["log_failure"].value) for event in events] == ["of the test"]


def test_what_is_no_plain_socket_gets_one_write_for_a_turn(reactor: Reactor) -> None:
    written: list[bytes] = []

    class Transport(StringTransport):
        def write(self, data: bytes) -> None:
            written.append(data)

    sender = Sender(Outbox(reactor, 65536), Transport(), pytest.fail)
    for piece in (b"one", b"two"):
        sender.send(piece)
    reactor.turn()
    assert written == [b"onetwo"]


def test_a_close_frame_is_sent_before_the_connection_is_aborted(reactor: Reactor, line: Line) -> None:
    factory = assembled(reactor).websocket
    connection = factory.open(line, Visitor("192.0.2.1", ANYONE))
    reactor.turn()
    line.read()
    connection.close(4409, "replaced")
    connection.abort()
    assert line.read() == b"\x88\x0a\x11\x39replaced"

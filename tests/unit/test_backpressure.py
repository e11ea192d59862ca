"""Clients that read slowly, and those that do not read: when a connection is cut off."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.task import Clock

from cctvsignal.access import ANYONE
from cctvsignal.entrance import Visitor
from cctvsignal.sending import MAX_UNSENT_BYTES, MAX_UNSENT_SECONDS, TRANSPORT_BUFFER
from cctvsignal.websocket import SignalingFactory, SignalingProtocol
from tests.assembled import assembled

KIB = 1024


class Socket(FileDescriptor):
    """The buffer of Twisted's transports, and a client that reads what the test says."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.connected = 1
        self.bufferSize = TRANSPORT_BUFFER
        self.room = 0
        """How many bytes there is place for at the client."""
        self.aborted = False

    def getPeer(self) -> str:
        return "client"

    def startWriting(self) -> None:
        """Nothing is written before the test says so."""

    def stopWriting(self) -> None:
        """All is written."""

    def writeSomeData(self, data: bytes) -> int:
        written = min(self.room, len(data))
        self.room -= written
        return written

    def abortConnection(self) -> None:
        self.aborted = True

    def is_read(self, size: int) -> None:
        self.room = size
        self.doWrite()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def factory(clock: Clock) -> SignalingFactory:
    return assembled(clock, "--ping-interval=0").websocket


def connection(factory: SignalingFactory, clock: Clock) -> tuple[SignalingProtocol, Socket]:
    socket = Socket(clock)
    protocol = factory.open(socket, Visitor("192.0.2.1", ANYONE))
    clock.advance(0)
    socket.is_read(KIB)
    return protocol, socket


def test_who_reads_all_in_time_is_never_cut_off(factory: SignalingFactory, clock: Clock) -> None:
    protocol, socket = connection(factory, clock)
    for _ in range(100):
        protocol.sendData(bytes(60 * KIB))
        socket.is_read(60 * KIB)
        socket.is_read(1)
        clock.advance(5)
    assert not socket.aborted
    assert factory.outbox.unsent == 0
    assert not clock.getDelayedCalls()


def test_who_reads_slowly_is_not_cut_off_for_its_time(factory: SignalingFactory, clock: Clock) -> None:
    protocol, socket = connection(factory, clock)
    protocol.sendData(bytes(300 * KIB))
    for _ in range(50):
        clock.advance(MAX_UNSENT_SECONDS - 1)
        socket.is_read(10 * KIB)
        protocol.sendData(bytes(10 * KIB))
    assert not socket.aborted
    # Nor for all that it has been sent by then, but for what waits.
    assert factory.outbox.unsent <= 310 * KIB


def test_who_reads_nothing_for_10_seconds_is_cut_off(factory: SignalingFactory, clock: Clock) -> None:
    protocol, socket = connection(factory, clock)
    protocol.sendData(bytes(TRANSPORT_BUFFER + 1))
    for _ in range(8):
        clock.advance(1)
        protocol.sendData(b"more")
    assert not socket.aborted
    clock.advance(MAX_UNSENT_SECONDS)
    assert socket.aborted
    assert factory.outbox.unsent == 0


def test_who_leaves_a_mebibyte_unread_is_cut_off_at_once(factory: SignalingFactory, clock: Clock) -> None:
    protocol, socket = connection(factory, clock)
    sent = 0
    while not socket.aborted:
        protocol.sendData(bytes(60 * KIB))
        sent += 60 * KIB
    assert MAX_UNSENT_BYTES < sent <= MAX_UNSENT_BYTES + 60 * KIB
    clock.advance(0)
    assert not clock.getDelayedCalls()


def test_all_together_leave_no_more_than_64_mebibytes(factory: SignalingFactory, clock: Clock) -> None:
    parties = [connection(factory, clock) for _ in range(100)]
    for _ in range(15):
        for protocol, socket in parties:
            if not socket.aborted:
                protocol.sendData(bytes(64 * KIB))
            assert factory.outbox.unsent <= 64 * KIB * KIB
    assert 0 < sum(socket.aborted for _, socket in parties) < 100

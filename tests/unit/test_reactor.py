"""The server's own reactor does with each event what Twisted's does."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

if sys.platform != "linux":
    pytest.skip("epoll is Linux's", allow_module_level=True)

from cctvsignal.reactor import BareEPollReactor


class End(FileDescriptor):
    """One end of a pair of sockets that does what the test says when there is something to read."""

    def __init__(self, reactor: Any, read: Callable[[], Any]) -> None:
        super().__init__(reactor)
        self.own, self.other = socket.socketpair()
        self.connected = 1
        self.read = read
        self.lost: list[Failure] = []
        self.startReading()

    def fileno(self) -> int:
        return self.own.fileno()

    def doRead(self) -> Any:
        return self.read()

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self.lost.append(reason)

    def close(self) -> None:
        if not self.lost:
            self.stopReading()
        self.own.close()
        self.other.close()


@pytest.fixture
def reactor() -> Iterator[Any]:
    reactor = BareEPollReactor()
    yield reactor
    for reader in reactor.removeAll():
        reader.close()
    reactor._poller.close()
    reactor._uninstallHandler()


def test_an_error_in_one_connection_is_logged_and_ends_this_one_only(reactor: Any) -> None:
    def fail() -> None:
        raise ValueError("of the test")

    heard: list[bytes] = []
    bad = End(reactor, fail)
    good = End(reactor, lambda: heard.append(good.own.recv(10)))
    for end in (bad, good):
        end.other.send(b"hello")
    with capturedLogs() as events:
        reactor.doIteration(1)
    assert heard == [b"hello"]
    assert [type(reason.value) for reason in bad.lost] == [ValueError]
    assert not good.lost
    assert [str(event["log_failure"].value) for event in events] == ["of the test"]


def test_who_was_ended_by_another_one_in_the_same_turn_is_not_read(reactor: Any) -> None:
    ends: list[End] = []

    def end_the_others() -> None:
        for end in ends:
            if end is not ends[0]:
                end.stopReading()

    ends += [End(reactor, end_the_others), End(reactor, lambda: pytest.fail("it was ended"))]
    for end in ends:
        end.other.send(b"hello")
    reactor.doIteration(1)


def test_what_a_connection_returns_ends_it(reactor: Any) -> None:
    end = End(reactor, lambda: ConnectionDone())
    end.other.send(b"hello")
    reactor.doIteration(1)
    assert [type(reason.value) for reason in end.lost] == [ConnectionDone]


def test_a_connection_that_is_over_at_the_other_end_is_lost(reactor: Any) -> None:
    end = End(reactor, lambda: None)
    end.stopReading()
    end.startWriting()
    end.other.close()
    reactor.doIteration(1)
    assert len(end.lost) == 1

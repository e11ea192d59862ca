"""A listener whose endpoint takes its time, and what is said when it fails."""

from __future__ import annotations

import sys
from collections.abc import Callable
from socket import SHUT_RDWR
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from cctvsignal.service import CannotStart, Listener
from tests.live import deadline, turn

TAKEN = CannotListenError("", 8080, OSError(98, "Address already in use"))


class Endpoint:
    """Listens when the test says so."""

    def __init__(self, listening: Deferred[Any]) -> None:
        self.listening = listening

    def listen(self, factory: Factory) -> Deferred[Any]:
        return self.listening


def listener(listening: Deferred[Any]) -> Listener:
    made = Listener(MemoryReactorClock(), "tcp:8080", Factory())
    made._endpoint = Endpoint(listening)
    return made


def said(act: Callable[[], object]) -> list[str]:
    with capturedLogs() as events:
        act()
    return [formatEvent(event) for event in events]


def test_an_endpoint_that_fails_at_once_stops_the_start() -> None:
    with pytest.raises(CannotStart, match=r"cannot listen on tcp:8080: .*Address already in use"):
        listener(fail(TAKEN)).startService()


def test_an_endpoint_that_fails_later_says_so() -> None:
    listening: Deferred[Any] = Deferred()
    late = listener(listening)
    assert said(late.startService) == []
    [line] = said(lambda: listening.errback(TAKEN))
    assert line.startswith("cannot listen on tcp:8080: ")
    assert "Address already in use" in line
    assert "restart" in line


def test_an_endpoint_that_is_still_opening_is_given_up_when_the_server_stops() -> None:
    cancelled: list[Deferred[Any]] = []
    listening: Deferred[Any] = Deferred(cancelled.append)
    opening = listener(listening)
    opening.startService()
    assert said(opening.stopService) == []
    assert cancelled == [listening]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, a listening socket cannot be shut down")
@deadline()
async def test_a_port_that_the_system_closes_says_so_once_and_one_that_is_stopped_does_not() -> None:
    kept, lost = (Listener(reactor, "tcp:0:interface=127.0.0.1", Factory()) for _ in range(2))
    with capturedLogs() as events:
        for each in (kept, lost):
            each.startService()
        port: Any = lost.port
        # As when somebody ends sockets from outside, by `ss --kill`.
        port.socket.shutdown(SHUT_RDWR)
        while port.connected:
            await turn()
        await maybeDeferred(kept.stopService)
        await maybeDeferred(lost.stopService)
    loud = (LogLevel.warn, LogLevel.error, LogLevel.critical)
    [line] = [formatEvent(event) for event in events if event["log_level"] in loud]
    assert line.startswith("nothing listens on tcp:0:interface=127.0.0.1 any more: ")
    assert "restart" in line

"""Twisted's epoll reactor with a monotonic clock, and without what each event costs for an old log.

Before it handles an event, Twisted's own notes which connection it is for, so that lines of the log of old
times could name it. That costs more than to read a message from the connection. The errors of an event are
handled as before.
"""

from __future__ import annotations

import time
from select import EPOLLIN
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.logger import Logger

log = Logger()


class BareEPollReactor(EPollReactor):
    """Calls what an event is for, and nothing around it."""

    seconds = staticmethod(time.monotonic)

    def doPoll(self, timeout: float | None) -> None:
        poller: Any = self._poller
        selectables: dict[int, Any] = self._selectables
        for descriptor, event in poller.poll(timeout, len(selectables)):
            # One that was handled before may have ended this one.
            selectable = selectables.get(descriptor)
            if selectable is None:
                continue
            if event != EPOLLIN:
                self._doReadOrWrite(selectable, descriptor, event)
                continue
            try:
                ended = selectable.doRead()
            except BaseException as error:
                ended = error
                log.failure("an error while a connection was read ends it")
            if ended:
                self._disconnectSelectable(selectable, ended, True)

    doIteration = doPoll


def install() -> None:
    """Make it the reactor of this process; it cannot be changed later."""
    installReactor(BareEPollReactor())

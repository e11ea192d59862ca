"""Pings of all connections, and whether they are answered (RFC 6455, section 5.5.2)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Protocol

from .timers import Clock, Deadlines

PING_SLACK: Final = 0.1
"""How much later than others, in seconds, a connection may be pinged together with them."""


class Pinged(Hashable, Protocol):
    """A connection."""

    def ping(self) -> None:
        """Send a ping."""
        ...

    def onAutoPingTimeout(self) -> None:
        """No pong came in time: end the connection."""
        ...


class Heartbeat:
    """Pings every `interval` seconds (0: never) and waits `timeout` seconds for a pong (0: any time)."""

    def __init__(self, clock: Clock, interval: float, timeout: float) -> None:
        self._interval, self._timeout = interval, timeout
        self._pings: Deadlines[Pinged] = Deadlines(clock, interval, self._ping, PING_SLACK)
        """When connections are pinged again."""
        self._pongs: Deadlines[Pinged] = Deadlines(clock, timeout, lambda late: late.onAutoPingTimeout())
        """Until when connections have to answer a ping."""

    def start(self, connection: Pinged) -> None:
        """A connection is open."""
        if self._interval:
            self._pings.start(connection)

    def pong(self, connection: Pinged) -> None:
        """A connection has answered a ping, if it was sent one."""
        if self._pongs.stop(connection):
            self._pings.start(connection)

    def stop(self, connection: Pinged) -> None:
        """A connection is over."""
        self._pings.stop(connection)
        self._pongs.stop(connection)

    def _ping(self, connection: Pinged) -> None:
        connection.ping()
        # Whoever sends, but never answers a ping, would never be found dead: only a pong counts.
        if self._timeout:
            self._pongs.start(connection)
        elif self._interval:
            self._pings.start(connection)

"""How many connections there may be, in all and of each address."""

from __future__ import annotations

from collections import Counter

from .addresses import key_of
from .limits import Buckets, Limits
from .timers import Clock

BUSY_SECONDS = 5
"""When to try again where it depends on others when there is place."""


class TooMany(Exception):
    """No more connections; the text says of what. `retry_after` is in seconds."""

    def __init__(self, text: str, retry_after: float) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Gate:
    """Counts connections. `capacity` is how many of them this process can have, 0: any number."""

    def __init__(self, clock: Clock, limits: Limits, capacity: int = 0) -> None:
        self._clock = clock
        self._limits = limits
        self._at_most = min((most for most in (limits.connections, capacity) if most), default=0)
        self._open: dict[object, str | None] = {}
        """By the transport: whose it is, as far as that is known and counted."""
        self._of: Counter[str] = Counter()
        self._connects, self._requests = Buckets(), Buckets()

    def enter(self, connection: object) -> None:
        """There is one more connection; raises `TooMany`."""
        if 0 < self._at_most <= len(self._open):
            raise TooMany("this server has all the connections that it can have", BUSY_SECONDS)
        self._open[connection] = None

    def comes_from(self, connection: object, address: str) -> None:
        """A connection that has entered comes from here; raises `TooMany`."""
        key, limits = key_of(address), self._limits
        self._forget(connection)
        if 0 < limits.connections_per_address <= self._of[key]:
            raise TooMany(f"there are too many connections from {key}", BUSY_SECONDS)
        wait = self._connects.take(key, limits.connects, self._clock.seconds())
        if wait:
            raise TooMany(f"connections from {key} come too fast", wait)
        self._of[key] += 1
        self._open[connection] = key

    def request(self, address: str) -> None:
        """There is an HTTP request from here; raises `TooMany`."""
        key = key_of(address)
        wait = self._requests.take(key, self._limits.requests, self._clock.seconds())
        if wait:
            raise TooMany(f"requests from {key} come too fast", wait)

    def leave(self, connection: object) -> None:
        """A connection is over. A second call does nothing."""
        self._forget(connection)
        self._open.pop(connection, None)

    def _forget(self, connection: object) -> None:
        """Count it for no address any more."""
        key = self._open.get(connection)
        if key is not None:
            self._open[connection] = None
            self._of[key] -= 1
            if not self._of[key]:
                del self._of[key]

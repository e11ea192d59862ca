"""Time for the rules: a clock that is handed in, and one timer for each of many."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, Protocol

LONGEST_SECONDS: Final = 86_400.0
"""No timer is set for longer: who waits longer is asked again."""


class Timer(Protocol):
    """A call that is going to be made."""

    def active(self) -> bool: ...
    def cancel(self) -> None: ...


class Clock(Protocol):
    """The part of Twisted's IReactorTime that the rules need. `seconds` are since the epoch."""

    def seconds(self) -> float: ...
    def callLater(self, delay: float, callable: Callable[..., Any], *args: object) -> Timer: ...


class Timers:
    """At most one timer for each key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers: dict[Hashable, Timer] = {}

    def set(self, key: Hashable, at: float, call: Callable[..., Any], *args: object) -> None:
        """Call at this time, in seconds of the clock, instead of what was set for this key before."""
        self.cancel(key)
        delay = max(0.0, at - self._clock.seconds())
        if delay > LONGEST_SECONDS:
            self._timers[key] = self._clock.callLater(LONGEST_SECONDS, self.set, key, at, call, *args)
        else:
            self._timers[key] = self._clock.callLater(delay, self._fire, key, call, *args)

    def cancel(self, key: Hashable) -> None:
        """Call nothing for this key, if anything was set."""
        timer = self._timers.pop(key, None)
        if timer is not None and timer.active():
            timer.cancel()

    def _fire(self, key: Hashable, call: Callable[..., Any], *args: object) -> None:
        del self._timers[key]
        call(*args)

"""Time for the rules: a clock that is handed in, and one timer for each of many."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)

LONGEST_SECONDS: Final = 86_400.0
"""No timer is set for longer: who waits longer is asked again."""


LATE_SECONDS: Final = 0.5
"""A timer that is called so much too late waits for one more turn of the reactor, which reads what has come
meanwhile: what a client has sent is not missing because the server was busy."""


class Timer(Protocol):
    """A call that is going to be made."""

    def active(self) -> bool: ...
    def cancel(self) -> None: ...


class Clock(Protocol):
    """The part of Twisted's IReactorTime that the rules need.

    `seconds` are since some moment and never go back: what time of day it is matters for tokens and
    credentials alone (`Policy.wall`).
    """

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
            self._timers[key] = self._clock.callLater(delay, self._due, key, at, call, *args)

    def cancel(self, key: Hashable) -> None:
        """Call nothing for this key, if anything was set."""
        timer = self._timers.pop(key, None)
        if timer is not None and timer.active():
            timer.cancel()

    def _due(self, key: Hashable, at: float, call: Callable[..., Any], *args: object) -> None:
        if self._clock.seconds() - at > LATE_SECONDS:
            self._timers[key] = self._clock.callLater(0, self._fire, key, call, *args)
        else:
            self._fire(key, call, *args)

    def _fire(self, key: Hashable, call: Callable[..., Any], *args: object) -> None:
        del self._timers[key]
        call(*args)


class Deadlines(Generic[K]):
    """The same time-out, in seconds, for each of many, with one timer for all.

    `call` is called with each key whose time is over, and up to `slack` seconds later where that spares a
    timer: to call many at once is cheaper than to wake up for each.
    """

    def __init__(
        self, clock: Clock, seconds: float, call: Callable[[K], object], slack: float = 0.0
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._call = call
        self._slack = slack
        self._due: dict[K, float] = {}
        """When each is due; who started last, is due last."""
        self._timer: Timer | None = None

    def start(self, key: K) -> None:
        """Call for this key when its time is over, which starts anew if it was started before."""
        self._due.pop(key, None)
        now = self._clock.seconds()
        self._due[key] = now + self._seconds
        if self._timer is None:
            self._wait(self._seconds, now)

    def stop(self, key: K) -> bool:
        """Do not call for this key; whether it had been started."""
        started = self._due.pop(key, None) is not None
        if not self._due and self._timer is not None and self._timer.active():
            self._timer.cancel()
            self._timer = None
        return started

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, key: K) -> bool:
        """Whether this key is going to be called for."""
        return key in self._due

    def first(self) -> K:
        """The key that is due first; there must be one."""
        return next(iter(self._due))

    def _wait(self, seconds: float, now: float) -> None:
        self._timer = self._clock.callLater(seconds, self._look, now + seconds)

    def _look(self, at: float) -> None:
        now = self._clock.seconds()
        if now - at > LATE_SECONDS:
            self._wait(0, now)
            return
        try:
            while self._due:
                key, due = next(iter(self._due.items()))
                if due > now:
                    break
                del self._due[key]
                self._call(key)
        finally:
            self._timer = None
            if self._due:
                self._wait(max(self._slack, next(iter(self._due.values())) - now), now)

"""One rising line of time from stamps that may wrap, step back or jump: the rule, without I/O."""

from __future__ import annotations

from typing import Final

JUMP_SECONDS: Final = 10.0
"""So far stamps may be from the time at which they arrive: packets that a network kept back are late."""
DRIFT: Final = 0.001
"""And by this part of the time that has passed: clocks of cameras are off by far less."""
REORDER_SECONDS: Final = 0.5
"""So far stamps of video may step back: pictures come in the order in which they are decoded."""
_WRAP: Final = 1 << 32
"""Times in RTP have 32 bits and begin anywhere (RFC 3550, section 5.1)."""


class Timeline:
    """Where packets are in time, of an origin whose stamps have `clock` ticks a second.

    The first stamp is where the line begins. What lies between stamps is kept as it is, even over a
    wrap, while it is plausible: not back by more than `reorder` seconds, and not further from the time of
    arrival than `JUMP_SECONDS` and `DRIFT` allow. Else the origin has begun anew, or its clock is wrong,
    and the line goes on at the time of arrival. No two packets have the same time.
    """

    def __init__(self, clock: int, reorder: float) -> None:
        self._clock = clock
        self._reorder = reorder * clock
        self._stamp = 0
        """The last stamp as it came."""
        self._line = 0
        """Where that is on the line."""
        self._last = 0
        """The last time that was given out."""
        self._begin = 0
        self._begun: float | None = None
        self.jumps = 0
        """How often stamps were not believed."""

    def place(self, stamp: int, now: float) -> int:
        """The time on the line of a packet that arrives `now`, in seconds of a steady clock."""
        if self._begun is None:
            self._begun, self._begin = now, stamp
            self._stamp = self._line = self._last = stamp
            return stamp
        step = (stamp - self._stamp + _WRAP // 2) % _WRAP - _WRAP // 2
        passed = now - self._begun
        arrival = self._begin + round(passed * self._clock)
        line = self._line + step
        bound = (JUMP_SECONDS + DRIFT * passed) * self._clock
        if step < -self._reorder or abs(line - arrival) > bound:
            self.jumps += 1
            line = max(arrival, self._last + 1)
        self._stamp, self._line = stamp, line
        self._last = max(line, self._last + 1)
        return self._last

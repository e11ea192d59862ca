"""How fast to send: what viewers report of their paths (REMB), to one bitrate for all of them.

The policy. An encoder is shared, so its bitrate is one for all who watch. It follows the smallest estimate
down, but never below the floor, and climbs back to the ceiling when nobody reports less than is sent. An
estimate counts only while it is below what is sent, because receivers cannot know that a path could take
more, and only if it has fallen to that, or packets are lost: libwebrtc's estimates begin low and climb for
half a minute on any path.
A viewer whose path does not even take the floor gets keyframes only, so that it costs the others nothing.
After a while it is given all again; if that fails, the next try comes later. Where nobody can lower the
bitrate (a source that is passed on as it is), a viewer that reports less than is sent gets keyframes only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

CLIMB_PER_SECOND: Final = 0.08
WINDOW_SECONDS: Final = 2.0
"""The best estimate of so long counts: bursts and busy receivers lower single ones without need."""
FIRST_REST_SECONDS: Final = 10.0
LONGEST_REST_SECONDS: Final = 120.0
TOLERANCE: Final = 0.9
"""An estimate is noisy: a little below what is sent is not below."""
FALL: Final = 0.97
CONGESTED_SECONDS: Final = 1.0
"""Signs of congestion must go on for so long before a viewer gets keyframes only."""
LOSS: Final = 0.1
"""More than this is lost on no path that is not congested."""


class ViewerRate:
    """What one viewer can take. Times are seconds of any steady clock, rates are bits a second."""

    def __init__(self) -> None:
        self._reports: deque[tuple[float, float]] = deque()
        self._first_sign = self._last_sign = float("-inf")
        self._rests_until: float | None = None
        self._rest_seconds = FIRST_REST_SECONDS
        self.limit: float | None = None
        """What the encoder should not exceed for this viewer's sake, if anything."""

    def estimate(self, bitrate: float, sent: float, floor: float | None, now: float) -> None:
        """The viewer reports that its path takes `bitrate`, while `sent` is sent to all.

        `floor` is the least that the encoder can be told to make; None where nobody can tell it.
        """
        if self._rests_until is not None:
            return  # What it reports now is what little it gets.
        enough = sent * TOLERANCE
        if self._reports and bitrate < self._reports[-1][1] * FALL:
            self._sign(now)
        self._reports.append((now, bitrate))
        while self._reports[0][0] < now - WINDOW_SECONDS:
            self._reports.popleft()
        best = max(report for _, report in self._reports)
        congested = now - self._last_sign <= WINDOW_SECONDS
        self.limit = best if congested and best < enough else None
        too_slow = self.limit is not None and (floor is None or best < floor)
        if too_slow and self._last_sign - self._first_sign >= CONGESTED_SECONDS:
            self._rests_until = now + self._rest_seconds
            self._rest_seconds = min(2 * self._rest_seconds, LONGEST_REST_SECONDS)
            self._last_sign, self.limit = float("-inf"), None
            self._reports.clear()

    def lost(self, fraction: float, now: float) -> None:
        """The viewer reports that this part of what was sent has not arrived (RFC 3550, section 6.4.1)."""
        if fraction > LOSS and self._rests_until is None:
            self._sign(now)

    def keyframes_only(self, now: float) -> bool:
        """Whether this viewer gets keyframes only at this time."""
        if self._rests_until is not None and now >= self._rests_until:
            self._rests_until = None
        return self._rests_until is not None

    def _sign(self, now: float) -> None:
        """There is a sign of congestion."""
        if now - self._last_sign > WINDOW_SECONDS:
            self._first_sign = now
        self._last_sign = now


class SharedBitrate:
    """The bitrate of one encoder: between `floor` and `ceiling`."""

    def __init__(self, floor: int, ceiling: int) -> None:
        self.floor = floor
        self.ceiling = ceiling
        self.target = ceiling
        self._updated: float | None = None

    def update(self, limits: Iterable[float | None], now: float) -> int:
        """The new target for these limits."""
        before, self._updated = self._updated, now
        lowest = min((limit for limit in limits if limit is not None), default=None)
        if lowest is not None:
            self.target = max(self.floor, min(self.target, int(lowest)))
        elif before is not None:
            grown = self.target * (1 + CLIMB_PER_SECOND * (now - before))
            self.target = min(self.ceiling, int(grown))
        return self.target

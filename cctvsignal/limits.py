"""How much of everything one client, address or room may have: token buckets and what they hold.

A bucket is one number, the time at which it is full again (a "generic cell rate algorithm"): cheap enough
for every message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from .messages import AnyClientMessage, Auth, IceCandidate, Join, Leave

PATIENCE: Final = 30
"""So many refused messages in a row, and the connection is closed."""


class Rate(NamedTuple):
    """So many each second, and so many at once; a rate of 0 is no limit."""

    per_second: float
    burst: float

    def __str__(self) -> str:
        return f"{self.per_second:g}/{self.burst:g}" if self.per_second else "0"


UNLIMITED: Final = Rate(0, 0)


@dataclass(frozen=True)
class Limits:
    """All limits of a server; 0 is none."""

    messages: Rate = UNLIMITED
    """Messages and pings of one connection, but for candidates."""
    candidates: Rate = UNLIMITED
    """ICE candidates of one connection."""
    message_bytes: Rate = UNLIMITED
    """Bytes of messages of one connection."""
    joins: Rate = UNLIMITED
    """Messages `join`, `leave` and `auth` of one identity, or of one address where there are none."""
    connects: Rate = UNLIMITED
    """New connections of one address."""
    connections_per_address: int = 0
    connections: int = 0


class Bucket:
    """What is left of a rate. Times are in seconds of any one clock."""

    __slots__ = ("_full_at",)

    def __init__(self) -> None:
        self._full_at = 0.0

    def take(self, rate: Rate, amount: float, now: float) -> float:
        """Take this much out of it, and return 0; or nothing, and return how many seconds to wait."""
        if not rate.per_second:
            return 0.0
        full_at = max(self._full_at, now) + amount / rate.per_second
        wait = full_at - now - rate.burst / rate.per_second
        # Sums of fractions of seconds are not exact.
        if wait > 1e-6:
            return wait
        self._full_at = full_at
        return 0.0

    def is_full(self, now: float) -> bool:
        """Whether nothing has been taken that is not there again."""
        return self._full_at <= now


class Buckets:
    """One bucket for each of many keys; full ones are forgotten."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._sweep_at = 1024

    def take(self, key: str, rate: Rate, now: float) -> float:
        """As `Bucket.take`, for one of the bucket of this key."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._sweep_at:
                self._sweep(now)
            bucket = self._buckets[key] = Bucket()
        return bucket.take(rate, 1, now)

    def _sweep(self, now: float) -> None:
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if not bucket.is_full(now)}
        self._sweep_at = max(1024, 2 * len(self._buckets))


class Meter:
    """What one connection has used up. `joins` are those of all connections."""

    __slots__ = ("_bytes", "_candidates", "_joins", "_limits", "_messages", "_refused")

    def __init__(self, limits: Limits, joins: Buckets) -> None:
        self._limits = limits
        self._joins = joins
        self._messages = Bucket()
        self._candidates = Bucket()
        self._bytes = Bucket()
        self._refused = 0

    def message(self, message: AnyClientMessage | None, size: int, who: str, now: float) -> float:
        """Count a message (None: one that is no message), and return how many seconds it comes too early.

        `size` is in bytes, `who` is the identity or address whose message this is.
        """
        limits = self._limits
        if isinstance(message, IceCandidate):
            wait = self._candidates.take(limits.candidates, 1, now)
        else:
            wait = self._messages.take(limits.messages, 1, now)
            if not wait and isinstance(message, Join | Leave | Auth):
                wait = self._joins.take(who, limits.joins, now)
        wait = wait or self._bytes.take(limits.message_bytes, size, now)
        self._refused = self._refused + 1 if wait else 0
        return wait

    def control_frame(self, now: float) -> bool:
        """Count a ping or pong; whether it is one too many."""
        return self._messages.take(self._limits.messages, 1, now) > 0

    @property
    def is_out_of_patience(self) -> bool:
        """Whether this client goes on and on, although it was told to wait."""
        return self._refused > PATIENCE

"""How much of everything one client, address or room may have: token buckets and what they hold.

A bucket is one number, the time at which it is full again (a "generic cell rate algorithm"): cheap enough
for every message.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from .messages import AnyClientMessage, Auth, IceCandidate, Join, Leave

ROUNDING: Final = 1e-6
"""So many seconds are none."""
PATIENCE: Final = 30
"""So many refused messages in a row, and the connection is closed."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many each second, and so many at once; a rate of 0 is no limit."""

    per_second: float
    burst: float
    # Divided once, not for every message: how long one takes to come back, and how long all of them.
    seconds_each: float = field(init=False, repr=False)
    seconds_all: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds_each", 1 / self.per_second if self.per_second else 0.0)
        object.__setattr__(self, "seconds_all", self.burst * self.seconds_each)


_JOINING: Final = frozenset((Join, Leave, Auth))
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
    """Messages `join`, `leave` and `auth` of one identity at one address."""
    connects: Rate = UNLIMITED
    """New connections of one address."""
    requests: Rate = UNLIMITED
    """HTTP requests of one address, but for those that become WebSockets."""
    tokens: Rate = UNLIMITED
    """Wrong tokens of one address."""
    connections_per_address: int = 0
    connections: int = 0


class Bucket:
    """What is left of a rate. Times are in seconds of any one clock."""

    __slots__ = ("full_at",)

    def __init__(self) -> None:
        self.full_at = 0.0

    def take(self, rate: Rate, amount: float, now: float) -> float:
        """Take this much out of it, and return 0; or nothing, and return how many seconds to wait."""
        full_at = self.after(rate, amount, now)
        wait = full_at - now - rate.seconds_all
        # Sums of fractions of seconds are not exact.
        if wait > ROUNDING:
            return wait
        self.full_at = full_at
        return 0.0

    def after(self, rate: Rate, amount: float, now: float) -> float:
        """When it would be full again if this much were taken out of it."""
        full_at = self.full_at
        if full_at < now:
            full_at = now
        elif full_at > now + rate.seconds_all:
            full_at = self.full_at = now + rate.seconds_all  # The clock was set back.
        return full_at + amount * rate.seconds_each

    def give_back(self, rate: Rate, amount: float) -> None:
        """Undo that so much was taken."""
        self.full_at -= amount * rate.seconds_each

    def is_full(self, now: float) -> bool:
        """Whether nothing has been taken that is not there again."""
        return self.full_at <= now


class Buckets:
    """One bucket for each of many keys; full ones are forgotten."""

    def __init__(self) -> None:
        self._buckets: dict[Hashable, Bucket] = {}
        self._sweep_at = 1024

    def take(self, key: Hashable, rate: Rate, now: float) -> float:
        """As `Bucket.take`, for one of the bucket of this key."""
        return self.get(key, now).take(rate, 1, now)

    def get(self, key: Hashable, now: float) -> Bucket:
        """The bucket of this key."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._sweep_at:
                self._sweep(now)
            bucket = self._buckets[key] = Bucket()
        return bucket

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

    def message(
        self, message: AnyClientMessage | None, size: int, subject: str, address: str, now: float
    ) -> float:
        """Count a message (None: one that is no message), and return how many seconds it comes too early.

        `size` is in bytes; `subject` (empty without a token) and `address` say whose message this is.
        """
        limits, joins = self._limits, None
        kind = type(message)
        if kind is IceCandidate:
            own, rate = self._candidates, limits.candidates
        else:
            own, rate = self._messages, limits.messages
            if kind in _JOINING:
                joins = self._joins.get((subject, address), now)
        # All are looked at before anything is taken: whoever waits as long as it is told gets through.
        own_at = own.after(rate, 1, now)
        bytes_at = self._bytes.after(limits.message_bytes, size, now)
        wait = max(own_at - rate.seconds_all, bytes_at - limits.message_bytes.seconds_all) - now
        if joins is not None:
            joins_at = joins.after(limits.joins, 1, now)
            wait = max(wait, joins_at - limits.joins.seconds_all - now)
        if wait > ROUNDING:
            self._refused += 1
            return wait
        self._refused = 0
        own.full_at, self._bytes.full_at = own_at, bytes_at
        if joins is not None:
            joins.full_at = joins_at
        return 0.0

    def control_frame(self, now: float) -> bool:
        """Count a ping or pong; whether it is one too many."""
        return self._messages.take(self._limits.messages, 1, now) > 0

    @property
    def is_out_of_patience(self) -> bool:
        """Whether this client goes on and on, although it was told to wait."""
        return self._refused > PATIENCE

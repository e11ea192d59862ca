"""How often an address may have tokens checked: wrong ones cost a signature or a question to the owner."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .access import Identity, TooManyTokens
from .addresses import key_of
from .limits import Buckets, Rate
from .policy import Authenticate, Outcome
from .timers import Clock


class TokenChecks:
    """An `Authenticate` in front of another one. What a good token has taken is given back.

    So those who hold good tokens are never limited, however many share an address.
    """

    def __init__(self, authenticate: Authenticate, rate: Rate, clock: Clock) -> None:
        self._authenticate = authenticate
        self._rate = rate
        self._clock = clock
        self._buckets = Buckets()

    def __call__(self, token: str, address: str, done: Callable[[Outcome], None]) -> None:
        """Find out whose token this is."""
        key = key_of(address)
        wait = self._buckets.take(key, self._rate, self._clock.seconds())
        if wait:
            done(TooManyTokens(f"too many wrong tokens from {key}", wait))
        else:
            self._authenticate(token, address, partial(self._found, key, done))

    def _found(self, key: str, done: Callable[[Outcome], None], outcome: Outcome) -> None:
        if isinstance(outcome, Identity):
            self._buckets.get(key, self._clock.seconds()).give_back(self._rate, 1)
        done(outcome)

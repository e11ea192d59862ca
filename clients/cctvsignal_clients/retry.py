"""When to come back after a connection was lost (docs/protocol.md, section 2.6)."""

from __future__ import annotations

from typing import Final

BACKOFF_FIRST_SECONDS: Final = 1.0
BACKOFF_MOST_SECONDS: Final = 30.0
STABLE_SECONDS: Final = 10.0
"""A connection that held so long was a good one: the next wait is a short one again."""
REPLACED_SECONDS: Final = 60.0
"""After 4409 another camera has the id: come back late, if at all."""
CLOSE_REPLACED: Final = 4409
STAYS_AWAY_AFTER: Final = frozenset({1003, 1007, 1008, 1009, 4401, 4403})
"""Close codes after which to come back unchanged would end the same way (protocol.md, section 2.6)."""


def backoff(attempt: int, fraction: float) -> float:
    """Seconds to wait before attempt 0, 1, 2 ... to come back; `fraction` is random, from 0 to 1.

    Full jitter: many clients that lost the same server must not come back at the same time.
    """
    return fraction * min(BACKOFF_MOST_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(attempt, 10))


def pause(code: int | None, attempt: int, fraction: float) -> float | None:
    """Seconds until `backoff`'s attempt to come back after this close code (None: there was none).

    None means to stay away.
    """
    if code in STAYS_AWAY_AFTER:
        return None
    return (REPLACED_SECONDS if code == CLOSE_REPLACED else 0.0) + backoff(attempt, fraction)

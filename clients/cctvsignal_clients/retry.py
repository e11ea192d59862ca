"""When to come back after something was lost (docs/protocol.md, section 2.6)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

STABLE_SECONDS: Final = 10.0
"""A connection that held so long was a good one: the next wait is a short one again."""
REPLACED_SECONDS: Final = 60.0
"""After 4409 another camera has the id: come back late, if at all."""
CLOSE_REPLACED: Final = 4409
STAYS_AWAY_AFTER: Final = frozenset({1003, 1007, 1008, 1009, 4401, 4403, 4408})
"""Close codes after which to come back unchanged would end the same way (protocol.md, section 2.6)."""


@dataclass(frozen=True)
class Backoff:
    """How long to wait before each attempt to come back: longer each time, with full jitter.

    Many clients that lost the same server must not come back at the same time.
    """

    first_seconds: float = 1.0
    most_seconds: float = 30.0

    def seconds(self, attempt: int, fraction: float | None = None) -> float:
        """Seconds to wait before attempt 0, 1, 2 ...; `fraction` (from 0 to 1) is random unless given."""
        fraction = random.random() if fraction is None else fraction
        return fraction * min(self.most_seconds, self.first_seconds * 2.0 ** min(attempt, 10))

    def pause(self, code: int | None, attempt: int, fraction: float | None = None) -> float | None:
        """Seconds until an attempt to come back after this close code (None: there was none).

        None means to stay away.
        """
        if code in STAYS_AWAY_AFTER:
            return None
        return (REPLACED_SECONDS if code == CLOSE_REPLACED else 0.0) + self.seconds(attempt, fraction)

"""Log lines that strangers cause: one a minute of each kind, with how many more there were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .timers import Clock

QUIET_SECONDS: Final = 60.0
"""Between two lines of one kind."""


@dataclass(slots=True)
class _Kind:
    until: float
    more: int = 0
    last: Callable[[str, int], None] | None = None
    """Says the last event that was held back, with a suffix and its number."""


class RateLimitedLog:
    """Passes on the first event of a kind, and counts those that follow within a minute.

    The count is part of the next line of that kind, or of the line that `tick` writes when no event comes.
    """

    def __init__(self, clock: Clock, seconds: float = QUIET_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._kinds: dict[str, _Kind] = {}

    def say(self, kind: str, write: Callable[..., object], text: str, /, **fields: Any) -> None:
        """Log this by `write`, such as `log.warn`, unless one of this kind was logged a short time ago."""

        def line(suffix: str, more: int) -> None:
            write(text + suffix, **fields, more=more)

        now = self._clock.seconds()
        seen = self._kinds.get(kind)
        if seen is not None and now < seen.until:
            seen.more += 1
            seen.last = line
        else:
            self._kinds[kind] = _Kind(now + self._seconds)
            if seen is None or not seen.more:
                line("", 0)
            else:
                line(" ({more} more of these since the last line)", seen.more)

    def tick(self, at_the_end: bool = False) -> None:
        """Say what was held back for a minute; `at_the_end`, also what was held back for a shorter time."""
        now = self._clock.seconds()
        for kind, seen in list(self._kinds.items()):
            if now >= seen.until or at_the_end:
                del self._kinds[kind]
                if seen.last is not None:
                    self._kinds[kind] = _Kind(now + self._seconds)
                    seen.last(" ({more} of these since the last line)", seen.more)

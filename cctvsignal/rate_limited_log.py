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
    write: Callable[..., object]
    more: int = 0


class RateLimitedLog:
    """Passes on the first event of a kind, and counts those that follow within a minute.

    The count is part of the next line of that kind, or of the line that `tick` writes when no event comes.
    """

    def __init__(self, clock: Clock, seconds: float = QUIET_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._kinds: dict[str, _Kind] = {}

    def say(self, kind: str, write: Callable[..., object], text: str, /, **fields: Any) -> None:
        """Log this by `write`, such as `log.warn`, unless one of this kind was logged a short time ago.

        `kind` is what people read where only the number is said.
        """
        now = self._clock.seconds()
        seen = self._kinds.get(kind)
        if seen is not None and now < seen.until:
            seen.more += 1
            return
        self._kinds[kind] = _Kind(now + self._seconds, write)
        if seen is not None and seen.more:
            write(text + " ({more} more since the last line)", **fields, more=seen.more)
        else:
            write(text, **fields)

    def tick(self, at_the_end: bool = False) -> None:
        """Say what was held back for a minute; `at_the_end`, also what was held back for a shorter time."""
        now = self._clock.seconds()
        for kind, seen in list(self._kinds.items()):
            if now >= seen.until or at_the_end:
                del self._kinds[kind]
                if seen.more:
                    self._kinds[kind] = _Kind(now + self._seconds, seen.write)
                    seen.write("{kind}: {more} more since the last line", kind=kind, more=seen.more)

"""Files of the owner that are read again when they change."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from twisted.logger import Logger

T = TypeVar("T")
State: TypeAlias = tuple[tuple[int, int, int], ...]

log = Logger()


class WatchedFiles(Generic[T]):
    """What `read` makes of these files, together.

    `read` may raise `OSError` or `ValueError`: the first time, so does this; later, the log says so, and
    what was read before stays.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[], T]) -> None:
        self._paths = paths
        self._read = read
        self._state = self._look()
        self._value = read()

    def get(self) -> T:
        """What is in the files now."""
        state = self._look()
        if state != self._state:
            self._state = state
            names = ", ".join(map(str, self._paths))
            try:
                self._value = self._read()
            except (OSError, ValueError) as error:
                log.error(
                    "{names} cannot be used, what was there before stays: {error}", names=names, error=error
                )
            else:
                log.info("{names} was read again", names=names)
        return self._value

    def _look(self) -> State:
        found = []
        for path in self._paths:
            try:
                status = os.stat(path)
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)

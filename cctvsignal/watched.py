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
    what was read before stays. `absent` is what there is until a file that is not there at first appears.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[], T], absent: T | None = None) -> None:
        self._paths = paths
        self._read = read
        self._state = self._look()
        try:
            self._value = read()
        except FileNotFoundError:
            if absent is None:
                raise
            self._value = absent
            log.warn("{names} does not exist: it counts as empty until it appears", names=self.names)

    @property
    def names(self) -> str:
        """The files, for people."""
        return ", ".join(map(str, self._paths))

    def get(self) -> T:
        """What is in the files now."""
        if self._look() != self._state:
            self.reload()
        return self._value

    def reload(self) -> bool:
        """Read the files again, changed or not; whether what is in them was taken."""
        self._state = self._look()
        try:
            self._value = self._read()
        except (OSError, ValueError) as error:
            text = "{names} cannot be used, what was there before stays: {error}"
            log.error(text, names=self.names, error=error)
            return False
        log.info("{names} was read again", names=self.names)
        return True

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

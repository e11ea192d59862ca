"""Lines of logs, written in a thread of their own: whoever makes them never waits for a disk or a pipe."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

WAITING_BYTES: Final = 1024 * 1024
"""What may wait to be written; lines that come beyond it are dropped and counted."""
CLOSE_SECONDS: Final = 1.0
"""How long the end of the process may be put off to write what waits."""
_AT_ONCE_BYTES: Final = 65536


class Sink(Protocol):
    """Where lines go."""

    def write(self, lines: deque[bytes]) -> None:
        """Write all lines and take out those that are written. May block; raises `OSError`."""
        ...

    def reopen(self) -> None:
        """Close what is open, and open it anew. May block; raises `OSError`."""
        ...


class LineWriter:
    """Hands lines to a sink, in order.

    Args:
        sink: Used by the thread only.
        dropped: Makes the line that says how many lines were dropped because too many waited.
        failed: Called by the thread when the sink fails and did not before, with why.
        recovered: Called by the thread when the sink works again, with the number of lines that it lost.
    """

    def __init__(
        self,
        sink: Sink,
        dropped: Callable[[int], bytes],
        failed: Callable[[OSError], object] = lambda _: None,
        recovered: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._sink = sink
        self._notice = dropped
        self._failed = failed
        self._recovered = recovered
        self._changed = threading.Condition()
        # All that follows is for whoever holds it.
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._is_closing = self._must_reopen = False
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Write a line, which ends with its line break, as soon as may be. Never blocks."""
        with self._changed:
            if self._is_closing or self._size + len(line) > WAITING_BYTES:
                self._dropped += 1
                return
            self._say_dropped(self._lines)
            self._lines.append(line)
            self._size += len(line)
            self._wake()

    def reopen(self) -> None:
        """Have the sink opened anew, after what waits now."""
        with self._changed:
            self._must_reopen = True
            self._wake()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, for so long at most. Lines that come later are dropped."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    def _wake(self) -> None:
        # Not before there is something to write: threads do not survive it when a process becomes a daemon.
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="line writer", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _say_dropped(self, lines: deque[bytes]) -> None:
        if self._dropped:
            lines.append(self._notice(self._dropped))
            self._dropped = 0

    def _run(self) -> None:
        lost = 0
        while True:
            with self._changed:
                while not (self._lines or self._must_reopen or self._is_closing):
                    self._changed.wait()
                lines, self._lines, self._size = self._lines, deque(), 0
                self._say_dropped(lines)
                reopen, self._must_reopen = self._must_reopen, False
                is_last = self._is_closing and not lines
            if is_last:
                return
            failed_before = lost > 0
            try:
                if lines:
                    self._sink.write(lines)
                if reopen:
                    self._sink.reopen()
            except OSError as error:
                lost += len(lines)
                if not failed_before and lost:
                    self._failed(error)
            else:
                if failed_before and not reopen:
                    self._recovered(lost)
                    lost = 0


class Descriptor:
    """A file descriptor that is open already, such as that of standard output."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, lines: deque[bytes]) -> None:
        while lines:
            batch, size = 0, 0
            for line in lines:
                if batch and size + len(line) > _AT_ONCE_BYTES:
                    break
                batch, size = batch + 1, size + len(line)
            self._write(b"".join([lines[index] for index in range(batch)]))
            for _ in range(batch):
                lines.popleft()

    def reopen(self) -> None:
        """It is not ours to open."""

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # Another process that shares it may have made it so.
                select.select([], [self._descriptor], [])

"""The audit log: who connected, was a camera, asked for which one, with what outcome, and when it ended."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter, deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from .access import ANYONE, NOBODY
from .addresses import key_of
from .limits import Buckets, Rate
from .line_writer import LineWriter
from .registry import Client
from .timers import Clock

STRANGERS: Final = Rate(20, 2000)
"""Records of one address whose clients have not said who they are."""
MORE_SECONDS: Final = 60.0
"""How often it is written down how many records an address had beyond that."""
MOST_ADDRESSES: Final = 10_000
"""Addresses that are counted one by one."""

log = Logger()


class AuditLog:
    """One JSON object a line, in a file that may be moved away while it is written; raises `OSError`.

    A connection is worth one record until it has an identity. `max_bytes` is how long the file may be: then
    it becomes the older one, with `.1` at the end of its name, instead of that of before; 0 is no limit.
    """

    def __init__(self, path: Path, clock: Clock, max_bytes: int = 0) -> None:
        self._path = path
        self._clock = clock
        self._writer = LineWriter(_File(path, max_bytes), _dropped, self._failed, self._recovered)
        self._buckets = Buckets()
        self._more: Counter[str] = Counter()
        """By address: records that were left out."""
        self._say_more_at = 0.0

    def __call__(self, event: str, client: Client, facts: dict[str, object]) -> None:
        """Write down what a client did."""
        identity, address = client.identity, client.address
        if identity is NOBODY or identity is ANYONE:
            is_first = identity is ANYONE or event == "connected"
            if not is_first or not self._may_write(address):
                self._leave_out(address)
                return
        self._writer.write(
            _line(event, client=client.id, address=address, subject=identity.subject, **facts)
        )

    def refused(self, address: str, reason: str) -> None:
        """Write down that somebody was not let in."""
        if self._may_write(address):
            self._writer.write(_line("refused", address=address, reason=reason))
        else:
            self._leave_out(address)

    def tick(self) -> None:
        """Write down, once a minute, how many records were left out."""
        if self._more and self._clock.seconds() >= self._say_more_at:
            self._say_more()

    def reopen(self) -> None:
        """Open the file anew: it may have been moved away."""
        self._writer.reopen()

    def close(self) -> None:
        """Write what waits, for a second at most."""
        self._say_more()
        self._writer.close()

    def _may_write(self, address: str) -> bool:
        return not self._buckets.take(key_of(address), STRANGERS, self._clock.seconds())

    def _leave_out(self, address: str) -> None:
        if not self._more:
            self._say_more_at = self._clock.seconds() + MORE_SECONDS
        key = key_of(address)
        self._more[key if key in self._more or len(self._more) < MOST_ADDRESSES else "others"] += 1

    def _say_more(self) -> None:
        for address, count in self._more.items():
            self._writer.write(_line("more", address=address, count=count))
        self._more.clear()

    def _failed(self, error: OSError) -> None:
        text = "the audit log {path} cannot be written; what happens now is missing: {error}"
        log.error(text, path=str(self._path), error=error.strerror)

    def _recovered(self, lost: int) -> None:
        log.info("the audit log is written again; {lost} records are missing", lost=lost)


def _dropped(count: int) -> bytes:
    return _line("dropped", count=count)


def _line(event: str, **facts: object) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    known = {name: value for name, value in facts.items() if value is not None and value != ""}
    return json.dumps({"time": now, "event": event, **known}).encode() + b"\n"


def say(event: str, client: Client, facts: dict[str, object]) -> None:
    """Say what a client did in the log, for whoever wants to see everything."""
    log.debug("{client} {event}: {facts}", client=client.id, event=event, facts=facts)


class _File:
    """A file that is added to; for one thread."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._mode = 0o666
        self._descriptor = -1
        self.reopen()

    def write(self, lines: deque[bytes]) -> None:
        self._follow()
        while lines:
            size, batch = os.fstat(self._descriptor).st_size, deque[bytes]()
            length = 0
            for line in lines:
                if self._max_bytes and size + length + len(line) > self._max_bytes and size + length:
                    break
                batch.append(line)
                length += len(line)
            if batch:
                self._add(b"".join(batch), size)
                for _ in batch:
                    lines.popleft()
            if lines:
                self._rotate()

    def reopen(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, self._mode)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor

    def _follow(self) -> None:
        """Open it anew if it was moved away."""
        ours = os.fstat(self._descriptor)
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            self.reopen()
        else:
            if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
                self.reopen()

    def _add(self, data: bytes, size: int) -> None:
        """Write all of it, or nothing: half a line would spoil the next one, too."""
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                os.ftruncate(self._descriptor, size)
            raise

    def _rotate(self) -> None:
        try:
            # The new file is for those for whom the old one is, whoever has changed that.
            self._mode = stat.S_IMODE(os.fstat(self._descriptor).st_mode)
            os.replace(self._path, f"{self._path}.1")
            self.reopen()
            os.fchmod(self._descriptor, self._mode)
        except OSError as error:
            self._max_bytes = 0
            text = "{path} cannot be rotated and grows beyond its limit: {error}"
            log.error(text, path=str(self._path), error=error.strerror)

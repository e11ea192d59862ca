"""Which camera ids belong to the holder of a key: pinned at first use, kept in SQLite."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from .addresses import key_of
from .policy import Verdict
from .rate_limited_log import RateLimitedLog

IN_MEMORY: Final = ":memory:"
MOST: Final = 100_000
"""No more ids are pinned: a stranger could fill the disk."""
LOCK_SECONDS: Final = 0.25
"""How long a call waits for others that write to the database."""
WAITING: Final = 1000
"""How many calls may wait for the database."""
WAITING_SECONDS: Final = 3.0
"""How long each of them may wait until it begins."""
_OWNERS: Final = ("address", "subject")

log = Logger()


class CannotPin(Exception):
    """There is no place for one more key; the text says why."""


class Pinned(NamedTuple):
    """One camera id that belongs to somebody, since then."""

    room: str
    camera_id: str
    since: str


class KeyTable:
    """The keys in a file, or in memory until the server stops.

    Raises `OSError`, and its methods `sqlite3.Error`.

    Keys are random and long, so a plain hash of one tells nobody what it is. `quota` is how many ids one
    address (IPv6: one /64) and one subject may pin; 0 is no limit.
    """

    def __init__(self, path: Path | None = None, quota: int = 0) -> None:
        self._quota = quota
        try:
            # Found and left in the same state at each call: a lock is held for a moment only.
            self._database = sqlite3.connect(
                path or IN_MEMORY, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS cameras (room TEXT, camera TEXT, hash BLOB NOT NULL, "
                "since TEXT NOT NULL, PRIMARY KEY (room, camera)) WITHOUT ROWID"
            )
            self._add_owners()
            self._version, self._count = self._number("PRAGMA data_version"), self._counted()
        except sqlite3.Error as error:
            raise OSError(f"{path} cannot be used as a database: {error}") from None

    def look(self, room: str, camera_id: str, key: str | None) -> Verdict:
        """What this key, or none, is to this camera id."""
        query = "SELECT hash FROM cameras WHERE room = ? AND camera = ?"
        with closing(self._database.execute(query, (room, camera_id))) as cursor:
            row: tuple[bytes] | None = cursor.fetchone()
        if row is None:
            return Verdict.FREE
        is_ours = key is not None and hmac.compare_digest(row[0], _hash(key))
        return Verdict.OWNED if is_ours else Verdict.DENIED

    def pin(self, room: str, camera_id: str, key: str, address: str = "", subject: str = "") -> Verdict:
        """From now on this id is for the holder of this key, unless it is somebody's already.

        Raises `CannotPin`.
        """
        verdict = self.look(room, camera_id, key)
        if verdict is not Verdict.FREE:
            return verdict
        owners = (key_of(address) if address else "", subject)
        self._check_place(owners)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        with closing(
            self._database.execute(
                "INSERT OR IGNORE INTO cameras (room, camera, hash, since, address, subject) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (room, camera_id, _hash(key), since, *owners),
            )
        ) as cursor:
            self._count += cursor.rowcount
        return self.look(room, camera_id, key)

    def pinned(self) -> list[Pinned]:
        """All ids that belong to somebody."""
        query = "SELECT room, camera, since FROM cameras ORDER BY room, camera"
        with closing(self._database.execute(query)) as rows:
            return [Pinned(*row) for row in rows]

    def revoke(self, room: str, camera_id: str) -> bool:
        """Let the next one have this id; false if it belonged to nobody."""
        query = "DELETE FROM cameras WHERE room = ? AND camera = ?"
        with closing(self._database.execute(query, (room, camera_id))) as cursor:
            self._count -= cursor.rowcount
            return cursor.rowcount > 0

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _add_owners(self) -> None:
        """Who has pinned an id, in tables that were made before that was kept."""
        with closing(self._database.execute("PRAGMA table_info(cameras)")) as rows:
            columns = {row[1] for row in rows}
        for name in _OWNERS:
            if name not in columns:
                self._database.execute(f"ALTER TABLE cameras ADD COLUMN {name} TEXT NOT NULL DEFAULT ''")
            self._database.execute(f"CREATE INDEX IF NOT EXISTS by_{name} ON cameras ({name})")

    def _check_place(self, owners: tuple[str, str]) -> None:
        version = self._number("PRAGMA data_version")
        if version != self._version:
            # Another process has written, such as `cctvsignal cameras revoke`.
            self._version, self._count = version, self._counted()
        if self._count >= MOST:
            raise CannotPin(f"there are {self._count} ids with keys, and no more may be added")
        for name, owner in zip(_OWNERS, owners, strict=True):
            query = f"SELECT count(*) FROM cameras WHERE {name} = ?"
            if owner and 0 < self._quota <= self._number(query, owner):
                raise CannotPin(f"{name} {owner} has {self._quota} ids with keys, and may have no more")

    def _counted(self) -> int:
        return self._number("SELECT count(*) FROM cameras")

    def _number(self, query: str, *values: str) -> int:
        with closing(self._database.execute(query, values)) as cursor:
            return int(cursor.fetchone()[0])


class DeviceKeys:
    """The keys as the hub asks for them: whatever goes wrong lets no camera in; raises `OSError`.

    A file is read and written in a thread, one call after the other.
    """

    def __init__(
        self, path: Path | None, reactor: object, warnings: RateLimitedLog, quota: int = 0
    ) -> None:
        self._table = KeyTable(path, quota)
        self._reactor = reactor
        self._warnings = warnings
        self._threads = None if path is None else ThreadPool(0, 1, "device keys")
        self._waiting = 0

    def look(self, room: str, camera_id: str, key: str | None, done: Callable[[Verdict], None]) -> None:
        """What this key, or none, is to this camera id; calls back at once or later."""
        self._carry_out(partial(self._table.look, room, camera_id, key), done)

    def pin(
        self,
        room: str,
        camera_id: str,
        key: str,
        address: str,
        subject: str,
        done: Callable[[Verdict], None],
    ) -> None:
        """Pin an id, unless it is somebody's already, and say whose it is now; at once or later."""
        self._carry_out(partial(self._table.pin, room, camera_id, key, address, subject), done)

    def close(self) -> None:
        """Close the file, after what is being done."""
        if self._threads is not None and self._threads.started:
            self._threads.stop()
        self._table.close()

    def _carry_out(self, work: Callable[[], Verdict], done: Callable[[Verdict], None]) -> None:
        if self._threads is None:
            try:
                verdict = work()
            except (sqlite3.Error, CannotPin) as error:
                verdict = self._busy(error)
            done(verdict)
        elif self._waiting >= WAITING:
            done(self._busy("too many cameras wait"))
        else:
            if not self._threads.started:
                self._threads.start()
            self._waiting += 1
            begin_by = time.monotonic() + WAITING_SECONDS
            assert IReactorFromThreads.providedBy(self._reactor)
            working = deferToThreadPool(self._reactor, self._threads, _in_time, begin_by, work)
            working.addErrback(self._failed).addCallback(self._worked, done)

    def _failed(self, failure: Failure) -> Verdict:
        failure.trap(sqlite3.Error, CannotPin, TimeoutError)
        return self._busy(failure.value)

    def _worked(self, verdict: Verdict, done: Callable[[Verdict], None]) -> None:
        self._waiting -= 1
        done(verdict)

    def _busy(self, error: object) -> Verdict:
        text = "the key of a camera cannot be looked up or kept, so that camera is not let in: {error}"
        self._warnings.say("device keys", log.error, text, error=str(error))
        return Verdict.BUSY


def _in_time(begin_by: float, work: Callable[[], Verdict]) -> Verdict:
    if time.monotonic() > begin_by:
        raise TimeoutError("the database is too slow")
    return work()


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()

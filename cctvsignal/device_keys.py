"""Which camera ids belong to the holder of a key: pinned at first use, kept in SQLite."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from twisted.logger import Logger

IN_MEMORY: Final = ":memory:"
MOST: Final = 100_000
"""No more ids are pinned: a stranger could fill the disk."""

log = Logger()


class Pinned(NamedTuple):
    """One camera id that belongs to somebody, since then."""

    room: str
    camera_id: str
    since: str


class DeviceKeys:
    """The keys in a file, or in memory until the server stops; raises `OSError`.

    Keys are random and long, so a plain hash of one tells nobody what it is.
    """

    def __init__(self, path: Path | None = None) -> None:
        try:
            # Found and left in the same state at each call: a lock is held for a moment only.
            self._database = sqlite3.connect(path or IN_MEMORY, timeout=1.0, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS cameras (room TEXT, camera TEXT, hash BLOB NOT NULL, "
                "since TEXT NOT NULL, PRIMARY KEY (room, camera)) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            raise OSError(f"{path} cannot be used as a database: {error}") from None

    def admits(self, room: str, camera_id: str, key: str | None) -> bool:
        """Whether whoever has this key, or none, may be this camera."""
        try:
            row = self._row("SELECT hash FROM cameras WHERE room = ? AND camera = ?", room, camera_id)
        except sqlite3.Error as error:
            log.error("the keys of cameras cannot be read, so no camera is let in: {error}", error=error)
            return False
        return row is None or (key is not None and hmac.compare_digest(row[0], _hash(key)))

    def pin(self, room: str, camera_id: str, key: str) -> None:
        """From now on this camera id is for the holder of this key."""
        try:
            self._database.execute(
                "INSERT OR IGNORE INTO cameras SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM cameras) < ?",
                (room, camera_id, _hash(key), datetime.now(UTC).isoformat(timespec="seconds"), MOST),
            )
        except sqlite3.Error as error:
            log.error("the key of camera {camera} cannot be kept: {error}", camera=camera_id, error=error)

    def pinned(self) -> list[Pinned]:
        """All ids that belong to somebody; raises `sqlite3.Error`."""
        query = "SELECT room, camera, since FROM cameras ORDER BY room, camera"
        with closing(self._database.execute(query)) as rows:
            return [Pinned(*row) for row in rows]

    def revoke(self, room: str, camera_id: str) -> bool:
        """Let the next one have this id; false if it belonged to nobody. Raises `sqlite3.Error`."""
        query = "DELETE FROM cameras WHERE room = ? AND camera = ?"
        with closing(self._database.execute(query, (room, camera_id))) as cursor:
            return cursor.rowcount > 0

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _row(self, query: str, *values: str) -> tuple[bytes] | None:
        with closing(self._database.execute(query, values)) as cursor:
            row: tuple[bytes] | None = cursor.fetchone()
            return row


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()

"""Keys of cameras in a database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from cctvsignal import device_keys
from cctvsignal.device_keys import CannotPin, DeviceKeys, KeyTable
from cctvsignal.policy import Verdict
from cctvsignal.rate_limited_log import RateLimitedLog

KEY, OTHER = "a-key-of-a-device", "the-key-of-another"
FREE, OWNED, DENIED = Verdict.FREE, Verdict.OWNED, Verdict.DENIED


def test_the_first_key_is_the_one_that_counts() -> None:
    keys = KeyTable()
    assert keys.look("hall", "porch", None) is FREE
    assert keys.pin("hall", "porch", KEY) is OWNED
    assert keys.pin("hall", "porch", OTHER) is DENIED
    assert keys.pin("hall", "porch", KEY) is OWNED
    assert keys.look("hall", "porch", KEY) is OWNED
    assert keys.look("hall", "porch", OTHER) is DENIED
    assert keys.look("hall", "porch", None) is DENIED
    assert keys.look("attic", "porch", None) is FREE


def test_keys_outlive_the_server_and_are_not_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cameras.sqlite"
    with closing(KeyTable(path)) as keys:
        keys.pin("hall", "porch", KEY)
    with closing(KeyTable(path)) as keys:
        assert keys.look("hall", "porch", KEY) is OWNED
        assert [(pinned.room, pinned.camera_id) for pinned in keys.pinned()] == [("hall", "porch")]
    assert KEY.encode() not in path.read_bytes()


def test_a_revoked_id_is_for_the_next_device_while_the_server_runs(tmp_path: Path) -> None:
    path = tmp_path / "cameras.sqlite"
    with closing(KeyTable(path)) as server, closing(KeyTable(path)) as owner:
        server.pin("hall", "porch", KEY)
        assert owner.revoke("hall", "porch")
        assert not owner.revoke("hall", "porch")
        assert server.look("hall", "porch", OTHER) is FREE


def test_a_table_that_is_full_takes_no_key_until_there_is_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(device_keys, "MOST", 2)
    path = tmp_path / "cameras.sqlite"
    with closing(KeyTable(path)) as keys, closing(KeyTable(path)) as owner:
        for camera_id in ("1", "2"):
            assert keys.pin("hall", camera_id, KEY) is OWNED
        with pytest.raises(CannotPin):
            keys.pin("hall", "3", OTHER)
        # Those that are there already are as they were.
        assert keys.pin("hall", "1", KEY) is OWNED
        assert keys.pin("hall", "1", OTHER) is DENIED
        owner.revoke("hall", "2")
        assert keys.pin("hall", "3", OTHER) is OWNED
        with pytest.raises(CannotPin):
            keys.pin("hall", "4", OTHER)
    with closing(KeyTable(path)) as keys, pytest.raises(CannotPin):
        keys.pin("hall", "4", OTHER)


def test_an_address_and_a_subject_pin_so_many_ids_and_others_are_not_hurt() -> None:
    keys = KeyTable(quota=2)

    def pin(camera_id: str, address: str, subject: str) -> bool:
        try:
            return keys.pin("hall", camera_id, KEY, address, subject) is OWNED
        except CannotPin:
            return False

    assert [pin(f"a{n}", f"2001:db8::{n}", "") for n in range(3)] == [True, True, False]
    assert [pin(f"b{n}", "2001:db8:0:1::1", "") for n in range(3)] == [True, True, False]
    assert [pin(f"c{n}", f"192.0.2.{n}", "carl") for n in range(3)] == [True, True, False]
    # Nothing is known of those who come by a Unix socket without a forwarded address.
    assert all(pin(f"d{n}", "", "") for n in range(3))
    keys.revoke("hall", "a0")
    assert pin("a2", "2001:db8::9", "")


def test_a_table_that_was_made_before_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "cameras.sqlite"
    with closing(KeyTable()) as keys:
        keys.pin("hall", "porch", KEY)
        [row] = keys._database.execute("SELECT room, camera, hash, since FROM cameras")
    with closing(sqlite3.connect(path)) as older:
        older.execute(
            "CREATE TABLE cameras (room TEXT, camera TEXT, hash BLOB NOT NULL, "
            "since TEXT NOT NULL, PRIMARY KEY (room, camera)) WITHOUT ROWID"
        )
        older.execute("INSERT INTO cameras VALUES (?, ?, ?, ?)", row)
        older.commit()
    for _ in range(2):
        with closing(KeyTable(path, quota=1)) as keys:
            assert keys.look("hall", "porch", KEY) is OWNED
            assert keys.pin("hall", "garden", OTHER, "192.0.2.1") is OWNED


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cameras.sqlite"
    path.write_text("This is not a database, but long enough to look like a file that could be one.")
    with pytest.raises(OSError, match="cannot be used as a database"):
        KeyTable(path)


def test_whatever_goes_wrong_lets_no_camera_in_and_is_said_once() -> None:
    events: list[LogEvent] = []
    keys = DeviceKeys(None, None, RateLimitedLog(Clock()))
    keys._table._database.execute("DROP TABLE cameras")
    verdicts: list[Verdict] = []
    globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]
    try:
        for _ in range(3):
            keys.look("hall", "porch", KEY, verdicts.append)
            keys.pin("hall", "porch", KEY, "192.0.2.1", "", verdicts.append)
    finally:
        globalLogPublisher.removeObserver(events.append)  # type: ignore[arg-type]
    assert verdicts == [Verdict.BUSY] * 6
    assert len(events) == 1

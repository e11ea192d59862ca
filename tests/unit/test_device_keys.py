"""Keys of cameras in a database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cctvsignal import device_keys
from cctvsignal.device_keys import DeviceKeys

KEY, OTHER = "a-key-of-a-device", "the-key-of-another"


def test_the_first_key_is_the_one_that_counts() -> None:
    keys = DeviceKeys()
    assert keys.admits("hall", "porch", None)
    keys.pin("hall", "porch", KEY)
    keys.pin("hall", "porch", OTHER)
    assert keys.admits("hall", "porch", KEY)
    assert not keys.admits("hall", "porch", OTHER)
    assert not keys.admits("hall", "porch", None)
    assert keys.admits("attic", "porch", None)


def test_keys_outlive_the_server_and_are_not_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cameras.sqlite"
    with closing(DeviceKeys(path)) as keys:
        keys.pin("hall", "porch", KEY)
    with closing(DeviceKeys(path)) as keys:
        assert keys.admits("hall", "porch", KEY)
        assert [(pinned.room, pinned.camera_id) for pinned in keys.pinned()] == [("hall", "porch")]
    assert KEY.encode() not in path.read_bytes()


def test_a_revoked_id_is_for_the_next_device_while_the_server_runs(tmp_path: Path) -> None:
    path = tmp_path / "cameras.sqlite"
    with closing(DeviceKeys(path)) as server, closing(DeviceKeys(path)) as owner:
        server.pin("hall", "porch", KEY)
        assert owner.revoke("hall", "porch")
        assert not owner.revoke("hall", "porch")
        assert server.admits("hall", "porch", OTHER)


def test_the_database_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_keys, "MOST", 2)
    keys = DeviceKeys()
    for camera_id in ("1", "2", "3"):
        keys.pin("hall", camera_id, KEY)
    assert len(keys.pinned()) == 2
    assert keys.admits("hall", "3", OTHER)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cameras.sqlite"
    path.write_text("This is not a database, but long enough to look like a file that could be one.")
    with pytest.raises(OSError, match="cannot be used as a database"):
        DeviceKeys(path)


def test_a_database_that_cannot_be_read_lets_no_camera_in(tmp_path: Path) -> None:
    path = tmp_path / "cameras.sqlite"
    with closing(DeviceKeys(path)) as keys:
        keys.pin("hall", "porch", KEY)
        with closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE cameras")
        assert not keys.admits("hall", "porch", KEY)
        keys.pin("hall", "porch", KEY)  # Logged, not raised.

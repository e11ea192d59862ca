"""Files that are read again when they change."""

from __future__ import annotations

from pathlib import Path

import pytest

from cctvsignal.watched import WatchedFiles


def numbers(*paths: Path) -> WatchedFiles[list[int]]:
    return WatchedFiles(paths, lambda: [int(path.read_text()) for path in paths])


def test_a_change_of_any_file_is_seen(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    watched = numbers(one, two)
    assert watched.get() == [1, 2]
    assert watched.get() is watched.get()
    two.write_text("22")
    assert watched.get() == [1, 22]
    new = tmp_path / "new"
    new.write_text("3")
    new.replace(one)
    assert watched.get() == [3, 22]


def test_what_was_there_before_stays_when_a_file_is_broken_or_gone(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("1")
    watched = numbers(path)
    path.write_text("nonsense")
    assert watched.get() == [1]
    path.unlink()
    assert watched.get() == [1]
    path.write_text("22")
    assert watched.get() == [22]


def test_the_first_time_it_must_be_sound(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        numbers(tmp_path / "missing")
    (tmp_path / "broken").write_text("nonsense")
    with pytest.raises(ValueError):
        numbers(tmp_path / "broken")

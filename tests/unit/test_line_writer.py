"""Lines that are written in the background."""

from __future__ import annotations

import os
import threading
from collections import deque

import pytest

from cctvsignal import line_writer
from cctvsignal.line_writer import Descriptor, LineWriter

PATIENCE = 20.0


class Gate:
    """A sink that waits before each batch until it may go on, and fails if it is told to."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.error: OSError | None = None
        self.reopened = 0
        self.is_in = threading.Semaphore(0)
        self.may_go_on = threading.Semaphore(0)

    def write(self, lines: deque[bytes]) -> None:
        self.is_in.release()
        assert self.may_go_on.acquire(timeout=PATIENCE)
        if self.error is not None:
            raise self.error
        self.written.extend(lines)
        lines.clear()

    def reopen(self) -> None:
        self.reopened += 1


def notice(count: int) -> bytes:
    return b"%d dropped\n" % count


def test_lines_that_come_faster_than_they_are_written_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line_writer, "WAITING_BYTES", 4)
    gate = Gate()
    writer = LineWriter(gate, notice)
    writer.write(b"1\n")
    assert gate.is_in.acquire(timeout=PATIENCE)
    for line in (b"2\n", b"3\n", b"4\n", b"5\n"):
        writer.write(line)
    for _ in range(3):
        gate.may_go_on.release()
    assert gate.is_in.acquire(timeout=PATIENCE)
    writer.close(PATIENCE)
    assert gate.written == [b"1\n", b"2\n", b"3\n", b"2 dropped\n"]


def test_a_sink_that_is_stuck_holds_nobody_up() -> None:
    gate = Gate()
    writer = LineWriter(gate, notice)
    writer.write(b"1\n")
    assert gate.is_in.acquire(timeout=PATIENCE)
    writer.write(b"2\n")
    writer.close(0.01)
    writer.write(b"3\n")
    assert gate.written == []
    gate.may_go_on.release(2)


def test_failure_and_recovery_are_said_once_with_what_was_lost() -> None:
    gate = Gate()
    said: list[object] = []
    writer = LineWriter(gate, notice, lambda error: said.append(str(error)), lambda lost: said.append(lost))
    gate.error = OSError("full")
    for line in (b"1\n", b"2\n"):
        gate.may_go_on.release()
        writer.write(line)
        assert gate.is_in.acquire(timeout=PATIENCE)
    # Let the second batch fail before the disk has place again.
    writer.write(b"3\n")
    assert gate.is_in.acquire(timeout=PATIENCE)
    gate.error = None
    gate.may_go_on.release()
    writer.close(PATIENCE)
    assert gate.written == [b"3\n"]
    assert said == ["full", 2]


def test_a_descriptor_that_does_not_block_gets_all_of_it() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = [b"%06d\n" % number for number in range(50_000)]
    writer = LineWriter(Descriptor(writing), notice)
    for line in data:
        writer.write(line)
    received = bytearray()
    while len(received) < sum(map(len, data)):
        received += os.read(reading, 65536)
    assert received == b"".join(data)
    writer.close(PATIENCE)
    os.close(reading)
    os.close(writing)

"""A server whose clock is set back by an hour: its time-outs go by a monotonic clock."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.processes import START_SECONDS, command

SHIFTED = """
import pathlib, sys, time
now, shift = time.time, pathlib.Path(sys.argv[1])
time.time = lambda: now() + float(shift.read_text())
sys.argv[:2] = ["cctvsignal"]
"""
"""What begins a program whose time of day is off by what a file says."""
MODULE = SHIFTED + "from cctvsignal.__main__ import main; main()"
TWISTD = (
    SHIFTED
    + "sys.argv[1:1] = ['-n', '--pidfile=', 'cctvsignal']; from twisted.scripts.twistd import run; run()"
)


@pytest.mark.parametrize("program", [MODULE, TWISTD], ids=["module", "twistd"])
def test_a_silent_client_is_closed_in_time_although_the_clock_is_set_back(
    program: str, tmp_path: Path
) -> None:
    shift = tmp_path / "shift"
    shift.write_text("0")
    options = ("--listen=tcp:0:interface=127.0.0.1", "--handshake-timeout=2")
    with command(sys.executable, "-c", program, str(shift), *options) as server:
        port = int(server.wait_for_line(r"http://[\d.]+:(\d+)/").group(1))
        with socket.create_connection(("127.0.0.1", port), START_SECONDS) as silent:
            with socket.create_connection(("127.0.0.1", port), START_SECONDS) as other:
                other.sendall(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
                # Connections are accepted in order, so the first one's deadline is set by now.
                assert other.recv(4096).startswith(b"HTTP/1.1 200 ")
            (tmp_path / "hour").write_text("-3600")
            os.replace(tmp_path / "hour", shift)
            with suppress(ConnectionResetError):
                assert silent.recv(1) == b""

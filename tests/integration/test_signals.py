"""What signals do, and a log that nobody reads."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.certificates import write_certificates
from tests.floods import Stranger, until
from tests.integration.test_starting import ALL_WAYS, MODULE
from tests.processes import REPOSITORY, START_SECONDS, STOP_SECONDS, Process, command, script
from tests.tokens import SECRET, key_set, replace, secret_jwk

LISTEN = "--listen=tcp:0:interface=127.0.0.1"


@contextmanager
def started(way: list[str], *options: str) -> Iterator[tuple[Process, int]]:
    with command(*way, LISTEN, *options) as running:
        port = int(running.wait_for_line(r"ready: https?://127\.0\.0\.1:(\d+)/").group(1))
        yield running, port
    assert "Traceback" not in running.output
    assert "Unhandled" not in running.output


@ALL_WAYS
def test_sighup_reads_all_files_again_and_says_which(way: list[str], tmp_path: Path) -> None:
    keys, revoked, audit = tmp_path / "keys.json", tmp_path / "revoked", tmp_path / "audit.log"
    certificates = write_certificates(tmp_path, "127.0.0.1")
    keys.write_text(key_set(secret_jwk(SECRET, "a")))
    options = [f"--auth-keys={keys}", f"--auth-revoked={revoked}", f"--audit-log={audit}"]
    tls = [f"--tls-cert={certificates.certificate}", f"--tls-key={certificates.key}"]
    with started(way, *options, *tls) as (running, _):
        running.process.send_signal(signal.SIGHUP)
        line = running.wait_for_line("info .*SIGHUP: read again: ").string
        for path in (keys, certificates.certificate, certificates.key, audit):
            assert str(path) in line
        # The list of revoked tokens is not there yet.
        assert str(revoked) not in line
        assert str(revoked) in running.wait_for_line("error .*SIGHUP: left as it was before: ").string
        revoked.write_text("sub mallory\n")
        replace(keys, "nonsense")
        audit.rename(tmp_path / "audit.old")
        running.process.send_signal(signal.SIGHUP)
        running.wait_for_line("error .*keys.json cannot be used, what was there before stays")
        line = running.wait_for_line("info .*SIGHUP: read again: ").string
        assert str(revoked) in line
        assert str(keys) not in line
        assert str(keys) in running.wait_for_line("error .*SIGHUP: left as it was before: ").string
        until(audit.exists)


@ALL_WAYS
def test_other_signals_are_ignored_with_a_line(way: list[str]) -> None:
    with started(way) as (running, port), Stranger(port) as stranger:
        stranger.join("hall")
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            running.process.send_signal(number)
            running.wait_for_line(f"info .*{number.name} is ignored")
        running.process.send_signal(signal.SIGHUP)
        running.wait_for_line("SIGHUP: read again: nothing, no file is in use")
        assert stranger.is_served()


@ALL_WAYS
def test_a_second_sigterm_ends_it_at_once(way: list[str]) -> None:
    with started(way) as (running, port), Stranger(port) as stranger:
        stranger.join("hall")
        running.process.send_signal(signal.SIGTERM)
        # It waits for the answer to this, which does not come.
        assert stranger.close_code() == 1001
        running.process.send_signal(signal.SIGTERM)
        assert running.wait() == -signal.SIGTERM


def test_a_log_file_of_twistd_is_rotated_by_sigusr1_and_opened_anew_by_sighup(tmp_path: Path) -> None:
    log, moved = tmp_path / "server.log", tmp_path / "moved.log"
    with command(
        script("twistd"), "--nodaemon", "--pidfile=", f"--logfile={log}", "cctvsignal", LISTEN
    ) as running:

        def says(path: Path, text: str) -> bool:
            assert running.process.poll() is None, running.output
            return path.exists() and text in path.read_text()

        until(lambda: says(log, "is ready"))
        running.process.send_signal(signal.SIGUSR1)
        # It is renamed first, and then opened anew.
        until(lambda: (tmp_path / "server.log.1").exists() and log.exists())
        log.rename(moved)
        running.process.send_signal(signal.SIGHUP)
        until(lambda: says(log, f"SIGHUP: read again: {log}"))
        assert "is ignored" not in log.read_text()


# --- a log that nobody reads


class Unread:
    """A server whose output goes into a pipe that is read only when a test says so."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [*MODULE, LISTEN, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=REPOSITORY,
        )
        assert self.process.stdout is not None
        self.pipe = self.process.stdout.fileno()
        self.output = b""
        self.port = int(self.read_until(rb"ready: http://127\.0\.0\.1:(\d+)/")[1])

    def read_until(self, pattern: bytes) -> re.Match[bytes]:
        end = time.monotonic() + START_SECONDS
        while (match := re.search(pattern, self.output)) is None:
            assert time.monotonic() < end
            data = os.read(self.pipe, 65536)
            assert data, self.output[-2000:]
            self.output += data
        return match

    def __enter__(self) -> Unread:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has pipes whose size can be set")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_log_that_nobody_reads_stops_nobody_and_says_what_is_missing(log_format: str) -> None:
    with Unread("--log-level=debug", "--no-limits", f"--log-format={log_format}") as running:
        fcntl.fcntl(running.pipe, fcntl.F_SETPIPE_SZ, 4096)
        with Stranger(running.port) as stranger:
            stranger.join("hall")
            for number in range(8000):
                stranger.say({"type": "requestStream", "cameraId": f"{'x' * 100}{number}"})
                assert stranger.hears("cameraNotFound")
            # What is read now begins where nobody read on.
            match = running.read_until(rb"(\d+) lines of the log were dropped: nobody took them in time")
            assert 0 < int(match[1]) < 8000
            assert b"x0" in running.output
            assert stranger.is_served()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits the files of others")
def test_a_log_on_a_full_disk_says_what_is_missing_when_there_is_place(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def says(text: str) -> bool:
        assert running.poll() is None, log.read_text()
        return text in log.read_text()

    with log.open("ab") as file:
        running = subprocess.Popen([*MODULE, LISTEN], stdout=file, stderr=file, cwd=REPOSITORY)
    try:
        until(lambda: says("Authentication is off"))
        _, most = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (log.stat().st_size, most))
        running.send_signal(signal.SIGUSR1)
        # The thread comes to it in no time that could be waited for: what it does not lose is there.
        with socket.create_connection(("127.0.0.1", _port(log)), timeout=10) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.0 200")
        assert not says("SIGUSR1")
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (most, most))
        running.send_signal(signal.SIGUSR2)
        until(lambda: says("SIGUSR2 is ignored"))
        until(lambda: says("lines of the log were dropped") or says("SIGUSR1 is ignored"))
    finally:
        running.terminate()
        assert running.wait(STOP_SECONDS) == 0
    assert "Traceback" not in log.read_text()


def _port(log: Path) -> int:
    match = re.search(r"ready: http://127\.0\.0\.1:(\d+)/", log.read_text())
    assert match is not None
    return int(match[1])


def test_a_log_that_nobody_reads_does_not_keep_it_from_stopping() -> None:
    with Unread("--log-level=debug", "--no-limits") as running, Stranger(running.port) as stranger:
        fcntl.fcntl(running.pipe, fcntl.F_SETPIPE_SZ, 4096)
        stranger.join("hall")
        for number in range(100):
            stranger.say({"type": "requestStream", "cameraId": f"{'x' * 100}{number}"})
            assert stranger.hears("cameraNotFound")
        running.process.send_signal(signal.SIGTERM)
        stranger.leave()
        assert running.process.wait(STOP_SECONDS) == 0


def test_a_log_whose_reader_is_gone_stops_nobody() -> None:
    with Unread("--log-level=debug") as running:
        assert running.process.stdout is not None
        running.process.stdout.close()
        with Stranger(running.port) as stranger:
            stranger.join("hall")
            assert stranger.is_served()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(STOP_SECONDS) == 0

"""How the server is started, and what a person reads when that fails."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from cctvsignal import __version__
from cctvsignal.settings import SETTINGS
from tests.processes import REPOSITORY, command, script

TWISTD = [script("twistd"), "--nodaemon", "--pidfile=", "cctvsignal"]
MODULE = [sys.executable, "-m", "cctvsignal"]
CONSOLE_SCRIPT = [script("cctvsignal")]
ALL_WAYS = pytest.mark.parametrize(
    "way", [TWISTD, MODULE, CONSOLE_SCRIPT], ids=["twistd", "module", "script"]
)


def run(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=REPOSITORY,
        env={**os.environ, **(environment or {})},
        check=False,
    )


def the_error(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that says what was wrong; twistd has it in its log once that is open."""
    lines = [line for line in (result.stdout + result.stderr).splitlines() if " info " not in line]
    assert len(lines) == 1, lines
    assert "cctvsignal: " in lines[0]
    return lines[0]


@ALL_WAYS
def test_it_starts_serves_and_stops(way: list[str]) -> None:
    with command(*way, "--listen=tcp:0:interface=127.0.0.1") as running:
        port = int(running.wait_for_line(r"ready: http://127\.0\.0\.1:(\d+)/").group(1))
        running.wait_for_line("Authentication is off")
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    assert "Traceback" not in running.output
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_the_port_takes_ipv4_and_ipv6_where_there_is_both() -> None:
    with command(*MODULE, "--port=0") as running:
        port = int(running.wait_for_line(r"ready: http://localhost:(\d+)/").group(1))
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        if socket.has_dualstack_ipv6():
            socket.create_connection(("::1", port), timeout=10).close()


def test_it_listens_on_each_endpoint_it_is_given() -> None:
    # The path of a Unix socket has at most 107 bytes, fewer than some temporary directories of tests.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "signal.sock"
        listen = ["--listen", "tcp:0:interface=127.0.0.1", "--listen", f"unix:{path}"]
        with command(*MODULE, *listen) as running:
            running.wait_for_line(r"ready: http://127\.0\.0\.1")
            running.wait_for_line("ready: .*signal.sock")
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(str(path))
                connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.0 200")


def test_variables_are_fallbacks_for_options() -> None:
    environment = {"CCTVSIGNAL_LISTEN": "tcp:0:interface=127.0.0.1", "CCTVSIGNAL_LOG_FORMAT": "json"}
    with command(*MODULE, environment=environment) as running:
        line = running.wait_for_line(r"^\{.* is ready").string
    record = json.loads(line)
    assert record["level"] == "info"
    assert record["version"] == __version__
    assert record["url"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("way", [TWISTD, MODULE], ids=["twistd", "module"])
def test_the_log_can_be_json_lines_and_errors_only(way: list[str]) -> None:
    listen = "--listen=tcp:0:interface=127.0.0.1"
    with command(*way, listen, "--log-format=json", "--log-level=warn") as running:
        running.wait_for_line("Authentication is off")
    assert [json.loads(line)["level"] for line in running.lines] == ["warn"]


@pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")
def test_twistd_can_have_the_reactor_of_the_command() -> None:
    twistd = [script("twistd"), "--reactor=cctvsignal", "--nodaemon", "--pidfile=", "cctvsignal"]
    with command(*twistd, "--listen=tcp:0:interface=127.0.0.1") as running:
        url = running.wait_for_line(r"is ready: (http://\S+)")[1]
        with urllib.request.urlopen(f"{url}health", timeout=10) as answer:
            assert json.load(answer)["status"] == "OK"


def test_a_log_file_of_twistd_wins(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    twistd = [script("twistd"), "--nodaemon", "--pidfile=", f"--logfile={log}", "cctvsignal"]
    with command(*twistd, "--listen=tcp:0:interface=127.0.0.1") as running:
        while not (log.exists() and "is ready" in log.read_text()):
            assert running.process.poll() is None, running.output
    assert running.output == ""


@ALL_WAYS
def test_help_lists_every_option_with_default_and_variable(way: list[str]) -> None:
    result = run(*way, "--help")
    assert result.returncode == 0
    text = " ".join(result.stdout.split())
    for setting in SETTINGS:
        assert f"--{setting.name}" + ("" if setting.kind == "flag" else "=") in text
        assert setting.explanation in text


def test_the_version_is_shown() -> None:
    assert run(*MODULE, "--version").stdout == f"cctvsignal {__version__}\n"


@ALL_WAYS
@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("--port=99999", "--port=99999: a port is a number from 0 to 65535"),
        ("--port=http", "--port=http: a port is a number from 0 to 65535"),
        ("--listen=nonsense:80", "nonsense:80 is no endpoint such as tcp:8080"),
        ("--listen=tcp:99999", "cannot listen on tcp:99999"),
        ("--web-dir=/nowhere/at/all", "--web-dir=/nowhere/at/all: this directory cannot be read"),
        ("--log-format=xml", "--log-format=xml: choose one of text, json"),
        ("--log-level=loud", "--log-level=loud: choose one of debug, info"),
        ("--max-message-bytes=many", "--max-message-bytes=many: a size is a number of bytes"),
        ("--ping-interval=-1", "--ping-interval=-1: a time is a number of seconds"),
        ("--no-such-option", "option --no-such-option not recognized"),
        ("stray", "Wrong number of arguments"),
    ],
)
def test_a_bad_value_stops_the_start_with_one_line(way: list[str], option: str, hint: str) -> None:
    result = run(*way, option)
    assert result.returncode == 1
    assert hint in the_error(result)


@ALL_WAYS
def test_a_taken_port_stops_the_start_with_one_line(way: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(*way, f"--listen=tcp:{port}:interface=127.0.0.1")
    assert result.returncode == 1
    error = the_error(result)
    assert f"cannot listen on tcp:{port}:interface=127.0.0.1" in error
    assert "in use" in error


def test_a_failed_start_leaves_no_pid_file(tmp_path: Path) -> None:
    pid_file = tmp_path / "twistd.pid"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"--listen=tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        result = run(script("twistd"), "--nodaemon", f"--pidfile={pid_file}", "cctvsignal", listen)
    assert result.returncode == 1
    assert not pid_file.exists()


def test_a_bad_variable_is_named() -> None:
    result = run(*MODULE, environment={"PORT": "eighty"})
    assert result.returncode == 1
    assert result.stderr.startswith("cctvsignal: PORT=eighty: a port is a number")

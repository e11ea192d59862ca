"""Passwords in URLs are in nothing that a command prints, whatever their form and whatever happens."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.h264_streams import pictures, to_bytes
from tests.processes import Server, command, script

CANARY = "c4nary"
# All at once in one process each; nothing listens on port 1.
SOURCES = [
    f"rtsp://admin:{CANARY}@127.0.0.1:1/live",
    f"rtsp://admin:se/{CANARY}@127.0.0.1:1/live",
    f"rtsp://admin:se#{CANARY}@127.0.0.1:1/live",
    f"rtsp://admin:se?{CANARY}@127.0.0.1:1/live",
    f"rtsp://admin:1/{CANARY}@127.0.0.1:1/live",
    f"RTSP://ad@min:s@{CANARY}@127.0.0.1:1/live",
    f"rtsp://127.0.0.1:1/user=admin&password={CANARY}&channel=1",
    f"rtsp://127.0.0.1:1/user=admin_password={CANARY}_channel=1_stream=0.sdp",
    f"rtsp://admin:{CANARY}\n@127.0.0.1:1/live",
    f"rtsp://admin:{CANARY} x@[::1]:1/live",
    f"rtsp://admin%3A{CANARY}%40127.0.0.1:1/live",
    f"http://admin:se/{CANARY}@127.0.0.1:1/stream",
    f"http://127.0.0.1:1/videostream.cgi?user=admin&pwd={CANARY}",
    f"rtps://admin:{CANARY}@127.0.0.1:1/live",
    f"rtsp:/admin:{CANARY}@127.0.0.1:1/live",
    f"admin:{CANARY}@127.0.0.1:1/live",
    f"file:rtsp://admin:{CANARY}@127.0.0.1:1/live",
    f"webcam:rtsp://admin:{CANARY}@127.0.0.1:1/live",
]


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("source", SOURCES, ids=range(len(SOURCES)))
def test_a_camera_that_cannot_open_its_source_prints_no_password(source: str, log_format: str) -> None:
    # From the environment and as an option in turn: both are said to be possible.
    given = {"SOURCE": source} if log_format == "json" else None
    options = [] if given else [f"--source={source}"]
    with command(
        script("cctvsignal-camera"), f"--log-format={log_format}", *options, environment=given
    ) as running:
        assert running.wait() == 1
    assert len(running.lines) == 1
    assert CANARY not in running.output


COMMANDS = {
    "forgotten --source": ["cctvsignal-camera", f"rtsp://admin:{CANARY}@h/live"],
    "wrong option": ["cctvsignal-camera", f"--sources=rtsp://admin:{CANARY} x@h/live"],
    "wrong place": ["cctvsignal-camera", "--fps", f"rtsp://admin:{CANARY}@h/live"],
    "camera's server": ["cctvsignal-camera", f"--server=ws://user:{CANARY}@127.0.0.1:1/?token={CANARY}"],
    "server": ["cctvsignal-viewer", f"--server=ws://user:se/{CANARY}@127.0.0.1:1"],
    "server's token": ["cctvsignal-viewer", f"--server=ws://127.0.0.1:1/?token={CANARY}"],
    "server's scheme": ["cctvsignal-viewer", f"--server=wsss://user:{CANARY}@127.0.0.1:1"],
    "device": ["cctvsignal-esp32", f"--device=http://admin:se/{CANARY}@127.0.0.1:1"],
    "device's port": ["cctvsignal-esp32", f"--device=http://127.0.0.1:{CANARY}"],
    "device's user": ["cctvsignal-esp32", f"--device=http://admin:{CANARY}@127.0.0.1:1"],
    "bridge's server": [
        *("cctvsignal-esp32", "--device=http://127.0.0.1:1", f"--server=ws://user:s/{CANARY}@127.0.0.1:1")
    ],
    "webhook": ["cctvsignal", f"--auth-webhook=https://user:se/{CANARY}@h/who"],
    "origin": ["cctvsignal", f"--allow-origin=https://user:{CANARY}@h"],
    "TURN server": ["cctvsignal", f"--turn=turn:user:{CANARY}@h:3478", f"--turn-secret={CANARY * 5}"],
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS.keys())
def test_no_command_repeats_a_password_that_it_cannot_use(arguments: list[str]) -> None:
    name, *options = arguments
    with command(script(name), *options) as running:
        assert running.wait() != 0
    assert running.lines
    assert CANARY not in running.output


@contextmanager
def hanging_up(body: bytes) -> Iterator[int]:
    """A web server that answers everybody and hangs up; its port."""
    head = b"HTTP/1.0 200 OK\r\nContent-Type: video/h264\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(head + body)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "form", ["http://admin:%s@127.0.0.1:%d/live", "http://127.0.0.1:%s%d/user=a&password=%s"]
)
def test_a_source_that_ends_later_prints_no_password(
    shared_server: Server, form: str, log_format: str
) -> None:
    stream = b"".join(map(to_bytes, pictures(60, profile="baseline", g="10")))
    with hanging_up(stream) as port:
        source = form % (CANARY, port) if form.startswith("http://admin") else form % ("", port, CANARY)
        options = [f"--server={shared_server.websocket_url}", "--room=ends", f"--source={source}"]
        with command(script("cctvsignal-camera"), *options, f"--log-format={log_format}") as running:
            running.wait_for_line(rf"source http://127\.0\.0\.1:{port}.* opening it again")
    assert CANARY not in running.output

"""The commands cctvsignal-camera and cctvsignal-viewer, as people and as other programs run them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cctvsignal_clients import ViewerClient
from cctvsignal_clients.encoder import EncoderSettings
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue

from tests.door import Door, serving
from tests.live import deadline, join
from tests.media import assert_no_loss, counters, counters_of_file, streaming_camera
from tests.processes import STOP_SECONDS, Server, command, script, server

COMMANDS = ["cctvsignal-camera", "cctvsignal-viewer"]
CLEAR = "\r\x1b[2K"
TOKEN = "s3cret-token"


def json_lines(lines: list[str]) -> list[dict[str, Any]]:
    """What was printed, each line of which is an object with a time and the name of an event."""
    found = [json.loads(line) for line in lines]
    for each in found:
        assert datetime.fromisoformat(each["time"]).utcoffset() is not None
        assert re.fullmatch(r"[a-z][A-Za-z]*", each["event"])
        assert "\x1b" not in each["message"]
    return found


def test_machines_get_json_and_nothing_else(shared_server: Server, tmp_path: Path) -> None:
    options = [f"--server={shared_server.websocket_url}", "--room=json", "--log-format=json"]
    picture = tmp_path / "out.jpg"
    with command(script("cctvsignal-camera"), *options, "--id=porch") as camera:
        camera.wait_for_line('"registered"')
        # One list, one watches, one takes a picture and ends by itself.
        with command(script("cctvsignal-viewer"), *options) as lister:
            lister.wait_for_line('"cameraAvailable"')
            with command(script("cctvsignal-viewer"), *options, "--camera=porch") as viewer:
                viewer.wait_for_line('"status"')
                camera.wait_for_line('"viewers": 1')
            taking = [*options, "--camera=porch", f"--snapshot={picture}"]
            with command(script("cctvsignal-viewer"), *taking) as taker:
                assert taker.wait() == 0, taker.output
        assert camera.stop() == 0
    registered = next(each for each in json_lines(camera.lines) if each["event"] == "registered")
    assert registered["camera"] == "porch"
    assert registered["room"] == "json"
    status = next(each for each in json_lines(viewer.lines) if each["event"] == "status")
    assert {"camera", "codec", "width", "height", "fps", "bitrate", "packetsLost", "path"} <= status.keys()
    available = next(each for each in json_lines(lister.lines) if each["event"] == "cameraAvailable")
    assert available["camera"] == "porch"
    assert [each["event"] for each in json_lines(taker.lines)] == ["joined", "waiting", "saved"]


@deadline(60)
@pytest.mark.parametrize("name", COMMANDS)
async def test_the_environment_is_enough(name: str) -> None:
    door = Door()
    async with serving(door) as url:
        environment = {"SERVER_URL": url, "CAMERA_ID": "porch", "ROOM_NAME": "yard", "TOKEN": TOKEN}
        with command(script(name), environment=environment) as running:
            assert await door.came.get() == f"Bearer {TOKEN}"
            joined = await door.joined.get()
            assert joined.room == "yard"
            assert joined.camera_id == ("porch" if name == "cctvsignal-camera" else None)
            await deferToThread(running.wait_for_line, "porch")
            # Not here: the server that it takes leave of runs in this reactor.
            assert await deferToThread(running.stop) == 0
            assert TOKEN not in running.output


@deadline(60)
@pytest.mark.parametrize("name", COMMANDS)
async def test_a_token_that_is_not_valid_ends_a_command(name: str) -> None:
    async with serving(Door(denies=401)) as url:
        with command(script(name), f"--server={url}", f"--token={TOKEN}") as running:
            assert await deferToThread(running.wait) == 1
            assert running.output == f"{name}: {url} lets nobody in without a valid token: check it."


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["cctvsignal-camera", "--id=porch"], "Camera porch is in room"),
        (["cctvsignal-viewer"], "In room"),
        (["cctvsignal-viewer", "--camera=nobody"], "Waiting for camera nobody"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_signal_is_no_failure(
    shared_server: Server, how: signal.Signals, arguments: list[str], line: str
) -> None:
    name, *options = arguments
    with command(script(name), f"--server={shared_server.websocket_url}", *options) as running:
        running.wait_for_line(line)
        assert running.stop(how) == 0
        assert "Traceback" not in running.output
        assert "KeyboardInterrupt" not in running.output


def test_machines_get_json_when_a_command_fails() -> None:
    with command(script("cctvsignal-viewer"), "--server=ws://127.0.0.1:9", "--log-format=json") as viewer:
        assert viewer.wait() == 1
    (failed,) = json_lines(viewer.lines)
    assert (failed["event"], failed["error"]) == ("failed", "ConnectionFailed")


@deadline()
@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_viewer_that_waits_ends_when_it_is_not_wanted(hangs_up: bool) -> None:
    async with serving(Door(closes_joined=4403, hangs_up=hangs_up)) as url:
        arguments = ["--server", url, "--camera", "cam-1"]
        viewer = script("cctvsignal-viewer")
        _, error, status = await getProcessOutputAndValue(viewer, arguments, env=os.environ)
    # It may come so soon that the viewer does not know yet that it was let in.
    assert re.search(rb"closed the connection (for good|at once) \(close code 4403\)", error)
    assert status == 1


@deadline(60)
async def test_a_viewer_that_watches_ends_when_it_is_not_wanted_any_more() -> None:
    with server() as running:
        options = [f"--server={running.websocket_url}"]
        with (
            command(script("cctvsignal-camera"), *options) as camera,
            command(script("cctvsignal-viewer"), *options, "--camera=cam-1") as viewer,
        ):
            await deferToThread(viewer.wait_for_line, "Watching cam-1")
            running.stop()
            camera.stop()
            async with serving(Door(closes_joined=4403), port=running.port):
                assert await deferToThread(viewer.wait) == 1
    assert "closed the connection for good (close code 4403)" in viewer.lines[-1]
    assert "Traceback" not in viewer.output


@deadline(60)
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_a_recording_can_be_played_however_it_ended(
    shared_server: Server, tmp_path: Path, ending: str, how: signal.Signals
) -> None:
    url, room, path = shared_server.websocket_url, f"record-{ending}-{how}", tmp_path / f"out.{ending}"
    arguments = [f"--server={url}", f"--room={room}", "--camera=cam-1", f"--record={path}"]
    encoding = EncoderSettings(keyframe_interval=1)
    async with streaming_camera(url, room, encoding=encoding), ViewerClient(url, room=room) as client:
        stream = await client.request_stream("cam-1")
        with command(script("cctvsignal-viewer"), *arguments) as viewer:
            await deferToThread(viewer.wait_for_line, "Recording cam-1")
            seen = await counters(stream, 75)
            viewer.process.send_signal(how)
            # As who signals a whole group does.
            viewer.process.send_signal(how)
            await deferToThread(viewer.wait)
    recorded = counters_of_file(path)
    assert_no_loss(recorded)
    # At least up to the last keyframe but one.
    assert recorded[-1] > seen[-1] - 2 * 16
    if how == signal.SIGINT:
        assert viewer.process.returncode == 0
        assert f"Saved {path}." in viewer.lines
        assert recorded[-1] >= seen[-1] - 3


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_ends_after_its_time(shared_server: Server, name: str) -> None:
    options = [f"--server={shared_server.websocket_url}", "--room=short", "--exit-after=0.5"]
    with command(script(name), *options) as running:
        assert running.wait() == 0, running.output
        assert "Traceback" not in running.output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_and_the_environment(name: str) -> None:
    with command(script(name), "--help", environment={"COLUMNS": "100"}) as running:
        assert running.wait() == 0
    options, _, examples = running.output.partition("examples:")
    assert examples.count(f"  {name} ") >= 3
    environment = {
        "--server": "SERVER_URL",
        "--room": "ROOM_NAME",
        "--token": "TOKEN",
        "--ca-file": "CA_FILE",
        "--id" if name == "cctvsignal-camera" else "--camera": "CAMERA_ID",
    }
    for option, variable in environment.items():
        (text,) = re.findall(rf"^  {option} (?:(?!^  -).)*", options, re.MULTILINE | re.DOTALL)
        assert re.search(rf"environment:\s+{variable}\)", text)
    assert "Traceback" not in running.output


@dataclass
class Terminal:
    """A command that thinks that somebody looks on."""

    process: subprocess.Popen[bytes]
    reading: int
    output: str = ""

    def read_until(self, pattern: str) -> None:
        """Read on until all that was shown so far matches."""
        while not re.search(pattern, self.output):
            assert self.read(), self.output

    def read(self) -> bool:
        """Read on; whether there was anything."""
        try:
            data = os.read(self.reading, 4096)
        except OSError:  # Linux says so when nobody has the other end any more.
            return False
        self.output += data.decode()
        return data != b""


@contextmanager
def terminal(columns: int, *arguments: str) -> Iterator[Terminal]:
    """A command in a terminal of so many columns."""
    import fcntl
    import pty
    import struct
    import termios

    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        arguments, stdin=writing, stdout=writing, stderr=writing, env=environment, start_new_session=True
    )
    os.close(writing)
    try:
        yield Terminal(process, reading)
    finally:
        process.kill()
        process.wait()
        os.close(reading)


@deadline(60)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals of this kind")
@pytest.mark.parametrize("columns", [100, 30])
async def test_people_see_a_status_line(shared_server: Server, columns: int) -> None:
    url, room = shared_server.websocket_url, f"terminal-{columns}"
    arguments = [script("cctvsignal-camera"), f"--server={url}", f"--room={room}"]
    with terminal(columns, *arguments) as shown:
        await deferToThread(shown.read_until, "cam-1: 0 viewers")
        viewer = await join(url, room)
        viewer.send({"type": "requestStream", "cameraId": "cam-1"})
        await deferToThread(shown.read_until, r"Viewers: 1\r\n.*cam-1: 1 viewers")
        await viewer.leave()
        shown.process.send_signal(signal.SIGINT)
        while await deferToThread(shown.read):
            pass
        assert shown.process.wait(STOP_SECONDS) == 0
    first, *rest = shown.output.split("\r\n")
    assert first == f"Camera cam-1 is in room {room}."
    assert rest[-1] == ""  # The shell's prompt is at the beginning of a line.
    statuses = re.findall(r"\x1b\[2K(cam-1: [^\r\n]*)", shown.output)
    assert statuses
    assert all(len(status) < columns for status in statuses)
    # What is said takes the place of the status, which follows.
    assert re.search(r"\r\x1b\[2KViewers: 1\r\ncam-1: 0 viewers", shown.output)
    for line in rest[:-1]:
        # On each line only what comes after its last clearing is left to be seen.
        assert re.match(r"Viewers: \d$|cam-1: \d viewers", line.rpartition(CLEAR)[2])


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("rtsp://user:secret@127.0.0.1:1/x", "rtsp://127.0.0.1:1/x"),
        ("http://user:secret@127.0.0.1:1/x?key=secret", "http://127.0.0.1:1/x"),
        ("ftp://user:secret@127.0.0.1:1/x", "ftp://127.0.0.1:1/x"),
    ],
)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_credentials_of_a_source_are_told_nobody(
    shared_server: Server, url: str, redacted: str, log_format: str
) -> None:
    options = [f"--server={shared_server.websocket_url}", f"--log-format={log_format}", f"--source={url}"]
    with command(script("cctvsignal-camera"), *options) as running:
        assert running.wait() == 1
    (line,) = running.lines
    assert redacted in line
    assert "secret" not in running.output


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["cctvsignal-camera", "--size=1x"], "'1x' is no size: write it as 640x480"),
        (["cctvsignal-camera", "--size=00x00"], "'00x00' is no size: write it as 640x480"),
        (["cctvsignal-camera", "--fps=0"], "argument --fps: '0' is no number above 0"),
        (["cctvsignal-camera", "--fps=many"], "argument --fps: 'many' is no number above 0"),
        (["cctvsignal-camera", "--bitrate=inf"], "argument --bitrate: 'inf' is no number above 0"),
        (["cctvsignal-camera", "--max-viewers=x"], "argument --max-viewers: "),
        (["cctvsignal-camera", "--codec=av1"], "argument --codec: invalid choice: 'av1'"),
        (["cctvsignal-viewer", "--timeout=x"], "argument --timeout: "),
        (["cctvsignal-viewer", "--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_what_cannot_be_meant_is_told(arguments: list[str], hint: str) -> None:
    name, *options = arguments
    with command(script(name), *options) as running:
        assert running.wait() == 2
    assert hint in running.lines[-1]
    assert "_positive" not in running.output
    assert "Traceback" not in running.output

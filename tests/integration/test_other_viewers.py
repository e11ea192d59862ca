"""Viewers over WebRTC libraries that neither we nor aiortc have written watch the Python camera."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.media import assert_no_loss, counters_of_file
from tests.processes import REPOSITORY, Server, command, script

PEERS: Final = REPOSITORY / "tests" / "peers"
CODECS: Final = {"h264": "video/H264", "vp8": "video/VP8"}
FRAMES: Final = 60
SECONDS: Final = 90.0


@contextmanager
def camera(server: Server, room: str, *options: str) -> Iterator[None]:
    """The camera cam-1 with the test pattern."""
    arguments = [
        f"--server={server.websocket_url}",
        f"--room={room}",
        "--id=cam-1",
        "--source=test",
        *options,
    ]
    with command(script("cctvsignal-camera"), *arguments) as process:
        process.wait_for_line("Camera cam-1 is in room")
        yield


def result(*arguments: str, **environment: str) -> dict[str, Any]:
    """What a viewer has seen, which it prints as JSON before it ends."""
    with command(*arguments, environment=environment) as process:
        assert process.wait(SECONDS) == 0, process.output
        found: dict[str, Any] = json.loads(process.wait_for_line(r"^\{.*\}$").group())
        return found


def node(name: str, *arguments: str) -> dict[str, Any]:
    """The same of a script that runs under Node."""
    assert shutil.which("node"), "there is no Node.js: run tests/install-peers.sh"
    assert (PEERS / "node_modules").is_dir(), "tests/peers has no node_modules: run tests/install-peers.sh"
    return result("node", str(PEERS / name), *arguments)


@pytest.mark.parametrize("codec", CODECS)
def test_werift(shared_server: Server, tmp_path: Path, codec: str) -> None:
    file, room = tmp_path / f"video.{'ivf' if codec == 'vp8' else 'h264'}", f"werift-{codec}"
    with camera(shared_server, room, f"--codec={codec}"):
        url = shared_server.websocket_url
        found = node("werift-viewer.mjs", url, room, "cam-1", str(FRAMES), str(file), codec)
    assert found["codec"] == CODECS[codec]
    assert found["keyframeAfterPli"]
    counters = counters_of_file(file)
    assert len(counters) == found["frames"] == FRAMES
    assert_no_loss(counters)


def test_firefox(shared_server: Server) -> None:
    """VP8 only: a fresh Firefox has no H.264 in WebRTC before it has downloaded a binary of Cisco's."""
    assert shutil.which("firefox-esr") or shutil.which("firefox"), (
        "there is no Firefox: run tests/install-peers.sh"
    )
    with camera(shared_server, "firefox"):
        page = f"{shared_server.url}/?room=firefox"
        found = node("firefox-viewer.mjs", page, "cam-1", str(FRAMES))
    assert found["codec"] == CODECS["vp8"]
    assert (found["width"], found["height"]) == (640, 480)
    assert found["lost"] == 0
    # The page shows the newest picture when it is looked at, not each of them.
    assert found["frames"] >= FRAMES
    assert found["firstCounter"] < found["counter"] < found["firstCounter"] + 15 * SECONDS
    assert found["state"] == "live"


def test_libwebrtc(shared_server: Server) -> None:
    """VP8 only: its H.264 is a binary of Cisco's, which the library downloads while it runs."""
    assert importlib.util.find_spec("webrtc"), "there is no wrtc: install the dependency group dev"
    with camera(shared_server, "libwebrtc"):
        arguments = [shared_server.websocket_url, "libwebrtc", "cam-1", str(FRAMES)]
        viewer = [sys.executable, "-m", "tests.peers.wrtc_viewer", *arguments]
        found = result(*viewer, WRTC_ALLOW_LOOPBACK="1")
    assert found["codec"] == CODECS["vp8"]
    assert (found["width"], found["height"], found["frames"]) == (640, 480, FRAMES)
    assert_no_loss(found["counters"])

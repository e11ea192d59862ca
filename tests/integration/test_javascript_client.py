"""The JavaScript client as a package of npm, and under Node with `ws` and `werift`."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest
from aiortc.codecs.h264 import H264Encoder
from cctvsignal_clients import CameraBusy, ViewerClient
from cctvsignal_clients.sources.pattern import draw
from twisted.internet.threads import deferToThread

from tests.live import deadline
from tests.media import MEDIA_SECONDS, counters
from tests.processes import REPOSITORY, Process, Server, command, script, server

PACKAGE: Final = REPOSITORY / "clients" / "js"
TOOLS: Final = REPOSITORY / "tests" / "javascript"
PEERS: Final = REPOSITORY / "tests" / "peers" / "node_modules"
CLIENT: Final = REPOSITORY / "tests" / "peers" / "node-client.mjs"
TYPES: Final = {
    "target": "ES2022",
    "lib": ["ES2022"],
    "types": ["node"],
    "module": "NodeNext",
    "strict": True,
    "noEmit": True,
}
"""A project for Node, which knows nothing of browsers."""


# --- the package --------------------------------------------------------------------------------------


def run(*arguments: str, directory: Path) -> str:
    """What a command that must succeed prints."""
    done = subprocess.run(arguments, cwd=directory, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty project that has installed the package as npm would publish it."""
    directory = tmp_path_factory.mktemp("project")
    packed = run("npm", "pack", "--silent", f"--pack-destination={directory}", directory=PACKAGE)
    (directory / "package.json").write_text('{"type": "module"}')
    tarball = packed.splitlines()[-1]
    run("npm", "install", "--offline", "--no-audit", "--no-fund", tarball, directory=directory)
    return directory


def test_the_package_of_npm_holds_what_its_users_need(project: Path) -> None:
    installed = project / "node_modules" / "cctvsignal-client"
    names = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    modules = {path.name for path in PACKAGE.glob("*.js")}
    declarations = {f"types/{name.removesuffix('.js')}.d.ts" for name in modules}
    assert names == modules | declarations | {"LICENSE", "README.md", "package.json"}
    assert (installed / "LICENSE").read_text() == (REPOSITORY / "LICENSE").read_text()
    assert not (PACKAGE / "types").exists()
    assert not (PACKAGE / "node_modules").exists()


def test_the_package_of_npm_is_imported_by_its_name(project: Path) -> None:
    program = (
        "import * as client from 'cctvsignal-client'; console.log(JSON.stringify(Object.keys(client)))"
    )
    found = json.loads(run("node", "--input-type=module", "--eval", program, directory=project))
    assert {"CameraClient", "ViewerClient", "WebRTCCCTVClient", "TimeoutError"} <= set(found)


def check_types(project: Path, file: str, **options: bool) -> None:
    configuration = {"compilerOptions": {**TYPES, **options}, "files": [file]}
    (project / "tsconfig.json").write_text(json.dumps(configuration))
    run(str(TOOLS / "node_modules" / ".bin" / "tsc"), "--project", ".", directory=project)


def test_the_package_of_npm_has_types(project: Path) -> None:
    modules = project / "node_modules"
    (modules / "@types").symlink_to(TOOLS / "node_modules" / "@types")
    check_types(project, "node_modules/cctvsignal-client/types/index.d.ts")
    for name in ("werift", "ws"):
        (modules / name).symlink_to(PEERS / name)
    shutil.copy(TOOLS / "user.ts", project)
    # The declarations of werift are not sound themselves.
    check_types(project, "user.ts", skipLibCheck=True)


# --- under Node ---------------------------------------------------------------------------------------


@contextmanager
def node(role: str, server: Server, room: str, *arguments: str) -> Iterator[Process]:
    """The client of tests/peers/node-client.mjs for the camera cam-1."""
    assert PEERS.is_dir(), "tests/peers has no node_modules: run tests/install-peers.sh"
    with command("node", str(CLIENT), role, server.websocket_url, room, "cam-1", *arguments) as process:
        yield process
    # Node prints the stack of what nobody caught.
    assert "    at " not in process.output, process.output


def heard(process: Process, event: str) -> dict[str, Any]:
    """The next of these events that a client under Node prints."""
    line = process.wait_for_line(rf'^{{"event":"{event}".*$').group()
    found: dict[str, Any] = json.loads(line)
    return found


def python_camera(server: Server, room: str) -> AbstractContextManager[Process]:
    arguments = [f"--server={server.websocket_url}", f"--room={room}", "--id=cam-1", "--source=test"]
    return command(script("cctvsignal-camera"), "--codec=h264", *arguments)


def test_pictures_go_on_while_the_server_restarts() -> None:
    with server() as first, python_camera(first, "cctv") as camera:
        camera.wait_for_line("Camera cam-1 is in room")
        with node("watch", first, "cctv", "15000") as viewer:
            before = heard(viewer, "roomJoined")["clientId"]
            heard(viewer, "streamReceived")
            first.stop()
            assert heard(viewer, "disconnected")["willReconnect"]
            count = heard(viewer, "pictures")["count"]
            assert heard(viewer, "pictures")["count"] > count
            with server(port=first.port):
                assert heard(viewer, "roomJoined")["clientId"] != before
                heard(viewer, "pictures")
                assert "streamLost" not in viewer.output


def test_a_camera_that_was_killed_is_seen_again_when_it_is_back(shared_server: Server) -> None:
    room = "killed"
    with python_camera(shared_server, room) as camera:
        camera.wait_for_line("Camera cam-1 is in room")
        with node("watch", shared_server, room, "15000") as viewer:
            first = heard(viewer, "streamReceived")["clientId"]
            heard(viewer, "pictures")
            camera.stop(signal.SIGKILL)
            assert heard(viewer, "streamLost")["reason"] == "cameraUnavailable"
            with python_camera(shared_server, room):
                heard(viewer, "cameraAvailable")
                assert heard(viewer, "streamReceived")["clientId"] != first
                heard(viewer, "pictures")


def test_a_camera_that_never_answers_is_a_timeout(shared_server: Server) -> None:
    with node("show", shared_server, "silent") as camera:
        heard(camera, "roomJoined")
        with node("watch", shared_server, "silent", "1000") as viewer:
            heard(camera, "viewerRequest")
            assert heard(viewer, "refused")["name"] == "TimeoutError"


def write_packets(path: Path, frames: int) -> None:
    """The test pattern as H.264 in RTP payloads, as node-client.mjs plays them."""
    encoder = H264Encoder()
    packets = []
    for number in range(frames):
        frame = draw(number, datetime.now(UTC))
        frame.pts, frame.time_base = number, Fraction(1, 15)
        payloads, _ = encoder.encode(frame, force_keyframe=number % 15 == 0)
        packets.append([base64.b64encode(payload).decode() for payload in payloads])
    path.write_text(json.dumps(packets))


@deadline(MEDIA_SECONDS)
async def test_the_python_viewer_watches_a_camera_under_node(shared_server: Server, tmp_path: Path) -> None:
    write_packets(tmp_path / "packets.json", frames=90)
    url = shared_server.websocket_url
    with node("show", shared_server, "node", str(tmp_path / "packets.json")) as camera:
        await deferToThread(heard, camera, "roomJoined")
        async with ViewerClient(url, room="node") as viewer, ViewerClient(url, room="node") as another:
            await viewer.wait_for_camera("cam-1", 10)
            assert viewer.cameras["cam-1"].meta == {"name": "Node", "acceptsAudio": True}
            stream = await viewer.request_stream("cam-1")
            found = await counters(stream, 20)
            assert set(found) <= set(range(90))
            assert len(set(found)) == 20
            viewers = await deferToThread(heard, camera, "viewersChanged")
            assert viewers["viewers"] == [viewer.client_id]
            with pytest.raises(CameraBusy):
                await another.request_stream("cam-1")
            await viewer.stop_viewing("cam-1")
            assert (await deferToThread(heard, camera, "viewersChanged"))["viewers"] == []


def test_a_viewer_under_node_talks_to_a_camera_under_node(shared_server: Server, tmp_path: Path) -> None:
    write_packets(tmp_path / "packets.json", frames=15)
    with node("show", shared_server, "talk", str(tmp_path / "packets.json")) as camera:
        heard(camera, "roomJoined")
        with node("talk", shared_server, "talk", "15000") as viewer:
            client_id = heard(viewer, "roomJoined")["clientId"]
            assert heard(camera, "voice")["viewerId"] == client_id

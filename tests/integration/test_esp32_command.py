"""The command `cctvsignal-esp32`: many devices, health, metrics, heartbeats, and what it says."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cctvsignal_clients import ViewerClient
from twisted.internet.threads import deferToThread

from tests.esp32 import until_true
from tests.jpegs import counter_of
from tests.live import deadline
from tests.media import MEDIA_SECONDS, counters
from tests.processes import Process, Server, command
from tests.simulators import devices_file, simulators

ESP32 = str(Path(sys.executable).with_name("cctvsignal-esp32"))
DEVICES = 8
LISTEN = "127.0.0.1:0"


def fetch(url: str, body: object = None, secret: str | None = None) -> tuple[int, bytes]:
    """Status and body of an answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data)
    if secret is not None:
        request.add_header("Authorization", f"Bearer {secret}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@contextmanager
def bridge_of(path: Path, *arguments: str) -> Iterator[tuple[Process, str]]:
    """The command with a configuration file, and where its pages are."""
    with command(ESP32, "--config", str(path), "--log-format", "json", *arguments) as process:
        url = json.loads(process.wait_for_line('"listening"').string)["url"]
        yield process, url


@deadline(2 * MEDIA_SECONDS)
async def test_eight_devices_in_one_process(shared_server: Server, tmp_path: Path) -> None:
    url, room = shared_server.websocket_url, "esp32-eight"
    with simulators(DEVICES) as ports:
        file = devices_file(tmp_path, url, room, ports, listen=LISTEN)
        with bridge_of(file) as (process, pages):
            for _ in range(DEVICES):
                process.wait_for_line('"registered"')
            async with ViewerClient(url, room=room) as viewer:
                names = sorted(viewer.cameras)
                assert names == sorted(f"cam-{number}" for number in range(1, DEVICES + 1))
                streams = [await viewer.request_stream(name) for name in names]
                for stream in streams:
                    found = await counters(stream, 8)
                    assert found == sorted(set(found))
                health = json.loads(fetch(f"{pages}/health")[1])
                assert {each["state"] for each in health["devices"].values()} == {"streaming"}
                metrics = fetch(f"{pages}/metrics")[1].decode()
                assert metrics.count('state="streaming"} 1.0') == DEVICES
                assert len(re.findall(r'cctvsignal_esp32_viewers{device="cam-\d"} 1.0', metrics)) == DEVICES
                assert (
                    len(re.findall(r'cctvsignal_esp32_damaged_total{device="cam-\d"} 0.0', metrics))
                    == DEVICES
                )
                assert len(re.findall(r'_pictures_total{device="cam-\d"} [1-9]', metrics)) == DEVICES
            assert process.stop() == 0
    assert "Traceback" not in process.output


@deadline(MEDIA_SECONDS)
async def test_a_heartbeat_tells_where_a_device_is(shared_server: Server, tmp_path: Path) -> None:
    url, room = shared_server.websocket_url, "esp32-heartbeat"
    with simulators(1) as ((port, stream_port),):
        # A name that nothing on this network has, as `porch.local` on one without mDNS.
        path = devices_file(
            tmp_path,
            url,
            room,
            [(port, stream_port)],
            listen=LISTEN,
            **{"heartbeat-secret": "s3cret"},
        )
        path.write_text(path.read_text().replace("127.0.0.1:" + str(port), f"porch.invalid:{port}"))
        with bridge_of(path) as (process, pages):
            process.wait_for_line('"registered"')
            heartbeat = f"{pages}/heartbeat"
            assert fetch(heartbeat, {"id": "cam-1"})[0] == 401
            assert fetch(heartbeat, {"id": "cam-1"}, "wrong")[0] == 401
            assert fetch(heartbeat, {"id": "cam-2"}, "s3cret")[0] == 404
            assert fetch(heartbeat, b"no json", "s3cret")[0] == 400
            assert fetch(heartbeat, b" " * 2000, "s3cret")[0] == 400
            async with ViewerClient(url, room=room) as viewer:
                stream = await viewer.request_stream("cam-1", as_jpeg=True)
                await deferToThread(process.wait_for_line, "is down")
                assert await deferToThread(fetch, heartbeat, {"id": "cam-1"}, "s3cret") == (204, b"")
                await deferToThread(process.wait_for_line, "is streaming")
                async for jpeg in stream.pictures():
                    if counter_of(jpeg):  # The picture that says "down" has none.
                        break


@deadline(MEDIA_SECONDS)
async def test_the_demo_shows_two_devices_and_ends_all_that_it_started() -> None:
    with command(sys.executable, "examples/demo.py", "0") as demo:
        link = await deferToThread(demo.wait_for_line, r"Watch two simulated cameras: http(\S+)")
        async with ViewerClient(f"ws{link[1]}", room="cctv") as viewer:
            await until_true(lambda: len(viewer.cameras) == 2)
            for name in ("front-door", "yard"):
                found = await counters(await viewer.request_stream(name), 5)
                assert found == sorted(set(found))
        assert await deferToThread(demo.stop) == 0
    # They have its output for their own: it would not have ended with one of them left.
    assert "Traceback" not in demo.output


def test_a_demo_whose_port_is_taken_says_so(shared_server: Server) -> None:
    with command(sys.executable, "examples/demo.py", str(shared_server.port)) as demo:
        assert demo.wait() == 1
        assert f"{shared_server.port}" in demo.output
        assert "Traceback" not in demo.output


def test_a_bridge_waits_for_its_server(tmp_path: Path) -> None:
    arguments = ["--server", "ws://127.0.0.1:1", "--device", "http://127.0.0.1:2", "--id", "porch"]
    with command(ESP32, *arguments) as process:
        assert "trying again" in process.wait_for_line("porch is not in the room").string
        process.wait_for_line("porch is not in the room")
        assert process.stop(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "Give either a --device"),
        (("--device", "http://a", "--config", "b"), "Give either a --device"),
        (("--device", "192.168.1.40"), "has to be http://HOST"),
        (("--config", "nothing.toml"), "nothing.toml cannot be read: No such file"),
        (("--device", "http://a", "--listen", "here"), "no place to listen at"),
        (("--device", "http://a", "--id", "x" * 300), "camera"),
        (("--device", "http://a", "--variant", "nokia"), "invalid choice: 'nokia'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments: tuple[str, ...], problem: str) -> None:
    done = subprocess.run([ESP32, *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode
    assert problem in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@deadline(MEDIA_SECONDS)
async def test_credentials_never_reach_the_log(shared_server: Server, tmp_path: Path) -> None:
    url, room = shared_server.websocket_url, "esp32-secrets"
    environment = {"DEVICE_USERNAME": "admin", "DEVICE_PASSWORD": "pa55word", "DEVICE_SECRET": "s3cret"}
    with simulators(1) as ((port, stream_port),):
        arguments = ["--server", url, "--room", room, "--id", "porch", "--keep-warm"]
        arguments += ["--device", f"http://127.0.0.1:{port}", "--stream-port", str(stream_port)]
        with command(ESP32, *arguments, environment=environment) as process:
            process.wait_for_line("is streaming")
            async with ViewerClient(url, room=room) as viewer:
                meta: Any = viewer.cameras["porch"].meta
                assert "admin" not in json.dumps(meta)
        for secret in ("admin", "pa55word", "s3cret"):
            assert secret not in process.output

"""The simulated ESP32-CAM as its clients see it: bytes on sockets, from a process of its own."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from cctvsignal_clients.jpeg import SOI, clean
from cctvsignal_clients.pictures import JpegDecoder
from cctvsignal_clients.sources.pattern import read_counter
from cctvsignal_iot.simulator.firmware import VARIANTS

from tests.processes import Process, command

SECONDS = 20.0
BOUNDARY = b"123456789000000000000987654321"
PART = re.compile(
    rb"Content-Type: image/jpeg\r\nContent-Length: (\d+)\r\nX-Timestamp: (\d+)\.(\d{6})\r\n\r\n$"
)


@dataclass
class Device:
    """A simulator that runs."""

    process: Process
    port: int
    stream_port: int

    def ask(self, path: str, headers: str = "", *, stream: bool = False) -> socket.socket:
        """A connection on which this was asked for."""
        port = self.stream_port if stream else self.port
        connection = socket.create_connection(("127.0.0.1", port), SECONDS)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: esp32\r\n{headers}\r\n".encode())
        return connection

    def get(self, path: str, headers: str = "") -> tuple[bytes, bytes]:
        """Head and body of a whole answer."""
        with closing(self.ask(path, headers)) as connection:
            file = connection.makefile("rb")
            head = b"".join(iter(file.readline, b"\r\n"))
            match = re.search(rb"Content-Length: (\d+)", head)
            return head, file.read(int(match[1]) if match else -1)


@contextmanager
def simulator(*arguments: str) -> Iterator[Device]:
    """A simulator on free ports."""
    options = ["--port", "0", "--stream-port", "0", *arguments]
    with command(sys.executable, "-m", "cctvsignal_iot.simulator", *options) as process:
        started = json.loads(process.wait_for_line('"started"').string)
        yield Device(process, *(urlsplit(started[name]).port or 0 for name in ("url", "stream")))


@pytest.fixture(scope="module")
def shared() -> Iterator[Device]:
    """A device with the stock firmware, for tests that leave it as it was."""
    with simulator() as device:
        yield device


def chunks(connection: socket.socket, many: int) -> list[bytes]:
    """The next chunks of a chunked body, whose sizes are in lower-case hex."""
    file = connection.makefile("rb")
    found = []
    for _ in range(many):
        size = file.readline()
        assert re.fullmatch(rb"[0-9a-f]+\r\n", size)
        found.append(file.read(int(size, 16)))
        assert file.read(2) == b"\r\n"
    return found


def head_of(connection: socket.socket) -> bytes:
    """The head of an answer; nothing behind it is read."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte
        head += byte
    return head


def test_the_stream_is_the_stock_firmwares_to_the_byte(shared: Device) -> None:
    with closing(shared.ask("/stream", stream=True)) as connection:
        assert head_of(connection) == (
            b"HTTP/1.1 200 OK\r\n"
            b"Content-Type: multipart/x-mixed-replace;boundary=%s\r\n"
            b"Transfer-Encoding: chunked\r\n"
            b"Access-Control-Allow-Origin: *\r\n"
            b"X-Framerate: 60\r\n\r\n" % BOUNDARY
        )
        found = chunks(connection, 9)
    stamps, numbers = [], []
    for boundary, part, jpeg in zip(found[::3], found[1::3], found[2::3], strict=True):
        assert boundary == b"\r\n--%s\r\n" % BOUNDARY
        match = PART.fullmatch(part)
        assert match is not None
        assert int(match[1]) == len(jpeg)
        assert clean(jpeg)[1] == (320, 240)
        frame = JpegDecoder().decode(jpeg)
        assert frame is not None
        numbers.append(read_counter(frame))
        stamps.append(int(match[2]) + int(match[3]) / 1e6)
    assert stamps == sorted(set(stamps))
    assert numbers == sorted(set(numbers))


def test_a_second_client_gets_a_connection_and_not_a_byte_until_the_first_one_ends(shared: Device) -> None:
    with closing(shared.ask("/stream", stream=True)) as first:
        assert head_of(first).startswith(b"HTTP/1.1 200 OK")
        with closing(shared.ask("/stream", stream=True)) as second:
            second.settimeout(0.5)
            with pytest.raises(TimeoutError):
                second.recv(1)
            # The pages are another server.
            assert shared.get("/status")[0].startswith(b"HTTP/1.1 200 OK")
            first.close()
            second.settimeout(SECONDS)
            assert head_of(second).startswith(b"HTTP/1.1 200 OK")


def test_a_single_picture(shared: Device) -> None:
    begin = time.monotonic()
    head, jpeg = shared.get("/capture")
    assert time.monotonic() - begin >= 0.15  # The lamp.
    assert b"Content-Type: image/jpeg\r\n" in head
    assert b"Content-Disposition: inline; filename=capture.jpg\r\n" in head
    assert b"Access-Control-Allow-Origin: *\r\n" in head
    assert re.search(rb"X-Timestamp: \d+\.\d{6}\r\n", head)
    assert clean(jpeg)[1] == (320, 240)
    assert shared.get("/bmp")[1].startswith(b"BM")


def test_the_status_is_flat_json_without_vflip(shared: Device) -> None:
    head, body = shared.get("/status")
    assert b"Content-Type: application/json\r\n" in head
    status = json.loads(body)
    assert list(status)[:6] == ["0xd3", "0x111", "0x132", "xclk", "pixformat", "framesize"]
    assert (status["framesize"], status["quality"], status["xclk"]) == (6, 10, 20)
    assert "vflip" not in status
    assert all(isinstance(value, int) for value in status.values())


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("var=brightness&val=1", b"200 OK"),
        ("var=brightness&val=nonsense", b"200 OK"),  # atoi: 0
        ("var=brightness&val=3", b"500"),
        ("var=zoom&val=1", b"500"),
        ("var=brightness", b"404"),
        ("", b"404"),
        (f"var={'x' * 40}&val=1", b"404"),
    ],
)
def test_settings_are_changed_as_the_firmware_does(shared: Device, query: str, status: bytes) -> None:
    head, body = shared.get(f"/control?{query}")
    assert head.split(b" ", 1)[1].startswith(status)
    if status == b"200 OK":
        assert body == b""


@pytest.mark.parametrize(("options", "vga"), [((), 10), (("--old-indices",), 8)])
def test_the_numbers_of_framesize_changed_once(options: tuple[str, ...], vga: int) -> None:
    with simulator(*options) as device:
        device.get(f"/control?var=framesize&val={vga}")
        assert clean(device.get("/capture")[1])[1] == (640, 480)


def test_other_paths_and_methods(shared: Device) -> None:
    assert shared.get("/nothing")[0].startswith(b"HTTP/1.1 404 Not Found\r\n")
    with socket.create_connection(("127.0.0.1", shared.port), SECONDS) as connection:
        connection.sendall(b"POST /control HTTP/1.1\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 405")


def test_a_password_and_a_secret() -> None:
    with simulator("--username", "admin", "--password", "right", "--secret", "s3cret") as device:
        right = "Authorization: Basic YWRtaW46cmlnaHQ=\r\n"
        secret = "X-Camera-Secret: s3cret\r\n"
        assert b" 403 " in device.get("/status", right)[0]
        refused = device.get("/status", secret)[0]
        assert b" 401 " in refused
        assert b"WWW-Authenticate: Basic" in refused
        assert b" 200 " in device.get("/status", right + secret)[0]


def test_a_device_of_which_a_fault_comes_by_schedule_goes_on_after_it() -> None:
    with simulator("--fault", "truncated:1@0", "--fps", "10") as device:
        device.process.wait_for_line('"truncated"')
        with closing(device.ask("/stream", stream=True)) as connection:
            head_of(connection)
            found = chunks(connection, 60)
    whole = [jpeg.endswith(b"\xff\xd9") for jpeg in found[2::3]]
    assert not whole[0]
    assert whole[-1]
    assert all(jpeg.startswith(SOI) for jpeg in found[2::3])


def test_a_command_on_the_standard_input_reboots_it() -> None:
    arguments = [sys.executable, "-m", "cctvsignal_iot.simulator", "--port", "0", "--stream-port", "0"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            started = json.loads(process.stdout.readline())
            port = urlsplit(started["url"]).port
            process.stdin.write("flood\nreboot 1\n")
            process.stdin.flush()
            assert "there is no fault 'flood'" in json.loads(process.stdout.readline())["message"]
            assert json.loads(process.stdout.readline())["name"] == "reboot"
            _until_refused(port)
            _until_accepted(port)
        finally:
            process.terminate()


def _until_refused(port: int | None) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port or 0), 1).close()
        except OSError:
            return
    raise AssertionError("it is still there")


def _until_accepted(port: int | None) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port or 0), 1).close()
        except OSError:
            continue
        return
    raise AssertionError("it has not come back")


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "camera-web-server"])
def test_other_firmwares_say_their_own(variant: str) -> None:
    kind = VARIANTS[variant]
    with simulator("--variant", variant) as device:
        path = kind.stream_paths[0] + ("?video=1" if variant == "s60sc" else "")
        with closing(device.ask(path, stream=True)) as connection:
            head = head_of(connection)
            assert head == kind.head.encode()
            assert head.startswith(
                b"HTTP/1.1" if variant != "esphome" and variant != "plain" else b"HTTP/1.0"
            )
            assert (b"chunked" in head) == kind.chunked
            assert b"X-Timestamp" not in connection.recv(200)


def test_esphome_drops_the_oldest_client() -> None:
    with simulator("--variant", "esphome") as device, closing(device.ask("/", stream=True)) as first:
        head_of(first)
        with closing(device.ask("/", stream=True)) as second:
            assert head_of(second).startswith(b"HTTP/1.0 200 OK")
            while first.recv(65536):
                pass


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--frame-size", "8K"), "there is no frame size '8K'"),
        (("--fault", "flood@1"), "there is no fault 'flood'"),
        (("--host", "192.0.2.1"), "Couldn't listen|annot assign"),
    ],
)
def test_what_is_wrong_with_its_options_is_said_in_a_line(arguments: tuple[str, ...], problem: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cctvsignal_iot.simulator", "--port", "0", "--stream-port", "0", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=SECONDS,
    )
    assert done.returncode
    assert re.search(problem, done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr

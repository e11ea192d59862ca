"""Devices that bend the rules of HTTP, multipart and JPEG, and what the bridge makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from cctvsignal_clients import bridge
from cctvsignal_clients.sources.pattern import read_counter
from cctvsignal_iot import source as device_source
from cctvsignal_iot import stream_finder
from cctvsignal_iot.config import DeviceConfig
from cctvsignal_iot.http import MOST_HEAD_BYTES, DeviceHTTP, Missing, only_headers
from cctvsignal_iot.source import DeviceSource
from cctvsignal_iot.states import DeviceState

from tests.esp32 import until_true
from tests.jpegs import EOI, QUIRKS, photograph
from tests.live import deadline
from tests.raw_camera import FRAME_SECONDS, raw_camera, stream_of

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n"
CUT = {
    "half": lambda jpeg: jpeg[: len(jpeg) // 2],
    "half, but with an end": lambda jpeg: jpeg[: len(jpeg) // 2] + EOI,
    "half, and remains of an older one": lambda jpeg: jpeg[: len(jpeg) // 2] + b"\xff\xd8" + jpeg[-500:],
}
"""Pictures that nobody may see."""


def part(jpeg: bytes) -> bytes:
    return b"\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s" % (len(jpeg), jpeg)


@asynccontextmanager
async def device_at(url: str, **options: Any) -> AsyncIterator[DeviceSource]:
    """The pictures of a device, whose stream is always wanted. Its `states` are noted."""
    source = DeviceSource(DeviceConfig(id="porch", url=url, keep_warm=True, **options))
    await bridge.start(source.start())
    try:
        yield source
    finally:
        await bridge.start(source.stop())


def noted(source: DeviceSource) -> list[DeviceState]:
    """The states that a device comes to have."""
    states: list[DeviceState] = []
    source.on_state = lambda: states.append(source.state)
    return states


async def shown(source: DeviceSource, many: int) -> list[int]:
    """The numbers in the next pictures of a device."""
    reader = source.frames.read(keep=many)
    try:
        return [read_counter(await bridge.start(reader.next())) for _ in range(many)]
    finally:
        source.frames.discard(reader)


@deadline()
@pytest.mark.parametrize(
    ("head", "change"),
    [
        (HEAD, QUIRKS["everything"]),
        (HEAD.replace(b"\r\n\r\n", b"\r\nhello\r\n\tthere\r\nServer: camera\r\n\r\n"), QUIRKS["nothing"]),
        (HEAD.replace(b"=frame", b'="anything"'), QUIRKS["nothing"]),
        (HEAD.replace(b"\r\n", b"\n"), QUIRKS["nothing"]),
        (b"HTTP/1.0 200 OK\r\n\r\n", QUIRKS["nothing"]),
        (HEAD.replace(b"x-mixed-replace", b"mixed"), QUIRKS["nothing"]),
    ],
    ids=["stray bytes", "no colon", "another boundary", "line feeds", "no type", "multipart/mixed"],
)
async def test_a_stream_that_bends_the_rules_is_shown(
    head: bytes, change: Callable[[bytes], bytes]
) -> None:
    answer = stream_of(head, lambda number: part(change(photograph(number))))
    async with raw_camera(answer) as url, device_at(f"{url}/video") as source:
        found = await shown(source, 3)
        assert found == sorted(set(found))
        assert source.state is DeviceState.STREAMING
        assert source.tally.damaged == 0


@deadline()
@pytest.mark.parametrize("quirk", ["text after the end", "EOI twice", "SOI twice", "everything"])
async def test_single_pictures_with_stray_bytes_are_shown(
    quirk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_finder, "BUSY_SECONDS", 0.2)
    taken = 0

    async def answer(request: str, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        if request.startswith("GET /stream"):
            await asyncio.Event().wait()  # Another client has it.
        taken += 1
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + QUIRKS[quirk](photograph(taken))
        )

    async with raw_camera(answer) as url, device_at(url, stream_port=urlsplit(url).port) as source:
        found = await shown(source, 2)
        assert found == sorted(set(found))
        assert source.state is DeviceState.BUSY
        assert source.tally.damaged == 0


@deadline()
@pytest.mark.parametrize("cut", CUT)
async def test_a_device_whose_pictures_are_all_damaged_says_so(
    cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_source, "STALL_SECONDS", 1.0)
    is_whole = False

    def some(number: int) -> bytes:
        jpeg = photograph(number % 50)
        return part(jpeg if is_whole else CUT[cut](jpeg))

    async with raw_camera(stream_of(HEAD, some)) as url, device_at(f"{url}/video") as source:
        states = noted(source)
        reader = source.frames.read(keep=1)
        await until_true(lambda: DeviceState.DAMAGED_PICTURES in states)
        assert source.tally.damaged >= 3
        is_whole = True
        await until_true(lambda: source.state is DeviceState.STREAMING)
        read_counter(await bridge.start(reader.next()))
        # It was connected all the time, and nobody blamed the Wi-Fi.
        assert source.tally.connections == 1
        assert DeviceState.STALLED not in states


@deadline(30)
async def test_after_a_stall_it_is_the_bridges_own_connection_that_holds_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device_source, "STALL_SECONDS", 1.0)
    monkeypatch.setattr(stream_finder, "BUSY_SECONDS", 0.2)
    streams, is_free = 0, asyncio.Event()

    async def answer(request: str, writer: asyncio.StreamWriter) -> None:
        nonlocal streams
        if not request.startswith("GET /stream"):
            jpeg = photograph(1)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(jpeg), jpeg))
            return
        streams += 1
        if streams == 1:
            writer.write(HEAD + b"".join(part(photograph(number)) for number in range(3)))
            await is_free.wait()  # Its sends block, though the bridge has hung up.
            return
        await is_free.wait()
        await stream_of(HEAD, lambda number: part(photograph(number % 50)))(request, writer)

    async with raw_camera(answer) as url, device_at(url, stream_port=urlsplit(url).port) as source:
        states = noted(source)
        await until_true(lambda: source.state is DeviceState.RECONNECTING)
        assert DeviceState.STALLED in states
        await until_true(lambda: source.tally.pictures >= 5)  # Single ones come meanwhile.
        is_free.set()
        await until_true(lambda: source.state is DeviceState.STREAMING)
        assert DeviceState.BUSY not in states


@deadline()
async def test_each_request_has_its_own_on_connect() -> None:
    both_asked = asyncio.Event()

    async def answer(request: str, writer: asyncio.StreamWriter) -> None:
        if request.startswith("GET /moved"):
            await both_asked.wait()
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: /here\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with raw_camera(answer) as url:
        calls: list[str] = []

        async def ask() -> None:
            http = DeviceHTTP(DeviceConfig(id="porch", url=url))
            moved = asyncio.ensure_future(http.open(f"{url}/moved", lambda: calls.append("moved")))
            other = await http.open(f"{url}/other", lambda: calls.append("other"))
            assert await http.get(f"{url}/status") == b"ok"
            both_asked.set()
            for stream in (other, await moved):
                stream.close()

        await bridge.start(ask())
        # Two connections for the one that was redirected, and none for requests that did not ask.
        assert sorted(calls) == ["moved", "moved", "other"]


@deadline()
async def test_headers_without_an_end_are_bounded() -> None:
    async def answer(request: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X-Padding: " + b"a" * 1000 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(FRAME_SECONDS / 10)

    async with raw_camera(answer) as url:
        with pytest.raises(Missing, match=str(MOST_HEAD_BYTES)):
            await bridge.start(DeviceHTTP(DeviceConfig(id="porch", url=url)).get(url))


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nA: 1\r\nB:2", b"HTTP/1.1 200 OK\r\nA: 1\r\nB:2\r\n\r\n"),
        (b"HTTP/1.1 200 OK\nA: 1\nhello\n there\nB: 2", b"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n folded\r\n: none\r\nA: 1", b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nA: 1\r\n folded", b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n"),
    ],
)
def test_what_is_not_a_header_is_left_out(head: bytes, kept: bytes) -> None:
    assert only_headers(head) == kept

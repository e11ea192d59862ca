"""Sources at http:// addresses: MJPEG as cameras send it, and what FFmpeg reads."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cctvsignal_clients import Source, SourceError, bridge, open_source
from cctvsignal_clients.sources import container, http_mjpeg
from cctvsignal_clients.sources.pattern import read_counter
from cctvsignal_iot.simulator.firmware import VARIANTS
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.server import Site
from twisted.web.static import File

from tests.esp32 import simulated, until_true
from tests.jpegs import QUIRKS, photograph
from tests.live import deadline
from tests.media import MEDIA_SECONDS, logged
from tests.raw_camera import raw_camera, stream_of
from tests.videos import write_video

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n"
PART = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
TASMOTA = b"e8b8c539-047d-4777-a985-fbba6edff11e"


@asynccontextmanager
async def started(word: str) -> AsyncIterator[Source]:
    """A source that runs."""
    source = open_source(word)
    await bridge.start(source.start())
    try:
        yield source
    finally:
        await bridge.start(source.stop())


async def shown(source: Source, many: int) -> list[int]:
    """The numbers in the next pictures of a source."""

    reader = source.frames.read(keep=many)
    try:
        return [read_counter(await bridge.start(reader.next())) for _ in range(many)]
    finally:
        source.frames.discard(reader)


def plain(number: int) -> bytes:
    jpeg = photograph(number)
    return PART % (len(jpeg), jpeg)


def quirky(number: int) -> bytes:
    jpeg = QUIRKS["everything"](photograph(number))
    return PART % (len(jpeg), jpeg)


STREAMS: dict[str, tuple[bytes, Callable[[int], bytes]]] = {
    "as it should be": (HEAD + b"\r\n", plain),
    "tasmota": (
        HEAD.replace(b"frame", TASMOTA) + b"\r\n",
        lambda number: plain(number).replace(b"frame", TASMOTA),
    ),
    "image/jpg": (HEAD + b"\r\n", lambda number: plain(number).replace(b"image/jpeg", b"image/jpg")),
    "no type of parts": (
        HEAD + b"\r\n",
        lambda number: plain(number).replace(b"Content-Type: image/jpeg\r\n", b""),
    ),
    "no type at all": (b"HTTP/1.0 200 OK\r\n\r\n", plain),
    "another boundary": (HEAD + b"\r\n", lambda number: plain(number).replace(b"--frame", b"--myboundary")),
    "a line without a colon": (HEAD + b"hello\r\nServer: camera\r\n\r\n", plain),
    "no boundary": (b"HTTP/1.0 200 OK\r\nContent-Type: image/jpg\r\n\r\n", photograph),
    "stray bytes": (HEAD + b"\r\n", quirky),
}


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("name", STREAMS)
async def test_mjpeg_is_read_as_the_bridge_reads_it(name: str) -> None:
    head, part = STREAMS[name]
    async with raw_camera(stream_of(head, part)) as url, started(f"{url}/stream") as source:
        found = await shown(source, 5)
        assert found == sorted(set(found))


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("variant", VARIANTS)
async def test_mjpeg_of_every_firmware_is_read(variant: str) -> None:
    async with simulated(variant) as device, started(device.stream_url) as source:
        found = await shown(source, 5)
        assert found == sorted(set(found))


@deadline(MEDIA_SECONDS)
async def test_pictures_that_are_cut_off_are_left_out_and_the_log_says_so_if_all_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_mjpeg, "DAMAGED_SECONDS", 0.5)
    all_are = False

    def part(number: int) -> bytes:
        jpeg = photograph(number)
        jpeg = jpeg[: len(jpeg) // 2] if all_are or number % 2 else jpeg
        return PART % (len(jpeg), jpeg)

    async with (
        logged() as events,
        raw_camera(stream_of(HEAD + b"\r\n", part)) as url,
        started(f"{url}/stream") as source,
    ):
        found = await shown(source, 5)
        assert not any(number % 2 for number in found)
        all_are = True
        await until_true(
            lambda: any("only damaged pictures" in str(each.get("problem")) for each in events)
        )


@deadline(MEDIA_SECONDS)
async def test_the_password_of_a_camera_is_sent_and_not_logged() -> None:
    wanted = base64.b64encode(b"admin:c4nary").decode()
    stream = stream_of(HEAD + b"\r\n", plain)

    async def answer(request: str, writer: asyncio.StreamWriter) -> None:
        if f"Authorization: Basic {wanted}\r\n" not in request:
            writer.write(
                b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="camera"\r\n'
                b"Content-Length: 0\r\nConnection: close\r\n\r\n"
            )
            return
        await stream(request, writer)

    async with logged() as events, raw_camera(answer) as url:
        async with started(url.replace("//", "//admin:c4nary@")) as source:
            assert len(await shown(source, 2)) == 2
        with pytest.raises(SourceError) as caught:
            await bridge.start(open_source(url.replace("//", "//admin:c4nary2@")).start())
        assert "c4nary" not in str(caught.value)
        assert "c4nary" not in str(events)


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("name", ["video.ts", "video.mp4", "list.m3u8"])
async def test_other_video_over_http_is_still_read_by_ffmpeg(tmp_path: Path, name: str) -> None:
    for file in ("video.ts", "video.mp4"):
        write_video(tmp_path / file, frames=45, rate=15, profile="baseline", g="15")
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3,\nvideo.ts\n#EXT-X-ENDLIST\n"
    )
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(File(str(tmp_path))))
    try:
        async with started(f"http://127.0.0.1:{port.getHost().port}/{name}") as source:
            assert source.passes_h264
            assert len(await shown(source, 3)) == 3
    finally:
        await port.stopListening()


@deadline(MEDIA_SECONDS)
async def test_a_page_that_is_no_video_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "OPEN_SECONDS", 5.0)
    page = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>a printer</html>"

    async def answer(request: str, writer: asyncio.StreamWriter) -> None:
        writer.write(page)

    async with raw_camera(answer) as url:
        with pytest.raises(SourceError, match="cannot be read"):
            await bridge.start(open_source(url).start())

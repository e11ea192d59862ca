"""Which of several video tracks is shown, and what is said of sources that are read otherwise."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from cctvsignal_clients import SourceError, ViewerClient, bridge, open_source
from cctvsignal_clients.sources.pattern import draw
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.server import Site
from twisted.web.static import Data

from tests.integration.test_sources import is_encoding
from tests.live import deadline
from tests.media import MEDIA_SECONDS, counters, logged, streaming_camera
from tests.processes import Server, command, script
from tests.rtsp_server import rtsp_server
from tests.unit.test_client_frames import NOON
from tests.videos import write_video

PIXELS = {"mjpeg": "yuvj420p", "libx264": "yuv420p", "libvpx": "yuv420p"}


def write_tracks(path: Path, *tracks: tuple[str, int, int], cover: int | None = None) -> None:
    """Write a video with these tracks (codec of FFmpeg's, width, height), one of them perhaps a cover."""
    with av.open(str(path), "w") as file:
        streams = []
        for codec, width, height in tracks:
            options = {"profile": "baseline", "g": "15"} if codec == "libx264" else {}
            stream = file.add_stream(codec, rate=15, options=options)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, PIXELS[codec]
            streams.append(stream)
        if cover is not None:
            streams[cover].disposition = av.stream.Disposition.attached_pic
        for number in range(45):
            for stream in streams:
                frame = draw(number, NOON).reformat(
                    width=stream.width, height=stream.height, format=str(stream.pix_fmt)
                )
                frame.pts, frame.time_base = number, Fraction(1, 15)
                file.mux(stream.encode(frame))
        for stream in streams:
            file.mux(stream.encode(None))


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize(
    ("tracks", "number", "size"),
    [
        ([("mjpeg", 640, 480), ("libx264", 320, 240)], None, (320, 240)),
        ([("libx264", 160, 120), ("libx264", 640, 480)], None, (640, 480)),
        ([("libx264", 640, 480), ("libx264", 160, 120)], None, (640, 480)),
        ([("mjpeg", 160, 120), ("mjpeg", 320, 240)], None, (320, 240)),
        ([("mjpeg", 640, 480), ("libx264", 320, 240)], 0, (640, 480)),
        ([("libx264", 160, 120), ("libx264", 640, 480)], 0, (160, 120)),
    ],
)
async def test_the_best_video_track_is_shown_unless_another_is_chosen(
    shared_server: Server,
    tmp_path: Path,
    tracks: list[tuple[str, int, int]],
    number: int | None,
    size: tuple[int, int],
) -> None:
    path = tmp_path / "tracks.mkv"
    write_tracks(path, *tracks)
    source = open_source(f"file:{path}", video_track=number)
    url, room = shared_server.websocket_url, f"tracks-{len(str(tracks))}-{number}-{size[0]}"
    async with (
        streaming_camera(url, room, source) as camera,  # type: ignore[arg-type]
        ViewerClient(url, room=room) as client,
    ):
        stream = await client.request_stream("cam-1")
        await counters(stream, 3)
        assert stream.size == size
        chosen = number if number is not None else -1
        assert is_encoding(camera) == (tracks[chosen][0] == "mjpeg")


@deadline()
async def test_a_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "cover.mp4"
    write_tracks(path, ("mjpeg", 640, 480), ("mjpeg", 160, 120), cover=0)
    with av.open(str(path)) as file:
        (cover,) = [
            at
            for at, stream in enumerate(file.streams.video)
            if stream.disposition & av.stream.Disposition.attached_pic
        ]
    source = open_source(f"file:{path}")
    reader = source.frames.read(keep=1)
    await bridge.start(source.start())
    assert (await bridge.start(reader.next())).width == 160
    await bridge.start(source.stop())
    known = rf"has no video track {cover}: there are {1 - cover} \(MJPEG 160x120\)\.$"
    with pytest.raises(SourceError, match=known):
        await bridge.start(open_source(f"file:{path}", video_track=cover).start())


def test_a_track_that_is_not_there_is_an_error_that_lists_the_others(tmp_path: Path) -> None:
    path = tmp_path / "tracks.mkv"
    write_tracks(path, ("mjpeg", 640, 480), ("libx264", 320, 240))
    with command(script("cctvsignal-camera"), f"--source=file:{path}", "--video-track=2") as running:
        assert running.wait() == 1
    assert running.lines[-1].endswith(
        "tracks.mkv' has no video track 2: there are 0 (MJPEG 640x480), 1 (H.264 320x240)."
    )


@deadline(MEDIA_SECONDS)
async def test_why_another_codec_is_encoded_again_is_told_truthfully(
    shared_server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "vp8.webm"
    write_tracks(path, ("libvpx", 320, 240))
    url, room = shared_server.websocket_url, "vp8"
    async with (
        logged() as events,
        streaming_camera(url, room, f"file:{path}"),
        ViewerClient(url, room=room) as client,
    ):
        await counters(await client.request_stream("cam-1"), 3)
        assert [each["why"] for each in events if "why" in each] == [
            "only H.264 is passed on, and this is VP8"
        ]


@deadline(MEDIA_SECONDS)
async def test_an_rtsp_url_in_capitals_is_played(shared_server: Server, tmp_path: Path) -> None:
    path, url = tmp_path / "video.mp4", shared_server.websocket_url
    write_video(path, frames=300, rate=15, profile="baseline", g="15")
    with rtsp_server(path) as rtsp:
        async with (
            streaming_camera(url, "capitals", rtsp.replace("rtsp", "RTSP")),
            ViewerClient(url, room="capitals") as client,
        ):
            await counters(await client.request_stream("cam-1"), 3)


@deadline()
@pytest.mark.parametrize("kind", ["text/html", "image/jpg", ""])
async def test_what_is_no_video_over_http_names_the_bridge(kind: str) -> None:
    page = Data(b"<html>a page</html>" * 100, kind)
    page.isLeaf = True
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(page))
    try:
        with pytest.raises(SourceError, match=r"cannot be read: .*; if it is a camera .* cctvsignal-esp32"):
            await bridge.start(open_source(f"http://127.0.0.1:{port.getHost().port}/stream").start())
    finally:
        await maybeDeferred(port.stopListening)

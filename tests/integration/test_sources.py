"""Sources that are files, cameras on the network, or gone for a while."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import time
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import pytest
from cctvsignal_clients import CameraClient, SourceError, Stream, ViewerClient, bridge, open_source
from cctvsignal_clients.encoder import EncoderSettings
from cctvsignal_clients.packets import AUDIO_CLOCK, VIDEO_CLOCK
from cctvsignal_clients.sources import container
from cctvsignal_clients.sources.pattern import draw
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.live import deadline
from tests.media import (
    MEDIA_SECONDS,
    assert_no_loss,
    counters,
    counters_of_file,
    logged,
    only_vp8,
    reject_sound,
    slices,
    streaming_camera,
)
from tests.processes import Server
from tests.rtsp_server import rtsp_server
from tests.videos import write_video, write_video_with_sound

BASELINE = {"profile": "baseline", "g": "15"}


def is_encoding(camera: CameraClient) -> bool:
    """Whether a camera's H.264 encoder has ever encoded something for its present viewers."""
    assert camera._broadcast is not None
    encoder = camera._broadcast._channels["H264"]._encoder
    return encoder is not None and encoder.bitrate is not None


@deadline(MEDIA_SECONDS)
async def test_h264_of_an_rtsp_camera_is_passed_on_as_it_is(shared_server: Server, tmp_path: Path) -> None:
    url, room, original = shared_server.websocket_url, "rtsp", tmp_path / "original.mp4"
    write_video(original, frames=600, rate=15, **BASELINE)
    with rtsp_server(original) as rtsp:
        async with streaming_camera(url, room, rtsp) as camera, ViewerClient(url, room=room) as client:
            stream = await client.request_stream("cam-1")
            recording = stream.record(tmp_path / "copy.mp4")
            assert_no_loss(await counters(stream, 30))
            # Somebody comes in the middle of a group of pictures that nobody can be asked to begin anew.
            async with ViewerClient(url, room=room) as late:
                assert_no_loss(await counters(await late.request_stream("cam-1"), 20))
            assert not is_encoding(camera)
            assert camera.stats().codecs == ("H264",)
            await client.stop_viewing("cam-1")
            await recording
    copied, all_slices = slices(tmp_path / "copy.mp4"), slices(original)
    begin = all_slices.index(copied[0])
    assert len(copied) >= 30
    assert copied == all_slices[begin : begin + len(copied)]


@deadline(MEDIA_SECONDS)
async def test_vp8_viewers_of_an_rtsp_camera_get_it_encoded(shared_server: Server, tmp_path: Path) -> None:
    url, room, original = shared_server.websocket_url, "rtsp-vp8", tmp_path / "original.mp4"
    # One group of pictures for all: whoever comes late must be able to begin all the same.
    write_video(original, frames=600, rate=15, profile="baseline", g="600")
    with rtsp_server(original) as rtsp:
        async with (
            streaming_camera(url, room, rtsp) as camera,
            ViewerClient(url, room=room) as passed,
            ViewerClient(url, room=room) as encoded,
        ):
            only_vp8(encoded)
            stream = await passed.request_stream("cam-1")
            await counters(stream, 30)
            other = await encoded.request_stream("cam-1")
            assert_no_loss(await counters(other, 15))
            assert (await other.stats()).codec == "VP8"
            assert_no_loss(await counters(stream, 15))
            assert not is_encoding(camera)


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize(
    ("options", "why"),
    [({"bf": "2"}, "B frames"), ({"profile": "high422", "bf": "0"}, "yuv422p pixels")],
)
async def test_what_browsers_cannot_play_is_encoded_and_the_log_says_so_once(
    shared_server: Server, tmp_path: Path, options: dict[str, str], why: str
) -> None:
    url, room, path = shared_server.websocket_url, f"encoded-{len(why)}", tmp_path / "video.mp4"
    write_video(path, frames=20, rate=15, pixels="yuv422p" if "422" in why else "yuv420p", **options)
    async with (
        logged() as events,
        streaming_camera(url, room, f"file:{path}") as camera,
        ViewerClient(url, room=room) as client,
    ):
        # More than a round: it is opened again each time.
        await counters(await client.request_stream("cam-1"), 50)
        assert is_encoding(camera)
        assert [each["why"] for each in events if "why" in each] == [f"browsers {_verb(why)} {why}"]


def _verb(why: str) -> str:
    return "stutter with its" if why == "B frames" else "cannot play H.264 with"


@deadline(MEDIA_SECONDS)
async def test_other_options_than_the_sources_make_it_be_encoded(
    shared_server: Server, tmp_path: Path
) -> None:
    url, room, path = shared_server.websocket_url, "smaller", tmp_path / "video.mp4"
    write_video(path, frames=150, rate=30, **BASELINE)
    encoding = EncoderSettings(fps=10, size=(320, 240))
    async with (
        streaming_camera(url, room, f"file:{path}", encoding=encoding),
        ViewerClient(url, room=room) as client,
    ):
        found = await counters(await client.request_stream("cam-1"), 20)
        steps = [later - earlier for earlier, later in itertools.pairwise(found)]
        assert sum(steps) / len(steps) == pytest.approx(3, abs=1)
        assert client._streams["cam-1"].size == (320, 240)


@deadline(MEDIA_SECONDS)
async def test_a_source_that_is_gone_shows_no_signal_until_it_is_back(
    shared_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "STALL_SECONDS", 0.5)
    url, room, path = shared_server.websocket_url, "gone", tmp_path / "video.mp4"
    write_video(path, frames=900, rate=15, **BASELINE)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    credentials = {"user": "guard", "password": "s3cret"}
    async with logged() as events, ViewerClient(url, room=room) as client:
        with rtsp_server(path, port=port, **credentials) as rtsp:
            camera = CameraClient(url, room=room, camera_id="cam-1")
            await camera.start_streaming(rtsp.replace("//", "//guard:s3cret@"))
            await camera.register()
            stream = await client.request_stream("cam-1")
            assert_no_loss(await counters(stream, 10))
        await _until(stream, is_no_signal)
        with rtsp_server(path, port=port, **credentials):
            await _until(stream, lambda frame: not is_no_signal(frame))
            assert_no_loss(await counters(stream, 10))
            await camera.close()
    texts = [str(each) for each in events]
    assert any("opening it again" in text for text in texts)
    assert not any("s3cret" in text for text in texts)


def is_no_signal(frame: av.VideoFrame) -> bool:
    """Whether a picture is black at its edges, which no test picture is."""
    luma = bytes(frame.reformat(format="gray").planes[0])
    return max(luma[: frame.width]) < 30


async def _until(stream: Stream, wanted: object) -> None:
    assert callable(wanted)
    async for frame in stream.frames():
        if wanted(frame):
            return


class Mjpeg(Resource):
    """An endless series of JPEG pictures, as an ESP32-CAM sends them, unless it `hangs`."""

    isLeaf = True
    hangs = False

    def render_GET(self, request: Request) -> int:
        request.setHeader("Content-Type", "multipart/x-mixed-replace;boundary=frame")
        bridge.background(self._send(request))
        return NOT_DONE_YET

    async def _send(self, request: Request) -> None:
        encoder = av.CodecContext.create("mjpeg", "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = 640, 480, "yuvj420p"
        encoder.time_base = Fraction(1, 15)
        for number in itertools.count():
            picture = draw(number, datetime.now(UTC)).reformat(format="yuvj420p")
            picture.pts, picture.time_base = number, Fraction(1, 15)
            (jpeg,) = encoder.encode(picture)
            head = f"\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {jpeg.size}\r\n\r\n"
            if request._disconnected:
                return
            if not self.hangs:
                request.write(head.encode() + bytes(jpeg))
            await asyncio.sleep(1 / 15)


@deadline(MEDIA_SECONDS)
async def test_a_camera_that_sends_mjpeg_and_hangs_for_a_while(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("STALL_SECONDS", 0.5), ("READ_SECONDS", 1.0), ("OPEN_SECONDS", 2.0)):
        monkeypatch.setattr(container, name, seconds)
    url, room, mjpeg = shared_server.websocket_url, "mjpeg", Mjpeg()
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(mjpeg))
    source = f"http://127.0.0.1:{port.getHost().port}/stream"
    async with (
        logged() as events,
        streaming_camera(url, room, source) as camera,
        ViewerClient(url, room=room) as client,
    ):
        stream = await client.request_stream("cam-1")
        found = await counters(stream, 20)
        assert found == sorted(set(found))
        assert is_encoding(camera)
        mjpeg.hangs = True
        await _until(stream, is_no_signal)
        while not any("opening it again" in str(each) for each in events):
            await counters(stream, 1)
        mjpeg.hangs = False
        await _until(stream, lambda frame: not is_no_signal(frame))
        await counters(stream, 5)
    await maybeDeferred(port.stopListening)


@deadline(MEDIA_SECONDS)
async def test_sound_is_sent_and_recorded_where_the_source_has_it(
    shared_server: Server, tmp_path: Path
) -> None:
    url, room, original = shared_server.websocket_url, "sound", tmp_path / "original.mp4"
    write_video_with_sound(original, seconds=10)
    async with streaming_camera(url, room, f"file:{original}"), ViewerClient(url, room=room) as client:
        stream = await client.request_stream("cam-1")
        await counters(stream, 1)
        recordings = [stream.record(tmp_path / name) for name in ("copy.mp4", "copy.mkv")]
        await counters(stream, 45)
        await client.stop_viewing("cam-1")
        for recording in recordings:
            await recording
    for name in ("copy.mp4", "copy.mkv"):
        assert_no_loss(counters_of_file(tmp_path / name)[1:])
        with av.open(str(tmp_path / name)) as file:
            loud = [
                max(struct.unpack(f"<{frame.samples}f", bytes(frame.planes[0])[: 4 * frame.samples]))
                for frame in file.decode(audio=0)
            ]
        assert len(loud) * 0.02 > 2
        assert sum(level > 0.1 for level in loud) > len(loud) / 2


@deadline(MEDIA_SECONDS)
async def test_sound_of_a_looped_file_has_one_line_of_time(tmp_path: Path) -> None:
    path = tmp_path / "short.mp4"
    write_video_with_sound(path, seconds=1)
    source = open_source(f"file:{path}")
    await bridge.start(source.start())
    assert source.audio is not None
    sound, pictures = source.audio.read(), source.h264.read()
    heard, seen = [], []
    # Four rounds and a half, and what time it is.
    for _ in range(225):
        packet = await bridge.start(sound.next())
        heard.append((packet.pts / AUDIO_CLOCK, time.monotonic() - source._begin))
    while pictures._waiting:
        seen.append((await bridge.start(pictures.next())).pts / VIDEO_CLOCK)
    await bridge.start(source.stop())
    steps = [later[0] - earlier[0] for earlier, later in itertools.pairwise(heard)]
    assert min(steps) >= 0.0199
    # A round is as long as its pictures, and between two of them is next to nothing.
    assert heard[-1][0] - heard[0][0] == pytest.approx(4.5, abs=1)
    assert sum(step > 0.0201 for step in steps) < 20
    # On the clock of the pictures.
    assert heard[0][0] == pytest.approx(seen[0], abs=0.5)
    assert heard[-1][0] == pytest.approx(seen[-1], abs=0.5)
    assert source.audio.line.jumps == 0


@deadline(MEDIA_SECONDS)
async def test_a_viewer_that_wants_no_sound_gets_pictures(shared_server: Server, tmp_path: Path) -> None:
    url, room, original = shared_server.websocket_url, "no-sound", tmp_path / "original.mp4"
    write_video_with_sound(original, seconds=10)
    async with (
        streaming_camera(url, room, f"file:{original}") as camera,
        ViewerClient(url, room=room) as client,
    ):
        reject_sound(client)
        stream = await client.request_stream("cam-1")
        assert_no_loss(await counters(stream, 20))
        assert not stream._has_audio
        assert camera._source is not None
        assert camera._source.audio is not None
        assert camera._source.audio.readers == []


@deadline(MEDIA_SECONDS)
async def test_recordings_are_complete_when_they_are_cancelled(
    shared_server: Server, tmp_path: Path
) -> None:
    url, room = shared_server.websocket_url, "recordings"
    async with streaming_camera(url, room), ViewerClient(url, room=room) as client:
        stream = await client.request_stream("cam-1")
        with pytest.raises(ValueError, match=r"a recording ends in .mp4, .mkv, .webm"):
            await stream.record(tmp_path / "a.avi")
        with pytest.raises(ValueError, match=r"the camera sends H264, .* use .mp4 or .mkv"):
            await stream.record(tmp_path / "a.webm")
        with pytest.raises(OSError, match="No such file or directory"):
            await stream.record(tmp_path / "nowhere" / "a.mp4")
        recording = stream.record(tmp_path / "a.mp4")
        found = await counters(stream, 30)
        recording.cancel()
        await counters(stream, 3)
        await client.stop_viewing("cam-1")
    recorded = counters_of_file(tmp_path / "a.mp4")
    assert_no_loss(recorded)
    assert set(found[:-2]) <= set(recorded)


@deadline(MEDIA_SECONDS)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk here that is always full")
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
async def test_a_full_disk_ends_a_recording_and_nothing_else(
    shared_server: Server, tmp_path: Path, ending: str
) -> None:
    url, room, path = shared_server.websocket_url, f"full-{ending}", tmp_path / f"full.{ending}"
    path.symlink_to("/dev/full")
    async with streaming_camera(url, room), ViewerClient(url, room=room) as client:
        stream = await client.request_stream("cam-1")
        with pytest.raises(OSError, match="No space left on device"):
            await stream.record(path)
        assert_no_loss(await counters(stream, 10))


@deadline(MEDIA_SECONDS)
async def test_vp8_is_recorded_where_it_can_be(shared_server: Server, tmp_path: Path) -> None:
    url, room = shared_server.websocket_url, "recordings-vp8"
    async with streaming_camera(url, room, codecs=["VP8"]), ViewerClient(url, room=room) as client:
        stream = await client.request_stream("cam-1")
        with pytest.raises(ValueError, match=r"the camera sends VP8, .* use .mkv or .webm"):
            await stream.record(tmp_path / "a.mp4")
        recordings = [stream.record(tmp_path / name) for name in ("a.mkv", "a.webm")]
        await counters(stream, 20)
        await client.stop_viewing("cam-1")
        for recording in recordings:
            await recording
    for name in ("a.mkv", "a.webm"):
        assert_no_loss(counters_of_file(tmp_path / name))


@deadline()
@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("rtsp://user:s3cret@127.0.0.1:9/live", "The source rtsp://127.0.0.1:9/live cannot be read: Conn"),
        (
            "http://127.0.0.1:9/stream",
            "The source http://127.0.0.1:9/stream cannot be read: Conn",
        ),
        ("webcam:/dev/no-such-camera", "There is no camera /dev/no-such-camera"),
    ],
)
async def test_a_source_that_is_not_there_is_an_error_at_once(source: str, problem: str) -> None:
    camera = CameraClient(camera_id="cam-1")
    with pytest.raises(SourceError, match=problem) as caught:
        await camera.start_streaming(source)
    assert "s3cret" not in str(caught.value)

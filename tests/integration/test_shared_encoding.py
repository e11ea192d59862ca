"""One camera and many viewers: encoded once, received by all, and nothing left of those who went."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Literal

import av
import pytest
from aiortc import RTCPeerConnection
from aiortc.rtp import RTCP_PSFB_APP, RTCP_PSFB_PLI, RtcpPsfbPacket, pack_remb_fci
from cctvsignal_clients import CameraClient, MediaFailed, Stream, ViewerClient, bridge, viewer
from cctvsignal_clients import camera as camera_module
from cctvsignal_clients.encoder import TRIES, Codec, EncoderSettings, VideoEncoder
from cctvsignal_clients.outgoing import OutgoingTrack
from cctvsignal_clients.packets import Packet
from twisted.logger import formatEvent

from tests.live import deadline
from tests.media import (
    MEDIA_SECONDS,
    assert_no_loss,
    counters,
    counters_of_file,
    event,
    logged,
    only_vp8,
    streaming_camera,
    until_viewers,
)
from tests.processes import Server, command, script

AT_ONCE = 4


def encoders(camera: CameraClient) -> list[Codec]:
    """The codecs for which a camera has an encoder at this moment."""
    assert camera._broadcast is not None
    channels = camera._broadcast._channels.values()
    return [channel.codec for channel in channels if channel._encoder is not None]


def tracks(camera: CameraClient) -> list[OutgoingTrack]:
    """What a camera sends, a track for each viewer."""
    assert camera._broadcast is not None
    return camera._broadcast._tracks


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_nothing_is_lost_and_order_is_kept(shared_server: Server, codec: Codec) -> None:
    url, room = shared_server.websocket_url, f"no-loss-{codec}"
    async with streaming_camera(url, room, codecs=[codec]), ViewerClient(url, room=room) as client:
        stream = await client.request_stream("cam-1")
        assert_no_loss(await counters(stream, 45))
        stats = await stream.stats()
        assert (stats.codec, stats.width, stats.height) == (codec, 640, 480)
        assert (stats.packets_lost, stats.path) == (0, "direct")
        assert stats.frames_per_second > 0
        assert stats.bitrate > 0


@deadline(MEDIA_SECONDS)
async def test_there_is_one_encoder_for_each_codec_and_none_for_nobody(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "encoders", codecs=["H264", "VP8"]) as camera:
        assert encoders(camera) == []
        viewers = [ViewerClient(url, room="encoders") for _ in range(3)]
        for client in viewers:
            await client.connect()
            await counters(await client.request_stream("cam-1"), 2)
        assert encoders(camera) == ["H264"]
        async with ViewerClient(url, room="encoders") as other:
            only_vp8(other)
            stream = await other.request_stream("cam-1")
            await counters(stream, 2)
            assert (await stream.stats()).codec == "VP8"
            assert encoders(camera) == ["H264", "VP8"]
            assert camera.stats().codecs == ("H264", "VP8")
        await until_viewers(camera, lambda viewers: len(viewers) == 3)
        assert encoders(camera) == ["H264"]
        for client in viewers:
            await client.close()
        await until_viewers(camera, lambda viewers: not viewers)
        assert encoders(camera) == []
        assert tracks(camera) == []


@deadline(MEDIA_SECONDS)
async def test_what_receivers_report_reaches_the_shared_encoder(shared_server: Server) -> None:
    url, room = shared_server.websocket_url, "feedback"
    encoding = EncoderSettings(bitrate=400_000, keyframe_interval=1000)
    async with (
        streaming_camera(url, room, encoding=encoding) as camera,
        ViewerClient(url, room=room) as client,
    ):
        stream = await client.request_stream("cam-1")
        # The first keyframe is long ago then.
        await counters(stream, 15)
        (sender,) = camera._sessions[str(client.client_id)].connection.getSenders()
        packets = stream._video.read()
        packets._waiting.clear()
        pli = RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=sender._ssrc)
        for _ in range(5):
            await bridge.start(sender._handle_rtcp_packet(pli))
        keyframes = [(await bridge.start(packets.next())).keyframe for _ in range(15)]
        assert keyframes.count(True) == 1
        assert camera._broadcast is not None
        encoder = camera._broadcast._channels["H264"]._encoder
        assert encoder is not None
        assert encoder.bitrate is not None
        assert encoder.bitrate.target == encoder.bitrate.ceiling
        # The viewer's own estimates are better than what is told here.
        assert stream.session is not None
        for receiver in stream.session.connection.getReceivers():
            receiver._RTCRtpReceiver__remote_bitrate_estimator = None  # type: ignore[attr-defined]
        estimate = encoder.bitrate.ceiling
        async for _ in stream.frames():
            fci = pack_remb_fci(estimate, [sender._ssrc])
            remb = RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=fci)
            await bridge.start(sender._handle_rtcp_packet(remb))
            estimate = int(estimate * 0.96)
            if encoder.bitrate.target < encoder.bitrate.ceiling * 0.75:
                break
        assert_no_loss(await counters(stream, 10))


@deadline(MEDIA_SECONDS)
async def test_a_viewer_that_stops_reading_costs_the_others_nothing(shared_server: Server) -> None:
    url, room = shared_server.websocket_url, "stopped"
    async with streaming_camera(url, room) as camera, ViewerClient(url, room=room) as client:
        stream = await client.request_stream("cam-1")
        arguments = [f"--server={url}", f"--room={room}", "--camera=cam-1"]
        with command(script("cctvsignal-viewer"), *arguments) as other:
            await until_viewers(camera, lambda viewers: len(viewers) == 2)
            await counters(stream, 5)
            other.process.send_signal(signal.SIGSTOP)
            try:
                assert_no_loss(await counters(stream, 45))
            finally:
                other.process.send_signal(signal.SIGCONT)
        assert_no_loss(await counters(stream, 5))


@deadline(20)
async def test_a_viewer_that_was_killed_is_forgotten_before_ice_knows(shared_server: Server) -> None:
    url, room = shared_server.websocket_url, "vanished"
    arguments = [f"--server={url}", f"--room={room}", "--camera=cam-1"]
    async with streaming_camera(url, room) as camera, ViewerClient(url, room=room) as client:
        stream = await client.request_stream("cam-1")
        with command(script("cctvsignal-viewer"), *arguments) as other:
            await until_viewers(camera, lambda viewers: len(viewers) == 2)
            await counters(stream, 5)
            other.process.kill()
            await until_viewers(camera, lambda viewers: viewers == [client.client_id])
        assert_no_loss(await counters(stream, 5))


@deadline(MEDIA_SECONDS)
async def test_a_viewer_that_has_only_lost_the_server_watches_on(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_module, "VANISHED_SECONDS", 2.0)
    url, room = shared_server.websocket_url, "lost-server"
    async with streaming_camera(url, room) as camera, ViewerClient(url, room=room) as client:
        stream = await client.request_stream("cam-1")
        await counters(stream, 5)
        watching, back = client.client_id, event(client, "roomJoined")
        gone = event(camera, "clientDisconnected")
        assert client._socket is not None
        client._socket.dropConnection(abort=True)
        await gone
        await back
        assert client.client_id != watching
        # Longer than a viewer that is gone is waited for.
        assert_no_loss(await counters(stream, 60))
        assert camera.viewers == [watching]


@deadline(MEDIA_SECONDS)
async def test_a_stream_goes_on_when_its_camera_was_killed_and_is_back(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(viewer, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(viewer, "LOOK_SECONDS", 0.2)
    url, room = shared_server.websocket_url, "killed"
    arguments = [script("cctvsignal-camera"), f"--server={url}", f"--room={room}"]
    async with ViewerClient(url, room=room) as client:
        with command(*arguments) as camera:
            camera.wait_for_line("is in room")
            stream = await client.request_stream("cam-1")
            recording = stream.record(tmp_path / "both.mp4")
            before = await counters(stream, 10)
            lost, back = event(client, "streamLost"), event(client, "streamReceived")
            camera.process.kill()
            assert await lost is stream
        with command(*arguments) as camera:
            assert await back is stream
            assert_no_loss(await counters(stream, 10))
            await client.stop_viewing("cam-1")
    await recording
    recorded = counters_of_file(tmp_path / "both.mp4")
    assert set(before) <= set(recorded)
    # The camera that came back began to count anew.
    assert any(later < earlier for earlier, later in itertools.pairwise(recorded))


def _open_things() -> tuple[int, int, int]:
    gc.collect()
    connections = sum(isinstance(each, RTCPeerConnection) for each in gc.get_objects())
    return connections, len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))


@deadline(240)
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux can count open files like this")
@pytest.mark.parametrize("many", [100, pytest.param(500, marks=pytest.mark.long)])
async def test_nothing_is_left_of_viewers_that_came_and_went(shared_server: Server, many: int) -> None:
    url, room = shared_server.websocket_url, "cycles"

    async def come_and_go(number: int) -> None:
        client = ViewerClient(url, room=room)
        await client.connect()
        stream = await client.request_stream("cam-1")
        await anext(stream.frames())
        if number % 5:
            await client.close()
        else:
            await _vanish(client, stream)

    async def cycles(many: int) -> None:
        for start in range(0, many, AT_ONCE):
            await asyncio.gather(*(come_and_go(start + number) for number in range(AT_ONCE)))

    async with streaming_camera(url, room) as camera:
        await bridge.start(cycles(20))
        await until_viewers(camera, lambda viewers: not viewers)
        before = await bridge.start(_settled())
        await bridge.start(cycles(many))
        await until_viewers(camera, lambda viewers: not viewers)
        after = await bridge.start(_settled())
        assert all(later <= earlier for earlier, later in zip(before, after, strict=True)), (before, after)


async def _vanish(client: ViewerClient, stream: Stream) -> None:
    """Go without a word to the camera, as a phone that lost its network; here everything is freed."""
    client._send = lambda message: None  # type: ignore[method-assign]
    await client.close()


async def _settled() -> tuple[int, int, int]:
    """What is open once things that are on their way out have gone; the least that was seen in a while."""
    seen = []
    for _ in range(20):
        await asyncio.sleep(0.1)
        seen.append(_open_things())
    return min(seen)


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have PyAV know nothing of these encoders."""
    create = av.CodecContext.create

    def refuse(codec: str, mode: Literal["r", "w"]) -> object:
        if mode == "w" and codec in names:
            raise av.codec.codec.UnknownCodecError(codec)
        return create(codec, mode)

    monkeypatch.setattr(av.CodecContext, "create", staticmethod(refuse))


@deadline(MEDIA_SECONDS)
async def test_a_camera_without_an_encoder_offers_the_other_codec(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, room = shared_server.websocket_url, "no-libx264"
    without(monkeypatch, "libx264")
    async with (
        logged() as events,
        streaming_camera(url, room) as camera,
        ViewerClient(url, room=room) as client,
    ):
        stream = await client.request_stream("cam-1")
        assert_no_loss(await counters(stream, 5))
        assert camera.stats().codecs == ("VP8",)
    texts = [formatEvent(event) for event in events]
    assert sum("the camera cannot encode H264: UnknownCodecError: libx264" in text for text in texts) == 1


@deadline(MEDIA_SECONDS)
async def test_viewers_of_a_camera_that_cannot_encode_are_told_why(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, room = shared_server.websocket_url, "no-encoder"
    without(monkeypatch, "libx264", "libvpx")
    async with streaming_camera(url, room), ViewerClient(url, room=room) as client:
        with pytest.raises(MediaFailed, match="the camera cannot encode H264: UnknownCodecError: libx264"):
            await client.request_stream("cam-1")


@deadline(MEDIA_SECONDS)
async def test_an_encoder_that_fails_later_ends_its_sessions_and_is_not_tried_over_and_over(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, room, tried = shared_server.websocket_url, "encoder-fails", []
    encode = VideoEncoder.encode

    def fail(encoder: VideoEncoder, frame: av.VideoFrame, keyframe: bool, bitrate: int) -> list[Packet]:
        if encoder._codec == "VP8":
            return encode(encoder, frame, keyframe, bitrate)
        tried.append(frame)
        raise ValueError("out of order")

    async with (
        logged() as events,
        streaming_camera(url, room) as camera,
        ViewerClient(url, room=room) as client,
        ViewerClient(url, room=room) as other,
    ):
        only_vp8(other)
        watched = await other.request_stream("cam-1")
        await counters(watched, 2)
        stream = await client.request_stream("cam-1")
        await counters(stream, 2)
        over = event(client, "streamLost")
        monkeypatch.setattr(VideoEncoder, "encode", fail)
        await over
        # Those of the other codec see nothing of it.
        assert_no_loss(await counters(watched, 10))
        await until_viewers(camera, lambda viewers: len(viewers) >= 1)
        back = await client.request_stream("cam-1")
        await counters(back, 2)
        assert (await back.stats()).codec == "VP8"
    assert len(tried) == TRIES
    texts = [formatEvent(event) for event in events]
    assert (
        sum("encoding 640x480 yuv420p as H264 failed: ValueError: out of order" in text for text in texts)
        == 1
    )
    assert sum("the camera cannot encode H264: ValueError: out of order" in text for text in texts) >= 1


@pytest.mark.long
@pytest.mark.parametrize(("pixels", "size"), [("yuv420p", "320x240"), ("yuvj422p", "same")])
def test_two_codecs_at_once_for_long_under_load(pixels: str, size: str) -> None:
    many = 1500
    busy = (sys.executable, "-c", "while True: pass")
    with (
        command(*busy),
        command(*busy),
        command(sys.executable, "-m", "tests.two_codecs", str(many), pixels, size) as process,
    ):
        process.wait_for_line(f"right: H264={many} VP8={many}", seconds=300)
        assert process.wait() == 0

"""Recordings of sessions in which something goes wrong with time: their length is the true one."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from cctvsignal_clients import CameraClient, Stream, ViewerClient, bridge
from cctvsignal_clients.encoder import Codec, EncoderSettings
from cctvsignal_clients.outgoing import OutgoingTrack

from tests.live import deadline
from tests.media import MEDIA_SECONDS, counters, logged, slices, streaming_camera
from tests.processes import Server
from tests.videos import write_video, write_video_with_sound

RATE = 15
HICCUP = 4 * RATE
"""So many pictures are lost on the way."""
CONSTANT = "nal-hrd=cbr:bitrate=1500:vbv-maxrate=1500:vbv-bufsize=1500"
"""Pictures that take many packets, though there is little in them: more than can be sent once more."""
TOLERANCE = 2.0
"""Seconds that a recording may begin earlier (at a keyframe) or end earlier (with what has come)."""


async def pass_by(camera: CameraClient, codec: Codec, many: int) -> None:
    """Wait until the camera has sent so many pictures."""
    assert camera._broadcast is not None
    reader = camera._broadcast._channels[codec].feed.read()
    for _ in range(many):
        await bridge.start(reader.next())
    reader.close()


def seconds_of(path: Path, kind: str = "video") -> float:
    """How long the pictures or the sound of a file are, whose times must rise."""
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(**{kind: 0}) if packet.size]
    times = [float(packet.dts * packet.time_base) for packet in packets]  # type: ignore[operator]
    assert times == sorted(set(times))
    return times[-1] - times[0]


def lose_rtp(stream: Stream) -> Callable[[], None]:
    """Lose all RTP that comes to a viewer until what this returns is called."""
    assert stream.session is not None
    transport = stream.session._transport
    assert transport is not None
    handle = transport._handle_rtp_data

    async def lose(data: bytes, arrival_time_ms: int) -> None:
        return

    def restore() -> None:
        transport._handle_rtp_data = handle  # type: ignore[method-assign]

    transport._handle_rtp_data = lose  # type: ignore[method-assign]
    return restore


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_a_recording_has_its_true_length_after_the_network_was_gone(
    shared_server: Server, tmp_path: Path, codec: Codec
) -> None:
    url, room, path = shared_server.websocket_url, f"hiccup-{codec}", tmp_path / "video.mp4"
    # H.264 is passed on: its keyframes cannot be asked for, and the group of pictures is sent again.
    options = {"profile": "baseline", "g": str(HICCUP), "x264-params": CONSTANT}
    write_video(path, frames=40 * RATE, rate=RATE, **options)
    sent = slices(path)
    source = f"file:{path}" if codec == "H264" else "test"
    encoding = EncoderSettings() if codec == "H264" else EncoderSettings(bitrate=3_000_000)
    endings = ("mp4", "mkv") if codec == "H264" else ("mkv", "webm")
    async with (
        streaming_camera(url, room, source, codecs=[codec], encoding=encoding) as camera,
        ViewerClient(url, room=room) as client,
    ):
        stream = await client.request_stream("cam-1")
        await counters(stream, 1)
        recordings = [stream.record(tmp_path / f"copy.{ending}") for ending in endings]
        begun = time.monotonic()
        await counters(stream, 20)
        restore = lose_rtp(stream)
        await pass_by(camera, codec, HICCUP)
        restore()
        await counters(stream, 3 * RATE)
        elapsed = time.monotonic() - begun
        await client.stop_viewing("cam-1")
        for recording in recordings:
            await recording
    for ending in endings:
        copy = tmp_path / f"copy.{ending}"
        assert seconds_of(copy) == pytest.approx(elapsed, abs=TOLERANCE)
        if codec == "H264":
            # Something was lost, and nothing came twice. What came in part is not looked for.
            places = [sent.index(each) for each in slices(copy) if each in sent]
            assert places == sorted(set(places))
            assert max(later - earlier for earlier, later in itertools.pairwise(places)) > 10


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and sound, longer than any test takes."""
    path = tmp_path_factory.mktemp("original") / "original.mp4"
    write_video_with_sound(path, seconds=20)
    return path


async def _record_while(
    url: str, room: str, source: Path, directory: Path, step: Callable[[str, float], float], pictures: int
) -> tuple[float, list[str], list[int]]:
    """Record a camera whose times are moved by `step(kind, time)` seconds.

    Returns how long that took, what was logged, and the numbers in the last of the pictures.
    """
    receive = OutgoingTrack.recv

    async def moved(track: OutgoingTrack) -> av.Packet[Any]:
        packet: av.Packet[Any] = await receive(track)
        assert packet.pts is not None
        clock = packet.time_base.denominator
        packet.pts = packet.dts = packet.pts + round(step(track.kind, packet.pts / clock) * clock)
        return packet

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutgoingTrack, "recv", moved)
        async with (
            logged() as events,
            streaming_camera(url, room, f"file:{source}"),
            ViewerClient(url, room=room) as client,
        ):
            stream = await client.request_stream("cam-1")
            await counters(stream, 1)
            recordings = [stream.record(directory / f"copy.{ending}") for ending in ("mp4", "mkv")]
            begun = time.monotonic()
            await counters(stream, pictures)
            # Frames and snapshots do not mind.
            await stream.snapshot(directory / "late.png")
            last = await counters(stream, 5)
            elapsed = time.monotonic() - begun
            await client.stop_viewing("cam-1")
            for recording in recordings:
                await recording
    return elapsed, [str(event.get("log_format")) for event in events], last


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("sound-anew", lambda kind, at: -2.0 if kind == "audio" and at > 3 else 0.0),
        ("both-anew", lambda kind, at: -2.9 if at > 3 else 0.0),
        ("hours-ahead", lambda kind, at: 7200.0 if at > 3 else 0.0),
        ("to-and-fro", lambda kind, at: 3600.0 if int(at) % 2 else 0.0),
    ],
)
async def test_no_jump_of_a_cameras_time_ruins_a_recording(
    shared_server: Server, original: Path, tmp_path: Path, name: str, step: Callable[[str, float], float]
) -> None:
    url = shared_server.websocket_url
    elapsed, texts, last = await _record_while(url, name, original, tmp_path, step, 5 * RATE)
    assert last == sorted(last)
    for ending in ("mp4", "mkv"):
        copy = tmp_path / f"copy.{ending}"
        assert seconds_of(copy) == pytest.approx(elapsed, abs=TOLERANCE)
        assert seconds_of(copy, "audio") == pytest.approx(elapsed, abs=TOLERANCE)
    # Once for each of the recordings, however often it jumped.
    assert sum("time stamps of the camera jumped" in text for text in texts) == 2

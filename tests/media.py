"""Cameras, viewers and numbers in pictures, for tests of real media."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import av
from cctvsignal_clients import CameraClient, Stream, ViewerClient, WebRTCCCTVClient
from cctvsignal_clients.h264 import SLICE, SLICE_IDR, kind, nal_units
from cctvsignal_clients.peer import PeerSession
from cctvsignal_clients.sources.pattern import read_counter
from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

MEDIA_SECONDS = 60.0


@asynccontextmanager
async def streaming_camera(
    url: str, room: str, source: str = "test", **options: Any
) -> AsyncIterator[CameraClient]:
    """The camera cam-1, which streams."""
    camera = CameraClient(url, room=room, camera_id="cam-1", meta={"name": "Porch"}, **options)
    try:
        await camera.start_streaming(source)
        await camera.register()
        yield camera
    finally:
        await camera.close()


async def counters(stream: Stream, many: int) -> list[int]:
    """The numbers in the next frames of a stream."""
    found: list[int] = []
    async for frame in stream.frames():
        found.append(read_counter(frame))
        if len(found) == many:
            break
    return found


def counters_of_file(path: Path) -> list[int]:
    """The numbers in the pictures of a video file."""
    with av.open(str(path)) as container:
        return [read_counter(frame) for frame in container.decode(video=0)]


def slices(path: Path) -> list[bytes]:
    """The coded pictures in a file, without what surrounds them."""
    found = []
    with av.open(str(path)) as file:
        convert = av.BitStreamFilterContext("h264_mp4toannexb", file.streams.video[0])
        for packet in file.demux(video=0):
            for converted in convert.filter(packet if packet.size else None):
                units = nal_units(bytes(converted))
                found += [unit for unit in units if kind(unit) in (SLICE, SLICE_IDR)]
    return found


def assert_no_loss(numbers: list[int]) -> None:
    """Every picture has come, once and in its turn."""
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@asynccontextmanager
async def logged() -> AsyncIterator[list[LogEvent]]:
    """What is logged meanwhile."""
    events: list[LogEvent] = []
    observer = cast(ILogObserver, events.append)
    globalLogPublisher.addObserver(observer)
    try:
        yield events
    finally:
        globalLogPublisher.removeObserver(observer)


def event(client: WebRTCCCTVClient, name: str) -> Deferred[Any]:
    """Fires with the argument of the next event of this name."""
    happened: Deferred[Any] = Deferred()
    client.once(name, happened.callback)
    return happened


def only_vp8(viewer: ViewerClient) -> None:
    """Make a viewer know nothing of H.264, as libwebrtc without it."""

    def without_h264(session: PeerSession) -> None:
        take = session._set_remote_description

        async def taken(sdp: Raw) -> None:
            await take(Raw(bytes(sdp).replace(b"H264/90000", b"none/90000")))

        session._set_remote_description = taken  # type: ignore[method-assign]

    _change_sessions(viewer, without_h264)


def reject_sound(viewer: ViewerClient) -> None:
    """Make a viewer reject the audio section of an offer, the second one, as who has no audio codec."""

    def without_sound(session: PeerSession) -> None:
        take, describe = session._set_remote_description, session._local_description

        async def taken(sdp: Raw) -> None:
            offer = json.loads(bytes(sdp))
            offer["sdp"] = offer["sdp"].partition("m=audio")[0].replace("BUNDLE 0 1", "BUNDLE 0")
            await take(Raw(json.dumps(offer).encode()))

        def described() -> Raw:
            answer = json.loads(bytes(describe()))
            answer["sdp"] += (
                "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=inactive\r\n"
            )
            return Raw(json.dumps(answer).encode())

        session._set_remote_description = taken  # type: ignore[method-assign]
        session._local_description = described  # type: ignore[method-assign]

    _change_sessions(viewer, without_sound)


def _change_sessions(viewer: ViewerClient, change: Callable[[PeerSession], None]) -> None:
    make = viewer._new_session

    def new_session(*arguments: Any) -> PeerSession:
        session = make(*arguments)
        change(session)
        return session

    viewer._new_session = new_session  # type: ignore[assignment, method-assign]


async def until_viewers(camera: CameraClient, wanted: Callable[[list[str]], bool]) -> None:
    """Wait until the viewers of a camera are as wanted."""
    while not wanted(camera.viewers):
        await event(camera, "viewersChanged")

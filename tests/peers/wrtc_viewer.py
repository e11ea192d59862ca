"""A viewer over libwebrtc: python -m tests.peers.wrtc_viewer SERVER ROOM CAMERA FRAMES."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlsplit

import webrtc
from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
from av import VideoFrame
from cctvsignal_clients.sources.pattern import read_counter

SECONDS: Final = 40


class Viewer(WebSocketClientProtocol):
    """Speaks the plain protocol of docs/protocol.md."""

    def __init__(self, room: str, camera: str) -> None:
        super().__init__()
        self.room, self.camera, self.camera_client = room, camera, ""
        self.track: asyncio.Future[webrtc.MediaStreamTrack] = asyncio.get_running_loop().create_future()
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.connection = webrtc.RTCPeerConnection()
        self.connection.on("track", lambda event: self.on_track(event))
        self.connection.on("icecandidate", lambda event: self.send_candidate(event.candidate))

    def on_track(self, event: webrtc.RTCTrackEvent) -> None:
        self.track.set_result(event.track)

    def say(self, **message: object) -> None:
        self.sendMessage(json.dumps(message).encode())

    def send_candidate(self, candidate: webrtc.RTCIceCandidate | None) -> None:
        self.say(
            type="iceCandidate",
            target=self.camera_client,
            candidate=candidate.to_json() if candidate else None,
        )

    def onOpen(self) -> None:
        self.say(type="join", room=self.room, deviceType="viewer")
        self.say(type="requestStream", cameraId=self.camera)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.messages.put_nowait(json.loads(payload))

    async def negotiate(self) -> None:
        while True:
            message = await self.messages.get()
            match message["type"]:
                case "offer":
                    self.camera_client = message["sender"]
                    description = webrtc.RTCSessionDescriptionInit(**message["sdp"])
                    await self.connection.set_remote_description(description)
                    await self.connection.set_local_description()
                    answer = self.connection.local_description
                    assert answer is not None
                    self.say(
                        type="answer",
                        target=self.camera_client,
                        sdp={"type": "answer", "sdp": answer.sdp},
                    )
                case "iceCandidate" if message["candidate"]:
                    candidate = webrtc.RTCIceCandidateInit.from_json(message["candidate"])
                    await self.connection.add_ice_candidate(candidate)
                case "cameraNotFound" | "error":
                    raise SystemExit(str(message))


async def watch(url: str, room: str, camera: str, wanted: int) -> dict[str, object]:
    """Receive so many frames."""
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    factory = WebSocketClientFactory(url)
    factory.protocol = functools.partial(Viewer, room, camera)  # type: ignore[assignment]
    loop = asyncio.get_running_loop()
    _, viewer = await loop.create_connection(factory, address.hostname, address.port)
    assert isinstance(viewer, Viewer)
    negotiation = asyncio.create_task(viewer.negotiate())
    counters: list[int] = []
    size = (0, 0)
    async for frame in frames(await viewer.track):
        counters.append(read_counter(frame))
        size = (frame.width, frame.height)
        if len(counters) == wanted:
            break
    codec = await codec_of(viewer.connection)
    negotiation.cancel()
    viewer.connection.close()
    width, height = size
    return {
        "codec": codec,
        "frames": len(counters),
        "width": width,
        "height": height,
        "counters": counters,
    }


async def frames(track: webrtc.MediaStreamTrack) -> AsyncIterator[VideoFrame]:
    """The pictures of a track, in gray."""
    # As many as a slow machine may be late by; by default, only the newest is kept.
    init = webrtc.MediaStreamTrackProcessorInit(track=track, max_buffer_size=100)
    reader = webrtc.MediaStreamTrackProcessor(init).readable.get_reader()
    while isinstance(received := (await reader.read()).value, webrtc.VideoFrame):
        pixels = bytearray(received.allocation_size())
        await received.copy_to(pixels)
        yield gray(pixels, int(received.coded_width), int(received.coded_height))
        received.close()


async def codec_of(connection: webrtc.RTCPeerConnection) -> str:
    """What the camera sends."""
    stats = await connection.get_stats()
    (inbound,) = [entry for entry in stats.values() if isinstance(entry, webrtc.RTCInboundRtpStreamStats)]
    assert inbound.codec_id is not None
    codec = stats[inbound.codec_id]
    assert isinstance(codec, webrtc.RTCCodecStats)
    return codec.mime_type


def gray(pixels: bytes | bytearray, width: int, height: int) -> VideoFrame:
    """The luma of a picture in I420."""
    frame = VideoFrame(width, height, "gray")
    plane = frame.planes[0]
    padding = bytes(plane.line_size - width)
    rows = (bytes(pixels[row * width : (row + 1) * width]) + padding for row in range(height))
    plane.update(b"".join(rows))
    return frame


def main() -> None:
    """The command."""
    url, room, camera, frames = sys.argv[1:]
    result = asyncio.run(asyncio.wait_for(watch(url, room, camera, int(frames)), SECONDS))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

"""The viewers of the media suite: a process of its own that does one job, given as JSON on its input."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import random
import sys
import time
from contextlib import AsyncExitStack
from typing import Any, Final, Self

import msgspec
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import VideoFrame
from cctvsignal_clients import ViewerClient
from cctvsignal_clients.signaling import WebRTCCCTVClient

from cctvsignal import messages

from .machine import cpu_seconds, open_files, raise_file_limit, resident_bytes

ROOM: Final = "benchmark"
CAMERA: Final = "cam-1"
START_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.02


class Counter(queue.Queue[Any]):
    """In place of the queue before a decoder: frames are counted, and there is nothing to decode.

    All of aiortc before it works as ever: decryption, RTCP reports, bandwidth estimates, reassembly.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frames = self.octets = 0
        self.codec = ""

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """A codec and a complete frame, or None for the decoder's thread to end."""
        if item is None:
            super().put(item, block, timeout)
            return
        codec, frame = item
        self.codec = codec.name
        self.frames += 1
        self.octets += len(frame.data)


class Watcher:
    """A viewer of plain aiortc that decodes nothing; `async with` is from its first frame to its end."""

    def __init__(self, server: str) -> None:
        self.received = Counter()
        self._client = WebRTCCCTVClient(server, room=ROOM)
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._answering: asyncio.Task[None] | None = None
        self._client.on("offer", self._on_offer)

    async def __aenter__(self) -> Self:
        await self._client.connect()
        self._client.send(messages.RequestStream(camera_id=CAMERA))
        async with asyncio.timeout(START_SECONDS):
            while not self.received.frames:
                if self._answering is not None and self._answering.done():
                    self._answering.result()
                await asyncio.sleep(POLL_SECONDS)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._connection.close()
        await self._client.close()

    def _on_offer(self, offer: messages.RelayedOffer) -> None:
        self._answering = asyncio.ensure_future(self._answer(offer))

    async def _answer(self, offer: messages.RelayedOffer) -> None:
        connection = self._connection
        await connection.setRemoteDescription(RTCSessionDescription(**msgspec.json.decode(offer.sdp)))
        (receiver,) = connection.getReceivers()
        if not hasattr(receiver, "_RTCRtpReceiver__decoder_queue"):
            raise RuntimeError("this aiortc keeps its decoder's queue elsewhere")
        receiver._RTCRtpReceiver__decoder_queue = self.received
        await connection.setLocalDescription(await connection.createAnswer())
        local = connection.localDescription
        sdp = msgspec.Raw(msgspec.json.encode({"type": local.type, "sdp": local.sdp}))
        self._client.send(messages.Answer(target=offer.sender, sdp=sdp))


async def watch(
    server: str, pid: int, viewers: list[int], warm_seconds: float, seconds: float
) -> dict[str, Any]:
    """More and more viewers of one camera, which is the process `pid`; what it used with each number."""
    found = []
    async with AsyncExitStack() as stack:
        watchers: list[Watcher] = []
        for number in viewers:
            more = [Watcher(server) for _ in range(number - len(watchers))]
            watchers += await asyncio.gather(*(stack.enter_async_context(each) for each in more))
            await asyncio.sleep(warm_seconds)
            received = [each.received for each in watchers]
            before = [(each.frames, each.octets) for each in received]
            start, camera, own = time.perf_counter(), cpu_seconds(pid) or 0.0, time.process_time()
            await asyncio.sleep(seconds)
            took = time.perf_counter() - start
            camera, own = (cpu_seconds(pid) or 0.0) - camera, time.process_time() - own
            pictures = [each.frames - had for each, (had, _) in zip(received, before, strict=True)]
            octets = sum(each.octets - had for each, (_, had) in zip(received, before, strict=True))
            found.append(
                {
                    "viewers": number,
                    "seconds": took,
                    "cameraCpuSeconds": camera,
                    "viewersCpuSeconds": own,
                    "frames": sum(pictures),
                    "leastFramesPerSecond": min(pictures) / took,
                    "framesPerSecond": sum(pictures) / number / took,
                    "bitsPerSecond": octets * 8 / number / took,
                    "codecs": sorted({each.codec for each in received}),
                }
            )
    return {"steps": found}


async def _first_frame(viewer: ViewerClient) -> VideoFrame:
    stream = await viewer.request_stream(CAMERA, START_SECONDS)
    frames = stream.frames()
    async with asyncio.timeout(START_SECONDS):
        frame = await anext(frames)
    frames.close()
    return frame


async def first_frame(server: str, tries: int) -> dict[str, Any]:
    """How long it takes from asking to the first decoded frame, in milliseconds; somebody else watches."""
    found = []
    chance = random.Random(1)
    async with Watcher(server), ViewerClient(server, room=ROOM) as viewer:
        for _ in range(tries):
            # Not always at the same moment between two pictures.
            await asyncio.sleep(chance.uniform(0, 0.2))
            start = time.perf_counter()
            await _first_frame(viewer)
            found.append((time.perf_counter() - start) * 1000)
            await viewer.stop_viewing(CAMERA)
    return {"milliseconds": found}


async def come_and_go(
    server: str, pid: int, cycles: int, step: int, at_a_time: int, settle: float
) -> dict[str, Any]:
    """Viewers that connect, get a frame and leave; memory and files of the camera on the way."""
    left = 0
    found = []

    async def note(gone: int) -> None:
        await asyncio.sleep(settle)
        found.append({"viewers": gone, "bytes": resident_bytes(pid), "files": open_files(pid)})

    async def come() -> None:
        nonlocal left
        while left:
            left -= 1
            async with ViewerClient(server, room=ROOM) as viewer:
                await _first_frame(viewer)

    await note(0)
    start = time.perf_counter()
    for gone in range(step, cycles + 1, step):
        left = step
        async with asyncio.TaskGroup() as group:
            for _ in range(at_a_time):
                group.create_task(come())
        await note(gone)
    return {"steps": found, "seconds": time.perf_counter() - start}


async def work(order: dict[str, Any]) -> dict[str, Any]:
    """The job that the order has."""
    if "watch" in order:
        return await watch(**order["watch"])
    if "firstFrame" in order:
        return await first_frame(**order["firstFrame"])
    return await come_and_go(**order["comeAndGo"])


def main() -> None:
    """Do one job, in the core that was asked for."""
    order = json.load(sys.stdin)
    if order["core"] is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {order["core"]})
    raise_file_limit()
    # A first picture that cannot be decoded is not worth a line each time.
    logging.getLogger("aiortc").setLevel(logging.ERROR)
    json.dump(asyncio.run(work(order)), sys.stdout)


if __name__ == "__main__":
    main()

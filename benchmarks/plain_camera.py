"""The camera to compare with: what one writes with aiortc alone, an encoder for every viewer.

`python -m benchmarks.plain_camera SERVER ROOM CAMERA_ID`
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

import msgspec
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import VideoFrame
from cctvsignal_clients.signaling import WebRTCCCTVClient
from cctvsignal_clients.sources.pattern import FRAMES_PER_SECOND, draw

from cctvsignal import messages

CLOCK: Final = 90_000


class Pattern(MediaStreamTrack):
    """The test pattern as a track."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._counter = 0
        self._start = self._due = asyncio.get_running_loop().time()

    async def recv(self) -> VideoFrame:
        """The next picture, when it is time for it."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        self._due = max(self._due + 1 / FRAMES_PER_SECOND, loop.time())
        await asyncio.sleep(self._due - loop.time())
        frame = draw(self._counter, datetime.now(UTC))
        self._counter += 1
        frame.pts, frame.time_base = round((self._due - self._start) * CLOCK), Fraction(1, CLOCK)
        return frame


class Camera(WebRTCCCTVClient):
    """A peer connection for every viewer. Only the messages are those of the project's clients."""

    device_type = "camera"

    def __init__(self, server: str, room: str, camera_id: str) -> None:
        super().__init__(server, room=room)
        self._camera_id = camera_id
        self._relay = MediaRelay()
        self._track = Pattern()
        self._connections: dict[str, RTCPeerConnection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.on("viewerRequest", lambda request: self._run(self._offer(request.viewer_id)))
        self.on("answer", lambda answer: self._run(self._take(answer)))
        self.on("bye", lambda bye: self._run(self._drop(bye.sender)))
        self.on("clientDisconnected", lambda client: self._run(self._drop(client.client_id)))

    def _join_message(self) -> messages.Join:
        return messages.Join(room=self.room, device_type="camera", camera_id=self._camera_id)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _offer(self, viewer_id: str) -> None:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connections[viewer_id] = connection
        connection.addTrack(self._relay.subscribe(self._track))
        await connection.setLocalDescription(await connection.createOffer())
        local = connection.localDescription
        sdp = msgspec.Raw(msgspec.json.encode({"type": local.type, "sdp": local.sdp}))
        self.send(messages.Offer(target=viewer_id, sdp=sdp))

    async def _take(self, answer: messages.RelayedAnswer) -> None:
        description = RTCSessionDescription(**msgspec.json.decode(answer.sdp))
        await self._connections[answer.sender].setRemoteDescription(description)

    async def _drop(self, viewer_id: str) -> None:
        connection = self._connections.pop(viewer_id, None)
        if connection is not None:
            await connection.close()


async def main() -> None:
    """Be the camera until the process is ended."""
    camera = Camera(*sys.argv[1:])
    await camera.connect()
    print(f"Camera is in room {camera.room}.", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

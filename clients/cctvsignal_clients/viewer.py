"""A viewer: knows the cameras of a room and asks them for their pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from twisted.logger import Logger

from cctvsignal import messages
from cctvsignal.messages import CameraInfo, CameraMeta, IceServer

from . import bridge
from .bridge import Result
from .errors import CameraNotFound, ClientError, MediaFailed, RequestTimeout
from .frames import CLOCK_RATE, FrameFeed, FrameIterator
from .peer import Negotiation, PeerSession
from .signaling import WebRTCCCTVClient

REQUEST_SECONDS: Final = 15.0
FRAMES_KEPT: Final = 30
"""For a program that iterates over frames and is slow now and then."""
PICTURE_CODECS: Final = {
    ".png": ("png", "rgb24"),
    ".jpg": ("mjpeg", "yuvj420p"),
    ".jpeg": ("mjpeg", "yuvj420p"),
}

log = Logger()


class Stream:
    """The pictures of one camera, from `ViewerClient.request_stream` until either side ends."""

    def __init__(self, camera_id: str) -> None:
        self.camera_id = camera_id
        self._feed = FrameFeed()

    def frames(self) -> FrameIterator:
        """The decoded frames from here on (`av.VideoFrame`), for `async for`; late readers miss some."""
        return FrameIterator(self._feed, FRAMES_KEPT)

    def snapshot(self, path: str | Path) -> Result[None]:
        """Save the next frame as PNG or JPEG, by the ending of `path`.

        Raises `ValueError` for another ending, `MediaFailed` when the stream is over, `OSError`.
        """
        return bridge.start(self._snapshot(Path(path)))

    async def _snapshot(self, path: Path) -> None:
        if path.suffix.lower() not in PICTURE_CODECS:
            raise ValueError(f"{path}: a snapshot ends in {', '.join(PICTURE_CODECS)}.")
        codec, pixels = PICTURE_CODECS[path.suffix.lower()]
        reader = self._feed.read(keep=1)
        try:
            frame = await reader.next()
        except StopAsyncIteration:
            raise MediaFailed(f"The stream of camera {self.camera_id!r} is over.") from None
        finally:
            reader.close()
        encoder = av.CodecContext.create(codec, "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, pixels
        encoder.time_base = frame.time_base or Fraction(1, CLOCK_RATE)
        packets = [*encoder.encode(frame.reformat(format=pixels)), *encoder.encode(None)]
        path.write_bytes(b"".join(bytes(packet) for packet in packets))

    async def _receive(self, track: MediaStreamTrack) -> None:
        """Read a track to its end. What nobody read would pile up in aiortc."""
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, av.VideoFrame):
                    self._feed.put(frame)
        except MediaStreamError:
            if track.kind == "video":
                self._feed.end()


class ViewerClient(WebRTCCCTVClient):
    """A viewer; see `WebRTCCCTVClient` for the arguments.

    `cameras` follows the room. Streams go on while the server is away.
    """

    device_type = "viewer"

    def __init__(
        self,
        server: str = "ws://localhost:8080",
        *,
        room: str = messages.DEFAULT_ROOM,
        ice_servers: Sequence[IceServer] | None = None,
        meta: CameraMeta | None = None,
    ) -> None:
        super().__init__(server, room=room, ice_servers=ice_servers, meta=meta)
        self.cameras: dict[str, CameraInfo] = {}
        """The cameras of the room, by id."""
        self._sessions: dict[str, PeerSession] = {}
        """By camera id."""
        self._offers: dict[str, asyncio.Future[messages.RelayedOffer]] = {}
        """Awaited offers, by the client id of the camera."""
        self._handlers = {
            **self._handlers,
            messages.CameraAvailable: self._on_camera,
            messages.CameraUnavailable: self._on_no_camera,
            messages.RelayedOffer: self._on_offer,
            messages.RelayedIceCandidate: self._take,
            messages.RelayedBye: self._on_bye,
        }

    def request_stream(self, camera_id: str, timeout: float = REQUEST_SECONDS) -> Result[Stream]:
        """Ask a camera for its pictures and wait, at most `timeout` seconds, until they can flow.

        Raises `CameraNotFound`, `CameraBusy`, `RequestTimeout` when the camera does not answer,
        `MediaFailed` when no media path is found, `ConnectionFailed`.
        """
        return bridge.start(self._request_stream(camera_id, timeout))

    def stop_viewing(self, camera_id: str) -> Result[None]:
        """End the stream of a camera, if there is one."""
        return bridge.start(self._stop_viewing(camera_id))

    def wait_for_camera(self, camera_id: str, timeout: float) -> Result[None]:
        """Wait until a camera is there; raises `CameraNotFound` when it is not in `timeout` seconds."""
        return bridge.start(self._wait_for_camera(camera_id, timeout))

    # --- inside

    async def _request_stream(self, camera_id: str, timeout: float) -> Stream:
        await self._stop_viewing(camera_id)
        try:
            async with asyncio.timeout(timeout):
                offer = await self._ask_for_offer(camera_id)
                return await self._watch(camera_id, offer)
        except TimeoutError:
            await self._stop_viewing(camera_id)
            text = f"Camera {camera_id!r} did not answer within {timeout:.0f} s: does it run?"
            raise RequestTimeout(text) from None
        except ClientError:
            await self._stop_viewing(camera_id)
            raise

    async def _ask_for_offer(self, camera_id: str) -> messages.RelayedOffer:
        # Only who holds the id by now may answer, and the server knows that best.
        listed = await self._ask(messages.ListCameras(), messages.Cameras)
        holders = [camera.client_id for camera in listed.cameras if camera.camera_id == camera_id]
        if not holders:
            raise CameraNotFound(f"There is no camera {camera_id!r} in room {self.room!r}.")
        offer: asyncio.Future[messages.RelayedOffer] = asyncio.get_running_loop().create_future()
        self._offers[holders[0]] = offer
        try:
            await self._ask(messages.RequestStream(camera_id=camera_id), messages.Ack)
            return await offer
        finally:
            del self._offers[holders[0]]

    async def _watch(self, camera_id: str, offer: messages.RelayedOffer) -> Stream:
        stream = Stream(camera_id)
        session = PeerSession(offer.sender, self._current_ice_servers, self._send, self._session_ended)
        self._sessions[camera_id] = session

        def received(track: MediaStreamTrack) -> None:
            bridge.background(stream._receive(track))

        session.connection.on("track", received)
        await session.answer(offer)
        await session.connected
        self._emit("streamReceived", stream)
        return stream

    async def _stop_viewing(self, camera_id: str) -> None:
        session = self._sessions.get(camera_id)
        if session is not None:
            await session.end("the viewer stopped")

    async def _wait_for_camera(self, camera_id: str, timeout: float) -> None:
        here = asyncio.Event()

        def look(_: object = None) -> None:
            if camera_id in self.cameras:
                here.set()

        self.on("cameraAvailable", look)
        look()
        try:
            await asyncio.wait_for(here.wait(), timeout)
        except TimeoutError:
            others = ", ".join(sorted(self.cameras)) or "none"
            raise CameraNotFound(
                f"There is no camera {camera_id!r} in room {self.room!r}; the cameras there: {others}."
            ) from None
        finally:
            self.off("cameraAvailable", look)

    async def _end(self) -> None:
        for camera_id in list(self._sessions):
            await self._stop_viewing(camera_id)

    async def _join(self) -> None:
        # What the server lists after `joined` is all there is, whatever was there before.
        self.cameras.clear()
        await super()._join()

    def _on_camera(self, camera: messages.CameraAvailable) -> None:
        self.cameras[camera.camera_id] = CameraInfo(camera.camera_id, camera.client_id, 0, camera.meta)

    def _on_no_camera(self, camera: messages.CameraUnavailable) -> None:
        self.cameras.pop(camera.camera_id, None)

    def _on_offer(self, offer: messages.RelayedOffer) -> None:
        waiting = self._offers.get(offer.sender)
        # Nobody but the camera that was asked may start a session.
        if waiting is not None and not waiting.done():
            waiting.set_result(offer)

    def _take(self, message: Negotiation) -> None:
        for session in self._sessions.values():
            if session.peer_id == message.sender:
                session.take(message)

    def _on_bye(self, bye: messages.RelayedBye) -> None:
        waiting = self._offers.get(bye.sender)
        if waiting is not None and not waiting.done():
            waiting.set_exception(MediaFailed(f"The camera refused: {bye.reason}."))
        for session in list(self._sessions.values()):
            if session.peer_id == bye.sender:
                bridge.background(session.end("the camera ended the session", tell=False))

    def _session_ended(self, session: PeerSession) -> None:
        for camera_id, known in list(self._sessions.items()):
            if known is session:
                del self._sessions[camera_id]

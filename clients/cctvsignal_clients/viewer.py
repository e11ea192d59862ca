"""A viewer: knows the cameras of a room and asks them for their pictures."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Final, Unpack

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from twisted.logger import Logger

from cctvsignal import messages
from cctvsignal.messages import CameraInfo

from . import bridge
from .bridge import Result
from .errors import CameraNotFound, MediaFailed, RequestTimeout
from .frames import FrameFeed, FrameIterator
from .peer import PeerSession
from .sessions import SessionClient
from .signaling import DEFAULT_SERVER, ClientOptions

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

    def __init__(self, camera_id: str, session: PeerSession) -> None:
        self.camera_id = camera_id
        self._session = session
        self._feed = FrameFeed()
        self._receiving: list[asyncio.Task[None]] = []
        session.connection.on("track", self._on_track)

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
        encoder.time_base = frame.time_base or Fraction(1, 90_000)
        packets = [*encoder.encode(frame.reformat(format=pixels)), *encoder.encode(None)]
        path.write_bytes(b"".join(bytes(packet) for packet in packets))

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._receiving.append(bridge.background(self._receive(track)))

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

    def _end(self) -> None:
        # It may never have had a track, and aiortc does not end tracks on which nothing came.
        for task in self._receiving:
            task.cancel()
        self._feed.end()


class ViewerClient(SessionClient):
    """A viewer; see `WebRTCCCTVClient` for the arguments.

    `cameras` follows the room. Streams go on while the server is away.
    """

    device_type = "viewer"

    def __init__(self, server: str = DEFAULT_SERVER, **options: Unpack[ClientOptions]) -> None:
        super().__init__(server, **options)
        self.cameras: dict[str, CameraInfo] = {}
        """The cameras of the room, by id."""
        self._streams: dict[str, Stream] = {}
        """By camera id, those that are asked for included."""
        self._requests: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By camera id: an offer does not say which of two requests it is the answer to."""
        self._handlers = {
            **self._handlers,
            # What the server lists after these is all there is, whatever was there before.
            messages.Joined: lambda _: self.cameras.clear(),
            messages.Left: lambda _: self.cameras.clear(),
            messages.CameraAvailable: self._on_camera,
            messages.CameraUnavailable: self._on_no_camera,
            messages.RelayedOffer: self._take,
        }

    def request_stream(self, camera_id: str, timeout: float = REQUEST_SECONDS) -> Result[Stream]:
        """Ask a camera for its pictures and wait, at most `timeout` seconds, until they can flow.

        A stream that this client has of the camera ends.

        Raises `CameraNotFound`, `CameraBusy`, `RequestTimeout` when the camera does not answer,
        `MediaFailed` when no media path is found or the camera refuses, `ConnectionFailed`.
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
        session: PeerSession | None = None
        try:
            async with asyncio.timeout(timeout), self._requests[camera_id]:
                await self._stop_viewing(camera_id)
                # Before it asks: the offer and its candidates may come in one piece with the answer.
                session = self._new_session(await self._find(camera_id))
                stream = self._streams[camera_id] = Stream(camera_id, session)
                await self._ask(messages.RequestStream(camera_id=camera_id), messages.Ack)
                await session.connected
        except BaseException as error:
            answered = session is not None and session.described
            if session is not None:
                await session.end("the viewer gave up")
            if not isinstance(error, TimeoutError):
                raise
            if answered:
                text = (
                    f"Camera {camera_id!r} answered, but no media path to it was found within {timeout:g} s"
                )
                raise MediaFailed(f"{text}: check firewalls, or configure a TURN server.") from None
            text = f"Camera {camera_id!r} did not answer within {timeout:g} s: does it run?"
            raise RequestTimeout(text) from None
        self._emit("streamReceived", stream)
        return stream

    async def _find(self, camera_id: str) -> str:
        """The client id of a camera: of who holds it by now, and the server knows that best."""
        listed = await self._ask(messages.ListCameras(), messages.Cameras)
        for camera in listed.cameras:
            if camera.camera_id == camera_id:
                return camera.client_id
        raise CameraNotFound(f"There is no camera {camera_id!r} in room {self.room!r}.")

    async def _stop_viewing(self, camera_id: str) -> None:
        stream = self._streams.get(camera_id)
        if stream is not None:
            await stream._session.end("the viewer stopped")
            stream._end()

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

    def _on_camera(self, camera: messages.CameraAvailable) -> None:
        self.cameras[camera.camera_id] = CameraInfo(camera.camera_id, camera.client_id, 0, camera.meta)

    def _on_no_camera(self, camera: messages.CameraUnavailable) -> None:
        self.cameras.pop(camera.camera_id, None)
        session = self._sessions.get(camera.client_id)
        if session is not None:
            self._lose(session, "the camera left")

    def _session_ended(self, session: PeerSession) -> None:
        super()._session_ended(session)
        for stream in list(self._streams.values()):
            if stream._session is session:
                del self._streams[stream.camera_id]
                stream._end()

"""A viewer: knows the cameras of a room and asks them for their pictures."""

from __future__ import annotations

import asyncio
import time
import unicodedata
from typing import Final, Unpack
from weakref import WeakValueDictionary

from twisted.logger import Logger

from cctvsignal import messages
from cctvsignal.messages import CameraInfo

from . import bridge
from .bridge import Result
from .control import RemoteControl, Value
from .diagnosis import why_not_connected
from .errors import (
    CameraNotFound,
    ClientError,
    ConnectionFailed,
    MediaFailed,
    NoAnswer,
    NoMedia,
    patience,
)
from .peer import PeerSession
from .redaction import shown
from .retry import Backoff
from .sessions import SessionClient
from .signaling import DEFAULT_SERVER, ClientOptions
from .stream import Stream

REQUEST_SECONDS: Final = 15.0
SILENT_SECONDS: Final = 10.0
"""After so long without a packet media has died, or has never begun, though ICE may not know yet."""
LOOK_SECONDS: Final = 2.0
RETRY: Final = Backoff()

log = Logger()


class ViewerClient(SessionClient):
    """A viewer; see `WebRTCCCTVClient` for the arguments.

    `cameras` follows the room. Streams go on while the server is away; when the media of one dies, the
    camera is asked again for as long as it takes, and `streamReceived` tells when there are pictures
    again. Of its own it has the events `streamLost` and `controlsChanged` (the `Stream`; its `loss`
    says why it was lost).
    """

    device_type = "viewer"

    def __init__(self, server: str = DEFAULT_SERVER, **options: Unpack[ClientOptions]) -> None:
        super().__init__(server, **options)
        self.cameras: dict[str, CameraInfo] = {}
        """The cameras of the room, by id."""
        self._streams: dict[str, Stream] = {}
        """By camera id, those that are asked for included."""
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._turns = WeakValueDictionary[str, asyncio.Lock]()
        """By camera id: an offer does not say which of two requests it is the answer to."""
        self._requests: dict[str, messages.RequestStream] = {}
        """By camera id: requests that the server has not passed on yet, as far as is known here."""
        self._handlers = {
            **self._handlers,
            # What the server lists after these is all there is, whatever was there before.
            messages.Joined: lambda _: self.cameras.clear(),
            messages.Left: lambda _: self.cameras.clear(),
            messages.CameraAvailable: self._on_camera,
            messages.CameraUnavailable: self._on_no_camera,
            messages.RelayedOffer: self._on_offer,
            messages.Ack: self._on_ack,
        }

    def request_stream(
        self, camera_id: str, timeout: float = REQUEST_SECONDS, *, as_jpeg: bool = False
    ) -> Result[Stream]:
        """Ask a camera for its pictures and wait, at most `timeout` seconds, until they can flow.

        A stream that this client has of the camera ends. `as_jpeg` asks for JPEGs over a data channel,
        which cameras have that say `"pictures": ["jpeg", ...]` in their meta.

        Raises `CameraNotFound`, `CameraBusy`, `RequestTimeout` when the camera does not answer,
        `MediaFailed` when no media path is found or the camera refuses, `ConnectionFailed`.
        """
        return bridge.start(self._request_stream(_canonical(camera_id), timeout, as_jpeg))

    def set_control(self, camera_id: str, name: str, value: Value) -> Result[None]:
        """Change a setting of a camera that is watched: one of its stream's `controls`.

        Raises `ControlRefused` or `RequestTimeout`.
        """
        stream = self._streams.get(_canonical(camera_id))
        return bridge.start((RemoteControl() if stream is None else stream.control).set(name, value))

    def stop_viewing(self, camera_id: str) -> Result[None]:
        """End the stream of a camera, if there is one."""
        return bridge.start(self._stop_viewing(_canonical(camera_id)))

    def wait_for_camera(self, camera_id: str, timeout: float) -> Result[None]:
        """Wait until a camera is there; raises `CameraNotFound` when it is not in `timeout` seconds."""
        return bridge.start(self._wait_for_camera(_canonical(camera_id), timeout))

    # --- inside

    async def _request_stream(self, camera_id: str, timeout: float, as_jpeg: bool) -> Stream:
        stream = Stream(camera_id, as_jpeg)
        stream.control.on_change = lambda: self._emit("controlsChanged", stream)
        try:
            await self._request(stream, timeout)
        except BaseException:
            self._forget(stream)
            raise
        self._emit("streamReceived", stream)
        if self._wants(stream):
            self._keepers[camera_id] = bridge.background(self._keep_alive(stream))
        return stream

    async def _keep_alive(self, stream: Stream) -> None:
        """Ask the camera again whenever the media of a stream has died, until it is not wanted any more."""
        try:
            while self._wants(stream):
                await self._until_dead(stream)
                if not self._wants(stream):
                    return
                self._emit("streamLost", stream)
                await self._ask_again(stream)
                self._emit("streamReceived", stream)
        except Exception:
            # Nobody is to wait for frames that do not come.
            stream.loss = MediaFailed("The viewer itself has failed: its log says why.")
            self._keepers.pop(stream.camera_id, None)
            self._forget(stream)
            self._emit("streamLost", stream)
            raise

    async def _ask_again(self, stream: Stream) -> None:
        attempt, pause = 0, 0.0
        while stream.session is None:
            await asyncio.sleep(RETRY.seconds(attempt) + pause)
            attempt, pause = attempt + 1, 0.0
            try:
                await self._wait_for_camera(stream.camera_id, None)
                await self._request(stream, REQUEST_SECONDS)
            except ClientError as error:
                log.info("no media of {camera} yet: {error}", camera=stream.camera_id, error=error)
                pause = patience(error)
            except Exception as error:
                bridge.report(f"asking for camera {stream.camera_id!r}", error)

    async def _until_dead(self, stream: Stream) -> None:
        since = time.monotonic()
        while (session := stream.session) is not None:
            try:
                await asyncio.wait_for(stream.lost.wait(), LOOK_SECONDS)
            except TimeoutError:
                if min(stream.silent_seconds, time.monotonic() - since) > SILENT_SECONDS:
                    await session.end(_no_media(stream))

    def _wants(self, stream: Stream) -> bool:
        return self._streams.get(stream.camera_id) is stream

    def _forget(self, stream: Stream) -> None:
        if self._wants(stream):
            del self._streams[stream.camera_id]
            if keeper := self._keepers.pop(stream.camera_id, None):
                keeper.cancel()
        stream.end()

    async def _request(self, stream: Stream, timeout: float) -> None:
        """Have a session for a stream, which takes the place of any other of this camera."""
        camera_id = stream.camera_id
        turn = self._turns.setdefault(camera_id, asyncio.Lock())
        try:
            async with asyncio.timeout(timeout), turn:
                if not self._wants(stream):
                    await self._stop_viewing(camera_id)
                known = self.cameras.get(camera_id)
                client_id = await self._find(camera_id) if known is None else known.client_id
                try:
                    await self._begin(stream, client_id)
                except MediaFailed:
                    now = self.cameras.get(camera_id)
                    # An offer goes to a client, and not to a camera, which may be another client by now.
                    if not stream.as_jpeg or known is None or (now and now.client_id == client_id):
                        raise
                    if stream.session is not None:
                        await stream.session.end("the camera left", tell=False)
                    await self._begin(stream, await self._find(camera_id))
        except BaseException as error:
            session = stream.session
            problem = None
            if isinstance(error, TimeoutError) and session is not None and session.described:
                lead = f"Camera {camera_id!r} answered"
                problem = why_not_connected(
                    session.connection, session.ice_advice, lead=lead, seconds=timeout
                )
            if session is not None:
                await session.end(problem or "the viewer gave up")
            if not isinstance(error, TimeoutError):
                raise
            text = f"Camera {camera_id!r} did not answer within {timeout:g} s: does it run?"
            raise (problem or NoAnswer(text)) from None

    async def _begin(self, stream: Stream, client_id: str) -> None:
        """Ask a camera, which has this client id, and wait until the session with it is connected."""
        # Before it asks: the offer and its candidates may come in one piece with the answer.
        session = self._new_session(client_id, tuple, *stream.channels())
        stream.attach(session)
        self._streams[stream.camera_id] = stream
        if stream.as_jpeg:
            if not self.connected:
                raise ConnectionFailed(f"There is no connection to {shown(self.server)} at the moment.")
            session.offer()
        else:
            request = self._requests[stream.camera_id] = messages.RequestStream(camera_id=stream.camera_id)
            try:
                await self._ask(request, messages.Ack)
            finally:
                self._requests.pop(stream.camera_id, None)
        await session.connected

    async def _find(self, camera_id: str) -> str:
        """The client id of a camera, as the server knows it."""
        listed = await self._ask(messages.ListCameras(), messages.Cameras)
        for camera in listed.cameras:
            if camera.camera_id == camera_id:
                return camera.client_id
        raise CameraNotFound(f"There is no camera {camera_id!r} in room {self.room!r}.")

    async def _stop_viewing(self, camera_id: str) -> None:
        stream = self._streams.get(camera_id)
        if stream is not None:
            session = stream.session
            self._forget(stream)
            if session is not None:
                await session.end("the viewer stopped")

    async def _end_sessions(self, reason: str) -> None:
        for stream in list(self._streams.values()):
            self._forget(stream)
        await super()._end_sessions(reason)

    async def _wait_for_camera(self, camera_id: str, timeout: float | None) -> None:
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
        stream = self._streams.get(camera.camera_id)
        if camera.camera_id in self._requests and stream is not None and stream.session is not None:
            # The camera has come back as another client, and the request goes to that one.
            self._rename(stream.session, camera.client_id)

    def _on_no_camera(self, camera: messages.CameraUnavailable) -> None:
        self.cameras.pop(camera.camera_id, None)
        session = self._sessions.get(camera.client_id)
        # A request that the server has not passed on yet goes to whoever is this camera by then.
        if session is not None and camera.camera_id not in self._requests:
            self._lose(session, "the camera left")

    def _on_ack(self, ack: messages.Ack) -> None:
        for camera_id, request in self._requests.items():
            if request.request_id == ack.request_id:
                del self._requests[camera_id]
                return

    def _on_offer(self, offer: messages.RelayedOffer) -> None:
        if offer.sender in self._sessions:
            self._take(offer)
        else:
            # For the server, an offer of a camera begins a session.
            self._send(messages.Bye(target=offer.sender, reason="this viewer has not asked for it"))

    def _session_ended(self, session: PeerSession) -> None:
        super()._session_ended(session)
        for stream in self._streams.values():
            if stream.session is session:
                stream.detach()


def _no_media(stream: Stream) -> NoMedia:
    if stream.has_begun:
        return NoMedia(f"No media of camera {stream.camera_id!r} came any more for {SILENT_SECONDS:g} s.")
    text = f"Connected to camera {stream.camera_id!r}, but no media came within {SILENT_SECONDS:g} s"
    return NoMedia(f"{text}: check its source, its log says more.")


def _canonical(camera_id: str) -> str:
    """A camera id as the server names it (docs/protocol.md, section 1)."""
    return unicodedata.normalize("NFC", camera_id.strip())

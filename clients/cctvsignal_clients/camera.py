"""A camera: registers in a room and sends its pictures to whoever asks."""

from __future__ import annotations

from collections.abc import Sequence

from aiortc.mediastreams import MediaStreamTrack
from twisted.logger import Logger

from cctvsignal import messages
from cctvsignal.messages import CameraMeta, IceServer

from . import bridge
from .bridge import Result
from .peer import Negotiation, PeerSession
from .signaling import WebRTCCCTVClient
from .sources import Source, open_source

log = Logger()


class CameraClient(WebRTCCCTVClient):
    """A camera with this `camera_id`; see `WebRTCCCTVClient` for the other arguments.

    `register` makes it known, `start_streaming` gives it a source. It makes an offer to every viewer that
    asks, and answers viewers that make an offer themselves. Media goes on while the server is away.
    Of its own it has the event `viewersChanged` (the list `viewers`).
    """

    device_type = "camera"

    def __init__(
        self,
        server: str = "ws://localhost:8080",
        *,
        camera_id: str,
        room: str = messages.DEFAULT_ROOM,
        ice_servers: Sequence[IceServer] | None = None,
        meta: CameraMeta | None = None,
        max_viewers: int | None = None,
    ) -> None:
        super().__init__(server, room=room, ice_servers=ice_servers, meta=meta)
        self.camera_id = camera_id
        self.max_viewers = max_viewers
        self._source: Source | None = None
        self._sessions: dict[str, PeerSession] = {}
        self._handlers = {
            **self._handlers,
            messages.ViewerRequest: lambda request: self._start_session(request.viewer_id, None),
            messages.RelayedOffer: lambda offer: self._start_session(offer.sender, offer),
            messages.RelayedAnswer: self._take,
            messages.RelayedIceCandidate: self._take,
            messages.RelayedBye: lambda bye: self._end_session(bye.sender),
        }

    def register(self) -> Result[None]:
        """Connect and be a camera of the room; the same as `connect`.

        Raises `ConnectionFailed`, `CameraIdInUse`, or another `RequestRefused`.
        """
        return self.connect()

    def start_streaming(self, source: Source | str) -> Result[None]:
        """Send this source, or the one that the word names, from now on. Raises `SourceError`."""
        return bridge.start(self._start_streaming(source))

    def stop_streaming(self) -> Result[None]:
        """End all sessions and the source; the camera stays registered."""
        return bridge.start(self._stop_streaming())

    @property
    def viewers(self) -> list[str]:
        """The client ids of those who have a session with this camera."""
        return list(self._sessions)

    # --- inside

    def _join_message(self) -> messages.Join:
        return messages.Join(
            room=self.room,
            device_type="camera",
            camera_id=self.camera_id,
            meta=self.meta,
            max_viewers=self.max_viewers,
        )

    async def _start_streaming(self, source: Source | str) -> None:
        source = open_source(source) if isinstance(source, str) else source
        await self._stop_streaming()
        source.start()
        self._source = source

    async def _stop_streaming(self) -> None:
        source, self._source = self._source, None
        for session in list(self._sessions.values()):
            await session.end("the camera stopped")
        if source is not None:
            await source.stop()

    async def _end(self) -> None:
        await self._stop_streaming()

    def _tracks(self) -> Sequence[MediaStreamTrack]:
        return [] if self._source is None else [self._source.track()]

    def _start_session(self, viewer_id: str, offer: messages.RelayedOffer | None) -> None:
        if self._source is None:
            log.info("{viewer} asks for a camera that does not stream", viewer=viewer_id)
            self._send(messages.Bye(target=viewer_id, reason="the camera does not stream"))
            return
        before = self._sessions.get(viewer_id)
        session = PeerSession(viewer_id, self._current_ice_servers, self._send, self._session_ended)
        self._sessions[viewer_id] = session
        self._emit("viewersChanged", self.viewers)
        bridge.background(self._negotiate(session, offer, before))

    async def _negotiate(
        self, session: PeerSession, offer: messages.RelayedOffer | None, before: PeerSession | None
    ) -> None:
        try:
            if before is not None:
                await before.end("the viewer asked again", tell=False)
            if offer is None:
                await session.offer(self._tracks())
            else:
                await session.answer(offer, self._tracks())
        except Exception:
            # What a viewer sends is not under our control, and aiortc raises many things for it.
            log.failure("no session with {viewer}", viewer=session.peer_id)
            await session.end("the camera could not make sense of the viewer's message")

    def _take(self, message: Negotiation) -> None:
        session = self._sessions.get(message.sender)
        if session is not None:
            session.take(message)

    def _end_session(self, viewer_id: str) -> None:
        session = self._sessions.get(viewer_id)
        if session is not None:
            bridge.background(session.end("the viewer said bye", tell=False))

    def _session_ended(self, session: PeerSession) -> None:
        if self._sessions.get(session.peer_id) is session:
            del self._sessions[session.peer_id]
            self._emit("viewersChanged", self.viewers)

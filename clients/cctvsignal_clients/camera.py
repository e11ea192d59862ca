"""A camera: registers in a room and sends its pictures to whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Unpack

from twisted.logger import Logger

from cctvsignal import messages
from cctvsignal.messages import CameraMeta

from . import bridge
from .bridge import Result
from .broadcast import Broadcast, SendingStats
from .encoder import AS_THE_SOURCE, CODECS, Codec, EncoderSettings
from .errors import InvalidOption
from .outgoing import OutgoingTrack
from .peer import NO_CHANNELS, ChannelHandlers, PeerSession
from .sessions import SessionClient
from .signaling import DEFAULT_SERVER, ClientOptions
from .sources import Source, open_source

VANISHED_SECONDS: Final = 5.0
MAX_CONNECTING: Final = 128
"""So many sessions may be without a media path yet; anybody in the room can begin one."""

log = Logger()


class CameraClient(SessionClient):
    """A camera with this `camera_id`; see `WebRTCCCTVClient` for the other arguments.

    `register` makes it known, `start_streaming` gives it a source. It makes an offer to every viewer that
    asks, and answers viewers that make an offer themselves. Media goes on while the server is away. However
    many watch, the source is encoded at most once for each of the `codecs` (offered in this order), as
    `encoding` says, or not at all if it is H.264 already. Each of the `channels` is a data channel that it
    opens for viewers, and takes from them; `accepts` are those that it only takes. One that does not
    `sends_video` has nothing but those. `device_key` is a random text of 16 to 256 characters: whoever is
    the first to bring one for an id has that id for ever (docs/protocol.md, section 2.4).

    Of its own it has the event `viewersChanged` (the list `viewers`).
    """

    device_type = "camera"

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        camera_id: str,
        max_viewers: int | None = None,
        device_key: str | None = None,
        encoding: EncoderSettings = AS_THE_SOURCE,
        codecs: Sequence[Codec] = CODECS,
        channels: ChannelHandlers = NO_CHANNELS,
        accepts: ChannelHandlers = NO_CHANNELS,
        sends_video: bool = True,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(server, **options)
        self.camera_id = camera_id
        self.max_viewers = max_viewers
        self._device_key = device_key
        self._encoding = encoding
        self._codecs = codecs
        self._channels = channels
        self._accepts = accepts
        self._sends_video = sends_video
        self._source: Source | None = None
        self._broadcast: Broadcast | None = None
        self._handlers = {
            **self._handlers,
            messages.ViewerRequest: self._on_request,
            messages.RelayedOffer: self._on_offer,
            messages.ClientDisconnected: self._on_gone,
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

    def update_meta(self, meta: CameraMeta | None) -> Result[None]:
        """Have other meta: those who join, or list the cameras, see it from now on.

        Raises `InvalidOption`; without a connection it is told when there is one.
        """
        return bridge.start(self._update_meta(meta))

    @property
    def viewers(self) -> list[str]:
        """The client ids of those who have a session with this camera."""
        return list(self._sessions)

    def stats(self) -> SendingStats:
        """What is sent to each viewer at this moment."""
        return SendingStats((), 0.0, 0.0) if self._broadcast is None else self._broadcast.stats()

    # --- inside

    async def _update_meta(self, meta: CameraMeta | None) -> None:
        before, self.meta = self.meta, meta
        try:
            self._checked_join_message()
        except InvalidOption:
            self.meta = before
            raise
        if self.connected and self._wants_room:
            await self._ask(self._join_message(), messages.Joined)

    def _join_message(self) -> messages.Join:
        if self._device_key is not None and not 16 <= len(self._device_key) <= 256:
            raise ValueError("a device key has 16 to 256 characters")
        return messages.Join(
            room=self.room,
            device_type="camera",
            camera_id=self.camera_id,
            meta=self.meta,
            max_viewers=self.max_viewers,
            device_key=self._device_key,
        )

    async def _start_streaming(self, source: Source | str) -> None:
        if isinstance(source, str):
            source = open_source(source, self._encoding)
        await self._stop_streaming()
        # Before it starts: it may have something to say at once.
        broadcast = Broadcast(source, self._encoding, self._codecs)
        await source.start()
        await broadcast.check()
        broadcast.on_problem = self._cannot_encode
        self._source, self._broadcast = source, broadcast

    async def _stop_streaming(self) -> None:
        source, self._source = self._source, None
        broadcast, self._broadcast = self._broadcast, None
        await self._end_sessions("the camera stopped")
        if broadcast is not None:
            broadcast.end()
        if source is not None:
            await source.stop()

    async def _end(self) -> None:
        await self._stop_streaming()

    def _tracks(self) -> Sequence[OutgoingTrack]:
        if self._broadcast is None or not self._sends_video:
            return []
        return self._broadcast.tracks()

    def _start_session(self, viewer_id: str) -> PeerSession | None:
        if self._broadcast is None:
            log.info("{viewer} asks for a camera that does not stream", viewer=viewer_id)
            self._say_bye(viewer_id, "the camera does not stream")
            return None
        connecting = sum(not session.connected.done() for session in self._sessions.values())
        if connecting >= MAX_CONNECTING and viewer_id not in self._sessions:
            log.warn("{many} viewers are connecting at once: no more for now", many=connecting)
            self._say_bye(viewer_id, "too many viewers are connecting at once: try again")
            return None
        session = self._new_session(viewer_id, self._tracks, self._channels, self._accepts)
        self._emit("viewersChanged", self.viewers)
        return session

    def _cannot_encode(self, tracks: Sequence[OutgoingTrack], problem: str) -> None:
        for session in list(self._sessions.values()):
            if any(session.sends(track) for track in tracks):
                bridge.background(session.end(problem))

    def _refuses_video(self, viewer_id: str) -> bool:
        """Whether there is no picture to send, which the viewer is told then."""
        problem = "" if self._broadcast is None else self._broadcast.problem
        if problem:
            self._say_bye(viewer_id, problem)
        return bool(problem)

    def _on_request(self, request: messages.ViewerRequest) -> None:
        if not self._sends_video:
            self._say_bye(request.viewer_id, "the camera sends only JPEGs, to viewers that make an offer")
        elif not self._refuses_video(request.viewer_id) and (
            session := self._start_session(request.viewer_id)
        ):
            session.offer()

    def _on_offer(self, offer: messages.RelayedOffer) -> None:
        if self._sends_video and b"m=video" in bytes(offer.sdp) and self._refuses_video(offer.sender):
            return
        if session := self._start_session(offer.sender):
            session.take(offer)

    def _say_bye(self, viewer_id: str, reason: str) -> None:
        self._send(messages.Bye(target=viewer_id, reason=reason))

    def _on_gone(self, gone: messages.ClientDisconnected) -> None:
        session = self._sessions.get(gone.client_id)
        if session is not None:
            session.detach()
            # A viewer that has only lost the server goes on watching, and reporting. ICE alone takes half a
            # minute to notice that one is gone, and its video would be sent all that time.
            session.end_if_silent(VANISHED_SECONDS, "the viewer is gone")

    def _session_ended(self, session: PeerSession) -> None:
        before = self.viewers
        super()._session_ended(session)
        if self.viewers != before:
            self._emit("viewersChanged", self.viewers)

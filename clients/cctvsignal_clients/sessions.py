"""What cameras and viewers share: sessions with other clients of the room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Unpack

from cctvsignal import messages

from . import ice
from .errors import farewell
from .outgoing import OutgoingTrack
from .peer import CLOSED, NO_CHANNELS, ChannelHandlers, Negotiation, PeerSession
from .signaling import DEFAULT_SERVER, ClientOptions, WebRTCCCTVClient


class SessionClient(WebRTCCCTVClient):
    """A client with at most one session with each other client. Sessions go on while the server is away."""

    def __init__(self, server: str = DEFAULT_SERVER, **options: Unpack[ClientOptions]) -> None:
        super().__init__(server, **options)
        self._sessions: dict[str, PeerSession] = {}
        """By the client id of the other side. What comes from anybody else is dropped."""
        self._handlers = {
            **self._handlers,
            messages.RelayedAnswer: self._take,
            messages.RelayedIceCandidate: self._take,
            messages.RelayedBye: self._on_bye,
        }

    async def _connect(self) -> None:
        ice.check(self._ice_servers or ())  # Now, not in the middle of a session.
        await super()._connect()

    def _new_session(
        self,
        peer_id: str,
        tracks: Callable[[], Sequence[OutgoingTrack]] = tuple,
        channels: ChannelHandlers = NO_CHANNELS,
        accepts: ChannelHandlers = NO_CHANNELS,
    ) -> PeerSession:
        before = self._sessions.get(peer_id)
        if before is not None:
            # Without a `bye`, by which the server and the other side would take the newer one for over.
            before.begin_end("there is a newer one", tell=False)
        session = PeerSession(
            peer_id,
            self._current_ice_servers,
            self._send,
            self._session_ended,
            tracks,
            self._ca_file,
            channels,
            accepts,
        )
        self._sessions[peer_id] = session
        return session

    async def _end_sessions(self, reason: str) -> None:
        for session in list(self._sessions.values()):
            await session.end(reason)

    def _disconnected(self) -> None:
        for session in list(self._sessions.values()):
            self._lose(session, "the connection to the server was lost")

    def _lose(self, session: PeerSession, reason: str) -> None:
        """No one can pass messages to the other side any more; what it has sent by then may do."""
        session.detach()
        if not session.described:
            session.begin_end(reason, tell=False)

    async def _leaving(self) -> None:
        await self._end_sessions("it left the room")

    async def _end(self) -> None:
        await self._end_sessions("it went away")

    def _rename(self, session: PeerSession, peer_id: str) -> None:
        """The other side of a session that has not begun yet is this client."""
        if self._sessions.get(session.peer_id) is session:
            del self._sessions[session.peer_id]
            session.peer_id = peer_id
            self._sessions[peer_id] = session

    def _take(self, message: Negotiation) -> None:
        session = self._sessions.get(message.sender)
        if session is not None:
            session.take(message)

    def _on_bye(self, bye: messages.RelayedBye) -> None:
        session = self._sessions.get(bye.sender)
        # Where it says that this side has closed a session, that was one before: to a session that has not
        # begun yet, nobody can say so.
        if session is not None and (session.described or bye.reason != CLOSED):
            session.begin_end(farewell(bye.reason), tell=False)

    def _session_ended(self, session: PeerSession) -> None:
        if self._sessions.get(session.peer_id) is session:
            del self._sessions[session.peer_id]

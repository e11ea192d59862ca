"""One peer connection with one other client: aiortc on one side, signaling on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from aiortc.sdp import candidate_from_sdp
from twisted.logger import Logger

from cctvsignal import messages
from cctvsignal.messages import ClientMessage, IceServer

from . import bridge
from .errors import MediaFailed

CONNECT_SECONDS: Final = 15.0
"""aiortc alone takes 34 s to notice that nobody is there."""

Negotiation: TypeAlias = messages.RelayedAnswer | messages.RelayedIceCandidate

log = Logger()


class Description(msgspec.Struct):
    """The `sdp` of an offer or an answer: W3C's RTCSessionDescriptionInit."""

    type: str
    sdp: str


class Candidate(msgspec.Struct, rename="camel"):
    """The `candidate` of an iceCandidate: W3C's RTCIceCandidateInit."""

    candidate: str = ""
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = msgspec.field(default=None, name="sdpMLineIndex")


class PeerSession:
    """A session with the client `peer_id`.

    `send` passes on messages to the server; `on_end` is called once, when the session is over for whatever
    reason, by then closed and freed.
    """

    def __init__(
        self,
        peer_id: str,
        ice_servers: Sequence[IceServer],
        send: Callable[[ClientMessage], None],
        on_end: Callable[[PeerSession], None],
    ) -> None:
        self.peer_id = peer_id
        self._send = send
        self._on_end = on_end
        # aiortc asks Google's STUN server where it is given no list at all.
        servers = [RTCIceServer(server.urls, server.username, server.credential) for server in ice_servers]
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self.connection.on("connectionstatechange", self._state_changed)
        self._early_candidates: list[messages.RelayedIceCandidate] = []
        self._order = asyncio.Lock()
        self._over = False
        loop = asyncio.get_running_loop()
        self.connected: asyncio.Future[None] = loop.create_future()
        """Done when media can flow; `MediaFailed` when it could not within `CONNECT_SECONDS`."""
        self._deadline = loop.call_later(CONNECT_SECONDS, self._too_late)

    async def offer(self, tracks: Sequence[MediaStreamTrack]) -> None:
        """Offer these tracks."""
        for track in tracks:
            self.connection.addTrack(track)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        self._send(messages.Offer(target=self.peer_id, sdp=self._local_description()))

    async def answer(self, offer: messages.RelayedOffer, tracks: Sequence[MediaStreamTrack] = ()) -> None:
        """Answer an offer, with these tracks where it has a place for them."""
        await self._set_remote_description(offer.sdp)
        for track in tracks:
            if any(transceiver.kind == track.kind for transceiver in self.connection.getTransceivers()):
                self.connection.addTrack(track)
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        self._send(messages.Answer(target=self.peer_id, sdp=self._local_description()))

    def take(self, message: Negotiation) -> None:
        """Take the peer's answer or candidate; an answer to no offer is ignored."""
        bridge.background(self._take(message))

    async def _take(self, message: Negotiation) -> None:
        try:
            async with self._order:
                if isinstance(message, messages.RelayedIceCandidate):
                    await self._add_candidate(message)
                elif self.connection.signalingState == "have-local-offer":
                    await self._set_remote_description(message.sdp)
        except Exception:
            # What a peer sends is not under our control, and aiortc raises many things for it.
            log.failure("{peer} sent what makes no sense", peer=self.peer_id)
            await self.end("your message makes no sense")

    async def _add_candidate(self, message: messages.RelayedIceCandidate) -> None:
        if self.connection.remoteDescription is None:
            self._early_candidates.append(message)
            return
        given = msgspec.json.decode(message.candidate, type=Candidate | None)
        if given is None or not given.candidate:
            await self.connection.addIceCandidate(None)
            return
        candidate = candidate_from_sdp(given.candidate.removeprefix("candidate:"))
        candidate.sdpMid, candidate.sdpMLineIndex = given.sdp_mid, given.sdp_m_line_index
        await self.connection.addIceCandidate(candidate)

    async def end(self, reason: str | None = None, *, tell: bool = True) -> None:
        """Close the session and free everything; `tell` the other side, too. A second call does nothing."""
        if self._over:
            return
        self._over = True
        self._deadline.cancel()
        if tell:
            self._send(messages.Bye(target=self.peer_id, reason=reason))
        if not self.connected.done():
            self.connected.set_exception(MediaFailed(f"The session ended before it began: {reason}."))
            self.connected.exception()  # Nobody need have waited.
        await self.connection.close()
        self._on_end(self)

    def _local_description(self) -> msgspec.Raw:
        local = self.connection.localDescription
        return msgspec.Raw(msgspec.json.encode(Description(local.type, local.sdp)))

    async def _set_remote_description(self, sdp: msgspec.Raw) -> None:
        description = msgspec.json.decode(sdp, type=Description)
        await self.connection.setRemoteDescription(
            RTCSessionDescription(sdp=description.sdp, type=description.type)
        )
        early, self._early_candidates = self._early_candidates, []
        for candidate in early:
            await self._add_candidate(candidate)

    def _state_changed(self) -> None:
        state = self.connection.connectionState
        log.debug("session with {peer} is {state}", peer=self.peer_id, state=state)
        if state == "connected" and not self.connected.done():
            self._deadline.cancel()
            self.connected.set_result(None)
        elif state == "failed":
            self._fail("no media path between the two was found, or it was lost")
        elif state == "closed" and not self._over:
            bridge.background(self.end("closed", tell=False))

    def _too_late(self) -> None:
        self._fail(f"no media path between the two was found within {CONNECT_SECONDS:.0f} s")

    def _fail(self, reason: str) -> None:
        if not self.connected.done():
            text = f"Signaling worked, but {reason}: check firewalls, or configure a TURN server."
            self.connected.set_exception(MediaFailed(text))
            self.connected.exception()  # Nobody need have waited.
        bridge.background(self.end(reason))

"""One peer connection with one other client: aiortc on one side, signaling on the other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError
from twisted.logger import Logger

from cctvsignal import messages
from cctvsignal.messages import ClientMessage, IceServer

from . import aiortc_compat, bridge, sdp_sections
from .diagnosis import no_common_codec, why_not_connected
from .errors import ICEFailed, LimitExceeded, MediaFailed, MessageTooLong
from .ice import LateCandidates, rtc_ice_servers
from .negotiation import MAX_CANDIDATE_BYTES, Candidate, Description, candidate_for, description_of
from .outgoing import OutgoingTrack
from .sdp import Reading, read
from .sdp_sections import MAX_CANDIDATES, DescriptionTooLarge, UnusableDescription

CONNECT_SECONDS: Final = 15.0
"""aiortc alone takes 34 s to notice that nobody is there."""
MAX_WAITING_DESCRIPTIONS: Final = 4
CLOSED: Final = "the other side closed the connection"
"""Why a session is over whose peer has closed its own end of it, without a word to the server."""

ChannelHandlers: TypeAlias = Mapping[str, Callable[[RTCDataChannel], None]]
"""Who takes a data channel with this label."""
NO_CHANNELS: Final[ChannelHandlers] = {}
Negotiation: TypeAlias = messages.RelayedOffer | messages.RelayedAnswer | messages.RelayedIceCandidate

log = Logger()


class PeerSession:
    """A session with the client `peer_id`; messages of others must not be given to it.

    `send` passes on messages to the server; `on_end` is called once, when the session is over for whatever
    reason, by then closed and freed. `tracks` makes what this side sends, when it is needed. Each of the
    `channels` is opened in an offer of this side, and those and `accepts` are taken when the other side
    opens them. `ca_file` has the certificates to trust TURN servers by.
    """

    def __init__(
        self,
        peer_id: str,
        ice_servers: Sequence[IceServer],
        send: Callable[[ClientMessage], None],
        on_end: Callable[[PeerSession], None],
        tracks: Callable[[], Sequence[OutgoingTrack]] = tuple,
        ca_file: str | Path | None = None,
        channels: ChannelHandlers = NO_CHANNELS,
        accepts: ChannelHandlers = NO_CHANNELS,
    ) -> None:
        self.peer_id = peer_id
        self._send = send
        self._on_end = on_end
        self._tracks = tracks
        self._outgoing: list[OutgoingTrack] = []
        self._channels = channels
        self._accepts = {**channels, **accepts}
        self._ca_file = ca_file
        # aiortc asks Google's STUN server where it is given no list at all.
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=rtc_ice_servers(ice_servers)))
        aiortc_compat.use_own_certificate(self.connection)
        self.connection.on("connectionstatechange", bridge.listener(self._state_changed))
        self.connection.on("datachannel", bridge.listener(self._on_channel))
        self._early_candidates: list[msgspec.Raw] = []
        self._candidates_taken = 0
        self._descriptions_waiting = 0
        self._reading: Reading | None = None
        """What the other side has described, once it has."""
        self._order = asyncio.Lock()
        self._late: LateCandidates | None = None
        self._gathering: asyncio.Task[None] | None = None
        self._freeing: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._look_later: asyncio.TimerHandle | None = None
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when media can flow; `MediaFailed` when it could not within `CONNECT_SECONDS`."""
        self.loss: MediaFailed | None = None
        """Why the session is over; None while it is not."""

    @property
    def described(self) -> bool:
        """Whether the other side has sent its description."""
        return self.connection.remoteDescription is not None

    @property
    def path(self) -> Literal["direct", "relayed", "none"]:
        """Which way media goes."""
        transport = self._transport
        if transport is None or not self.connected.done():
            return "none"
        nominated = transport.transport._connection._nominated.values()
        ends = [end.type for pair in nominated for end in (pair.local_candidate, pair.remote_candidate)]
        return ("relayed" if "relay" in ends else "direct") if ends else "none"

    @property
    def silent_seconds(self) -> float:
        """How long the other side has said nothing about what it is sent.

        Nothing is said about data channels, where only ICE notices that nobody is there.
        """
        default = 0.0 if self.connection.sctp is not None else float("inf")
        return min((track.silent_seconds for track in self._outgoing), default=default)

    @property
    def ice_advice(self) -> str:
        """What to do where no media path was found."""
        problems = "".join(f" Also, {problem}." for problem in self._late.problems) if self._late else ""
        return f"check firewalls, or configure a TURN server.{problems}"

    def sends(self, track: OutgoingTrack) -> bool:
        """Whether this track is sent to the other side."""
        return track in self._outgoing

    def offer(self) -> None:
        """Make an offer."""
        self._run(self._offer())

    def take(self, message: Negotiation) -> None:
        """Take a message of the peer: an offer is answered, an answer to no offer is ignored.

        What is kept until its turn comes is bounded, whatever the peer sends.
        """
        if isinstance(message, messages.RelayedIceCandidate):
            self._candidates_taken += 1
            if self._candidates_taken == MAX_CANDIDATES + 1:
                log.warn("{peer} has more than {most} candidates", peer=self.peer_id, most=MAX_CANDIDATES)
            if self._candidates_taken > MAX_CANDIDATES or len(message.candidate) > MAX_CANDIDATE_BYTES:
                return
            # Not with the whole frame that it came in.
            self._run(self._take_candidate(message.candidate.copy()))
        elif self._descriptions_waiting < MAX_WAITING_DESCRIPTIONS:
            self._descriptions_waiting += 1
            self._run(self._take(message))

    def detach(self) -> None:
        """One of the two has another client id by now, or none: messages have nowhere to go any more."""
        self._send = lambda message: None

    async def end(self, reason: str | MediaFailed, *, tell: bool = True) -> None:
        """Close the session and free everything. A second call only waits.

        `tell` says `bye` to the other side, by which the server, too, knows that the session is over:
        always, except where a `bye` of the other side, or a newer session with it, has told the server
        already.
        """
        # Whoever waits for this may give up; the session must be freed all the same.
        await asyncio.shield(self.begin_end(reason, tell=tell))

    def begin_end(self, reason: str | MediaFailed, *, tell: bool = True) -> asyncio.Task[None]:
        """Close the session, as `end` does; the task is done when everything is freed."""
        if self._freeing is None:
            self._freeing = self._begin_end(reason, tell)
        return self._freeing

    def end_if_silent(self, seconds: float, reason: str) -> None:
        """End it after so many seconds, unless the other side has said something by then."""

        def look() -> None:
            if self.silent_seconds >= seconds:
                self.begin_end(reason)

        if not self._over:
            self._look_later = asyncio.get_running_loop().call_later(seconds, look)

    # --- inside

    @property
    def _transport(self) -> RTCDtlsTransport | None:
        """The one transport of all (BUNDLE)."""
        transceivers, sctp = self.connection.getTransceivers(), self.connection.sctp
        if transceivers:
            return transceivers[0].receiver.transport
        return None if sctp is None else sctp.transport

    @property
    def _over(self) -> bool:
        return self._freeing is not None

    def _begin_end(self, reason: str | MediaFailed, tell: bool) -> asyncio.Task[None]:
        for timer in (self._deadline, self._look_later):
            if timer is not None:
                timer.cancel()
        if self._gathering is not None:
            self._gathering.cancel()
        if isinstance(reason, MediaFailed):
            self.loss, said = reason, reason.reason
        else:
            self.loss, said = MediaFailed(f"The session is over: {reason}."), reason
        if type(self.loss) is MediaFailed:
            log.debug("session with {peer}: {loss}", peer=self.peer_id, loss=str(self.loss))
        else:
            log.warn("session with {peer} failed: {loss}", peer=self.peer_id, loss=str(self.loss))
        if tell:
            self._send(messages.Bye(target=self.peer_id, reason=said))
        if not self.connected.done():
            self.connected.set_exception(self.loss)
            self.connected.exception()  # Nobody need have waited.
        return bridge.background(self._free())

    async def _free(self) -> None:
        try:
            # Not in the middle of a step: aiortc would go on to open sockets that nobody closes.
            async with self._order:
                await self.connection.close()
            for sender in self.connection.getSenders():
                # aiortc stops the tracks of senders that have sent, and no others.
                if sender.track is not None:
                    sender.track.stop()
        finally:
            self._on_end(self)

    def _run(self, step: Coroutine[Any, Any, None]) -> None:
        bridge.background(self._in_order(step))

    async def _in_order(self, step: Coroutine[Any, Any, None]) -> None:
        try:
            # The lock is fair: what came first is done first, though each step takes its time.
            async with self._order:
                if self._over:
                    step.close()
                else:
                    await step
        except MediaFailed as failure:
            self.begin_end(failure)
        except DescriptionTooLarge as error:
            self.begin_end(LimitExceeded(f"The description of the other side is refused: {error}."))
        except MessageTooLong as error:
            self.begin_end(LimitExceeded(f"The description for the other side is not sent: {error}"))
        except UnusableDescription as error:
            reason = f"the description cannot be used: {error}"
            log.warn("session with {peer}: {reason}", peer=self.peer_id, reason=reason)
            self.begin_end(reason)
        except Exception as error:
            # What a peer sends is not under our control, and aiortc raises many things for it. The text of
            # such an error may have parts of the SDP in it.
            if not self._over:
                log.warn("{peer} sent nonsense ({kind})", peer=self.peer_id, kind=type(error).__name__)
                await self.end("a message made no sense")

    async def _offer(self) -> None:
        self._start_deadline()
        for track in self._tracks():
            self._add(track)
        for label, handler in self._channels.items():
            handler(self.connection.createDataChannel(label))
        await self._describe(await self.connection.createOffer(), messages.Offer)

    async def _take_candidate(self, candidate: msgspec.Raw) -> None:
        if self.described:
            await self._add_candidate(candidate)
        else:
            self._early_candidates.append(candidate)

    async def _take(self, message: messages.RelayedOffer | messages.RelayedAnswer) -> None:
        self._descriptions_waiting -= 1
        if isinstance(message, messages.RelayedAnswer):
            if self.connection.signalingState == "have-local-offer":
                await self._set_remote_description(message.sdp)
        elif not self.described and self.connection.signalingState == "stable":
            await self._answer(message)

    async def _answer(self, offer: messages.RelayedOffer) -> None:
        self._start_deadline()
        await self._set_remote_description(offer.sdp)
        wanted = {transceiver.kind for transceiver in self.connection.getTransceivers()}
        for track in self._tracks():
            if track.kind in wanted:
                self._add(track)
            else:
                track.stop()
        self._choose_codecs()
        await self._describe(await self.connection.createAnswer(), messages.Answer)

    def _choose_codecs(self) -> None:
        """Of what the other side has offered, answer with what is sent here."""
        assert self._reading is not None
        # aiortc sends H.264 in fragments, which not everybody has to take: those come last.
        last = self._reading.single_nal_units
        for transceiver in self.connection.getTransceivers():
            if transceiver.sender.track is not None and not aiortc_compat.choose_codecs(transceiver, last):
                if transceiver.kind == "video":
                    raise no_common_codec(self.connection.remoteDescription.sdp)
                transceiver.direction = "inactive"

    def _on_channel(self, channel: RTCDataChannel) -> None:
        handler = self._accepts.get(channel.label)
        if handler is None:
            channel.close()
        else:
            handler(channel)

    def _add(self, track: OutgoingTrack) -> None:
        sender = self.connection.addTrack(track)
        transceiver = next(each for each in self.connection.getTransceivers() if each.sender is sender)
        track.attach(transceiver)
        self._outgoing.append(track)

    async def _describe(
        self, description: RTCSessionDescription, kind: type[messages.Offer] | type[messages.Answer]
    ) -> None:
        transport = self._transport
        if transport is None:
            await self.end("there is nothing to send, and nothing is wanted")
            return
        self._late = LateCandidates(transport.transport.iceGatherer._connection, self._ca_file)
        await self.connection.setLocalDescription(description)
        if self._over:
            return
        self._send(kind(target=self.peer_id, sdp=self._local_description()))
        if self._late.pending:
            self._gathering = bridge.background(self._send_late_candidates(self._late))

    async def _send_late_candidates(self, late: LateCandidates) -> None:
        transceivers = self.connection.getTransceivers()
        sctp = self.connection.sctp
        mid = transceivers[0].mid if transceivers else None if sctp is None else sctp.mid
        async for line in late.gather():
            self._send_candidate(Candidate(line, mid, 0))
        self._send_candidate(Candidate("", mid, 0))
        for problem in late.problems:
            log.warn("session with {peer}: {problem}", peer=self.peer_id, problem=problem)

    def _send_candidate(self, candidate: Candidate) -> None:
        encoded = msgspec.Raw(msgspec.json.encode(candidate))
        self._send(messages.IceCandidate(target=self.peer_id, candidate=encoded))

    async def _add_candidate(self, encoded: msgspec.Raw) -> None:
        assert self._reading is not None
        try:
            candidate = candidate_for(self._reading, encoded)
            await self.connection.addIceCandidate(candidate)
        except Exception as error:
            # One candidate of many, perhaps of a kind that aiortc does not know: the others may do.
            log.info("{peer} has an odd candidate ({kind})", peer=self.peer_id, kind=type(error).__name__)

    def _local_description(self) -> msgspec.Raw:
        local = self.connection.localDescription
        sdp = local.sdp
        if local.type == "answer" and self._reading is not None:
            sdp = self._reading.answer(sdp)
        if self._late is not None and self._late.pending:
            sdp = sdp.replace("a=end-of-candidates\r\n", "")
        return msgspec.Raw(msgspec.json.encode(Description(local.type, sdp)))

    async def _set_remote_description(self, sdp: msgspec.Raw) -> None:
        description = description_of(sdp)
        answers = self.connection.signalingState == "have-local-offer"
        try:
            reading = read(description.sdp, self.connection.localDescription.sdp if answers else None)
            for problem in reading.left_out:
                log.info("{peer} offers what is not taken: {problem}", peer=self.peer_id, problem=problem)
            remote = RTCSessionDescription(sdp=reading.text, type="answer" if answers else "offer")
            await self.connection.setRemoteDescription(remote)
        except (sdp_sections.NoCommonCodec, OperationError):  # aiortc raises it for nothing else.
            raise no_common_codec(description.sdp, is_answer=answers) from None
        self._reading = reading
        early, self._early_candidates = self._early_candidates, []
        for candidate in early:
            if not self._over:
                await self._add_candidate(candidate)

    def _state_changed(self) -> None:
        state = self.connection.connectionState
        log.debug("session with {peer} is {state}", peer=self.peer_id, state=state)
        if state == "connected" and not self.connected.done():
            if self._deadline is not None:
                self._deadline.cancel()
            self.connected.set_result(None)
        elif state == "failed" and self.connected.done():
            self.begin_end(ICEFailed(f"The media path to the other side was lost: {self.ice_advice}"))
        elif state == "failed":
            # aiortc tells it in the middle of dealing with OpenSSL's error, and keeps that nowhere.
            cause = sys.exception()
            self.begin_end(why_not_connected(self.connection, self.ice_advice, cause=cause))
        elif state == "closed":
            self.begin_end(CLOSED)

    def _start_deadline(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(CONNECT_SECONDS, self._too_late)

    def _too_late(self) -> None:
        why = why_not_connected(self.connection, self.ice_advice, seconds=CONNECT_SECONDS)
        self.begin_end(why)

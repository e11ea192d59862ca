"""The rules of a session with one other client, and of results that two worlds await."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiortc import RTCSessionDescription
from cctvsignal_clients import (
    CameraBusy,
    ConnectionFailed,
    Disconnected,
    MediaFailed,
    MessageTooLong,
    ViewerClient,
    bridge,
    signaling,
)
from cctvsignal_clients.connection import Connection
from cctvsignal_clients.ice import rtc_ice_servers
from cctvsignal_clients.peer import MAX_WAITING_DESCRIPTIONS, PeerSession
from cctvsignal_clients.retry import Backoff
from cctvsignal_clients.sdp_sections import MAX_CANDIDATES
from msgspec import Raw
from twisted.internet.defer import CancelledError

from cctvsignal import messages
from cctvsignal.messages import (
    CameraInfo,
    Cameras,
    ClientMessage,
    Error,
    IceServer,
    IceServers,
    Join,
    Joined,
    ListCameras,
    RelayedAnswer,
    RelayedIceCandidate,
    RelayedOffer,
    ServerMessage,
    Welcome,
)
from tests.live import deadline

DESCRIPTION = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns={}\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 97\r\na=mid:0\r\n"
    "a=msid:{} video\r\na=rtpmap:97 VP8/90000\r\na=ice-ufrag:user\r\na=ice-pwd:password\r\n"
    "a=fingerprint:sha-256 AA:BB\r\na=setup:active\r\n"
)
HOST = "candidate:1 1 udp 2122260223 192.0.2.1 9 typ host"


class FakeConnection:
    """In the place of aiortc's: it opens nothing."""

    def __init__(self) -> None:
        self.remoteDescription: Any = None
        self.localDescription = RTCSessionDescription(DESCRIPTION.format("ours", "ours"), "offer")
        self.signalingState = "stable"
        self.candidates: list[str | None] = []
        self.closed = False

    async def setRemoteDescription(self, description: Any) -> None:
        # While this takes its time, messages go on coming in.
        await asyncio.sleep(0)
        self.remoteDescription = description

    async def addIceCandidate(self, candidate: Any) -> None:
        if candidate is not None and candidate.sdpMid is None:
            raise ValueError("no place for it")
        self.candidates.append(None if candidate is None else candidate.ip)

    def getSenders(self) -> list[Any]:
        return []

    async def close(self) -> None:
        self.closed = True


class Session:
    """A session that waits for the answer to its offer, and what it does."""

    def __init__(self) -> None:
        self.connection = FakeConnection()
        self.connection.signalingState = "have-local-offer"
        self.sent: list[ClientMessage] = []
        self.ended = 0
        self.session = PeerSession("peer", [], self.sent.append, self._count)
        self.session.connection = self.connection  # type: ignore[assignment]

    def _count(self, session: PeerSession) -> None:
        self.ended += 1

    def take(self, kind: type[RelayedAnswer | RelayedOffer], name: str = "answer") -> None:
        """Take a description of this name; one without any is nonsense."""
        sdp = DESCRIPTION.format(name, name) if name else "nonsense"
        self.session.take(kind("peer", Raw(json.dumps({"type": "answer", "sdp": sdp}).encode())))

    def take_candidate(self, candidate: object) -> None:
        self.session.take(RelayedIceCandidate("peer", Raw(json.dumps(candidate).encode())))

    async def settle(self) -> None:
        """Wait until all that was taken so far is dealt with."""
        done = asyncio.get_running_loop().create_future()

        async def step() -> None:
            done.set_result(None)

        self.session._run(step())
        await done


def candidate(address: str, mid: str | None = "0") -> dict[str, str | None]:
    return {"candidate": HOST.replace("192.0.2.1", address), "sdpMid": mid}


async def _candidates_of_all_kinds() -> Session:
    made = Session()
    made.take_candidate(candidate("192.0.2.1"))
    made.take(RelayedAnswer)
    for other in (candidate("192.0.2.2"), candidate("192.0.2.3", mid=None), {"candidate": "nonsense"}):
        made.take_candidate(other)
    made.take_candidate({"candidate": 1})
    made.take_candidate(candidate("192.0.2.4"))
    made.take_candidate(None)
    await made.settle()
    return made


@deadline()
async def test_candidates_keep_their_order_and_odd_ones_are_left_out() -> None:
    made = await bridge.start(_candidates_of_all_kinds())
    assert made.connection.candidates == ["192.0.2.1", "192.0.2.2", "192.0.2.4", None]
    assert made.ended == 0


async def _places() -> Session:
    made = Session()
    made.take(RelayedAnswer)
    line = {"candidate": HOST}
    for mid, index in ((0, None), ("0", 7), (None, "0"), (None, 0.0), (None, 0), ("nobody", 0)):
        made.take_candidate({**line, "sdpMid": mid, "sdpMLineIndex": index})
    made.take_candidate({"candidate": f"a={HOST} generation 0 network-cost 50", "sdpMLineIndex": 0})
    for mid, index in ((None, None), (7, None), (None, "x"), (None, 1), (None, -1), (None, 1e400)):
        made.take_candidate({**line, "sdpMid": mid, "sdpMLineIndex": index})
    await made.settle()
    return made


@deadline()
async def test_the_section_of_a_candidate_is_converted_as_browsers_convert_it() -> None:
    made = await bridge.start(_places())
    assert made.connection.candidates == ["192.0.2.1"] * 7
    assert made.ended == 0


async def _flood(described: bool) -> Session:
    made = Session()
    if described:
        made.take(RelayedAnswer)
        await made.settle()
    for number in range(5000):
        made.take_candidate(candidate(f"10.0.{number // 256}.{number % 256}"))
    made.take_candidate({"candidate": HOST, "sdpMid": "0", "padding": "x" * 5000})
    waiting = len(made.session._order._waiters or ())
    assert waiting <= MAX_CANDIDATES
    if not described:
        await made.settle()
        assert len(made.session._early_candidates) <= MAX_CANDIDATES
        made.take(RelayedAnswer)
    await made.settle()
    return made


@deadline()
@pytest.mark.parametrize("described", [True, False])
async def test_candidates_of_one_peer_are_bounded(described: bool) -> None:
    made = await bridge.start(_flood(described))
    assert len(made.connection.candidates) == MAX_CANDIDATES
    assert made.ended == 0


async def _many_descriptions() -> Session:
    made = Session()
    for number in range(1000):
        made.take(RelayedOffer, str(number))
    assert made.session._descriptions_waiting == MAX_WAITING_DESCRIPTIONS
    await made.settle()
    assert made.session._descriptions_waiting == 0
    made.take(RelayedAnswer)
    await made.settle()
    return made


@deadline()
async def test_descriptions_that_wait_their_turn_are_bounded() -> None:
    made = await bridge.start(_many_descriptions())
    assert made.connection.remoteDescription is not None


@deadline()
async def test_a_message_that_the_server_would_close_for_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door(Joined("default"))
    at(door, monkeypatch)

    async def say_too_much() -> None:
        async with ViewerClient() as viewer:
            fits = messages.Ping(data="x" * 40)
            size = len(messages.encode(fits))
            viewer._on_welcome(Welcome("me", 1, "test", [], False, messages.Limits(size, 0)))
            viewer.send(fits)
            with pytest.raises(MessageTooLong, match=f"The ping has {size + 1} bytes"):
                viewer.send(messages.Ping(data="x" * 41))

    await bridge.start(say_too_much())


async def _second_descriptions() -> Session:
    made = Session()
    made.take(RelayedAnswer, "first")
    await made.settle()
    made.connection.signalingState = "stable"
    made.take(RelayedAnswer, "second")
    made.take(RelayedOffer, "third")
    await made.settle()
    return made


@deadline()
async def test_only_the_first_description_counts() -> None:
    made = await bridge.start(_second_descriptions())
    assert "a=msid:first video" in made.connection.remoteDescription.sdp
    assert made.sent == []


async def _nonsense() -> Session:
    made = Session()
    made.take(RelayedAnswer, "")
    made.take(RelayedAnswer, "too late")
    with pytest.raises(MediaFailed, match="it has no media section"):
        await made.session.connected
    await made.session.end("again")
    while not made.ended:
        await asyncio.sleep(0)
    return made


@deadline()
async def test_nonsense_ends_a_session_once_and_the_other_side_is_told() -> None:
    made = await bridge.start(_nonsense())
    reason = "the description cannot be used: it has no media section"
    assert made.sent == [messages.Bye(target="peer", reason=reason)]
    assert made.connection.closed
    assert made.connection.remoteDescription is None
    assert made.ended == 1


@deadline()
async def test_nothing_is_sent_where_nobody_listens() -> None:
    viewer = ViewerClient()
    with pytest.raises(ConnectionFailed, match="There is no connection"):
        viewer.send(messages.Ping())
    closing = Connection(lambda payload: None, lambda connection, code: None, asyncio.get_running_loop())
    closing.state = Connection.STATE_CLOSING
    viewer._socket = closing
    viewer.send(messages.Ping())


STUN = IceServer(["stun:192.0.2.7"])
TURN = [STUN, IceServer(["turn:192.0.2.8"], "1:me", "first")]
RENEWED = [STUN, IceServer(["turn:192.0.2.8"], "2:me", "second")]


class Line:
    """In the place of a connection to a server, which ends when somebody says so."""

    def __init__(self, door: Door, receive: Any, lost: Any) -> None:
        self.gone: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._door = door
        self._receive = receive
        self._lost = lost

    def say(self, payload: bytes) -> None:
        # What a server sends comes in one piece, or in several turns of the loop, in any case later.
        for answer in self._door.answers_to(messages.decode(payload)):
            asyncio.get_running_loop().call_soon(self.hear, answer)

    def check_open(self) -> None:
        assert not self.gone.done()

    def hear(self, message: ServerMessage) -> None:
        self._receive(messages.encode(message))

    def sendClose(self, code: int | None) -> None:
        self.gone.set_result(code)
        self._lost(self, code)


class Door:
    """In the place of a server: each `join` is answered by the next of `answers`."""

    def __init__(self, *answers: Joined | Error) -> None:
        self.answers = list(answers)
        self.lines: list[Line] = []

    async def open(self, server: str, receive: Any, lost: Any, **options: object) -> Line:
        self.lines.append(Line(self, receive, lost))
        self.lines[-1].hear(Welcome("me", 1, "test", [STUN], False, messages.Limits(65536, 0)))
        return self.lines[-1]

    def answers_to(self, message: ClientMessage) -> list[ServerMessage]:
        request_id = message.request_id
        if isinstance(message, ListCameras):
            return [Cameras([CameraInfo("cam-1", "camera", 0)], request_id)]
        if not isinstance(message, Join):
            return [Error("cameraBusy", "Enough of them.", request_id)]
        answer = self.answers.pop(0)
        answer.request_id = request_id
        return [answer, IceServers(TURN)] if isinstance(answer, Joined) else [answer]


def at(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have clients meet this server, and come back to it at once."""
    monkeypatch.setattr(signaling, "open_connection", door.open)
    monkeypatch.setattr(signaling, "RECONNECT", Backoff(0.0, 0.0))


async def _lost_twice(door: Door) -> list[Disconnected]:
    viewer = ViewerClient(reconnect=signaling.RECONNECT)
    lost: list[Disconnected] = []
    viewer.on("disconnected", lost.append)
    await viewer.connect()
    keeper = viewer._keeper
    assert keeper is not None
    back = asyncio.get_running_loop().create_future()
    viewer.once("roomJoined", back.set_result)
    door.lines[0].sendClose(None)
    await asyncio.wait((keeper, back), return_when=asyncio.FIRST_COMPLETED)
    assert viewer.connected is back.done()
    assert (viewer._keeper is None) is keeper.done()
    await viewer.close()
    return lost


@deadline()
@pytest.mark.parametrize(("code", "like"), [("forbidden", 4403), ("unauthorized", 4401)])
async def test_who_is_not_let_back_into_its_room_stays_away_and_says_why(
    monkeypatch: pytest.MonkeyPatch, code: messages.ErrorCode, like: int
) -> None:
    door = Door(Joined("default"), Error(code, "This id belongs to another device."))
    at(door, monkeypatch)
    assert await bridge.start(_lost_twice(door)) == [
        Disconnected(None, will_reconnect=True),
        Disconnected(like, will_reconnect=False, reason="This id belongs to another device."),
    ]
    assert len(door.lines) == 2
    assert all(line.gone.done() for line in door.lines)


@deadline()
async def test_who_finds_its_room_full_comes_back_until_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(Joined("default"), Error("roomFull", "It is full."), Joined("default"))
    at(door, monkeypatch)
    lost = await bridge.start(_lost_twice(door))
    assert lost[:2] == [
        Disconnected(None, will_reconnect=True),
        Disconnected(1000, will_reconnect=True, reason="It is full."),
    ]
    assert len(door.lines) == 3


@deadline()
async def test_who_is_told_to_wait_before_it_joins_waits_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(Joined("default"), Error("rateLimited", "Too fast.", retry_after=700.0), Joined("default"))
    at(door, monkeypatch)
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    await bridge.start(_lost_twice(door))
    assert 700.0 in pauses
    assert len(door.lines) == 3


async def _servers_of_sessions(viewer: ViewerClient, door: Door) -> list[Any]:
    """What each of two sessions began with, one right after joining and one after a renewal."""
    begun: list[Any] = []
    heard: list[IceServers] = []
    make = viewer._new_session

    def new_session(*arguments: Any) -> PeerSession:
        begun.append(viewer._current_ice_servers)
        return make(*arguments)

    viewer._new_session = new_session  # type: ignore[assignment, method-assign]
    viewer.on("iceServers", heard.append)
    await viewer.connect()
    with pytest.raises(CameraBusy):
        await viewer.request_stream("cam-1")
    door.lines[0].hear(IceServers(RENEWED))
    with pytest.raises(CameraBusy):
        await viewer.request_stream("cam-1")
    assert heard == [IceServers(TURN), IceServers(RENEWED)]
    await viewer.close()
    return begun


@deadline()
async def test_sessions_use_the_servers_that_were_named_last(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(Joined("default"))
    at(door, monkeypatch)
    assert await bridge.start(_servers_of_sessions(ViewerClient(), door)) == [TURN, RENEWED]


@deadline()
async def test_servers_that_a_client_was_given_are_used_whatever_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door(Joined("default"))
    at(door, monkeypatch)
    own = [IceServer(["stun:192.0.2.9"])]
    assert await bridge.start(_servers_of_sessions(ViewerClient(ice_servers=own), door)) == [own, own]


def test_one_url_that_is_not_understood_does_not_cost_the_others() -> None:
    (server,) = rtc_ice_servers([IceServer(["turn:[2001:db8::1]", "turn:192.0.2.8"], "me", "secret")])
    assert (server.urls, server.username, server.credential) == (["turn:192.0.2.8"], "me", "secret")


class Work:
    """Something long that tidies up when it is cancelled."""

    def __init__(self) -> None:
        self.tidy: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.tidy.set_result("tidy")


async def _cancel_in_asyncio() -> str:
    work = Work()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await bridge.start(work.run())
    assert work.tidy.done()
    work = Work()
    waiting = asyncio.ensure_future(asyncio.wait_for(bridge.start(work.run()), 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    return await work.tidy


async def _work() -> Work:
    return Work()


@deadline()
async def test_a_result_can_be_cancelled_in_asyncio_and_in_twisted() -> None:
    assert await bridge.start(_cancel_in_asyncio()) == "tidy"
    work = await bridge.start(_work())
    result = bridge.start(work.run())
    await bridge.start(asyncio.sleep(0))
    result.cancel()
    with pytest.raises(CancelledError):
        await result

    async def tidy() -> str:
        return await work.tidy

    assert await bridge.start(tidy()) == "tidy"

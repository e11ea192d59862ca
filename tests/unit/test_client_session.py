"""The rules of a session with one other client, and of results that two worlds await."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from cctvsignal_clients import ConnectionFailed, MediaFailed, ViewerClient, bridge
from cctvsignal_clients.connection import Connection
from cctvsignal_clients.peer import PeerSession
from msgspec import Raw
from twisted.internet.defer import CancelledError

from cctvsignal import messages
from cctvsignal.messages import ClientMessage, RelayedAnswer, RelayedIceCandidate, RelayedOffer
from tests.live import deadline

HOST = "candidate:1 1 udp 2122260223 192.0.2.1 9 typ host"


class FakeConnection:
    """In the place of aiortc's: it opens nothing."""

    def __init__(self) -> None:
        self.remoteDescription: Any = None
        self.signalingState = "stable"
        self.candidates: list[str | None] = []
        self.closed = False

    async def setRemoteDescription(self, description: Any) -> None:
        # While this takes its time, messages go on coming in.
        await asyncio.sleep(0)
        if description.sdp == "nonsense":
            raise ValueError(description.sdp)
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

    def take(self, kind: type[RelayedAnswer | RelayedOffer], sdp: str = "v=0") -> None:
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
    assert made.connection.remoteDescription.sdp == "first"
    assert made.sent == []


async def _nonsense() -> Session:
    made = Session()
    made.take(RelayedAnswer, "nonsense")
    made.take(RelayedAnswer, "too late")
    with pytest.raises(MediaFailed, match="a message made no sense"):
        await made.session.connected
    await made.session.end("again")
    while not made.ended:
        await asyncio.sleep(0)
    return made


@deadline()
async def test_nonsense_ends_a_session_once_and_the_other_side_is_told() -> None:
    made = await bridge.start(_nonsense())
    assert made.sent == [messages.Bye(target="peer", reason="a message made no sense")]
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

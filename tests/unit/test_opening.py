"""The first bytes of a connection: what becomes of them, whole and in pieces, in time and too late."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.logger import capturedLogs

from cctvsignal.access import ANYONE, Identity
from cctvsignal.opening import MAX_EARLY_BYTES
from cctvsignal.policy import Outcome
from tests.integration.test_arbitrary_bytes import frame
from tests.lines import House, Line, request

HANDSHAKE_SECONDS = 10.0
SECRET = "--auth-secret=a-secret-that-is-long-enough-for-this"
PROXY = "--trusted-proxy=127.0.0.1"
ONE_EACH = "--max-connections-per-address=1"
PING = frame(b'{"type":"ping","data":"early"}')
PONG = b'{"type":"pong","data":"early"}'
FOREIGN = request("Origin: https://evil.example")


def messages(line: Line) -> list[dict[str, object]]:
    """What a WebSocket was sent after the answer to its request, in frames of less than 64 KiB."""
    head, _, rest = line.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    found = []
    while rest:
        size, start = (int.from_bytes(rest[2:4], "big"), 4) if rest[1] == 126 else (rest[1], 2)
        found.append(json.loads(rest[start : start + size]))
        rest = rest[start + size :]
    return found


def is_free(house: House, peer: str = "127.0.0.1") -> bool:
    """Whether there is place for one more connection from there."""
    line = house.connect(peer=peer)
    was_let_in = not line.is_lost
    line.hang_up()
    return was_let_in


@pytest.fixture
def house() -> House:
    return House()


# --- whole and in pieces


def test_a_plain_upgrade_is_welcomed_at_once(house: House) -> None:
    line = house.connect()
    assert line.receive(request())
    assert line.is_websocket
    assert [message["type"] for message in messages(line)] == ["welcome"]
    assert not house.clock.getDelayedCalls()


def test_a_segment_that_ends_with_the_head_or_later_is_read_to_its_end(house: House) -> None:
    line = house.connect()
    line.receive(request() + PING + PING[:7], PING[7:])
    assert line.sent.endswith(PONG)
    assert [message["type"] for message in messages(line)] == ["welcome", "pong", "pong"]


@pytest.mark.parametrize("at", [1, 4, 20, len(request()) - 2, len(request()) - 1])
def test_a_request_in_two_segments_is_answered_the_same(house: House, at: int) -> None:
    whole, halves = house.connect(), house.connect()
    whole.receive(request())
    halves.receive(request()[:at], request()[at:])
    assert halves.is_websocket
    assert halves.answer == whole.answer
    halves.receive(PING)
    assert halves.sent.endswith(PONG)


def test_a_request_byte_by_byte_is_answered_the_same(house: House) -> None:
    whole, bytes_ = house.connect(), house.connect()
    whole.receive(request("Origin: http://cameras.example"))
    bytes_.receive(*(bytes([byte]) for byte in request("Origin: http://cameras.example")))
    assert bytes_.is_websocket
    assert bytes_.answer == whole.answer


NO_UPGRADES = {
    "a page that is not there": b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
    "the WebSocket without an upgrade": b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n",
    "another method": b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two requests": b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" * 2,
    "a page, then an upgrade": b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" + request(),
    "garbage": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    "garbage in lines": b"\r\n\r\n\xff\r\n",
    "no HTTP": b"hello?\r\n\r\n",
    "a large body": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
    "a long line": b"GET /" + b"a" * 20_000,
    "an upgrade without a key": request(without="Sec-WebSocket-Key"),
    "a refusal": FOREIGN,
    "a refusal, then another": FOREIGN * 2,
    "a refusal, then an upgrade": FOREIGN + request(),
    "a refusal, then the beginning of a request": FOREIGN + b"GET / HT",
}


@pytest.mark.parametrize("data", NO_UPGRADES.values(), ids=NO_UPGRADES.keys())
def test_all_else_is_answered_as_without_this(house: House, data: bytes) -> None:
    line, before = house.connect(), house.connect(house.port.site)
    for connection in (line, before):
        connection.receive(data)
    assert line.answer == before.answer
    assert line.disconnecting == before.disconnecting
    assert line.is_websocket == before.is_websocket
    checked = house.checked
    assert checked[: len(checked) // 2] == checked[len(checked) // 2 :]


def test_by_tls_a_client_may_choose_what_the_site_speaks(house: House) -> None:
    assert IProtocolNegotiationFactory.providedBy(house.port)
    assert house.port.acceptableProtocols() == house.port.site.acceptableProtocols()


# --- refusals


def test_a_page_of_another_site_is_refused_as_on_the_long_way(house: House) -> None:
    line, before = house.connect(), house.connect(house.port.site)
    assert line.receive(FOREIGN).startswith(b"HTTP/1.1 403 Forbidden\r\n")
    before.receive(FOREIGN)
    assert line.answer == before.answer
    assert len(house.checked) == 2
    # Whoever is refused may ask for something else.
    line.clear()
    assert line.receive(request()).startswith(b"HTTP/1.1 101 ")


def test_an_address_with_too_many_connections_behind_a_proxy_is_refused_as_on_the_long_way() -> None:
    house = House(PROXY, ONE_EACH)
    behind = request("X-Forwarded-For: 9.9.9.9")
    first, second, before = house.connect(), house.connect(), house.connect(house.port.site)
    assert first.receive(behind).startswith(b"HTTP/1.1 101 ")
    assert second.receive(behind).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nRetry-After: 5\r\n" in second.sent
    before.receive(behind)
    assert second.answer == before.answer
    first.hang_up()
    assert house.connect().receive(behind).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("is_site", [False, True])
def test_a_connection_without_a_place_is_told_before_it_says_anything(is_site: bool) -> None:
    house = House(ONE_EACH)
    first = house.connect()
    second = house.connect(house.port.site if is_site else house.port)
    headers = b"Retry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert second.sent == b"HTTP/1.1 503 Service Unavailable\r\n" + headers
    assert second.is_lost
    first.hang_up()
    assert is_free(house)
    assert not house.clock.getDelayedCalls()


# --- ends and times


BEGINNINGS: dict[str, list[bytes]] = {
    "nothing": [],
    "a part of a request": [request()[:-1]],
    "half a frame": [request() + PING[:3]],
    "all": [request()],
    "a refusal": [FOREIGN],
}


@pytest.mark.parametrize("segments", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_whoever_goes_leaves_nothing_behind(segments: list[bytes]) -> None:
    house = House(ONE_EACH)
    line = house.connect()
    line.receive(*segments)
    assert not is_free(house)
    line.hang_up()
    assert is_free(house)
    assert not house.clock.getDelayedCalls()
    assert not house.websocket.connections


@pytest.mark.parametrize("segments", [[], [b"G"], [request()[:-1]], [request()[:5], request()[5:-1]]])
def test_a_request_has_to_be_there_in_time_from_the_beginning(house: House, segments: list[bytes]) -> None:
    line = house.connect()
    for segment in segments:
        house.clock.advance(4)
        line.receive(segment)
    house.clock.advance(HANDSHAKE_SECONDS - 4 * len(segments) - 0.1)
    assert not line.is_lost
    house.clock.advance(0.1)
    assert line.was_aborted
    assert not line.sent
    assert not house.clock.getDelayedCalls()


def test_a_websocket_is_not_ended_when_the_time_for_its_request_is_over(house: House) -> None:
    line, idle = house.connect(), house.connect()
    line.receive(request())
    house.clock.advance(HANDSHAKE_SECONDS)
    assert idle.was_aborted
    assert not line.was_aborted
    assert line.receive(PING).endswith(PONG)


# --- while it is found out who it is


class Asking:
    """A server whose owner takes their time to say whose a token is."""

    def __init__(self, *options: str) -> None:
        self.house = House(SECRET, *options)
        self.answer: Callable[[Outcome], None] | None = None
        self.house.entrance._authenticate = self._ask

    def _ask(self, token: str, address: str, done: Callable[[Outcome], None]) -> None:
        assert token == "abc"
        self.answer = done

    def begin(self, *segments: bytes) -> Line:
        """A connection that waits for that, and has sent this in the meantime."""
        line = self.house.connect()
        line.receive(request("Authorization: Bearer abc"), *segments)
        assert not line.sent
        return line

    def say(self, outcome: Outcome) -> None:
        assert self.answer is not None
        self.answer(outcome)


def test_what_comes_before_the_answer_is_read_after_it() -> None:
    asking = Asking()
    line = asking.begin(PING, PING[:5], PING[5:])
    asking.say(Identity("me", "viewer"))
    assert [message["type"] for message in messages(line)] == ["welcome", "pong", "pong"]
    assert messages(line)[0]["authenticated"] is True
    assert line.producerState == "producing"
    assert not asking.house.clock.getDelayedCalls()


def test_much_that_comes_before_the_answer_is_not_read_for_now() -> None:
    asking = Asking()
    line = asking.begin(*[frame(b"x" * 125, 10)] * (MAX_EARLY_BYTES // 131))
    assert line.producerState == "producing"
    line.receive(frame(b"x" * 125, 10))
    assert line.producerState == "paused"
    line.receive(frame(b"x" * 125, 10))
    asking.say(ANYONE)
    assert line.producerState == "producing"


def test_a_connection_that_is_lost_before_the_answer_gets_none() -> None:
    asking = Asking(ONE_EACH)
    line = asking.begin(PING)
    line.hang_up()
    assert is_free(asking.house)
    asking.say(ANYONE)
    assert not line.sent
    assert not asking.house.websocket.connections
    assert not asking.house.clock.getDelayedCalls()


def test_the_owner_has_as_much_time_again_as_the_client_has_had() -> None:
    asking = Asking()
    line = asking.house.connect()
    asking.house.clock.advance(HANDSHAKE_SECONDS - 1)
    line.receive(request("Authorization: Bearer abc"))
    asking.house.clock.advance(HANDSHAKE_SECONDS - 1)
    assert not line.is_lost
    asking.house.clock.advance(1)
    assert line.was_aborted
    asking.say(ANYONE)
    assert not line.sent


def test_an_accident_ends_the_connection_and_is_logged() -> None:
    asking = Asking(ONE_EACH)
    asking.house.websocket.open = None  # type: ignore[assignment,method-assign]
    line = asking.begin()
    with capturedLogs() as logged:
        asking.say(ANYONE)
    assert line.was_aborted
    assert is_free(asking.house)
    assert [event["log_failure"].type for event in logged if "log_failure" in event] == [TypeError]

"""More connections than there is place for, and connections that keep their place for nothing."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from cctvsignal.sending import MAX_UNSENT_IN_ALL
from tests.certificates import Certificates, write_certificates
from tests.floods import (
    LISTEN,
    PATIENCE,
    Stranger,
    TurnedAway,
    crowd,
    ended,
    fills,
    is_answered,
    is_refused,
    large_offer,
    lines_of,
    many_files,
    most_memory,
    newcomer_is_answered,
    open_files,
    server_with_files,
    until,
)
from tests.integration.test_arbitrary_bytes import frame
from tests.processes import Server, server

TURNED_AWAY = " turned away"


# --- how many there may be ----------------------------------------------------------------------------


def test_each_address_has_so_many_connections_and_the_next_is_answered_503() -> None:
    with server("--max-connections-per-address=5") as running:
        assert fills(running.port, 5, "127.0.0.1", "127.0.0.2")
        until(lambda: fills(running.port, 5, "127.0.0.1"))


def test_the_server_has_so_many_connections_whoever_has_them() -> None:
    with server("--max-connections=6") as running:
        assert fills(running.port, 2, "127.0.0.1", "127.0.0.2", "127.0.0.3")
        until(lambda: fills(running.port, 6, "127.0.0.4"))


def test_new_connections_of_an_address_may_come_no_faster_than_the_rate() -> None:
    with server("--limit-connects=0.1/5") as running:
        for _ in range(5):
            with Stranger(running.port) as stranger:
                assert not is_refused(stranger)
        with Stranger(running.port) as stranger:
            status, headers = stranger.request()
            assert (status, 5 <= int(headers["retry-after"]) <= 10) == (503, True)
        with Stranger(running.port, "127.0.0.2") as stranger:
            assert not is_refused(stranger)


def test_who_is_turned_away_is_worth_one_line_and_no_more() -> None:
    with server("--max-connections-per-address=5") as running:
        with crowd(5, running.port), crowd(100, running.port) as strangers:
            assert all(map(is_refused, strangers))
        assert len(lines_of(running, TURNED_AWAY)) == 1
        assert "127.0.0.1" in lines_of(running, TURNED_AWAY)[0]
    assert len(running.lines) < 10, running.output


def closes(stranger: Stranger) -> None:
    stranger.is_told(200)


def drops_half_a_request(stranger: Stranger) -> None:
    stranger.is_told(200)
    stranger.send(b"GET / HT")
    stranger.drop()


def leaves_a_room(stranger: Stranger) -> None:
    stranger.join("cctv")
    stranger.leave()


def vanishes_from_a_room(stranger: Stranger) -> None:
    stranger.join("cctv")
    stranger.drop()


def breaks_the_protocol(stranger: Stranger) -> None:
    stranger.join("cctv")
    stranger.send(frame(b"", 3))
    assert stranger.close_code() == 1002


def is_of_another_origin(stranger: Stranger) -> None:
    status, _ = stranger.ask_to_upgrade("Origin: https://example.com")
    if status == 503:
        raise TurnedAway
    assert status == 403


def says_too_much(stranger: Stranger) -> None:
    stranger.is_told(431, "X: " + "x" * 20_000)


def is_too_slow(stranger: Stranger) -> None:
    stranger.is_told(200)
    stranger.send(b"GET / HT")
    assert stranger.is_ended()


@pytest.fixture(scope="module")
def narrow() -> Iterator[Server]:
    options = ("--max-connections=2", "--limit-connects=0", "--handshake-timeout=1")
    with server(*options, "--trusted-proxy=127.0.0.9", "--max-connections-per-address=2") as running:
        yield running
    assert not lines_of(running, "Traceback")


@pytest.mark.parametrize(
    "goes",
    [
        *(closes, drops_half_a_request, leaves_a_room, vanishes_from_a_room, breaks_the_protocol),
        *(is_of_another_origin, says_too_much, is_too_slow),
    ],
)
def test_the_place_of_a_connection_that_is_over_is_free_again(
    narrow: Server, goes: Callable[[Stranger], None]
) -> None:
    def comes_and_goes(source: str) -> bool:
        with Stranger(narrow.port, source) as stranger:
            try:
                goes(stranger)
            except TurnedAway:
                return False
        return True

    # More often than there are places, so that one that is lost is missed.
    for source in ("127.0.0.1", "127.0.0.9", "127.0.0.1"):
        until(partial(comes_and_goes, source))
    until(lambda: fills(narrow.port, 2, "127.0.0.1"))


def test_a_hundred_clients_may_come_at_the_same_moment() -> None:
    # As they do when the server or the network was away: more than 50 would have to knock a second time,
    # which the kernel lets them do after a second.
    with server_with_files(4096, 4096, "--port=0") as (running, port), ExitStack() as stack:
        running.process.send_signal(signal.SIGSTOP)
        stack.callback(running.process.send_signal, signal.SIGCONT)
        for _ in range(100):
            stack.enter_context(Stranger(port))


# --- those that are slow ------------------------------------------------------------------------------

SLOW = {
    "nothing": b"",
    "half a request line": b"GET / HT",
    "half a header": b"GET / HTTP/1.1\r\nHost: a",
    "no empty line": b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n",
    "half a body": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\nx",
    "half a body of an upgrade": (
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Content-Length: 9\r\n\r\n"
    ),
    "nothing after an answer": b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n",
    "nothing after an error": b"PUT /health HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.fixture(scope="module")
def hasty() -> Iterator[Server]:
    with server("--handshake-timeout=1") as running:
        yield running
    assert not lines_of(running, "Traceback")


@pytest.mark.parametrize("said", SLOW.values(), ids=SLOW.keys())
def test_who_says_no_more_is_gone_when_the_time_for_a_request_is_over(hasty: Server, said: bytes) -> None:
    with Stranger(hasty.port) as neighbour, crowd(20, hasty.port) as strangers:
        neighbour.join("cctv")
        for stranger in strangers:
            stranger.send(said)
        assert neighbour.is_served()
        assert all(stranger.is_ended() for stranger in strangers)
        assert neighbour.is_served()
        neighbour.leave()


def test_half_a_frame_ends_with_the_time_for_a_ping() -> None:
    halves = (frame(b"x" * 50)[:9], frame(b"x", fin=False), b"\x81", b"\x81\xff\0\0")
    options = ("--ping-interval=1", "--ping-timeout=1")
    with server(*options) as running, crowd(len(halves), running.port) as strangers:
        for stranger, half in zip(strangers, halves, strict=True):
            stranger.join("cctv")
            stranger.send(half)
        assert all(stranger.is_ended() for stranger in strangers)


@pytest.mark.parametrize(
    "headers",
    [
        ["X: " + "x" * 17_000],
        [f"X-{number}: " + "x" * 1000 for number in range(20)],
        [f"X-{number}: x" for number in range(501)],
        ["Cookie: " + "x" * 8000] * 3,
    ],
    ids=["one long one", "20 of 1,000 bytes", "501 short ones", "3 of the same name"],
)
def test_headers_that_are_too_long_or_too_many_are_refused(
    shared_server: Server, headers: list[str]
) -> None:
    for upgrade in (False, True):
        with Stranger(shared_server.port) as stranger:
            ask = stranger.ask_to_upgrade if upgrade else stranger.request
            # Twisted says 400 of more than 500 headers, or of 16 KiB in all.
            assert ask(*headers)[0] in (400, 431)
            assert stranger.is_ended()


def test_who_is_too_slow_is_not_worth_a_line_each() -> None:
    with server("--handshake-timeout=1") as running, crowd(100, running.port) as strangers:
        assert ended(strangers, PATIENCE) == 100
    assert len(running.lines) < 30, running.output


@pytest.mark.long
def test_10_000_connections_that_say_nothing_disturb_nobody_and_are_gone_in_time() -> None:
    options = (LISTEN, "--max-connections-per-address=0", "--limit-connects=0", "--handshake-timeout=8")
    with many_files(11_000) as enough:
        if not enough:
            pytest.skip("the system lets a process have fewer than 11,000 open files")
        # The server has to raise its own limit to what it may have.
        with server_with_files(1024, 11_000, *options) as (running, port), Stranger(port) as neighbour:
            neighbour.join("cctv")
            before = most_memory(running)
            with ExitStack() as stack:
                strangers = []
                for number in range(10_000):
                    strangers.append(stack.enter_context(Stranger(port)))
                    if number % 500 == 0:
                        assert neighbour.is_served()
                with Stranger(port) as newcomer:
                    newcomer.join("cctv")
                    assert neighbour.next_message()
                # Whoever came before the newcomer is in, too.
                assert open_files(running) > 10_000
                assert ended(strangers, 60) == 10_000
                assert open_files(running) < 100
            assert most_memory(running) - before < 200 * 1024 * 1024
            with Stranger(port) as newcomer:
                newcomer.join("elsewhere")
            neighbour.leave()


# --- those that do not read ---------------------------------------------------------------------------

ROOMS = 20


@pytest.mark.long
def test_1_000_clients_that_never_read_are_cut_off_before_the_memory_is_full_of_them() -> None:
    options = (LISTEN, "--no-limits", "--max-members=0")
    with server_with_files(4096, 4096, *options) as (running, port), many_files(2048), ExitStack() as stack:

        def member(room: str, receive_buffer: int | None = None) -> tuple[Stranger, str]:
            stranger = stack.enter_context(Stranger(port, receive_buffer=receive_buffer))
            return stranger, stranger.join(room)

        rooms = [f"room {number}" for number in range(20)]
        mute = [(room, *member(room, 4096)) for room in rooms for _ in range(50)]
        readers = {room: member(room) for room in rooms}
        senders = {room: member(room)[0] for room in rooms}
        offers = [(senders[room], large_offer(its_id)) for room, _, its_id in mute]
        before = most_memory(running)
        # 60 MB each time.
        for number in range(10):
            for sender, offer in offers:
                sender.send(offer)
            for room, (reader, its_id) in readers.items():
                senders[room].say({"type": "offer", "target": its_id, "sdp": {"number": number}})
                assert reader.hears("offer")["sdp"] == {"number": number}
        assert ended([stranger for _, stranger, _ in mute], 60) == 1000
        for reader, _ in readers.values():
            reader.say({"type": "ping"})
            reader.hears("pong")
        # One line a minute, and how many more there were.
        assert 1 <= len(lines_of(running, "is cut off")) <= 5
        assert not lines_of(running, "Traceback")
        # Twice as much for what Python needs beside the bytes themselves.
        assert most_memory(running) - before < 2 * MAX_UNSENT_IN_ALL


# --- files --------------------------------------------------------------------------------------------


def test_a_server_that_may_have_few_files_turns_away_whom_it_could_not_serve() -> None:
    options = (LISTEN, "--limit-connects=0", "--max-connections-per-address=0")
    with server_with_files(128, 128, *options) as (running, port), Stranger(port) as neighbour:
        neighbour.join("cctv")
        with crowd(200, port) as strangers:
            answers = list(map(is_answered, strangers))
            served = answers.count(True)
            assert 10 < served < 128
            # First come, first served.
            assert answers == [True] * served + [False] * (200 - served)
            assert neighbour.is_served()
        until(lambda: newcomer_is_answered(port))
        assert neighbour.is_served()
        assert len(lines_of(running, TURNED_AWAY)) == 1
        assert not lines_of(running, "Traceback"), running.output
        assert len(running.lines) < 15, running.output


@pytest.mark.parametrize("options", [(), ("--no-limits",)])
def test_a_server_has_as_many_files_as_the_system_lets_it_have(options: tuple[str, ...]) -> None:
    with server_with_files(64, 1024, LISTEN, *options) as (_, port), crowd(200, port) as strangers:
        assert all(map(is_answered, strangers))


def test_without_limits_a_server_whose_files_are_all_used_up_goes_on() -> None:
    with server_with_files(128, 128, LISTEN, "--no-limits") as (running, port), Stranger(port) as neighbour:
        neighbour.join("cctv")
        with crowd(200, port) as strangers:
            answers = list(map(is_answered, strangers))
            # First come, first served.
            assert answers == sorted(answers, reverse=True)
            assert (answers[0], answers[-1]) == (True, False)
            assert neighbour.is_served()
        until(lambda: newcomer_is_answered(port))
        assert neighbour.is_served()
        assert not lines_of(running, "Traceback"), running.output


# --- TLS ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"), "127.0.0.1")


def tls(certificates: Certificates) -> tuple[str, str]:
    return f"--tls-cert={certificates.certificate}", f"--tls-key={certificates.key}"


def test_a_tls_handshake_that_does_not_go_on_ends_in_time(certificates: Certificates) -> None:
    options = (*tls(certificates), "--handshake-timeout=1")
    with server_with_files(1024, 1024, LISTEN, *options) as (running, port):
        for said in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n"):
            with crowd(20, port) as strangers:
                for stranger in strangers:
                    stranger.send(said)
                assert all(stranger.is_ended() for stranger in strangers)
        assert not lines_of(running, "Traceback")


@pytest.fixture(scope="module")
def context(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.ca))


def test_who_is_turned_away_before_the_tls_handshake_does_not_stay(certificates: Certificates) -> None:
    options = (LISTEN, *tls(certificates), "--handshake-timeout=1", "--max-connections-per-address=2")
    with server_with_files(1024, 1024, *options) as (_, port), crowd(20, port) as strangers:
        assert all(stranger.is_ended() for stranger in strangers)


def test_who_is_turned_away_by_tls_and_does_not_hang_up_does_not_stay(
    certificates: Certificates, context: ssl.SSLContext
) -> None:
    options = (LISTEN, *tls(certificates), "--handshake-timeout=3", "--max-connections-per-address=1")
    with (
        server_with_files(1024, 1024, *options) as (_, port),
        crowd(2, port) as (_, stranger),
        context.wrap_socket(stranger.socket.dup(), server_hostname="127.0.0.1") as secured,
    ):
        assert secured.recv(100).startswith(b"HTTP/1.1 503 ")
        # The end of TLS has come, and is not answered.
        assert stranger.is_ended()


def test_one_address_cannot_take_all_places_by_tls_handshakes(
    certificates: Certificates, context: ssl.SSLContext
) -> None:
    def another_is_served(port: int) -> bool:
        with (
            Stranger(port, "127.0.0.2") as stranger,
            context.wrap_socket(stranger.socket.dup(), server_hostname="127.0.0.1") as secured,
        ):
            secured.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return b"200 OK" in secured.recv(100)

    limits = ("--max-connections=10", "--max-connections-per-address=5", "--handshake-timeout=2")
    options = (LISTEN, *tls(certificates), *limits)
    with server_with_files(1024, 1024, *options) as (_, port), crowd(20, port):
        until(lambda: another_is_served(port))

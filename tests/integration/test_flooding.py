"""Clients that send too much: what they are told, when they are closed, and what others notice of it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest
from twisted.internet import reactor, task

from cctvsignal.limits import PATIENCE
from tests.floods import Stranger, lines_of, until
from tests.integration.test_arbitrary_bytes import PING, PONG, TEXT, frame
from tests.live import LiveClient, connect, connect_unwelcomed, deadline, join
from tests.processes import Server, server

FEW = "--limit-messages=5/20"


def offer(target: str, number: int, **fields: object) -> dict[str, object]:
    return {"type": "offer", "target": target, "sdp": {"type": "offer", "sdp": f"{number}"}, **fields}


async def rest(client: LiveClient) -> tuple[list[dict[str, Any]], int | None]:
    """All that still comes before the server closes the connection, and the close code."""
    code = await client.closed
    messages = [json.loads(frame) for frame in client.frames.pending]
    client.frames.pending.clear()
    return messages, code


async def wait(seconds: float) -> None:
    """What a polite client does that is told to."""
    # The clocks of both ends are read one after the other.
    await task.deferLater(reactor, seconds + 0.01)


@deadline()
async def test_whoever_floods_is_told_so_for_each_message_and_then_closed_with_1008() -> None:
    with server(FEW) as running:
        camera = await join(running.websocket_url, "cctv", "cam-1")
        flooder = await join(running.websocket_url, "cctv")
        await camera.next()
        await flooder.next()
        for number in range(100):
            flooder.send(offer(camera.id, number, requestId=f"{number}", ack=True))
        answers, code = await rest(flooder)
        assert code == 1008
        # The join was the first of the 20; while they came, there was place for some more.
        acknowledged = [answer["requestId"] for answer in answers if answer["type"] == "ack"]
        refused = [answer for answer in answers if answer["type"] == "error"]
        assert 19 <= len(acknowledged) <= 50
        assert len(refused) >= PATIENCE
        # Nothing is lost without a word: every message up to the close has its one answer, in order.
        assert [answer["requestId"] for answer in answers] == [f"{n}" for n in range(len(answers))]
        for answer in refused:
            assert (answer["code"], answer["ref"]) == ("rateLimited", "offer")
            assert 0 <= answer["retryAfter"] <= 0.2
            assert answer["message"]
        # What was acknowledged has arrived, nothing else has, and in this order.
        received = [await camera.next() for _ in acknowledged]
        assert [message["sdp"]["sdp"] for message in received] == acknowledged
        assert await camera.next() == {"type": "clientDisconnected", "clientId": flooder.id}
        await camera.silent()
        await camera.leave()


@deadline()
async def test_neighbours_of_a_flood_are_not_disturbed_and_keep_their_order() -> None:
    with server(FEW) as running:
        camera = await join(running.websocket_url, "cctv", "cam-1")
        viewer = await join(running.websocket_url, "cctv")
        flooder = await join(running.websocket_url, "cctv")
        while (await camera.next())["clientId"] != flooder.id:
            pass
        for number in range(10):
            viewer.send(offer(camera.id, number))
            for _ in range(10):
                flooder.send(b"flood")
        assert (await rest(flooder))[1] == 1008
        received = [await camera.next() for _ in range(11)]
        gone = {"type": "clientDisconnected", "clientId": flooder.id}
        assert gone in received
        received.remove(gone)
        assert [message["sdp"]["sdp"] for message in received] == [f"{number}" for number in range(10)]
        assert {message["sender"] for message in received} == {viewer.id}
        await viewer.leave()
        await camera.leave()


@deadline()
async def test_a_client_that_waits_as_long_as_it_is_told_goes_on() -> None:
    with server("--limit-messages=10/15") as running:
        client = await connect(running.websocket_url)
        told = 0
        for number in range(40):
            question = {"type": "ping", "data": f"{number}", "requestId": f"{number}"}
            answer = await client.ask(question)
            if answer["type"] == "error":
                assert (answer["code"], answer["ref"]) == ("rateLimited", "ping")
                assert answer["requestId"] == f"{number}"
                told += 1
                await wait(answer["retryAfter"])
                answer = await client.ask(question)
            assert answer == {"type": "pong", "data": f"{number}", "requestId": f"{number}"}
        assert told > 5
        await client.leave()


@deadline()
async def test_what_is_no_message_is_refused_without_a_name() -> None:
    with server(FEW) as running:
        client = await connect(running.websocket_url)
        for _ in range(100):
            client.send(b"this is no JSON")
        answers, code = await rest(client)
        assert code == 1008
        codes = [answer["code"] for answer in answers]
        assert codes[:20] == ["invalidJson"] * 20
        assert codes.count("rateLimited") >= PATIENCE
        refused = answers[codes.index("rateLimited")]
        assert set(refused) == {"type", "code", "message", "retryAfter"}


@deadline()
async def test_candidates_have_an_allowance_of_their_own() -> None:
    with server(FEW, "--limit-candidates=10/60") as running:
        camera = await join(running.websocket_url, "cctv", "cam-1")
        viewer = await join(running.websocket_url, "cctv")
        await camera.next()
        await viewer.next()
        candidate = {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0"}
        for _ in range(60):
            viewer.send({"type": "iceCandidate", "target": camera.id, "candidate": candidate})
        for _ in range(60):
            assert (await camera.next())["candidate"] == candidate
        for number in range(10):
            viewer.send(offer(camera.id, number))
            assert (await camera.next())["sdp"]["sdp"] == f"{number}"
        await viewer.silent()
        for number in range(200):
            viewer.send(
                {"type": "iceCandidate", "target": camera.id, "candidate": None, "requestId": f"{number}"}
            )
        answers, code = await rest(viewer)
        assert code == 1008
        assert {(answer["code"], answer["ref"]) for answer in answers} == {("rateLimited", "iceCandidate")}
        await camera.leave()


@deadline()
async def test_bytes_are_limited_too() -> None:
    with server("--limit-bytes=10000/100000") as running:
        client = await connect(running.websocket_url)
        question = {"type": "ping", "data": "large", "padding": "x" * 40_000}
        for _ in range(2):
            assert (await client.ask(question))["type"] == "pong"
        error = await client.ask(question)
        assert (error["code"], error["ref"]) == ("rateLimited", "ping")
        assert 0.1 < error["retryAfter"] <= 2.1
        # There is still place for a small one.
        await client.silent()
        # Which has used a little of what the large one waits for.
        await wait(error["retryAfter"] + 0.1)
        assert (await client.ask(question))["type"] == "pong"
        await client.leave()


@deadline()
async def test_bytes_that_are_thrown_away_count() -> None:
    with server("--limit-bytes=10000/200000") as running:
        client = await connect(running.websocket_url)
        error = await client.ask(b"x" * 180_000)
        assert (error["code"], "was not read" in error["message"]) == ("invalidMessage", True)
        error = await client.ask({"type": "ping", "padding": "x" * 40_000})
        assert (error["code"], error["ref"]) == ("rateLimited", "ping")
        await client.silent()
        await client.leave()


@pytest.mark.parametrize(("opcode", "reason"), [(PING, b"too many pings"), (PONG, b"too many pongs")])
@deadline()
async def test_a_flood_of_control_frames_closes_with_1008(opcode: int, reason: bytes) -> None:
    with server(FEW) as running:
        viewer = await join(running.websocket_url, "cctv")
        flooder = await join(running.websocket_url, "cctv")
        await viewer.next()
        for _ in range(60):
            flooder.sendFrame(opcode, b"x" * 125)
        assert await flooder.closed == 1008
        assert (flooder.remoteCloseReason or "").encode() == reason
        assert await viewer.next() == {"type": "clientDisconnected", "clientId": flooder.id}
        await viewer.silent()
        await viewer.leave()


@deadline()
async def test_joining_and_leaving_is_limited_for_all_connections_of_an_address() -> None:
    with server("--limit-joins=0.1/12") as running:
        neighbour = await join(running.websocket_url, "cctv")
        # In one room they would hear of each other.
        rooms = {"cctv": await connect(running.websocket_url), "hall": await connect(running.websocket_url)}
        answers = []
        for _ in range(10):
            for room, client in rooms.items():
                answers.append(await client.ask({"type": "join", "room": room}))
                answers.append(await client.ask({"type": "leave"}))
        # The neighbour's was the first of the 12; one more may have come in time.
        refused = [answer for answer in answers if answer.get("code") == "rateLimited"]
        assert 40 - len(refused) in (11, 12)
        for answer in refused:
            assert answer["ref"] in ("join", "leave")
            assert 0 < answer["retryAfter"] <= 10
        # Whoever flaps may do all else, and others hear of no more of it than what was let through.
        for client in rooms.values():
            await client.silent()
            await client.leave()
        heard = 0
        neighbour.send({"type": "ping"})
        while (await neighbour.next())["type"] != "pong":
            heard += 1
        assert heard <= 7
        await neighbour.leave()


@deadline()
async def test_joins_of_one_ipv6_network_count_together() -> None:
    with server("--limit-joins=0.1/3", "--trusted-proxy=127.0.0.1") as running:
        answers = []
        for host in range(6):
            with Stranger(running.port) as client:
                status, _ = client.ask_to_upgrade(f"X-Forwarded-For: 2001:db8:0:1::{host + 1}")
                assert status == 101
                client.next_message()
                client.say({"type": "join"})
                answers.append(client.next_message())
        types = [answer["type"] for answer in answers if isinstance(answer, dict)]
        assert types == ["joined"] * 3 + ["error"] * 3


@deadline()
async def test_a_camera_hears_once_of_a_viewer_that_asks_and_asks() -> None:
    with server() as running:
        camera = await join(running.websocket_url, "cctv", "cam-1")
        pushy, other = [await join(running.websocket_url, "cctv") for _ in range(2)]
        for _ in range(2):
            assert (await camera.next())["type"] == "clientJoined"
        for number in range(200):
            request = {"type": "requestStream", "cameraId": "cam-1", "requestId": f"{number}"}
            pushy.send({**request, "ack": True})
        assert await camera.next() == {"type": "viewerRequest", "viewerId": pushy.id, "requestId": "0"}
        other.send({"type": "requestStream", "cameraId": "cam-1", "requestId": "mine"})
        assert await camera.next() == {"type": "viewerRequest", "viewerId": other.id, "requestId": "mine"}
        await camera.silent()
        # Each was answered all the same.
        acknowledged: list[str] = []
        while len(acknowledged) < 200:
            if (answer := await pushy.next())["type"] == "ack":
                acknowledged.append(answer["requestId"])
        assert acknowledged == [f"{number}" for number in range(200)]
        for client in (pushy, other, camera):
            await client.leave()


@deadline()
async def test_a_full_room_takes_nobody_else_until_somebody_goes() -> None:
    with server("--max-members=3", "--max-cameras=2") as running:
        cameras = [await join(running.websocket_url, "cctv", f"cam-{n}") for n in range(2)]
        newcomer = await connect(running.websocket_url)
        third = {"type": "join", "room": "cctv", "deviceType": "camera", "cameraId": "cam-2"}
        error = await newcomer.ask({**third, "requestId": "a"})
        assert (error["code"], error["ref"], error["requestId"]) == ("roomFull", "join", "a")
        # As a viewer there is still place for it, and then for nobody.
        assert (await newcomer.ask({"type": "join", "room": "cctv"}))["type"] == "joined"
        late = await connect(running.websocket_url)
        error = await late.ask({"type": "join", "room": "cctv"})
        assert (error["code"], error["ref"]) == ("roomFull", "join")
        # Whoever is in may join again, and other rooms are other rooms.
        for _ in range(2):
            await newcomer.next()
        assert (await newcomer.ask({"type": "join", "room": "cctv"}))["type"] == "joined"
        assert (await late.ask({"type": "join", "room": "elsewhere"}))["type"] == "joined"
        await cameras[0].vanish()
        while (await newcomer.next())["type"] != "clientDisconnected":
            pass
        assert (await late.ask(third))["type"] == "joined"
        for client in (*cameras[1:], newcomer, late):
            await client.leave()


@deadline()
async def test_compression_is_not_agreed_to_and_compressed_frames_close_with_1002() -> None:
    with server() as running:
        viewer = await join(running.websocket_url, "cctv")
        offers = (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate, x-webkit-deflate-frame",
        )
        for extensions in offers:
            with Stranger(running.port) as bomber:
                status, headers = bomber.ask_to_upgrade(f"Sec-WebSocket-Extensions: {extensions}")
                assert status == 101
                assert "sec-websocket-extensions" not in headers
                bomber.next_message()
                # 64 KiB that would be 64 MiB.
                bomber.send(frame(b"\xec\xc1\x01\x01" + bytes(60_000), TEXT, rsv=4))
                assert bomber.close_code() == 1002
        await viewer.silent()
        await viewer.leave()
    assert not lines_of(running, "Traceback")


@deadline()
async def test_a_flood_is_not_a_flood_of_log_lines() -> None:
    with server(FEW, "--limit-joins=1/5") as running:
        for _ in range(10):
            client = await connect_unwelcomed(running.websocket_url)
            for number in range(100):
                client.send({"type": "join", "room": f"{number}"})
            assert await client.closed == 1008
    # That one is closed is worth a line, that a message is refused is not.
    assert len(running.lines) < 30, running.output


def test_limits_can_be_switched_off() -> None:
    with server("--no-limits") as running, Stranger(running.port) as client:
        client.join("cctv")
        for number in range(2000):
            client.say({"type": "ping", "data": f"{number}"})
        assert [client.next_message() for _ in range(2000)] == [
            {"type": "pong", "data": f"{number}"} for number in range(2000)
        ]


# --- behind a proxy -----------------------------------------------------------------------------------


def from_(address: str) -> str:
    return f"X-Forwarded-For: {address}"


def test_behind_a_proxy_the_forwarded_address_counts_and_a_forged_one_changes_nothing() -> None:
    options = ("--trusted-proxy=127.0.0.1", "--max-connections-per-address=2")
    with server(*options) as running, ExitStack() as stack:

        def status(address: str) -> int:
            stranger = stack.enter_context(Stranger(running.port))
            return stranger.ask_to_upgrade(from_(address))[0]

        assert [status("192.0.2.1") for _ in range(3)] == [101, 101, 503]
        assert [status("192.0.2.2") for _ in range(3)] == [101, 101, 503]
        forged = [f"198.51.100.{n}, 192.0.2.1" for n in range(3)] + ["127.0.0.1, 192.0.2.1", ", 192.0.2.1"]
        assert [status(address) for address in forged] == [503] * 5
        assert [status("192.0.2.1, 192.0.2.3") for _ in range(3)] == [101, 101, 503]
        # The connections of the proxy itself are those of its clients.
        own = [stack.enter_context(Stranger(running.port)) for _ in range(9)]
        assert [stranger.request()[0] for stranger in own] == [200] * 9
        stack.close()
        until(lambda: status("192.0.2.1") == 101)


def test_what_a_stranger_says_of_its_address_is_ignored() -> None:
    options = ("--trusted-proxy=127.0.0.9", "--max-connections-per-address=2")
    with server(*options) as running, ExitStack() as stack:
        for number, expected in enumerate([101, 101, 503, 503]):
            stranger = stack.enter_context(Stranger(running.port))
            assert stranger.ask_to_upgrade(from_(f"192.0.2.{number}"))[0] == expected


def refused_behind_a_proxy(running: Server, number: int) -> list[dict[str, str]]:
    """The headers of the answers to so many connections that are too many for their address."""
    answers = []
    with Stranger(running.port) as first:
        assert first.ask_to_upgrade(from_("192.0.2.1"))[0] == 101
        for _ in range(number):
            with Stranger(running.port) as stranger:
                status, headers = stranger.ask_to_upgrade(from_("192.0.2.1"))
                assert status == 503
                answers.append(headers)
    return answers


def test_behind_a_proxy_too_it_is_said_when_to_try_again() -> None:
    with server("--trusted-proxy=127.0.0.1", "--max-connections-per-address=1") as running:
        (headers,) = refused_behind_a_proxy(running, 1)
        assert "retry-after" in headers
        assert int(headers["retry-after"]) >= 1


def test_behind_a_proxy_too_who_is_turned_away_is_worth_one_line_and_no_more() -> None:
    with server("--trusted-proxy=127.0.0.1", "--max-connections-per-address=1") as running:
        refused_behind_a_proxy(running, 50)
    assert len(lines_of(running, "too many connections from 192.0.2.1")) == 1
    assert len(running.lines) < 15

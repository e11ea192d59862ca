"""One WebSocket connection: ends, limits and heartbeat, against a real server process."""

from __future__ import annotations

import json
import struct

from tests.live import connect, connect_unwelcomed, deadline, join
from tests.processes import Server, server

TEXT, BINARY, CONTINUATION = 1, 2, 0


@deadline()
async def test_both_paths_are_the_socket(shared_server: Server) -> None:
    for path in ("/", "/ws"):
        client = await connect(shared_server.websocket_url + path)
        await client.silent()
        await client.leave()


@deadline()
async def test_the_welcome_has_the_fields_of_2_1(shared_server: Server) -> None:
    client = await connect_unwelcomed(shared_server.websocket_url)
    welcome = await client.next()
    assert set(welcome) == {
        "type",
        "clientId",
        "protocol",
        "server",
        "iceServers",
        "authenticated",
        "limits",
    }
    assert welcome["protocol"] == 1
    assert welcome["server"].startswith("cctvsignal/")
    assert welcome["iceServers"] == []
    assert welcome["authenticated"] is False
    assert welcome["limits"] == {"maxMessageBytes": 65536, "messagesPerSecond": 50}
    await client.leave()


@deadline()
async def test_a_binary_frame_closes_with_1003(shared_server: Server) -> None:
    client = await connect(shared_server.websocket_url)
    client.sendMessage(b'{"type":"ping"}', isBinary=True)
    assert await client.closed == 1003


@deadline()
async def test_invalid_utf8_closes_with_1007(shared_server: Server) -> None:
    client = await connect(shared_server.websocket_url)
    client.sendFrame(TEXT, b'{"type":"ping","data":"\xff"}')
    assert await client.closed == 1007


@deadline()
async def test_one_message_that_is_too_long_is_refused_and_a_second_one_closes_with_1009(
    shared_server: Server,
) -> None:
    client = await connect(shared_server.websocket_url)
    empty = json.dumps({"type": "ping", "padding": ""}).encode()
    longest = empty.replace(b'""', b'"' + b"x" * (65536 - len(empty)) + b'"')
    assert len(longest) == 65536
    assert await client.ask(longest) == {"type": "pong"}
    refused = await client.ask(longest.replace(b"x", b"xx", 1))
    assert (refused["type"], refused["code"]) == ("error", "invalidMessage")
    assert "65536 bytes" in refused["message"]
    assert await client.ask(longest) == {"type": "pong"}
    client.send(longest * 2)
    assert await client.closed == 1009


@deadline()
async def test_an_announced_length_of_2_to_the_63_closes_before_anything_is_kept(
    shared_server: Server,
) -> None:
    client = await connect(shared_server.websocket_url)
    assert client.transport is not None
    client.transport.write(b"\x81\xff" + struct.pack("!Q", 2**63 - 1) + b"\0\0\0\0" + b"x" * 1000)
    assert await client.closed == 1009


@deadline()
async def test_fragments_are_joined_up_to_64_and_then_close_with_1008(shared_server: Server) -> None:
    client = await connect(shared_server.websocket_url)
    message = b'{"type":"ping","data":"' + b"x" * 40 + b'"}'
    assert len(message) > 64
    client.sendFrame(TEXT, message[:1], fin=False)
    for at in range(1, 63):
        client.sendFrame(CONTINUATION, message[at : at + 1], fin=False)
    client.sendFrame(CONTINUATION, message[63:])
    assert (await client.next())["data"] == "x" * 40
    client.sendFrame(TEXT, b"", fin=False)
    for _ in range(64):
        client.sendFrame(CONTINUATION, b"", fin=False)
    assert await client.closed == 1008


@deadline()
async def test_a_compressed_frame_closes_with_1002(shared_server: Server) -> None:
    client = await connect(shared_server.websocket_url)
    client.sendFrame(TEXT, b"\xaa\x56\x2a\xa9\x2c", rsv=4)
    assert await client.closed == 1002


@deadline()
async def test_whoever_leaves_properly_or_not_is_gone_for_the_room_at_once(shared_server: Server) -> None:
    viewer = await join(shared_server.websocket_url, "gone")
    for how in ("leave", "vanish"):
        camera = await join(shared_server.websocket_url, "gone", "cam-1")
        types = [(await viewer.next())["type"] for _ in range(2)]
        assert types == ["clientJoined", "cameraAvailable"]
        await getattr(camera, how)()
        assert await viewer.next() == {
            "type": "cameraUnavailable",
            "cameraId": "cam-1",
            "clientId": camera.id,
        }
        assert await viewer.next() == {"type": "clientDisconnected", "clientId": camera.id}
    await viewer.leave()


@deadline()
async def test_a_client_that_answers_no_ping_is_gone_even_if_it_sends() -> None:
    with server("--ping-interval=1", "--ping-timeout=1") as running:
        viewer = await join(running.websocket_url, "cctv")
        camera = await join(running.websocket_url, "cctv", "cam-1")
        await viewer.next()
        await viewer.next()
        camera.answers_pings = False
        camera.send({"type": "ping", "data": "alive, but it does not look so"})
        types = [(await viewer.next())["type"] for _ in range(2)]
        assert types == ["cameraUnavailable", "clientDisconnected"]
        assert await camera.closed is None
        await viewer.silent()
        await viewer.leave()


@deadline()
async def test_a_client_that_answers_pings_may_idle_without_joining() -> None:
    with server("--ping-interval=1", "--ping-timeout=1", "--handshake-timeout=1") as running:
        idle = await connect(running.websocket_url)
        mute = await connect(running.websocket_url, answers_pings=False)
        assert await mute.closed is None
        assert not idle.closed.called
        await idle.silent()
        await idle.leave()


@deadline()
async def test_the_holder_of_a_camera_id_that_answers_keeps_it(shared_server: Server) -> None:
    holder = await join(shared_server.websocket_url, "taken", "cam-1")
    newcomer = await connect(shared_server.websocket_url)
    claim = {"type": "join", "room": "taken", "deviceType": "camera", "cameraId": "cam-1"}
    error = await newcomer.ask(claim)
    assert (error["type"], error["code"], error["ref"]) == ("error", "cameraIdInUse", "join")
    await holder.silent()
    await holder.leave()
    assert await newcomer.ask(claim) == {"type": "joined", "room": "taken"}
    await newcomer.leave()


@deadline()
async def test_the_holder_of_a_camera_id_that_answers_nothing_is_replaced(shared_server: Server) -> None:
    holder = await join(shared_server.websocket_url, "dead", "cam-1")
    viewer = await join(shared_server.websocket_url, "dead")
    await viewer.next()
    holder.answers_pings = False
    newcomer = await connect(shared_server.websocket_url)
    claim = {"type": "join", "room": "dead", "deviceType": "camera", "cameraId": "cam-1"}
    assert await newcomer.ask(claim) == {"type": "joined", "room": "dead"}
    assert await holder.next() == {
        "type": "clientJoined",
        "clientId": viewer.id,
        "deviceType": "viewer",
    }
    assert await holder.closed == 4409
    types = [(await viewer.next())["type"] for _ in range(4)]
    assert types == ["cameraUnavailable", "clientDisconnected", "clientJoined", "cameraAvailable"]
    await viewer.leave()
    await newcomer.leave()


@deadline(60)
async def test_a_client_that_does_not_read_is_cut_off_and_nobody_else_notices() -> None:
    with server("--no-limits") as running:
        reader = await join(running.websocket_url, "cctv")
        mute = await join(running.websocket_url, "cctv")
        sender = await join(running.websocket_url, "cctv")
        assert mute.transport is not None
        mute.transport.pauseProducing()  # type: ignore[attr-defined]
        while (await reader.next())["clientId"] != sender.id:
            pass
        offer = {"type": "offer", "target": mute.id, "sdp": {"type": "offer", "sdp": "x" * 60000}}
        # The kernel's buffers take some megabytes before the server's own limit counts.
        for _ in range(400):
            sender.send(offer)
            if (answer := await sender.ask({"type": "ping"}))["type"] == "clientDisconnected":
                break
            assert answer == {"type": "pong"}
        else:
            raise AssertionError("the client that does not read was never cut off")
        assert answer["clientId"] == mute.id
        assert (await reader.next())["clientId"] == mute.id
        await reader.silent()
        assert " bytes unread" in running.output
        mute.transport.resumeProducing()  # type: ignore[attr-defined]
        for client in (reader, sender):
            await client.leave()


@deadline()
async def test_a_server_that_stops_sends_everybody_away_with_1001() -> None:
    with server() as running:
        clients = [await join(running.websocket_url, "cctv", f"cam-{n}") for n in range(5)]
        running.process.terminate()
        for client in clients:
            assert await client.closed == 1001
        # Before the block would signal it again, when it has given up its handlers.
        assert running.wait() == 0
    assert "Traceback" not in running.output

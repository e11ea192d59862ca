"""The C core of the firmware as a camera of a live server, on this machine."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.firmware import build
from tests.live import LiveClient, deadline, join
from tests.processes import Process, Server, command, server

SDP = 'v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=a "quoted" \\ name\r\nt=0 0\r\n' + "a=x\r\n" * 700
ANSWER = "v=0\r\na=from the viewer: é 😀\r\n" + "a=y\r\n" * 500
CANDIDATE = {"candidate": "candidate:9 1 udp 1 192.0.2.9 9 typ host", "sdpMid": "0"}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("firmware"))


def camera(programs: Path, of: Server, room: str, viewers: int = 2) -> AbstractContextManager[Process]:
    """A camera that is the C core, which offers `SDP`."""
    sdp = programs / "offer.sdp"
    sdp.write_bytes(SDP.encode())
    program = str(programs / "camera_host")
    return command(program, of.address, str(of.port), room, "chip", str(viewers), str(sdp))


def sum_of(text: str) -> str:
    """What the program prints of an SDP that has come byte for byte."""
    total = 0
    for byte in text.encode():
        total = (total * 31 + byte) % 2**32
    return f"{len(text.encode())} bytes, sum {total}"


async def until(viewer: LiveClient, kind: str) -> dict[str, object]:
    """The next message of a type."""
    while True:
        message = await viewer.next()
        if message["type"] == kind:
            return message


@deadline()
async def test_a_session_of_the_core_with_a_viewer(shared_server: Server, programs: Path) -> None:
    room = "firmware"
    viewer = await join(shared_server.websocket_url, room)
    with camera(programs, shared_server, room) as chip:
        available = await until(viewer, "cameraAvailable")
        assert available["meta"] == {"name": "Host"}
        viewer.send({"type": "requestStream", "cameraId": "chip"})
        offer = await until(viewer, "offer")
        assert offer["sdp"] == {"type": "offer", "sdp": SDP}
        assert (await viewer.next())["candidate"] == {
            "candidate": "candidate:1 1 udp 2130706431 192.0.2.1 9 typ host",
            "sdpMLineIndex": 0,
        }
        target = offer["sender"]
        viewer.send({"type": "answer", "target": target, "sdp": {"type": "answer", "sdp": ANSWER}})
        viewer.send({"type": "iceCandidate", "target": target, "candidate": CANDIDATE})
        viewer.send({"type": "iceCandidate", "target": target, "candidate": None})
        await deferToThread(chip.wait_for_line, f"answer 0 {sum_of(ANSWER)}")
        await deferToThread(chip.wait_for_line, f"candidate 0 {CANDIDATE['candidate']}")
        await deferToThread(chip.wait_for_line, "candidate 0 -")
        viewer.send({"type": "bye", "target": target, "reason": "enough"})
        await deferToThread(chip.wait_for_line, "gone 0 enough")
        # A viewer that makes the offer itself is answered.
        viewer.send({"type": "offer", "target": target, "sdp": {"type": "offer", "sdp": ANSWER}})
        await deferToThread(chip.wait_for_line, f"offer 0 {sum_of(ANSWER)}")
        assert (await until(viewer, "answer"))["sdp"] == {"type": "answer", "sdp": SDP}
    await viewer.leave()


@deadline()
async def test_several_viewers_have_sessions_of_their_own(shared_server: Server, programs: Path) -> None:
    room = "firmware-many"
    viewers = [await join(shared_server.websocket_url, room) for _ in range(3)]
    with camera(programs, shared_server, room, viewers=2) as chip:
        for number, viewer in enumerate(viewers):
            await until(viewer, "cameraAvailable")
            viewer.send({"type": "requestStream", "cameraId": "chip"})
            if number < 2:
                target = (await until(viewer, "offer"))["sender"]
                await deferToThread(chip.wait_for_line, f"viewer {number}")
                # One address cannot hold all places without an answer.
                viewer.send({"type": "answer", "target": target, "sdp": {"type": "answer", "sdp": ANSWER}})
                await deferToThread(chip.wait_for_line, f"answer {number} ")
        assert (await until(viewers[2], "error"))["code"] == "cameraBusy"
        await viewers[0].vanish()
        await deferToThread(chip.wait_for_line, "gone 0 disconnected")
        viewers[2].send({"type": "requestStream", "cameraId": "chip"})
        await until(viewers[2], "offer")
        await deferToThread(chip.wait_for_line, "viewer 0")
    for viewer in viewers[1:]:
        await viewer.leave()


@deadline(60.0)
async def test_the_core_comes_back_when_its_server_does(programs: Path) -> None:
    with server("--ping-interval=1") as first:
        port = first.port
        with camera(programs, first, "firmware-back") as chip:
            await deferToThread(chip.wait_for_line, "joined")
            first.stop()
            await deferToThread(chip.wait_for_line, "lost")
            with server("--ping-interval=1", port=port) as second:
                await deferToThread(chip.wait_for_line, "joined")
                viewer = await join(second.websocket_url, "firmware-back")
                await until(viewer, "cameraAvailable")
                # It has answered the pings meanwhile, without which it would be gone by now.
                for _ in range(3):
                    await until_ping(viewer)
                viewer.send({"type": "listCameras"})
                cameras = await until(viewer, "cameras")
                assert json.dumps(cameras).count('"chip"') == 1
                await viewer.leave()


async def until_ping(viewer: LiveClient) -> None:
    """Wait for the server's next round of pings."""
    pinged: Deferred[None] = Deferred()
    answer = viewer.onPing

    def on_ping(payload: bytes) -> None:
        answer(payload)
        viewer.onPing = answer  # type: ignore[method-assign]
        pinged.callback(None)

    viewer.onPing = on_ping  # type: ignore[method-assign]
    await pinged


@deadline()
async def test_an_id_that_is_taken_is_told_by_its_name(shared_server: Server, programs: Path) -> None:
    room = "firmware-taken"
    holder = await join(shared_server.websocket_url, room, "chip")
    with camera(programs, shared_server, room) as chip:
        await deferToThread(chip.wait_for_line, "refused -1 cameraIdInUse")
    await holder.leave()


@deadline()
async def test_a_hostile_offer_ends_its_own_session_alone(shared_server: Server, programs: Path) -> None:
    room = "firmware-hostile"
    hostile, honest = [await join(shared_server.websocket_url, room) for _ in range(2)]
    with camera(programs, shared_server, room) as chip:
        target = (await until(hostile, "cameraAvailable"))["clientId"]
        honest.send({"type": "requestStream", "cameraId": "chip"})
        await until(honest, "offer")
        honest.send({"type": "answer", "target": target, "sdp": {"type": "answer", "sdp": ANSWER}})
        await deferToThread(chip.wait_for_line, f"answer 0 {sum_of(ANSWER)}")
        text = "v=0\r\n" + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 200
        hostile.send({"type": "offer", "target": target, "sdp": {"type": "offer", "sdp": text}})
        assert (await until(hostile, "bye"))["reason"] == "limitExceeded"
        await deferToThread(chip.wait_for_line, "too large 1 limitExceeded")
        # Its place is free again, and the other viewer's session goes on.
        hostile.send({"type": "offer", "target": target, "sdp": {"type": "offer", "sdp": ANSWER}})
        await until(hostile, "answer")
        honest.send({"type": "iceCandidate", "target": target, "candidate": CANDIDATE})
        await deferToThread(chip.wait_for_line, "candidate 0 ")
    for viewer in (hostile, honest):
        await viewer.leave()


@deadline()
async def test_an_offer_that_the_server_would_not_take_ends_that_session_alone(programs: Path) -> None:
    room = "firmware-small"
    with server("--max-message-bytes=2048") as small:
        viewer = await join(small.websocket_url, room)
        with camera(programs, small, room) as chip:
            await until(viewer, "cameraAvailable")
            for _ in range(2):
                viewer.send({"type": "requestStream", "cameraId": "chip"})
                assert (await until(viewer, "bye"))["reason"] == "limitExceeded"
                await deferToThread(chip.wait_for_line, "too long for 0")
            assert "lost" not in chip.output
        await viewer.leave()

"""The Python camera and viewer over a real server, with real media."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

import av
import msgspec
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from cctvsignal_clients import (
    CameraClient,
    CameraIdInUse,
    CameraNotFound,
    ConnectionFailed,
    Disconnected,
    InvalidOption,
    MediaFailed,
    RequestTimeout,
    Stream,
    ViewerClient,
    bridge,
    connection,
)
from cctvsignal_clients.peer import PeerSession
from cctvsignal_clients.sources.pattern import read_counter
from twisted.internet.utils import getProcessOutputAndValue

from cctvsignal import messages
from tests.door import Door, serving
from tests.live import DEADLINE_SECONDS, connect, deadline, join
from tests.media import (
    MEDIA_SECONDS,
    assert_no_loss,
    counters,
    counters_of_file,
    event,
    streaming_camera,
    until_viewers,
)
from tests.processes import Server, command, script, server
from tests.videos import write_video


@deadline(MEDIA_SECONDS)
async def test_a_viewer_sees_the_pictures_of_a_camera_in_order(
    shared_server: Server, tmp_path: Path
) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "order") as camera, ViewerClient(url, room="order") as viewer:
        stream = await viewer.request_stream("cam-1")
        assert camera.viewers == [viewer.client_id]
        assert viewer.cameras["cam-1"].meta == {"name": "Porch"}
        found = await counters(stream, 20)
        assert found == sorted(set(found))
        for name in ("still.png", "still.jpg"):
            await stream.snapshot(tmp_path / name)
            with av.open(str(tmp_path / name)) as picture:
                (frame,) = picture.decode(video=0)
            assert (frame.width, frame.height) == (640, 480)
            assert read_counter(frame) > found[-1]
        with pytest.raises(ValueError, match=r"a snapshot ends in .png"):
            await stream.snapshot(tmp_path / "still.txt")
        await viewer.stop_viewing("cam-1")
        with pytest.raises(MediaFailed):
            await stream.snapshot(tmp_path / "late.png")


@deadline(MEDIA_SECONDS)
async def test_a_viewer_that_leaves_does_not_disturb_another(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "two") as camera, ViewerClient(url, room="two") as first:
        stream = await first.request_stream("cam-1")
        async with ViewerClient(url, room="two") as second:
            await counters(await second.request_stream("cam-1"), 3)
            assert len(camera.viewers) == 2
        before = (await counters(stream, 3))[-1]
        assert (await counters(stream, 10))[-1] > before
        assert camera.viewers == [first.client_id]


@deadline(MEDIA_SECONDS)
async def test_a_video_file_is_sent_in_a_loop(shared_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "thirty.mp4"
    write_video(path, frames=30, rate=15)
    url = shared_server.websocket_url
    async with streaming_camera(url, "file", f"file:{path}"), ViewerClient(url, room="file") as viewer:
        found = await counters(await viewer.request_stream("cam-1"), 45)
    assert set(found) <= set(range(30))
    # It came round: somewhere a number is smaller than the one before.
    assert any(later < earlier for earlier, later in itertools.pairwise(found))


@deadline()
async def test_a_camera_id_is_the_same_however_it_is_typed(shared_server: Server) -> None:
    url = shared_server.websocket_url
    camera = await join(url, "typed", "Ku\u0308che")
    async with ViewerClient(url, room="typed") as viewer:
        for typed in ("Ku\u0308che", "K\u00fcche", " K\u00fcche"):
            await viewer.wait_for_camera(typed, DEADLINE_SECONDS)
    await camera.leave()


@deadline(MEDIA_SECONDS)
async def test_a_camera_answers_the_offer_of_a_viewer(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "offer"), ViewerClient(url, room="offer") as viewer:
        await viewer.wait_for_camera("cam-1", 10)

        async def make_offer() -> Stream:
            session = viewer._new_session(viewer.cameras["cam-1"].client_id)
            stream = viewer._streams["cam-1"] = Stream("cam-1")
            stream.attach(session)
            session.connection.addTransceiver("video", direction="recvonly")
            session.offer()
            return stream

        stream = await bridge.start(make_offer())
        found = await counters(stream, 5)
        assert found == sorted(set(found))
        await viewer.stop_viewing("cam-1")


@deadline(90)
async def test_media_goes_on_without_the_server_and_all_come_back() -> None:
    with server() as first:
        url, port = first.websocket_url, first.port
        camera = CameraClient(url, room="cctv", camera_id="cam-1")
        await camera.start_streaming("test")
        await camera.register()
        viewer = ViewerClient(url, room="cctv")
        await viewer.connect()
        stream = await viewer.request_stream("cam-1")
        lost = [event(client, "disconnected") for client in (camera, viewer)]
        back = [event(client, "roomJoined") for client in (camera, viewer)]
        first.stop()
        for deferred in lost:
            assert await deferred == Disconnected(1001, will_reconnect=True)
        before = (await counters(stream, 1))[-1]
        assert (await counters(stream, 10))[-1] > before
    with server(port=port):
        for deferred in back:
            assert await deferred == "cctv"
        async with ViewerClient(url, room="cctv") as another:
            await another.wait_for_camera("cam-1", 10)
            await counters(await another.request_stream("cam-1"), 3)
        await counters(stream, 3)
        await viewer.close()
        await camera.close()


@deadline()
async def test_each_thing_that_goes_wrong_has_its_error(shared_server: Server) -> None:
    url = shared_server.websocket_url
    with pytest.raises(ConnectionFailed, match=r"cannot be reached.*Is the server running there\?"):
        await ViewerClient("ws://127.0.0.1:9").connect()
    with pytest.raises(ConnectionFailed, match="There is no host"):
        await ViewerClient("ws://no-such-host.invalid").connect()
    with pytest.raises(ConnectionFailed, match="no WebSocket there"):
        await ViewerClient(url + "/health").connect()
    with pytest.raises(InvalidOption, match="room has a character that names may not have"):
        await ViewerClient(url, room="<b>").connect()
    async with ViewerClient(url, room="errors") as viewer:
        with pytest.raises(CameraNotFound, match="There is no camera 'cam-9' in room 'errors'"):
            await viewer.request_stream("cam-9")
        async with CameraClient(url, room="errors", camera_id="cam-1"):
            with pytest.raises(MediaFailed, match="the camera does not stream"):
                await viewer.request_stream("cam-1")
            with pytest.raises(CameraIdInUse, match="Another camera is in room errors as cam-1"):
                await CameraClient(url, room="errors", camera_id="cam-1").register()
        silent = await join(url, "errors", "cam-2")
        with pytest.raises(RequestTimeout, match=r"did not answer within 0\.3 s"):
            await viewer.request_stream("cam-2", timeout=0.3)
        await silent.leave()


@deadline(MEDIA_SECONDS)
async def test_what_does_not_come_from_the_camera_is_ignored(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "insider"), ViewerClient(url, room="insider") as viewer:
        insider = await join(url, "insider")
        sdp = {"type": "offer", "sdp": "v=0\r\n"}
        insider.send({"type": "offer", "target": viewer.client_id, "sdp": sdp})
        stream = await viewer.request_stream("cam-1")
        for message in ({"type": "bye"}, {"type": "answer", "sdp": sdp}, {"type": "offer", "sdp": sdp}):
            insider.send({**message, "target": viewer.client_id})
        await insider.ask({"type": "ping"})
        await counters(stream, 10)
        await insider.leave()


@deadline(MEDIA_SECONDS)
async def test_nonsense_from_a_viewer_ends_its_session_and_no_other(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "nonsense") as camera, ViewerClient(url, room="nonsense") as viewer:
        stream = await viewer.request_stream("cam-1")
        vandal = await connect(url)
        await vandal.ask({"type": "join", "room": "nonsense"})
        camera_id = (await vandal.next())["clientId"]
        vandal.send({"type": "requestStream", "cameraId": "cam-1"})
        assert (await vandal.next())["type"] == "offer"
        vandal.send({"type": "answer", "target": camera_id, "sdp": {"type": "answer", "sdp": "nonsense"}})
        assert (await vandal.next())["type"] == "bye"
        vandal.send({"type": "offer", "target": camera_id, "sdp": {"nothing": 1}})
        assert (await vandal.next())["type"] == "bye"
        assert camera.viewers == [viewer.client_id]
        viewer.send(messages.IceCandidate(target=camera_id, candidate=msgspec.Raw(b'{"candidate":"odd"}')))
        await counters(stream, 5)
        assert camera.viewers == [viewer.client_id]
        await vandal.leave()


@deadline(MEDIA_SECONDS)
async def test_nothing_is_left_of_viewers_that_came_and_went(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "many") as camera:
        for _ in range(3):
            async with ViewerClient(url, room="many") as viewer:
                await counters(await viewer.request_stream("cam-1"), 1)
        await until_viewers(camera, lambda viewers: not viewers)
        assert camera._source is not None
        assert camera._source.frames.readers == 0


@deadline(MEDIA_SECONDS)
async def test_leaving_a_room_ends_what_is_watched_in_it(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "leaving") as camera, ViewerClient(url, room="leaving") as viewer:
        for leave in (viewer.leave_room, lambda: viewer.join_room("elsewhere")):
            stream = await viewer.request_stream("cam-1")
            await counters(stream, 1)
            with pytest.raises(InvalidOption, match="room has a character that names may not have"):
                await viewer.join_room("<b>")
            assert viewer.room == "leaving"
            await leave()
            assert viewer.cameras == {}
            await until_viewers(camera, lambda viewers: not viewers)
            await viewer.join_room("leaving")
            await viewer.wait_for_camera("cam-1", 10)


@deadline(MEDIA_SECONDS)
async def test_candidates_that_come_with_the_offer_are_used(shared_server: Server) -> None:
    url = shared_server.websocket_url
    camera = await join(url, "trickle", "cam-1")
    async with ViewerClient(url, room="trickle") as viewer:
        asked = viewer.request_stream("cam-1", timeout=10)
        while (request := await camera.next())["type"] != "viewerRequest":
            pass
        connection, offer = await bridge.start(_offer_without_candidates())
        to_viewer = {"target": request["viewerId"]}
        camera.send({"type": "offer", "sdp": {"type": "offer", "sdp": offer}, **to_viewer})
        candidate = {"candidate": "candidate:1 1 udp 2122260223 192.0.2.1 9 typ host", "sdpMid": "0"}
        camera.send({"type": "iceCandidate", "candidate": candidate, **to_viewer})
        assert (await camera.next())["type"] == "answer"
        receiving = viewer._streams["cam-1"]._receiving
        assert len(receiving) == 1
        session = viewer._streams["cam-1"].session
        assert session is not None
        await bridge.start(_settled(session))
        assert "192.0.2.1" in session.connection.remoteDescription.sdp
        # A camera that goes without a word of media ends it, before any time-out.
        await bridge.start(connection.close())
        camera.send({"type": "bye", "reason": "\x1b[2Jgone", **to_viewer})
        with pytest.raises(MediaFailed, match=r"the other side said bye: '\\x1b\[2Jgone'"):
            await asked
        assert viewer._sessions == {}
        await bridge.start(asyncio.wait_for(asyncio.gather(*receiving, return_exceptions=True), 5))
        await camera.leave()


async def _offer_without_candidates() -> tuple[RTCPeerConnection, str]:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction="sendonly")
    await connection.setLocalDescription(await connection.createOffer())
    lines = connection.localDescription.sdp.splitlines()
    kept = [line for line in lines if not line.startswith(("a=candidate", "a=end-of-candidates"))]
    return connection, "\r\n".join([*kept, ""])


async def _settled(session: PeerSession) -> None:
    async with session._order:
        pass


@deadline()
async def test_a_camera_that_leaves_is_not_waited_for(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with ViewerClient(url, room="left") as viewer:
        camera = await join(url, "left", "cam-1")
        asked = viewer.request_stream("cam-1", timeout=15)
        while (await camera.next())["type"] != "viewerRequest":
            pass
        await camera.leave()
        with pytest.raises(MediaFailed, match="the camera left"):
            await asked


@deadline(MEDIA_SECONDS)
async def test_of_two_requests_for_one_camera_the_later_one_counts(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "twice") as camera, ViewerClient(url, room="twice") as viewer:
        first, second = viewer.request_stream("cam-1"), viewer.request_stream("cam-1")
        await first
        await counters(await second, 3)
        assert [frame async for frame in (await first).frames()] == []
        assert camera.viewers == [viewer.client_id]


@deadline()
async def test_a_request_can_be_given_up(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with ViewerClient(url, room="given-up") as viewer:
        silent = await join(url, "given-up", "cam-1")

        async def give_up() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await viewer.request_stream("cam-1")

        await bridge.start(give_up())
        while (await silent.next())["type"] != "bye":
            pass
        assert not viewer._streams
        assert not viewer._sessions
        await silent.leave()


@deadline()
@pytest.mark.parametrize(("code", "returns"), [(1008, False), (4403, False), (4409, True), (1013, True)])
async def test_a_client_that_is_not_wanted_stays_away(code: int, returns: bool) -> None:
    async with serving(Door(closes_joined=code)) as url:
        viewer = ViewerClient(url)
        lost = event(viewer, "disconnected")
        await viewer.connect()
        assert await lost == Disconnected(code, will_reconnect=returns)
        assert (viewer._keeper is not None) == returns
        if code == 1013:
            assert await event(viewer, "roomJoined") == "default"
        await viewer.close()


@deadline()
async def test_what_is_no_such_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WELCOME_SECONDS", 0.3)
    async with serving(Door(welcomes=False)) as url:
        with pytest.raises(ConnectionFailed, match=r"sends no welcome: is it a cctvsignal server\?"):
            await ViewerClient(url).connect()
    for wrong in ("http://localhost", "localhost:8080", "ws://localhost:http"):
        with pytest.raises(InvalidOption, match="is no ws:// or wss:// URL"):
            await ViewerClient(wrong).connect()


@deadline()
async def test_a_command_that_is_not_wanted_ends() -> None:
    async with serving(Door(closes_joined=4403)) as url:
        arguments = ["--server", url]
        out, error, status = await getProcessOutputAndValue(
            script("cctvsignal-camera"), arguments, env=os.environ
        )
        assert out.decode() == "Camera cam-1 is in room cctv.\n"
        # Which of them it is depends on what it knew of by then.
        reasons = [f"closed the connection {how} (close code 4403)." for how in ("for good", "at once")]
        assert error.decode() in [f"cctvsignal-camera: {url} {reason}\n" for reason in reasons]
        assert status == 1


@deadline()
async def test_a_command_ends_in_time_whatever_it_waits_for(shared_server: Server) -> None:
    url = shared_server.websocket_url
    silent = await join(url, "silent", "cam-1")
    arguments = ["--server", url, "--room", "silent", "--camera", "cam-1", "--exit-after", "2"]
    out, error, status = await getProcessOutputAndValue(
        script("cctvsignal-viewer"), arguments, env=os.environ
    )
    assert (error, status) == (b"", 0)
    assert b"Waiting for camera cam-1" in out
    await silent.leave()


def test_asyncio_and_twisted_programs_use_the_same_clients(shared_server: Server, tmp_path: Path) -> None:
    url = shared_server.websocket_url
    with command(sys.executable, "examples/camera.py", url) as camera:
        camera.wait_for_line("Camera example is in room cctv")
        with command(sys.executable, "examples/viewer.py", "example", url) as viewer:
            assert viewer.wait() == 0, viewer.output
            assert viewer.output == "30 frames of 640x480"
        picture = tmp_path / "twisted.png"
        with command(sys.executable, "examples/twisted_viewer.py", "example", str(picture), url) as viewer:
            assert viewer.wait() == 0, viewer.output
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_other_examples_do_what_they_say(shared_server: Server, tmp_path: Path) -> None:
    url = shared_server.websocket_url
    with (
        command(sys.executable, "examples/room.py", "cctv", url) as room,
        command(sys.executable, "examples/recorder.py", str(tmp_path), url) as recorder,
    ):
        room.wait_for_line("In room cctv")
        with command(sys.executable, "examples/camera.py", url) as camera:
            camera.wait_for_line("Camera example is in room cctv")
            room.wait_for_line(r"\+ camera example")
            recorder.wait_for_line("Recording example to")
            camera.wait_for_line("Viewer:")
            # A second viewer that has seen this much has seen what was recorded.
            with command(sys.executable, "examples/viewer.py", "example", url) as viewer:
                assert viewer.wait() == 0, viewer.output
            recorder.stop(signal.SIGINT)
        room.wait_for_line("- camera example")
    (recording,) = tmp_path.glob("example *.mkv")
    assert_no_loss(counters_of_file(recording))


def test_two_asyncio_runs_in_one_process(shared_server: Server) -> None:
    program = (
        "import asyncio\n"
        "from cctvsignal_clients import ViewerClient\n"
        "async def main():\n"
        f"    async with ViewerClient({shared_server.websocket_url!r}) as viewer:\n"
        "        print('in', viewer.room)\n"
        "asyncio.run(main())\n"
        "asyncio.run(main())\n"
    )
    with command(sys.executable, "-c", program) as running:
        assert running.wait() == 0, running.output
        assert running.output == "in default\nin default"


def test_the_commands_show_a_camera_to_a_viewer(shared_server: Server, tmp_path: Path) -> None:
    server_option = f"--server={shared_server.websocket_url}"
    picture = tmp_path / "out.png"
    viewer_arguments = [server_option, "--camera=cam-1", f"--snapshot={picture}"]
    with command(script("cctvsignal-viewer"), *viewer_arguments) as viewer:
        # The viewer is first: it waits for the camera.
        viewer.wait_for_line("Waiting for camera cam-1")
        with command(script("cctvsignal-camera"), server_option) as camera:
            camera.wait_for_line("Camera cam-1 is in room cctv")
            assert viewer.wait() == 0, viewer.output
        assert camera.process.returncode == 0
        assert "Traceback" not in camera.output
    with av.open(str(picture)) as container:
        assert read_counter(next(container.decode(video=0))) < 1000


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["cctvsignal-camera", "--server=ws://127.0.0.1:9"], "cannot be reached"),
        (["cctvsignal-camera", "--source=nothing"], "There is no source 'nothing'"),
        (["cctvsignal-viewer", "--snapshot=a.png"], "--snapshot needs a --camera"),
        (["cctvsignal-viewer", "--camera=cam-9", "--timeout=0.2"], "There is no camera 'cam-9'"),
    ],
)
def test_a_command_that_cannot_go_on_says_why(
    shared_server: Server, arguments: list[str], hint: str
) -> None:
    name, *options = arguments
    environment = {"SERVER_URL": shared_server.websocket_url}
    with command(script(name), *options, environment=environment) as running:
        assert running.wait() == 1
        assert hint in running.lines[-1]
        assert "Traceback" not in running.output

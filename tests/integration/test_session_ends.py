"""How a session ends, whoever ends it, and what the server knows of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from cctvsignal_clients import CameraClient, MediaFailed, ViewerClient, bridge
from cctvsignal_clients.peer import CLOSED

from cctvsignal import messages
from tests.live import LiveClient, deadline, join
from tests.media import MEDIA_SECONDS, counters, event, streaming_camera, until_viewers
from tests.processes import Server
from tests.raw_peers import answering, close_all, closed, next_of, offering


@pytest_twisted.async_yield_fixture(autouse=True)  # type: ignore[untyped-decorator]
async def peers_are_closed() -> AsyncIterator[None]:
    """No peer of a test outlives it."""
    yield
    await close_all()


async def viewers_counted(client: LiveClient) -> list[int]:
    """How many viewers the server counts for each camera of the room."""
    client.send({"type": "listCameras"})
    return [camera["viewers"] for camera in (await next_of(client, "cameras"))["cameras"]]


async def no_bye(client: LiveClient) -> None:
    """Assert that this client has been sent no `bye` that was not read yet."""
    client.send({"type": "ping"})
    while (kind := (await client.next())["type"]) != "pong":
        assert kind != "bye"


@deadline(MEDIA_SECONDS)
async def test_viewers_that_close_without_a_word_are_counted_no_longer(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "closing") as camera:
        viewers = [await join(url, "closing") for _ in range(2)]
        connections = []
        for viewer in viewers:
            viewer.send({"type": "requestStream", "cameraId": "cam-1"})
            connections.append(await answering(viewer))
            session = camera._sessions[viewer.id]
            await bridge.start(_connected(session))
        assert await viewers_counted(viewers[0]) == [2]
        for viewer, connection, left in zip(viewers, connections, (1, 0), strict=True):
            await closed(connection)
            bye = await next_of(viewer, "bye")
            assert bye["reason"] == CLOSED
            assert await viewers_counted(viewer) == [left]
        await until_viewers(camera, lambda now: not now)
        for viewer in viewers:
            # Once was enough.
            await no_bye(viewer)
            await viewer.leave()


async def _connected(session: object) -> None:
    await session.connected  # type: ignore[attr-defined]


@deadline(MEDIA_SECONDS)
async def test_a_camera_that_closes_without_a_word_is_told_and_asked_again(shared_server: Server) -> None:
    url = shared_server.websocket_url
    camera = await join(url, "closing-camera", "cam-1")
    watcher = await join(url, "closing-camera")
    async with ViewerClient(url, room="closing-camera") as viewer:
        await viewer.wait_for_camera("cam-1", 10)
        asked = viewer.request_stream("cam-1")
        connection = await offering(camera)
        stream = await asked
        assert await viewers_counted(watcher) == [1]
        lost = event(viewer, "streamLost")
        await closed(connection)
        assert (await next_of(camera, "bye"))["reason"] == CLOSED
        assert await lost is stream
        assert CLOSED in str(stream.loss)
        # It is asked again by itself, and this time does not want to.
        request = await next_of(camera, "viewerRequest")
        camera.send({"type": "bye", "target": request["viewerId"], "reason": "not now"})
        await camera.ask({"type": "ping"})
    assert await viewers_counted(watcher) == [0]
    await camera.leave()
    await watcher.leave()


@deadline(MEDIA_SECONDS)
async def test_a_bye_is_not_answered_by_a_bye(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "polite") as camera:
        viewer = await join(url, "polite")
        viewer.send({"type": "requestStream", "cameraId": "cam-1"})
        connection = await answering(viewer)
        await bridge.start(_connected(camera._sessions[viewer.id]))
        viewer.send({"type": "bye", "target": camera.client_id, "reason": "enough"})
        await until_viewers(camera, lambda now: not now)
        await closed(connection)
        await no_bye(viewer)
        assert await viewers_counted(viewer) == [0]
        await viewer.leave()


@deadline(MEDIA_SECONDS)
async def test_a_late_bye_of_an_earlier_session_does_not_end_the_next_one(shared_server: Server) -> None:
    url = shared_server.websocket_url
    camera = await join(url, "late", "cam-1")
    async with ViewerClient(url, room="late") as viewer:
        await viewer.wait_for_camera("cam-1", 10)
        asked = viewer.request_stream("cam-1")
        # Of a session that the viewer closed before it asked again: it comes before the next offer, always.
        request = messages.Bye(target=viewer.client_id or "", reason=CLOSED)
        camera.send(messages.encode(request))
        connection = await offering(camera)
        stream = await asked
        assert viewer._sessions[camera.id] is stream.session
        # In the present one, it is true.
        lost = event(viewer, "streamLost")
        camera.send(messages.encode(request))
        await lost
    await closed(connection)
    await camera.leave()


@deadline(MEDIA_SECONDS)
async def test_a_newer_session_of_a_viewer_counts_and_the_one_before_says_nothing(
    shared_server: Server,
) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "newer") as camera:
        viewer = await join(url, "newer")
        viewer.send({"type": "requestStream", "cameraId": "cam-1"})
        first = await answering(viewer)
        await bridge.start(_connected(camera._sessions[viewer.id]))
        # As a page does that starts anew.
        viewer.send({"type": "requestStream", "cameraId": "cam-1"})
        second = await answering(viewer)
        await bridge.start(_connected(camera._sessions[viewer.id]))
        await closed(first)
        await no_bye(viewer)
        assert await viewers_counted(viewer) == [1]
        assert camera.viewers == [viewer.id]
        await closed(second)
        await next_of(viewer, "bye")
        assert await viewers_counted(viewer) == [0]
        await viewer.leave()


@deadline()
async def test_an_offer_that_no_one_asked_for_is_not_counted_as_a_session(shared_server: Server) -> None:
    url = shared_server.websocket_url
    camera = await join(url, "unasked", "cam-1")
    async with ViewerClient(url, room="unasked") as viewer:
        await next_of(camera, "clientJoined")
        offer = {"type": "offer", "sdp": "v=0\r\n"}
        camera.send({"type": "offer", "target": viewer.client_id, "sdp": offer})
        assert (await next_of(camera, "bye"))["sender"] == viewer.client_id
        assert await viewers_counted(camera) == [0]
        assert viewer._sessions == {}
    await camera.leave()


@deadline(MEDIA_SECONDS)
async def test_a_session_that_outlives_its_signaling_says_nothing_to_clients_of_today(
    shared_server: Server,
) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "outlives") as camera, ViewerClient(url, room="outlives") as viewer:
        await counters(await viewer.request_stream("cam-1"), 1)
        session = camera._sessions[viewer.client_id or ""]
        errors: list[messages.Error] = []
        camera.on("error", errors.append)
        back = event(viewer, "roomJoined")
        assert viewer._socket is not None
        viewer._socket.dropConnection(abort=True)
        await back
        sent: list[object] = []
        camera._send = sent.append  # type: ignore[assignment, method-assign]
        await bridge.start(session.end("enough"))
        assert sent == []
        assert errors == []


@deadline(MEDIA_SECONDS)
async def test_a_session_is_over_even_if_aiortc_fails_to_close(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "broken") as camera, ViewerClient(url, room="broken") as viewer:
        await viewer.request_stream("cam-1")
        session = camera._sessions[viewer.client_id or ""]
        close = session.connection.close

        async def fail() -> None:
            await close()
            raise RuntimeError("aiortc's own problem")

        session.connection.close = fail  # type: ignore[method-assign]
        with pytest.raises(RuntimeError):
            await bridge.start(session.end("enough"))
        assert camera.viewers == []


@deadline()
async def test_both_sides_hear_of_a_camera_that_does_not_stream_once(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with (
        CameraClient(url, room="idle", camera_id="cam-1"),
        ViewerClient(url, room="idle") as viewer,
    ):
        watcher = await join(url, "idle")
        asked = [viewer.request_stream("cam-1") for _ in range(2)]
        for result in asked:
            with pytest.raises(MediaFailed, match="the camera does not stream"):
                await result
        assert await viewers_counted(watcher) == [0]
        await watcher.leave()

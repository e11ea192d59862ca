"""Whom a viewer asks, and how often it asks the server who that is."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
from cctvsignal_clients import CameraClient, CameraNotFound, MediaFailed, ViewerClient, bridge
from cctvsignal_clients.pictures import LABEL

from cctvsignal import messages
from tests.live import deadline, join
from tests.media import MEDIA_SECONDS, counters, event, streaming_camera
from tests.processes import Server


def listings(viewer: ViewerClient) -> list[messages.ListCameras]:
    """Every `listCameras` that a viewer sends from here on."""
    sent: list[messages.ListCameras] = []
    send = viewer._send

    def count(message: messages.ClientMessage) -> None:
        if isinstance(message, messages.ListCameras):
            sent.append(message)
        send(message)

    viewer._send = count  # type: ignore[method-assign]
    return sent


@deadline(MEDIA_SECONDS)
async def test_a_camera_that_is_known_is_asked_without_a_list_of_all(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "known"), ViewerClient(url, room="known") as viewer:
        await viewer.wait_for_camera("cam-1", 10)
        asked = listings(viewer)
        for _ in range(2):
            await counters(await viewer.request_stream("cam-1"), 1)
        assert asked == []
        with pytest.raises(CameraNotFound):
            await viewer.request_stream("cam-2")
        assert len(asked) == 1
        viewer.cameras.clear()  # As with a server that lists none.
        await counters(await viewer.request_stream("cam-1"), 1)
        assert len(asked) == 2


async def _wait(happened: asyncio.Event) -> None:
    await happened.wait()


async def _with_stale_knowledge(
    url: str, room: str, camera: CameraClient, request: Callable[[ViewerClient], Any]
) -> Any:
    """What a viewer gets that asks for a camera before it hears that this is another client by now."""
    before = await join(url, room, "cam-1")
    async with ViewerClient(url, room=room) as viewer:
        await viewer.wait_for_camera("cam-1", 10)
        assert viewer.cameras["cam-1"].client_id == before.id
        socket: Any = viewer._socket
        socket.transport.pauseProducing()
        await before.leave()
        await camera.start_streaming("test")
        await camera.register()
        asked = request(viewer)
        heard = asyncio.Event()
        camera.on("viewerRequest", lambda _: heard.set())
        # The server has passed on the request, or has refused an offer to who is gone.
        if camera._sends_video:
            await bridge.start(_wait(heard))
        socket.transport.resumeProducing()
        stream = await asked
        assert stream.session.peer_id == camera.client_id
        assert camera.viewers == [viewer.client_id]
        return stream


@deadline(MEDIA_SECONDS)
async def test_a_request_reaches_a_camera_that_has_just_come_back_as_another_client(
    shared_server: Server,
) -> None:
    url = shared_server.websocket_url
    async with CameraClient(url, room="stale-other", camera_id="other"):
        camera = CameraClient(url, room="stale", camera_id="cam-1")
        try:
            await _with_stale_knowledge(
                url, "stale", camera, lambda viewer: viewer.request_stream("cam-1", timeout=30)
            )
        finally:
            await camera.close()


@deadline(MEDIA_SECONDS)
async def test_an_offer_for_jpegs_reaches_it_too(shared_server: Server) -> None:
    url = shared_server.websocket_url
    camera = CameraClient(
        url,
        room="stale-jpeg",
        camera_id="cam-1",
        sends_video=False,
        accepts={LABEL: lambda channel: None},
    )
    try:
        await _with_stale_knowledge(
            url,
            "stale-jpeg",
            camera,
            lambda viewer: viewer.request_stream("cam-1", timeout=30, as_jpeg=True),
        )
    finally:
        await camera.close()


@deadline(MEDIA_SECONDS)
async def test_a_camera_that_leaves_after_it_was_asked_is_not_waited_for(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with ViewerClient(url, room="leaves") as viewer:
        for as_jpeg in (False, True):
            camera = await join(url, "leaves", "cam-1")
            await viewer.wait_for_camera("cam-1", 10)
            asked = viewer.request_stream("cam-1", timeout=30, as_jpeg=as_jpeg)
            while (await camera.next())["type"] not in ("viewerRequest", "offer"):
                pass
            gone = event(viewer, "cameraUnavailable")
            await camera.leave()
            await gone
            with pytest.raises((MediaFailed, CameraNotFound)):
                await asked
            assert viewer._requests == {}


@deadline()
async def test_no_lock_is_kept_for_a_camera_that_no_one_asks_for(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with ViewerClient(url, room="locks") as viewer:
        for number in range(20):
            with pytest.raises(CameraNotFound):
                await viewer.request_stream(f"cam-{number}")
        gc.collect()
        # The traceback of the last refusal may still hold the last one.
        assert len(viewer._turns) <= 1

"""Python clients whose token expires, is revoked or is renewed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cctvsignal_clients import (
    Backoff,
    Disconnected,
    InvalidOption,
    RequestRefused,
    TokenFile,
    Unauthorized,
    ViewerClient,
)
from cctvsignal_clients.reporting import Reporter
from cctvsignal_iot.bridge import Bridge
from cctvsignal_iot.config import BridgeConfig, DeviceConfig
from twisted.internet.defer import DeferredQueue
from twisted.internet.threads import deferToThread

from tests.door import Door, serving
from tests.live import deadline
from tests.media import event
from tests.processes import command, script, server
from tests.tokens import NEW_SECRET, SECRET, join_as, replace, token

SOON = Backoff(0.01, 0.05)


async def lose(viewer: ViewerClient) -> None:
    """Lose the connection, and wait until it is there again."""
    back = event(viewer, "roomJoined")
    assert viewer._socket is not None
    viewer._socket.dropConnection(abort=True)
    await back


@deadline(40)
async def test_a_token_is_renewed_before_it_expires(tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    path.write_text("")
    with server(f"--auth-secret={SECRET}", f"--auth-revoked={path}") as running:
        url = running.websocket_url
        async with ViewerClient(url, token=token(jti="1"), reconnect=SOON) as viewer:
            await viewer.authenticate(token(jti="2"))
            other = await join_as(url, token(jti="1"), "default")
            replace(path, "jti 1\n")
            assert await other.closed == 4401
            # Of two clients that had the token which is good no longer, only one is gone.
            assert viewer.connected
            with pytest.raises(RequestRefused) as caught:
                await viewer.authenticate(token(NEW_SECRET))
            assert caught.value.code == "unauthorized"
            with pytest.raises(RequestRefused) as caught:
                await viewer.authenticate(token(role="camera", jti="3"))
            assert caught.value.code == "forbidden"
            # The one that it had before is that of the next connection.
            await lose(viewer)


@deadline(40)
async def test_who_was_closed_out_comes_back_at_once_with_another_token(tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    path.write_text("")
    with server(f"--auth-secret={SECRET}", f"--auth-revoked={path}") as running:
        viewer = ViewerClient(running.websocket_url, token=token(jti="1"), reconnect=SOON)
        await viewer.connect()
        lost = event(viewer, "disconnected")
        replace(path, "jti 1\n")
        assert await lost == Disconnected(4401, will_reconnect=False)
        with pytest.raises(Unauthorized):
            await viewer.authenticate(token(jti="1", sub="another"))
        assert not viewer.connected
        await viewer.authenticate(token(jti="2"))
        assert viewer.connected
        await lose(viewer)
        await viewer.close()
        # It is not wanted any more: a token brings it back no longer.
        await viewer.authenticate(token(jti="3"))
        assert not viewer.connected


@deadline()
async def test_who_was_closed_out_comes_back_when_its_server_does() -> None:
    async with serving(Door(closes_joined=4401)) as url:
        viewer = ViewerClient(url, token="first", reconnect=SOON)
        lost = event(viewer, "disconnected")
        await viewer.connect()
        assert await lost == Disconnected(4401, will_reconnect=False)
    await viewer.authenticate("second")
    assert not viewer.connected
    back = event(viewer, "roomJoined")
    door = Door()
    async with serving(door, port=int(url.rpartition(":")[2])):
        await back
        assert await door.came.get() == "Bearer second"
        await viewer.close()


@deadline()
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_function_is_asked_for_a_token_before_each_connection(is_async: bool) -> None:
    given: list[str] = []

    def give() -> str:
        given.append(f"token-{len(given)}")
        return given[-1]

    async def give_later() -> str:
        return give()

    door = Door(closes_joined=1012)
    async with serving(door) as url:
        viewer = ViewerClient(url, token=give_later if is_async else give, reconnect=SOON)
        await viewer.connect()
        for number in range(3):
            assert await door.came.get() == f"Bearer token-{number}"
        await viewer.close()


@deadline(60)
async def test_a_camera_brings_each_token_that_is_written_into_its_file(tmp_path: Path) -> None:
    revoked, path = tmp_path / "revoked", tmp_path / "token"
    revoked.write_text("")
    path.write_text(token(role="camera", jti="1") + "\n")
    with server(f"--auth-secret={SECRET}", f"--auth-revoked={revoked}") as running:
        arguments = [f"--server={running.websocket_url}", f"--token-file={path}"]
        with command(script("cctvsignal-camera"), *arguments) as camera:
            await deferToThread(camera.wait_for_line, "Camera cam-1 is in room cctv")
            # Before the old one is good no longer.
            replace(path, token(role="camera", jti="2"))
            await deferToThread(camera.wait_for_line, "the server has the new token")
            replace(revoked, "jti 1\njti 2\n")
            await deferToThread(camera.wait_for_line, "does not take this token .* waiting for another one")
            replace(path, token(role="camera", jti="3"))
            await deferToThread(camera.wait_for_line, "Camera cam-1 is in room cctv")
            assert camera.stop() == 0
        assert "eyJ" not in camera.output
        assert "Traceback" not in camera.output


@deadline()
async def test_a_token_file_that_has_none_is_a_clear_error(tmp_path: Path) -> None:
    door = Door()
    path = tmp_path / "token"
    async with serving(door) as url:
        for content, problem in ((None, "cannot be read"), (b"", "not hold one"), (b"a b", "not hold one")):
            if content is not None:
                path.write_bytes(content)
            with pytest.raises(InvalidOption, match=problem):
                await ViewerClient(url, token=TokenFile(path)).connect()
        path.write_bytes(b" abc\r\n")
        async with ViewerClient(url, token=TokenFile(path)):
            assert await door.came.get() == "Bearer abc"


def test_a_command_takes_a_token_or_a_file(tmp_path: Path) -> None:
    with command(script("cctvsignal-viewer"), "--token=a", "--token-file=b") as viewer:
        assert viewer.wait() == 1
    assert "Give either a token or a file" in viewer.lines[-1]


@deadline()
async def test_each_camera_of_a_bridge_reads_the_token_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    devices = tuple(DeviceConfig(id=f"cam-{n}", url="http://192.0.2.1") for n in (1, 2))
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        bridge = Bridge(BridgeConfig(device=devices, token_file=str(path)), Reporter(nowhere, "text"))
    door = Door()
    came: DeferredQueue[str | None] = door.came
    async with serving(door) as url:
        for number, camera in enumerate(bridge.cameras):
            camera.client.server = url
            path.write_text(f"token-{number}")
            await camera.client.register()
            assert await came.get() == f"Bearer token-{number}"
            await camera.client.close()

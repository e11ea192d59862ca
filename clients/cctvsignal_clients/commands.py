"""What the commands do; `cli` has how they are called."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from . import bridge
from .bridge import Result
from .camera import CameraClient
from .connection import CLOSE_NORMAL, CLOSES_OF_STRANGERS
from .encoder import CODECS, EncoderSettings
from .errors import ConnectionFailed, InvalidOption, MediaFailed, NoMedia
from .events import Disconnected
from .recording import check_path
from .redaction import shown
from .reporting import Reporter
from .retry import CLOSE_REPLACED, STAYS_AWAY_AFTER
from .signaling import Token, WebRTCCCTVClient
from .sources import open_source
from .stream import Stream
from .tokens import TokenFile
from .viewer import ViewerClient

T = TypeVar("T")

STATUS_SECONDS: Final = 1.0


async def be_camera(arguments: argparse.Namespace, reporter: Reporter) -> None:
    """Stream a source until cancelled; raises `ClientError`."""
    encoding = EncoderSettings(
        None if arguments.bitrate is None else int(arguments.bitrate * 1000),
        arguments.fps,
        arguments.size,
        arguments.keyframe_interval,
    )
    source = open_source(arguments.source, encoding, arguments.video_track)
    token = token_option(arguments.token, arguments.token_file)
    client = CameraClient(
        arguments.server,
        room=arguments.room,
        token=token,
        ca_file=arguments.ca_file,
        meta={"name": arguments.name} if arguments.name else None,
        camera_id=arguments.id,
        max_viewers=arguments.max_viewers,
        device_key=arguments.device_key,
        encoding=encoding,
        codecs=sorted(CODECS, key=lambda codec: codec.lower() != arguments.codec),
    )

    def joined(room: str) -> None:
        text = f"Camera {client.camera_id} is in room {room}."
        reporter.say("registered", text, camera=client.camera_id, room=room)

    def viewers_changed(viewers: list[str]) -> None:
        reporter.say("viewers", f"Viewers: {len(viewers)}", viewers=len(viewers))

    client.on("roomJoined", joined)
    client.on("viewersChanged", viewers_changed)
    refused = watch_connection(client, reporter, token)
    try:
        await client.start_streaming(source)
        await client.register()
        async with following(token, client):
            await _show_camera(client, reporter, refused)
    finally:
        await client.close()


async def _show_camera(client: CameraClient, reporter: Reporter, refused: asyncio.Future[None]) -> None:
    while not await _done(refused):
        stats, cpu = client.stats(), reporter.cpu_percent()
        reporter.status(
            f"{client.camera_id}: {len(client.viewers)} viewers, {'+'.join(stats.codecs) or 'idle'}, "
            f"{stats.frames:.1f} fps, {stats.bitrate / 1e6:.2f} Mbit/s, CPU {cpu:.0f} %"
            f"{'' if client.connected else ', server away'}",
            viewers=len(client.viewers),
            codecs=stats.codecs,
            fps=round(stats.frames, 1),
            bitrate=round(stats.bitrate),
            cpu=round(cpu, 1),
            connected=client.connected,
        )


async def be_viewer(arguments: argparse.Namespace, reporter: Reporter) -> None:
    """List, watch, record or save a picture, until that is done or cancelled; raises `ClientError`."""
    for option in ("snapshot", "record"):
        if getattr(arguments, option) and not arguments.camera:
            raise SystemExit(f"cctvsignal-viewer: --{option} needs a --camera to take it from")
    if arguments.record:
        check_path(Path(arguments.record))
    token = token_option(arguments.token, arguments.token_file)
    client = ViewerClient(arguments.server, room=arguments.room, token=token, ca_file=arguments.ca_file)
    # Before it connects: the server may close the connection in the same breath in which it lets it in.
    refused = watch_connection(client, reporter, token)
    async with client, following(token, client):
        reporter.say("joined", f"In room {client.room}.", room=client.room)
        if not arguments.camera:
            await _list(client, reporter, refused)
        camera_id = arguments.camera
        reporter.say("waiting", f"Waiting for camera {camera_id} ...", camera=camera_id)
        stream = await _unless_refused(_request(client, camera_id, arguments.timeout), refused)
        if arguments.snapshot:
            await _snapshot(stream, arguments.snapshot, arguments.timeout)
            reporter.say("saved", f"Saved {arguments.snapshot}.", file=arguments.snapshot)
            return
        client.on("streamLost", lambda lost: _say_lost(lost, reporter))
        client.on("streamReceived", lambda _: reporter.say("back", f"Camera {camera_id} is back."))
        if arguments.record:
            await _record(stream, arguments.record, reporter, refused)
        else:
            reporter.say("watching", f"Watching {camera_id}.", camera=camera_id)
            await _watch(stream, reporter, refused)


async def _request(client: ViewerClient, camera_id: str, timeout: float) -> Stream:
    await client.wait_for_camera(camera_id, timeout)
    return await client.request_stream(camera_id, timeout)


async def _unless_refused(work: Coroutine[Any, Any, T], refused: asyncio.Future[None]) -> T:
    """The result of some work, given up when the server wants to see no more of this client."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, refused), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            refused.result()
        return task.result()
    finally:
        task.cancel()


async def _list(client: ViewerClient, reporter: Reporter, refused: asyncio.Future[None]) -> None:
    def there(camera_id: str) -> None:
        reporter.say("cameraAvailable", f"+ {camera_id}", camera=camera_id)

    def gone(camera_id: str) -> None:
        reporter.say("cameraUnavailable", f"- {camera_id}", camera=camera_id)

    for camera_id in client.cameras:
        there(camera_id)
    client.on("cameraAvailable", lambda camera: there(camera.camera_id))
    client.on("cameraUnavailable", lambda camera: gone(camera.camera_id))
    await refused


def _say_lost(stream: Stream, reporter: Reporter) -> None:
    loss = stream.loss or MediaFailed("The stream is over.")
    text = f"Camera {stream.camera_id} is lost; asking it again. {loss}"
    reporter.say("lost", text, camera=stream.camera_id, reason=loss.reason)


async def _record(stream: Stream, path: str, reporter: Reporter, refused: asyncio.Future[None]) -> None:
    recording = asyncio.ensure_future(_to_end(stream.record(path)))
    reporter.say(
        "recording", f"Recording {stream.camera_id} to {path}.", camera=stream.camera_id, file=path
    )
    status = asyncio.ensure_future(_show_status(stream, reporter, refused))
    try:
        await asyncio.wait((recording, status), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (recording, status):
            task.cancel()
        await asyncio.gather(recording, status, return_exceptions=True)
        if recording.cancelled() and Path(path).exists():
            reporter.say("saved", f"Saved {path}.", file=path)
    for task in (recording, status):
        if not task.cancelled():
            task.result()


async def _to_end(result: Result[None]) -> None:
    await result


async def _snapshot(stream: Stream, path: str, timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            await stream.snapshot(path)
    except TimeoutError:
        raise stream.loss or NoMedia(
            f"Camera {stream.camera_id} is connected, but sent no picture within {timeout:g} s."
        ) from None


async def _watch(stream: Stream, reporter: Reporter, refused: asyncio.Future[None]) -> None:
    # Decoded, so that the status says what somebody would see.
    tasks = [
        asyncio.ensure_future(work) for work in (_drain(stream), _show_status(stream, reporter, refused))
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def _drain(stream: Stream) -> None:
    async for _ in stream.frames():
        pass
    raise stream.loss or MediaFailed(f"The stream of camera {stream.camera_id!r} is over.")


async def _show_status(stream: Stream, reporter: Reporter, refused: asyncio.Future[None]) -> None:
    while not await _done(refused):
        stats = await stream.stats()
        cpu = reporter.cpu_percent()
        reporter.status(
            f"{stream.camera_id}: {stats.codec or 'no media'} {stats.width}x{stats.height}, "
            f"{stats.frames_per_second:.1f} fps, {stats.bitrate / 1e6:.2f} Mbit/s, "
            f"lost {stats.packets_lost}, {stats.path}, CPU {cpu:.0f} %",
            camera=stream.camera_id,
            codec=stats.codec,
            width=stats.width,
            height=stats.height,
            fps=round(stats.frames_per_second, 1),
            bitrate=round(stats.bitrate),
            packetsLost=stats.packets_lost,
            path=stats.path,
            cpu=round(cpu, 1),
        )


async def _done(refused: asyncio.Future[None]) -> bool:
    """Wait for the time of a status; raises when the server wants to see no more of this client."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(refused), STATUS_SECONDS)
    return refused.done()


def token_option(token: str | None, token_file: str | None) -> Token | None:
    """What these two options say. Raises `InvalidOption` where both are given."""
    if token_file is None:
        return token
    if token is not None:
        raise InvalidOption("Give either a token or a file that has one, and not both.")
    return TokenFile(token_file)


@contextlib.asynccontextmanager
async def following(token: Token | None, client: WebRTCCCTVClient) -> AsyncIterator[None]:
    """Bring new tokens to the server, where they come from a file."""
    task = bridge.background(token.follow(client)) if isinstance(token, TokenFile) else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


def watch_connection(
    client: WebRTCCCTVClient, reporter: Reporter, token: Token | None = None
) -> asyncio.Future[None]:
    """Say what becomes of the connection; the future fails when the client does not come back by itself.

    Where its `token` comes from a file, it comes back with the next one in there.
    """
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def disconnected(event: Disconnected) -> None:
        text, why = "", event.reason or f"close code {event.code}"
        if event.code == CLOSE_REPLACED:
            text = "Another camera has taken this id; trying to come back in a minute."
        elif event.will_reconnect:
            text = "The server is gone; trying to come back."
        elif event.code in CLOSES_OF_STRANGERS and isinstance(token, TokenFile):
            text = f"The server does not take this token ({why}); waiting for another one in {token.path}."
        elif event.code != CLOSE_NORMAL and not refused.done():
            gone = f"{shown(client.server)} closed the connection for good ({why})."
            problem = (
                gone if event.code in STAYS_AWAY_AFTER else f"The connection is lost for good ({why})."
            )
            refused.set_exception(ConnectionFailed(problem, event.code))
            refused.exception()  # A viewer of a stream may not look.
        if text:
            reporter.say("disconnected", text, code=event.code)

    client.on("disconnected", disconnected)
    return refused

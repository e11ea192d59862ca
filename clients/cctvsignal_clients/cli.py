"""The commands `cctvsignal-camera` and `cctvsignal-viewer`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

try:
    from .camera import CameraClient
    from .errors import ClientError, ConnectionFailed, MediaFailed
    from .retry import CLOSE_REPLACED, STAYS_AWAY_AFTER
    from .signaling import DEFAULT_SERVER, Disconnected, WebRTCCCTVClient
    from .sources import open_source
    from .viewer import Stream, ViewerClient
except ModuleNotFoundError as missing:
    library = str(missing.name).partition(".")[0]
    raise SystemExit(
        f"{library} is not installed, which clients need: pip install 'cctvsignal[clients]'"
    ) from None

CAMERA_EXAMPLES = """\
examples:
  cctvsignal-camera                                   a test pattern as camera cam-1 of room cctv
  cctvsignal-camera --id porch --source file:a.mp4    a video file, in a loop
  cctvsignal-camera --server wss://example.com        another server
"""
VIEWER_EXAMPLES = """\
examples:
  cctvsignal-viewer                                     list the cameras of room cctv as they come and go
  cctvsignal-viewer --camera cam-1 --snapshot out.png   save one picture
"""


def camera() -> None:
    """The command `cctvsignal-camera`."""
    parser = _parser("Be a camera of a room, for all who want to watch.", CAMERA_EXAMPLES)
    _option(parser, "--id", "CAMERA_ID", "cam-1", "what viewers call this camera")
    _option(parser, "--source", "SOURCE", "test", "where the pictures come from: test, or file:PATH")
    _run(parser, _camera)


def viewer() -> None:
    """The command `cctvsignal-viewer`."""
    parser = _parser("Watch a camera of a room.", VIEWER_EXAMPLES)
    _option(parser, "--camera", "CAMERA_ID", None, "the camera to watch; without one, list the cameras")
    parser.add_argument("--snapshot", metavar="FILE", help="save one picture as .png or .jpg, and end")
    help_text = "seconds to wait for the camera and its picture (default: 30)"
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=30.0, help=help_text)
    _run(parser, _viewer)


async def _camera(arguments: argparse.Namespace) -> None:
    source = open_source(arguments.source)
    client = CameraClient(arguments.server, room=arguments.room, camera_id=arguments.id)

    client.on("roomJoined", lambda room: print(f"Camera {client.camera_id} is in room {room}.", flush=True))
    client.on("viewersChanged", lambda viewers: print(f"Viewers: {len(viewers)}", flush=True))
    refused = _watch_connection(client)
    try:
        await client.start_streaming(source)
        await client.register()
        await refused
    finally:
        await client.close()


async def _viewer(arguments: argparse.Namespace) -> None:
    if arguments.snapshot and not arguments.camera:
        raise SystemExit("cctvsignal-viewer: --snapshot needs a --camera to take it from")
    async with ViewerClient(arguments.server, room=arguments.room) as client:
        print(f"In room {client.room}.", flush=True)
        refused = _watch_connection(client)
        if not arguments.camera:
            for camera_id in client.cameras:
                print(f"+ {camera_id}", flush=True)
            client.on("cameraAvailable", lambda camera: print(f"+ {camera.camera_id}", flush=True))
            client.on("cameraUnavailable", lambda camera: print(f"- {camera.camera_id}", flush=True))
            await refused
        print(f"Waiting for camera {arguments.camera} ...", flush=True)
        await client.wait_for_camera(arguments.camera, arguments.timeout)
        stream = await client.request_stream(arguments.camera, arguments.timeout)
        if arguments.snapshot:
            await _snapshot(stream, arguments.snapshot, arguments.timeout)
            print(f"Saved {arguments.snapshot}.", flush=True)
            return
        frames = 0
        async for frame in stream.frames():
            if frames == 0:
                print(f"Watching {arguments.camera}: {frame.width}x{frame.height}.", flush=True)
            frames += 1
        print(f"Camera {arguments.camera} ended after {frames} pictures.", flush=True)


async def _snapshot(stream: Stream, path: str, timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            await stream.snapshot(path)
    except TimeoutError:
        raise MediaFailed(f"Camera {stream.camera_id} sent no picture within {timeout:g} s.") from None


def _watch_connection(client: WebRTCCCTVClient) -> asyncio.Future[None]:
    """Say what becomes of the connection; the future fails when the server wants to see no more of it."""
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def disconnected(event: Disconnected) -> None:
        if event.code == CLOSE_REPLACED:
            print("Another camera has taken this id; trying to come back in a minute.", flush=True)
        elif event.will_reconnect:
            print("The server is gone; trying to come back.", flush=True)
        elif event.code in STAYS_AWAY_AFTER and not refused.done():
            text = f"{client.server} closed the connection for good (close code {event.code})."
            refused.set_exception(ConnectionFailed(text, event.code))
            refused.exception()  # A viewer of a stream may not look.

    client.on("disconnected", disconnected)
    return refused


def _parser(description: str, examples: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _option(parser, "--server", "SERVER_URL", DEFAULT_SERVER, "the signaling server")
    _option(parser, "--room", "ROOM_NAME", "cctv", "the room")
    parser.add_argument("--exit-after", metavar="SECONDS", type=float, help="end after this time")
    return parser


def _option(
    parser: argparse.ArgumentParser, name: str, variable: str, default: str | None, explanation: str
) -> None:
    notes = (
        [f"environment: {variable}"]
        if default is None
        else [f"default: {default}", f"environment: {variable}"]
    )
    parser.add_argument(
        name,
        metavar=name.removeprefix("--").upper(),
        default=os.environ.get(variable) or default,
        help=f"{explanation} ({'; '.join(notes)})",
    )


def _run(
    parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], Coroutine[Any, Any, None]]
) -> None:
    arguments = parser.parse_args()
    try:
        # Twisted needs the selector loop, which is not the default on Windows.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_until_ended(command(arguments), arguments.exit_after))
    except KeyboardInterrupt:
        pass  # Ctrl-C on Windows.
    except (ClientError, ValueError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")


async def _until_ended(work: Coroutine[Any, Any, None], seconds: float | None) -> None:
    """Run until the end, a signal, or so many seconds; cancelling is how it tidies up."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no signal handlers on a loop; Ctrl-C raises KeyboardInterrupt there.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, task.cancel)
    if seconds is not None:
        loop.call_later(seconds, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task

"""The commands `cctvsignal-camera` and `cctvsignal-viewer`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

try:
    from .bridge import Result
    from .camera import CameraClient
    from .encoder import AS_THE_SOURCE, CODECS, EncoderSettings
    from .errors import ClientError, ConnectionFailed, MediaFailed
    from .recording import check_path
    from .reporting import Reporter
    from .retry import CLOSE_REPLACED, STAYS_AWAY_AFTER
    from .signaling import DEFAULT_SERVER, Disconnected, WebRTCCCTVClient
    from .sources import WORDS, open_source
    from .stream import Stream
    from .viewer import ViewerClient
except ModuleNotFoundError as missing:
    library = str(missing.name).partition(".")[0]
    raise SystemExit(
        f"{library} is not installed, which clients need: pip install 'cctvsignal[clients]'"
    ) from None

T = TypeVar("T")

STATUS_SECONDS: Final = 1.0
CAMERA_TEXT: Final = """\
Be a camera of a room, for all who want to watch.

However many watch, the picture is encoded once, or not at all if the source is H.264 without B frames.
"""
CAMERA_EXAMPLES: Final = """\
sources:
  test                  a moving test picture with a clock and a counter
  webcam                the first camera of this machine; webcam:1 or webcam:/dev/video1 for another
  file:PATH             a video file, in a loop
  rtsp://user:password@192.168.1.20/stream1
                        a camera on the network (over TCP)
  http://192.168.1.21:81/stream
                        a camera that sends MJPEG
  screen                what is on this screen

examples:
  cctvsignal-camera                                          a test picture as camera cam-1 of room cctv
  cctvsignal-camera --id porch --name 'Front door' --source webcam
                                                             a camera of this machine
  cctvsignal-camera --server wss://example.com --fps 10      another server, ten pictures a second
  CAMERA_ID=porch SERVER_URL=wss://example.com TOKEN=... cctvsignal-camera

Where nothing else is given, H.264 is offered first, then VP8; each viewer takes what it can play. The
bitrate follows the slowest viewer down to a quarter; one that is slower still gets keyframes only.
"""
VIEWER_EXAMPLES: Final = """\
examples:
  cctvsignal-viewer                                     list the cameras of room cctv as they come and go
  cctvsignal-viewer --camera cam-1                      watch how well one arrives
  cctvsignal-viewer --camera cam-1 --snapshot out.png   save one picture
  cctvsignal-viewer --camera cam-1 --record out.mp4     record until Ctrl-C, or --exit-after
"""


def camera() -> None:
    """The command `cctvsignal-camera`."""
    parser = _parser(CAMERA_TEXT, CAMERA_EXAMPLES)
    _option(parser, "--id", "CAMERA_ID", "cam-1", "what viewers call this camera")
    _option(parser, "--name", "CAMERA_NAME", None, "what people call it, such as 'Front door'")
    _option(parser, "--source", "SOURCE", "test", f"where the pictures come from: {WORDS}")
    preferred = CODECS[0].lower()
    parser.add_argument(
        "--codec",
        choices=[codec.lower() for codec in CODECS],
        default=preferred,
        help=f"what to offer first (default: {preferred})",
    )
    parser.add_argument(
        "--bitrate", metavar="KBIT", type=_positive, help="kbit/s at most (default: by size and rate)"
    )
    parser.add_argument("--fps", metavar="RATE", type=_positive, help="pictures a second (default: all)")
    parser.add_argument("--size", metavar="WxH", type=_size, help="such as 640x480 (default: the source's)")
    parser.add_argument(
        "--keyframe-interval",
        metavar="SECONDS",
        type=_positive,
        default=AS_THE_SOURCE.keyframe_interval,
        help="seconds between keyframes nobody asked for (default: %(default)g)",
    )
    parser.add_argument(
        "--max-viewers", metavar="N", type=int, help="how many may watch (default: any number)"
    )
    _run(parser, _camera)


def viewer() -> None:
    """The command `cctvsignal-viewer`."""
    parser = _parser("Watch a camera of a room.", VIEWER_EXAMPLES)
    _option(parser, "--camera", "CAMERA_ID", None, "the camera to watch; without one, list the cameras")
    parser.add_argument("--snapshot", metavar="FILE", help="save one picture as .png or .jpg, and end")
    parser.add_argument("--record", metavar="FILE", help="record to .mp4, .mkv or .webm, without encoding")
    help_text = "seconds to wait for the camera and its picture (default: 30)"
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=30.0, help=help_text)
    _run(parser, _viewer)


async def _camera(arguments: argparse.Namespace, reporter: Reporter) -> None:
    encoding = EncoderSettings(
        None if arguments.bitrate is None else int(arguments.bitrate * 1000),
        arguments.fps,
        arguments.size,
        arguments.keyframe_interval,
    )
    source = open_source(arguments.source, encoding)
    client = CameraClient(
        arguments.server,
        room=arguments.room,
        token=arguments.token,
        ca_file=arguments.ca_file,
        meta={"name": arguments.name} if arguments.name else None,
        camera_id=arguments.id,
        max_viewers=arguments.max_viewers,
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
    refused = _watch_connection(client, reporter)
    try:
        await client.start_streaming(source)
        await client.register()
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
    finally:
        await client.close()


async def _viewer(arguments: argparse.Namespace, reporter: Reporter) -> None:
    for option in ("snapshot", "record"):
        if getattr(arguments, option) and not arguments.camera:
            raise SystemExit(f"cctvsignal-viewer: --{option} needs a --camera to take it from")
    if arguments.record:
        check_path(Path(arguments.record))
    client = ViewerClient(
        arguments.server, room=arguments.room, token=arguments.token, ca_file=arguments.ca_file
    )
    async with client:
        reporter.say("joined", f"In room {client.room}.", room=client.room)
        refused = _watch_connection(client, reporter)
        if not arguments.camera:
            await _list(client, reporter, refused)
        camera_id = arguments.camera
        reporter.say("waiting", f"Waiting for camera {camera_id} ...", camera=camera_id)
        stream = await _unless_refused(_request(client, camera_id, arguments.timeout), refused)
        if arguments.snapshot:
            await _snapshot(stream, arguments.snapshot, arguments.timeout)
            reporter.say("saved", f"Saved {arguments.snapshot}.", file=arguments.snapshot)
            return
        client.on(
            "streamLost", lambda _: reporter.say("lost", f"Camera {camera_id} is gone; waiting for it.")
        )
        client.on("streamReceived", lambda _: reporter.say("back", f"Camera {camera_id} is back."))
        if arguments.record:
            await _record(stream, arguments.record, reporter, refused)
        else:
            reporter.say("watching", f"Watching {camera_id}.", camera=camera_id)
            # Decoded, so that the status says what somebody would see.
            draining = asyncio.ensure_future(_drain(stream))
            try:
                await _show_status(stream, reporter, refused)
            finally:
                draining.cancel()


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
        raise MediaFailed(f"Camera {stream.camera_id} sent no picture within {timeout:g} s.") from None


async def _drain(stream: Stream) -> None:
    async for _ in stream.frames():
        pass


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


def _watch_connection(client: WebRTCCCTVClient, reporter: Reporter) -> asyncio.Future[None]:
    """Say what becomes of the connection; the future fails when the server wants to see no more of it."""
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def disconnected(event: Disconnected) -> None:
        text = ""
        if event.code == CLOSE_REPLACED:
            text = "Another camera has taken this id; trying to come back in a minute."
        elif event.will_reconnect:
            text = "The server is gone; trying to come back."
        elif event.code in STAYS_AWAY_AFTER and not refused.done():
            problem = f"{client.server} closed the connection for good (close code {event.code})."
            refused.set_exception(ConnectionFailed(problem, event.code))
            refused.exception()  # A viewer of a stream may not look.
        if text:
            reporter.say("disconnected", text, code=event.code)

    client.on("disconnected", disconnected)
    return refused


def _parser(description: str, examples: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _option(parser, "--server", "SERVER_URL", DEFAULT_SERVER, "the signaling server")
    _option(parser, "--room", "ROOM_NAME", "cctv", "the room")
    _option(parser, "--token", "TOKEN", None, "what the server lets this client in for, if it wants that")
    _option(parser, "--ca-file", "CA_FILE", None, "certificates (PEM) to trust instead of the system's")
    help_text = "text for people, or json: one object a line (default: text)"
    parser.add_argument("--log-format", choices=["text", "json"], default="text", help=help_text)
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
        metavar=name.removeprefix("--").upper().replace("-", "_"),
        default=os.environ.get(variable) or default,
        help=f"{explanation} ({'; '.join(notes)})",
    )


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it as 640x480")
    return int(match[1]), int(match[2])


def _run(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace, Reporter], Coroutine[Any, Any, None]],
) -> None:
    arguments = parser.parse_args()
    reporter = Reporter(sys.stdout, arguments.log_format)
    reporter.take_logs()
    try:
        # Twisted needs the selector loop, which is not the default on Windows.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_until_ended(command(arguments, reporter), arguments.exit_after))
    except KeyboardInterrupt:
        pass  # Ctrl-C on Windows.
    except (ClientError, ValueError, OSError) as error:
        reporter.close()
        if arguments.log_format == "json":
            reporter.say("failed", str(error), error=type(error).__name__)
            sys.exit(1)
        sys.exit(f"{parser.prog}: {error}")
    reporter.close()


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

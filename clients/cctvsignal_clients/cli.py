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
from typing import Any, Final, NoReturn

try:
    from .commands import be_camera, be_viewer
    from .encoder import AS_THE_SOURCE, CODECS
    from .errors import ClientError
    from .redaction import conceal
    from .reporting import Reporter
    from .signaling import DEFAULT_SERVER
    from .sources import WORDS
except ModuleNotFoundError as missing:
    library = str(missing.name).partition(".")[0]
    raise SystemExit(
        f"{library} is not installed, which clients need: pip install 'cctvsignal[clients]'"
    ) from None

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
    parser = command_parser(CAMERA_TEXT, CAMERA_EXAMPLES)
    add_option(parser, "--id", "CAMERA_ID", "cam-1", "what viewers call this camera")
    add_option(parser, "--name", "CAMERA_NAME", None, "what people call it, such as 'Front door'")
    add_option(parser, "--source", "SOURCE", "test", f"where the pictures come from: {WORDS}")
    parser.add_argument(
        "--video-track",
        metavar="N",
        type=int,
        help="which video track of the source, from 0 (default: H.264 before others, then the largest)",
    )
    preferred = CODECS[0].lower()
    parser.add_argument(
        "--codec",
        choices=[codec.lower() for codec in CODECS],
        default=preferred,
        help=f"what to offer first (default: {preferred})",
    )
    parser.add_argument(
        "--bitrate", metavar="KBIT", type=positive, help="kbit/s at most (default: by size and rate)"
    )
    parser.add_argument("--fps", metavar="RATE", type=positive, help="pictures a second (default: all)")
    parser.add_argument("--size", metavar="WxH", type=_size, help="such as 640x480 (default: the source's)")
    parser.add_argument(
        "--keyframe-interval",
        metavar="SECONDS",
        type=positive,
        default=AS_THE_SOURCE.keyframe_interval,
        help="seconds between keyframes nobody asked for (default: %(default)g)",
    )
    parser.add_argument(
        "--max-viewers", metavar="N", type=int, help="how many may watch (default: any number)"
    )
    text = "a random text that keeps its id for this camera, once the server has seen it"
    add_option(parser, "--device-key", "DEVICE_KEY", None, text)
    run(parser, be_camera)


def viewer() -> None:
    """The command `cctvsignal-viewer`."""
    parser = command_parser("Watch a camera of a room.", VIEWER_EXAMPLES)
    add_option(parser, "--camera", "CAMERA_ID", None, "the camera to watch; without one, list the cameras")
    parser.add_argument("--snapshot", metavar="FILE", help="save one picture as .png or .jpg, and end")
    parser.add_argument("--record", metavar="FILE", help="record to .mp4, .mkv or .webm, without encoding")
    help_text = "seconds to wait for the camera and its picture (default: 30)"
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=30.0, help=help_text)
    run(parser, be_viewer)


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors repeat no credentials of what was written in the wrong place."""

    def error(self, message: str) -> NoReturn:
        words = sys.argv[1:]
        super().error(
            conceal(message, [word.partition("=")[2] if word.startswith("--") else word for word in words])
        )


def command_parser(description: str, examples: str) -> argparse.ArgumentParser:
    """A parser with the options that all commands have."""
    parser = CommandParser(
        description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_option(parser, "--server", "SERVER_URL", DEFAULT_SERVER, "the signaling server")
    add_option(parser, "--room", "ROOM_NAME", "cctv", "the room")
    add_option(parser, "--token", "TOKEN", None, "what the server lets this client in for, if it wants one")
    text = "a file with the token, which is read again when it changes and before each connection"
    add_option(parser, "--token-file", "TOKEN_FILE", None, text)
    add_option(parser, "--ca-file", "CA_FILE", None, "certificates (PEM) to trust instead of the system's")
    help_text = "text for people, or json: one object a line (default: text)"
    parser.add_argument("--log-format", choices=["text", "json"], default="text", help=help_text)
    parser.add_argument("--exit-after", metavar="SECONDS", type=float, help="end after this time")
    return parser


def add_option(
    parser: argparse.ArgumentParser, name: str, variable: str, default: str | None, explanation: str
) -> None:
    """An option that the environment may give, too."""
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


def positive(text: str) -> float:
    """A number above 0, for `type`."""
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


def run(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace, Reporter], Coroutine[Any, Any, None]],
) -> None:
    """Run a command until it ends or is ended; what it raises of `ClientError` is told to people."""
    arguments = parser.parse_args()
    urls = [each for each in vars(arguments).values() if isinstance(each, str) and "://" in each]
    reporter = Reporter(sys.stdout, arguments.log_format, urls)
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
        sys.exit(f"{parser.prog}: {conceal(str(error), urls)}")
    reporter.close()


async def _until_ended(work: Coroutine[Any, Any, None], seconds: float | None) -> None:
    """Run until the end, a signal, or so many seconds; cancelling is how it tidies up."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def end() -> None:
        # Once: whoever signals a whole group of processes signals some twice, and a recording is completed
        # meanwhile.
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no signal handlers on a loop; Ctrl-C raises KeyboardInterrupt there.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, end)
    if seconds is not None:
        loop.call_later(seconds, end)
    with contextlib.suppress(asyncio.CancelledError):
        await task

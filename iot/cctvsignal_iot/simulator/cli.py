"""The command `cctvsignal-esp32-sim`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from twisted.internet.error import CannotListenError

from .device import SimulatedDevice
from .faults import FAULTS, Scheduled, parse_command, parse_fault
from .firmware import VARIANTS
from .sensor import SIZES

TEXT: Final = """\
Be an ESP32-CAM: the same pages and the same stream, byte for byte, one viewer at a time.
"""


def main() -> None:
    """The command `cctvsignal-esp32-sim`."""
    parser = _parser()
    arguments = parser.parse_args()
    try:
        # Twisted needs the selector loop, which is not the default on Windows.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_run(arguments))
    except (CannotListenError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        pass  # Ctrl-C on Windows.


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, FAULTS))
    faults = "\n".join(f"  {name:{width}}  {text}" for name, text in FAULTS.items())
    epilog = f"""\
faults:
{faults}

When: NAME@START, NAME:SECONDS@START, or NAME@START+INTERVAL to come again, in seconds since the start.
Lines on the standard input do the same at once: NAME or NAME SECONDS.

examples:
  cctvsignal-esp32-sim                                 on ports 8180 and 8181
  cctvsignal-esp32-sim --frame-size VGA --fps 15
  cctvsignal-esp32-sim --fault stall@30 --fault reboot:8@60 --fault truncated@10+5
  cctvsignal-esp32 --device http://127.0.0.1:8180 --stream-port 8181 --id porch     its bridge
"""
    parser = argparse.ArgumentParser(
        prog="cctvsignal-esp32-sim",
        description=TEXT,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("--variant", choices=list(VARIANTS), default="camera-web-server", help="which firmware")
    option("--host", metavar="ADDRESS", default="127.0.0.1", help="where to listen (default: %(default)s)")
    option("--port", metavar="N", type=int, default=8180, help="of the pages (default: %(default)s)")
    option(
        "--stream-port", metavar="N", type=int, default=8181, help="of the stream (default: %(default)s)"
    )
    option("--frame-size", metavar="SIZE", default="QVGA", help=f"{', '.join(SIZES)} (default: QVGA)")
    option("--fps", metavar="RATE", type=_rate, help="fewer pictures a second than the sensor has")
    option("--old-indices", action="store_true", help="framesize counts as before esp32-camera 2.0.14")
    option("--no-psram", action="store_true", help="one buffer, up to SVGA")
    option("--username", metavar="NAME", help="ask for a user name and a password")
    option("--password", metavar="TEXT", help="(default: empty)")
    option("--secret", metavar="TEXT", help="ask for it in the header X-Camera-Secret")
    option(
        "--fault", metavar="WHEN", type=_fault, action="append", default=[], help="see below; repeatable"
    )
    return parser


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise ValueError
    return rate


def _fault(text: str) -> Scheduled:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


async def _run(arguments: argparse.Namespace) -> None:
    device = SimulatedDevice(
        arguments.variant,
        host=arguments.host,
        port=arguments.port,
        stream_port=arguments.stream_port,
        fps=arguments.fps,
        frame_size=arguments.frame_size.upper(),
        newer_indices=not arguments.old_indices,
        psram=not arguments.no_psram,
        username=arguments.username,
        password=arguments.password,
        secret=arguments.secret,
    )
    await device.start()
    _say("started", variant=device.variant.name, url=device.url, stream=device.stream_url)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no signal handlers on a loop; Ctrl-C raises KeyboardInterrupt there.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, ended.set)
    for fault in arguments.fault:
        loop.call_later(fault.start, _repeat, device, fault)
    with contextlib.suppress(NotImplementedError, OSError):
        _listen_to_commands(loop, partial(_obey, device))
    await ended.wait()
    await device.stop()


def _repeat(device: SimulatedDevice, fault: Scheduled) -> None:
    device.fault(fault.name, fault.seconds)
    _say("fault", name=fault.name)
    if fault.every is not None:
        asyncio.get_running_loop().call_later(fault.every, _repeat, device, fault)


def _listen_to_commands(loop: asyncio.AbstractEventLoop, obey: Callable[[str], None]) -> None:
    received = ""

    def read() -> None:
        nonlocal received
        # Not by lines: what Python had read ahead would wake nobody.
        data = os.read(sys.stdin.fileno(), 4096)
        if not data:
            loop.remove_reader(sys.stdin)
        *lines, received = (received + data.decode(errors="replace")).split("\n")
        for line in filter(str.strip, lines):
            obey(line)

    loop.add_reader(sys.stdin, read)


def _obey(device: SimulatedDevice, line: str) -> None:
    try:
        name, seconds = parse_command(line)
        device.fault(name, seconds)
    except ValueError as error:
        _say("refused", message=str(error))
    else:
        _say("fault", name=name)


def _say(event: str, **fields: object) -> None:
    """One JSON object a line: for people few enough to read, for tests to wait for."""
    print(json.dumps({"event": event, **fields}), flush=True)

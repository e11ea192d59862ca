"""The other side of the ESP32 suite: devices and viewers, in a process of its own that does one job.

The devices are here so that it is known when each of their pictures was taken.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from av import VideoFrame
from cctvsignal_clients import Stream, ViewerClient
from cctvsignal_clients.pictures import JpegDecoder
from cctvsignal_clients.sources.pattern import read_counter
from cctvsignal_iot.mjpeg import MjpegParser
from cctvsignal_iot.simulator import SimulatedDevice
from cctvsignal_iot.simulator.firmware import VARIANTS
from cctvsignal_iot.simulator.picture import Lens
from cctvsignal_iot.simulator.sensor import SIZES, Sensor
from python_multipart.multipart import MultipartParser

from tests import processes

from . import servers
from .machine import cpu_seconds, open_files, resident_bytes

ROOM: Final = "benchmark"
RATE: Final = 15
BOUNDARY: Final = "123456789000000000000987654321"
START_SECONDS: Final = 30.0
PIECES: Final = {"5.7 kB, as they come from lwIP": 5744, "64 KiB": 65536}

Seen = tuple[float, float]
"""When a picture was there, and how long after it was taken, in seconds."""


def parse(job: Mapping[str, Any]) -> dict[str, Any]:
    """How many bytes a second of its processor time each parser takes; all find the same pictures."""
    found = []
    settings = Sensor(VARIANTS["camera-web-server"], "VGA", True, True).settings
    for name in ("VGA", "UXGA"):
        jpeg = Lens(1).jpeg(1, datetime.now(), SIZES[name], settings)
        many = job["bytes"] // len(jpeg)
        bodies = {length: _part(jpeg, length) * many for length in (True, False)}
        for label, size in PIECES.items():
            rates = {
                "announced": _rate(job["tries"], bodies[True], size, many, _feed),
                "scanned": _rate(job["tries"], bodies[False], size, many, _feed),
                "other": _rate(job["tries"], bodies[True], size, many, _feed_other),
            }
            found.append({"jpeg": name, "jpegBytes": len(jpeg), "pieces": label, **rates})
    return {"parsers": found}


def _part(jpeg: bytes, with_length: bool) -> bytes:
    length = b"Content-Length: %d\r\n" % len(jpeg) if with_length else b""
    stamp = b"X-Timestamp: 1.000002\r\n\r\n"
    return b"\r\n--%s\r\nContent-Type: image/jpeg\r\n%s%s%s" % (BOUNDARY.encode(), length, stamp, jpeg)


def _rate(
    tries: int, body: bytes, size: int, many: int, feed: Callable[[list[bytes]], list[bytes]]
) -> float:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    pieces.append(b"\r\n--" + BOUNDARY.encode() + b"\r\n")
    best = float("inf")
    for _ in range(tries):
        begin = time.thread_time()
        pictures = feed(pieces)
        best = min(best, time.thread_time() - begin)
        assert len(pictures) == many
        assert len(set(pictures)) == 1
        assert body.endswith(pictures[0])
    return len(body) / best


def _feed(pieces: list[bytes]) -> list[bytes]:
    parser = MjpegParser(BOUNDARY)
    return [picture for piece in pieces for picture in parser.feed(piece)]


def _feed_other(pieces: list[bytes]) -> list[bytes]:
    pictures: list[bytes] = []
    part: list[bytes] = []

    def end() -> None:
        pictures.append(b"".join(part))
        part.clear()

    def add(data: bytes, begin: int, stop: int) -> None:
        part.append(data[begin:stop])

    parser = MultipartParser(BOUNDARY.encode(), {"on_part_data": add, "on_part_end": end})
    parser.write(pieces[0].removeprefix(b"\r\n"))
    for piece in pieces[1:]:
        parser.write(piece)
    return pictures


class Glass:
    """A simulated device, and when it took which picture."""

    def __init__(self) -> None:
        self.device = SimulatedDevice(fps=RATE, frame_size="VGA")
        self.taken: dict[int, float] = {}
        lens = self.device.camera._lens
        take = lens.jpeg

        def noting(
            counter: int, now: datetime, size: tuple[int, int], settings: Mapping[str, int]
        ) -> bytes:
            self.taken[counter] = now.timestamp()
            return take(counter, now, size, settings)

        lens.jpeg = noting  # type: ignore[method-assign]

    async def watch(self, stream: Stream, as_jpeg: bool, seen: list[Seen]) -> None:
        """Note how late each picture of a stream is."""
        async for frame in _frames(stream, as_jpeg):
            now = time.time()
            taken = self.taken.get(read_counter(frame))
            if taken is not None:  # Else it says that there is no signal.
                seen.append((now, now - taken))


async def _frames(stream: Stream, as_jpeg: bool) -> AsyncIterator[VideoFrame]:
    if not as_jpeg:
        async for frame in stream.frames():
            yield frame
        return
    decoder = JpegDecoder()
    async for jpeg in stream.pictures():
        decoded = decoder.decode(jpeg)
        if decoded is not None:
            yield decoded


@contextmanager
def _bridge(server: str, devices: list[SimulatedDevice], core: int | None) -> Iterator[int]:
    """The command for these devices, which are `cam-0`, `cam-1` ...; its process."""
    lines = [f'server = "{server}"', f'room = "{ROOM}"']
    for number, device in enumerate(devices):
        lines += ["[[device]]", f'id = "cam-{number}"', f'url = "{device.url}"']
        lines += [f"stream-port = {device.stream_port}"]
    with ExitStack() as stack:
        path = Path(stack.enter_context(TemporaryDirectory())) / "devices.toml"
        path.write_text("\n".join(lines))
        arguments = [processes.script("cctvsignal-esp32"), "--config", str(path), "--log-format", "json"]
        with servers.on_core(core):
            process = stack.enter_context(processes.command(*arguments))
        for _ in devices:
            process.wait_for_line('"registered"')
        yield process.process.pid


@asynccontextmanager
async def _watched(job: Mapping[str, Any], kinds: list[str]) -> AsyncIterator[tuple[int, list[Seen]]]:
    """A device for each kind of viewer ("video", "jpeg", "none"); the bridge's process, what is seen."""
    seen: list[Seen] = []
    async with AsyncExitStack() as stack:
        glasses = [Glass() for _ in kinds]
        for glass in glasses:
            await glass.device.start()
            stack.push_async_callback(glass.device.stop)
        url = stack.enter_context(processes.server()).websocket_url
        # This waits for a line without serving the devices, which nobody asks for anything yet.
        devices = [glass.device for glass in glasses]
        pid = stack.enter_context(_bridge(url, devices, job["bridge_core"]))
        for number, (glass, kind) in enumerate(zip(glasses, kinds, strict=True)):
            if kind == "none":
                continue
            viewer = await stack.enter_async_context(ViewerClient(url, room=ROOM))
            stream = await viewer.request_stream(f"cam-{number}", as_jpeg=kind == "jpeg")
            watching = asyncio.ensure_future(glass.watch(stream, kind == "jpeg", seen))
            stack.push_async_callback(_end, watching)
        if set(kinds) != {"none"}:
            async with asyncio.timeout(START_SECONDS):
                while not seen:
                    await asyncio.sleep(0.05)
        yield pid, seen


async def _end(task: asyncio.Future[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def watch(job: Mapping[str, Any]) -> dict[str, Any]:
    """What the bridge costs with a viewer of one kind at each device, and how late pictures are."""
    async with _watched(job, [job["kind"]] * job["devices"]) as (pid, seen):
        await asyncio.sleep(job["warm_seconds"])
        seen.clear()
        begin, own, cpu = time.monotonic(), cpu_seconds(os.getpid()), cpu_seconds(pid)
        await asyncio.sleep(job["seconds"])
        seconds = time.monotonic() - begin
        own_after, cpu_after = cpu_seconds(os.getpid()), cpu_seconds(pid)
        assert None not in (own, cpu, own_after, cpu_after)
        return {
            "seconds": seconds,
            "bridgeCpuSeconds": cpu_after - cpu,  # type: ignore[operator]
            "ownCpuSeconds": own_after - own,  # type: ignore[operator]
            "latencies": [late for _, late in seen],
        }


async def soak(job: Mapping[str, Any]) -> dict[str, Any]:
    """The same for long, with a viewer of each kind; a sample every so many seconds."""
    samples = []
    async with _watched(job, ["video", "jpeg"]) as (pid, seen):
        await asyncio.sleep(job["warm_seconds"])
        for _ in range(job["samples"]):
            seen.clear()
            await asyncio.sleep(job["seconds"])
            late = sorted(late for _, late in seen)
            samples.append(
                {
                    "pictures": len(late),
                    "p50": late[len(late) // 2],
                    "p95": late[len(late) * 95 // 100],
                    "bytes": resident_bytes(pid),
                    "files": open_files(pid),
                }
            )
    return {"samples": samples}


def main() -> None:
    """Read a job, do it, print what came of it."""
    job = json.load(sys.stdin)
    if job["core"] is not None:
        os.sched_setaffinity(0, {job["core"]})
    if "parse" in job:
        found = parse(job["parse"])
    else:
        kind = "watch" if "watch" in job else "soak"
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            found = runner.run({"watch": watch, "soak": soak}[kind](job[kind]))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

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
from cctvsignal_clients.mjpeg import MjpegParser
from cctvsignal_clients.pictures import JpegDecoder
from cctvsignal_clients.sources.pattern import read_counter
from cctvsignal_iot.simulator import SimulatedDevice
from cctvsignal_iot.simulator.firmware import VARIANTS
from cctvsignal_iot.simulator.picture import Lens
from cctvsignal_iot.simulator.sensor import SIZES, Sensor
from python_multipart.multipart import MultipartParser

from tests import processes
from tests.simulators import devices_file

from . import servers
from .machine import cpu_seconds, open_files, resident_bytes

ROOM: Final = "benchmark"
RATE: Final = 15
BOUNDARY: Final = "123456789000000000000987654321"
START_SECONDS: Final = 30.0
PIECES: Final = {"5.7 kB, as they come from lwIP": 5744, "64 KiB": 65536}

PICTURES: Final = 8
"""Different ones in the parsers' stream, which come again and again."""

Seen = list[float]
"""How long after it was taken each picture of one viewer was there, in seconds."""


def parse(job: Mapping[str, Any]) -> dict[str, Any]:
    """How many bytes a second of its processor time each parser takes; all find the same pictures."""
    found = []
    settings = Sensor(VARIANTS["camera-web-server"], "VGA", True, True).settings
    for name in ("VGA", "UXGA"):
        lens = Lens(1)
        taken = [lens.jpeg(count, datetime.now(), SIZES[name], settings) for count in range(PICTURES)]
        length = sum(map(len, taken)) // PICTURES
        jpegs = taken * (job["bytes"] // (length * PICTURES))
        with_length, without = (b"".join(_part(jpeg, each) for jpeg in jpegs) for each in (True, False))
        parsers = {
            "announced": (_feed, with_length),
            "scanned": (_feed, without),
            "other": (_feed_other, with_length),
        }
        for label, size in PIECES.items():
            rates: dict[str, list[float]] = {parser: [] for parser in parsers}
            for number in range(job["tries"]):
                # In turns, and who is first changes: what else the machine does meets all of them.
                for parser in list(parsers)[:: 1 if number % 2 == 0 else -1]:
                    feed, body = parsers[parser]
                    rates[parser].append(_rate(body, size, jpegs, feed))
            found.append({"jpeg": name, "jpegBytes": length, "pieces": label, **rates})
    return {"parsers": found}


def _part(jpeg: bytes, with_length: bool) -> bytes:
    length = b"Content-Length: %d\r\n" % len(jpeg) if with_length else b""
    stamp = b"X-Timestamp: 1.000002\r\n\r\n"
    return b"\r\n--%s\r\nContent-Type: image/jpeg\r\n%s%s%s" % (BOUNDARY.encode(), length, stamp, jpeg)


def _rate(body: bytes, size: int, jpegs: list[bytes], feed: Callable[[list[bytes]], list[bytes]]) -> float:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    pieces.append(b"\r\n--" + BOUNDARY.encode() + b"\r\n")
    begin = time.thread_time()
    pictures = feed(pieces)
    took = time.thread_time() - begin
    assert pictures == jpegs
    return len(body) / took


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

    async def watch(self, stream: Stream, as_jpeg: bool, seen: Seen) -> None:
        """Note how late each picture of a stream is."""
        async for frame in _frames(stream, as_jpeg):
            now = time.time()
            taken = self.taken.get(read_counter(frame))
            if taken is not None:  # Else it says that there is no signal.
                seen.append(now - taken)


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
    """The command for these devices, which are `cam-1`, `cam-2` ...; its process."""
    ports = [(device.port, device.stream_port) for device in devices]
    with ExitStack() as stack:
        path = devices_file(Path(stack.enter_context(TemporaryDirectory())), server, ROOM, ports)
        arguments = [processes.script("cctvsignal-esp32"), "--config", str(path), "--log-format", "json"]
        with servers.on_core(core):
            process = stack.enter_context(processes.command(*arguments))
        for _ in devices:
            process.wait_for_line('"registered"')
        yield process.process.pid


@asynccontextmanager
async def _watched(job: Mapping[str, Any], kinds: list[str]) -> AsyncIterator[tuple[int, list[Seen]]]:
    """A device for each kind of viewer ("video", "jpeg", "none"); the bridge's process, what each sees."""
    seen: list[Seen] = [[] for _ in kinds]
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
            stream = await viewer.request_stream(f"cam-{number + 1}", as_jpeg=kind == "jpeg")
            watching = asyncio.ensure_future(glass.watch(stream, kind == "jpeg", seen[number]))
            stack.push_async_callback(_end, watching)
        async with asyncio.timeout(START_SECONDS):
            while not all(each or kind == "none" for each, kind in zip(seen, kinds, strict=True)):
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
        _forget(seen)
        begin, own, cpu = time.monotonic(), cpu_seconds(os.getpid()), cpu_seconds(pid)
        await asyncio.sleep(job["seconds"])
        seconds = time.monotonic() - begin
        own_after, cpu_after = cpu_seconds(os.getpid()), cpu_seconds(pid)
        assert None not in (own, cpu, own_after, cpu_after)
        return {
            "seconds": seconds,
            "bridgeCpuSeconds": cpu_after - cpu,  # type: ignore[operator]
            "ownCpuSeconds": own_after - own,  # type: ignore[operator]
            "latencies": [late for each in seen for late in each],
        }


async def soak(job: Mapping[str, Any]) -> dict[str, Any]:
    """The same for long, with a viewer of each kind; one sample for every period."""
    kinds = ["video", "jpeg"]
    samples = []
    async with _watched(job, kinds) as (pid, seen):
        await asyncio.sleep(job["warm_seconds"])
        for _ in range(job["samples"]):
            _forget(seen)
            begin, cpu = time.monotonic(), cpu_seconds(pid)
            sizes, files = [], []
            for _ in range(round(job["seconds"] / job["look_seconds"])):
                await asyncio.sleep(job["look_seconds"])
                sizes.append(resident_bytes(pid))
                files.append(open_files(pid))
            seconds, cpu_after = time.monotonic() - begin, cpu_seconds(pid)
            assert cpu is not None
            assert cpu_after is not None
            samples.append(
                {
                    "latencies": {kind: list(each) for kind, each in zip(kinds, seen, strict=True)},
                    "seconds": seconds,
                    "bridgeCpuSeconds": cpu_after - cpu,
                    "bytes": sizes,
                    "files": files,
                }
            )
    return {"samples": samples}


def _forget(seen: list[Seen]) -> None:
    for each in seen:
        each.clear()


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

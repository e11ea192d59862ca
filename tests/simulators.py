"""Several simulated devices in one process: python -m tests.simulators COUNT [FPS [SIZE]]

It prints one JSON array of [port, stream port].
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cctvsignal_iot.simulator import SimulatedDevice

from tests.processes import command


async def main(count: str, fps: str = "8", size: str = "QVGA") -> None:
    devices = [SimulatedDevice(fps=float(fps), frame_size=size) for _ in range(int(count))]
    for device in devices:
        await device.start()
    print(json.dumps([[device.port, device.stream_port] for device in devices]), flush=True)
    await asyncio.Event().wait()


@contextmanager
def simulators(count: int, *options: str) -> Iterator[list[tuple[int, int]]]:
    """The ports (pages, stream) of `count` devices, which are a process of their own."""
    with command(sys.executable, "-m", "tests.simulators", str(count), *options) as process:
        ports = json.loads(process.wait_for_line(r"^\[").string)
        yield [(port, stream_port) for port, stream_port in ports]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

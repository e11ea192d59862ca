"""Several simulated devices in one process: python -m tests.simulators COUNT [FPS [SIZE]]

It prints one JSON array of [port, stream port].
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def devices_file(
    folder: Path, server_url: str, room: str, ports: list[tuple[int, int]], **more: object
) -> Path:
    """A configuration of `cctvsignal-esp32` for devices on this machine: `cam-1`, `cam-2` ..."""
    lines = [f'server = "{server_url}"', f'room = "{room}"']
    lines += [f"{name} = {json.dumps(value)}" for name, value in more.items()]
    for number, (port, stream_port) in enumerate(ports, 1):
        lines += ["[[device]]", f'id = "cam-{number}"', f'url = "http://127.0.0.1:{port}"']
        lines += [f"stream-port = {stream_port}"]
    file = folder / "devices.toml"
    file.write_text("\n".join(lines))
    return file


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

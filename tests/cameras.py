"""Many small cameras in one process: python -m tests.cameras SERVER ROOM COUNT [MAX_VIEWERS]

Each is one `CameraClient` with a test pattern of its own, as `cctvsignal-camera` runs one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cctvsignal_clients import CameraClient, EncoderSettings

from tests.processes import Server, command

SETTINGS = EncoderSettings(size=(320, 240), fps=10)


async def main(server: str, room: str, count: str, max_viewers: str = "") -> None:
    for number in range(1, int(count) + 1):
        camera = CameraClient(
            server,
            room=room,
            camera_id=f"cam-{number}",
            max_viewers=int(max_viewers) if max_viewers else None,
            encoding=SETTINGS,
        )
        await camera.start_streaming("test")
        await camera.register()
    print(f"{count} cameras are in room {room}.", flush=True)
    await asyncio.Event().wait()


@contextmanager
def cameras(server: Server, room: str, count: int, max_viewers: int | None = None) -> Iterator[None]:
    """`count` cameras, named cam-1 and so on, in a process of their own."""
    limit = [] if max_viewers is None else [str(max_viewers)]
    arguments = ["-m", "tests.cameras", server.websocket_url, room, str(count), *limit]
    with command(sys.executable, *arguments) as process:
        process.wait_for_line("cameras are in room")
        yield


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

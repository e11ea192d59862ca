"""Record every camera of a room, each into a file: python examples/recorder.py DIRECTORY [ws://server:port]"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from datetime import datetime
from pathlib import Path

from cctvsignal_clients import ClientError, ViewerClient


async def record(viewer: ViewerClient, camera_id: str, directory: Path) -> None:
    path = directory / f"{camera_id} {datetime.now():%Y-%m-%d %H-%M-%S}.mkv"
    try:
        stream = await viewer.request_stream(camera_id)
        print(f"Recording {camera_id} to {path}.", flush=True)
        await stream.record(path)
    except ClientError as error:
        print(f"{camera_id}: {error}", flush=True)


async def main(directory: str, server: str = "ws://localhost:8080") -> None:
    recordings: dict[str, asyncio.Task[None]] = {}
    async with ViewerClient(server, room="cctv") as viewer:

        def begin(camera_id: str) -> None:
            # A camera that comes back is taken up again by the recording that it has.
            if camera_id not in recordings or recordings[camera_id].done():
                recordings[camera_id] = asyncio.create_task(record(viewer, camera_id, Path(directory)))

        viewer.on("cameraAvailable", lambda camera: begin(camera.camera_id))
        for camera_id in viewer.cameras:
            begin(camera_id)
        try:
            await asyncio.Event().wait()  # Until Ctrl-C.
        finally:
            for recording in recordings.values():
                recording.cancel()
            await asyncio.gather(*recordings.values(), return_exceptions=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))

"""Watch a camera for 30 frames, in asyncio: python examples/viewer.py CAMERA [ws://server:port]"""

from __future__ import annotations

import asyncio
import sys

from cctvsignal_clients import ViewerClient


async def main(camera_id: str = "example", server: str = "ws://localhost:8080") -> None:
    async with ViewerClient(server, room="cctv") as viewer:
        stream = await viewer.request_stream(camera_id)
        count = 0
        async for frame in stream.frames():
            count += 1
            if count == 30:
                print(f"30 frames of {frame.width}x{frame.height}", flush=True)
                break


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""A camera with a test pattern, in asyncio: python examples/camera.py [ws://server:port]"""

from __future__ import annotations

import asyncio
import sys

from cctvsignal_clients import CameraClient


async def main(server: str = "ws://localhost:8080") -> None:
    camera = CameraClient(server, room="cctv", camera_id="example", meta={"name": "Example"})
    camera.on("viewerRequest", lambda request: print("Viewer:", request.viewer_id, flush=True))
    await camera.start_streaming("test")
    async with camera:
        print("Camera example is in room cctv.", flush=True)
        await asyncio.Event().wait()  # Until Ctrl-C.


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""Save a picture of a camera, in Twisted: python examples/twisted_viewer.py CAMERA FILE [ws://server:port]"""

from __future__ import annotations

import sys

from twisted.internet import asyncioreactor

asyncioreactor.install()  # Before anything imports the reactor: aiortc needs asyncio.

from cctvsignal_clients import ViewerClient  # noqa: E402
from twisted.internet import task  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402


async def main(camera_id: str, path: str, server: str = "ws://localhost:8080") -> None:
    async with ViewerClient(server, room="cctv") as viewer:
        stream = await viewer.request_stream(camera_id)
        await stream.snapshot(path)
        print(f"Saved {path}.")


if __name__ == "__main__":
    task.react(lambda reactor: Deferred.fromCoroutine(main(*sys.argv[1:])))

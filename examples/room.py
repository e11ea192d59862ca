"""Tell who comes and goes in a room, in asyncio: python examples/room.py ROOM [ws://server:port]"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from cctvsignal_clients import WebRTCCCTVClient


async def main(room: str = "cctv", server: str = "ws://localhost:8080") -> None:
    client = WebRTCCCTVClient(server, room=room)
    client.on("clientJoined", lambda other: print("+", other.device_type, other.client_id, flush=True))
    client.on("clientDisconnected", lambda other: print("-", other.client_id, flush=True))
    client.on("cameraAvailable", lambda camera: print("+ camera", camera.camera_id, flush=True))
    client.on("cameraUnavailable", lambda camera: print("- camera", camera.camera_id, flush=True))
    client.on("disconnected", lambda lost: print(f"Disconnected (close code {lost.code}).", flush=True))
    async with client:
        print(f"In room {client.room}.", flush=True)
        await asyncio.Event().wait()  # Until Ctrl-C.


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))

"""A client that ignores every limit: python -m benchmarks.flooder PORT

It joins a room, sends two thousand messages at once, is sent away, and comes back.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress

from . import frames
from .dialects import dumps

FLOOD = 2000


def flood(port: int, data: bytes) -> None:
    """One connection, until the server has enough of it."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(frames.handshake(port) + data)
        while connection.recv(65536):
            pass


def main() -> None:
    """Flood until ended."""
    port = int(sys.argv[1])
    join = frames.masked(dumps({"type": "join", "room": "flood"}))
    data = join + frames.masked(dumps({"type": "ping", "data": "x" * 100})) * FLOOD
    print("flooding", flush=True)
    while True:
        with suppress(OSError):
            flood(port, data)


if __name__ == "__main__":
    main()

"""The load generator for relays, a process of its own: a job comes as JSON, and its result goes so."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from . import compiled, frames
from .clients import Client, Crowd, LoadError
from .dialects import CCTVSIGNAL, DIALECTS, Place, content_of_size
from .machine import Clock, Usage, raise_file_limit

OPEN_SECONDS: Final = 60.0
"""Longest time for connections to be made, of whatever number."""
WINDOW: Final = 16
"""Connections that are made at the same time."""


@dataclass
class Job:
    """Camera/viewer pairs that send to each other: `rate` messages/s, or if 0 as fast as they arrive."""

    port: int
    pid: int
    message: str
    size: int
    in_flight: int
    pairs: int
    warm_seconds: float
    seconds: float
    rate: float = 0.0
    token: str | None = None
    dialect: str = CCTVSIGNAL


class NativeClient(ctypes.Structure):
    """`struct client` of native/load.c."""

    _fields_ = (
        ("fd", ctypes.c_int32),
        ("peer", ctypes.c_int32),
        ("burst", ctypes.c_char_p),
        ("message_length", ctypes.c_uint32),
        ("arriving_length", ctypes.c_uint32),
    )


class Relay:
    """Brings the clients together, then leaves the measured path to native/load.c."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.dialect = DIALECTS[job.dialect]
        self.crowd = Crowd(job.port, self.dialect, job.token)
        self.library = compiled.library("load")

    def prepare(self) -> None:
        """Bring the pairs together; send one message each way and look at it closely."""
        deadline = time.monotonic() + OPEN_SECONDS
        crowd, kind, pairs = self.crowd, self.job.message, range(self.job.pairs)
        cameras = crowd.open(
            (Place(f"camera-{n:03}", f"bench-{n}", f"cam-{n}") for n in pairs), WINDOW, deadline
        )
        viewers = crowd.open((Place(f"viewer-{n:03}", f"bench-{n}") for n in pairs), WINDOW, deadline)
        for camera, viewer in zip(cameras, viewers, strict=True):
            camera.peer, viewer.peer = viewer, camera
        for client in crowd.clients.values():
            text = self.dialect.relay(kind, client.peer.id, self._content(client))
            if len(text) != self.job.size:
                raise LoadError(f"a message has {len(text)} bytes instead of {self.job.size}")
            frame = frames.masked(text)
            client.burst = frame * self.job.in_flight
            client.write(frame)
        expected = {
            client.fd: self.dialect.relayed(kind, client.peer.id, self._content(client.peer))
            for client in crowd.clients.values()
        }
        crowd.until(
            lambda: all(expected[fd]["type"] in client.seen for fd, client in crowd.clients.items()),
            deadline,
            "a relay",
        )
        for fd, client in crowd.clients.items():
            got = client.seen[expected[fd]["type"]]
            # A server may add fields.
            if {**got, **expected[fd]} != got:
                raise LoadError(f"a message was not relayed as it was sent: {got}")

    def _content(self, sender: Client) -> dict[str, Any]:
        return content_of_size(self.dialect, self.job.message, sender.peer.id, self.job.size)

    def _native(self) -> ctypes.c_void_p:
        clients = list(self.crowd.clients.values())
        numbers = {client.fd: number for number, client in enumerate(clients)}
        array = (NativeClient * len(clients))(
            *(
                NativeClient(
                    client.fd,
                    numbers[client.peer.fd],
                    client.burst,
                    len(client.burst) // self.job.in_flight,
                    client.last_length,
                )
                for client in clients
            )
        )
        return compiled.pointer(self.library.load_new, array, len(clients), self.job.in_flight)

    def _run(self, load: ctypes.c_void_p, seconds: float) -> None:
        length = ctypes.c_double(seconds)
        if self.job.rate:
            compiled.check(self.library.load_pace(load, length, ctypes.c_double(self.job.rate)))
        else:
            compiled.check(self.library.load_saturate(load, length))

    def run(self) -> dict[str, Any]:
        """Warm up, measure, and say what was measured."""
        self.prepare()
        load = self._native()
        p50, p99 = ctypes.c_uint64(), ctypes.c_uint64()
        take = self.library.load_take
        take.restype = ctypes.c_uint64
        self._run(load, self.job.warm_seconds)
        take(load, ctypes.byref(p50), ctypes.byref(p99))
        start = Clock.now(self.job.pid)
        self._run(load, self.job.seconds)
        usage = Usage.since(start, self.job.pid)
        messages = take(load, ctypes.byref(p50), ctypes.byref(p99))
        if messages == 0:
            raise LoadError("nothing was relayed")
        self.crowd.close()
        return {
            "messages": messages,
            "perSecond": messages / usage.seconds,
            "perCpuSecond": usage.per_server_second(messages),
            "p50Ms": p50.value / 1e6,
            "p99Ms": p99.value / 1e6,
            "cpu": asdict(usage),
        }


def main() -> None:
    """Do one job, in the core that was asked for."""
    order = json.load(sys.stdin)
    if order["core"] is not None:
        os.sched_setaffinity(0, {order["core"]})
    raise_file_limit()
    # The process is short; a pause of its own would look like one of the server.
    gc.disable()
    json.dump(Relay(Job(**order["relay"])).run(), sys.stdout)


if __name__ == "__main__":
    main()

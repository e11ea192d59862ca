"""Many clients of one server, a process of its own: orders come as lines of JSON, and results go so.

The first line says who the server is, and has no answer. The clients do what they do in native/crowd.c.
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from . import compiled, frames
from .dialects import Place, join
from .machine import Clock, Usage, cpu_seconds, raise_file_limit, resident_bytes

JOIN_SECONDS: Final = 90.0
"""Longest time for all to join, or to hear of all others."""
WINDOW: Final = 1000
"""Clients that may wait for their welcome: a little less than what the servers let wait in their queues."""
BROADCASTS: Final = 8
"""Broadcasts that are under way while one comes and goes as fast as all hear of it."""
QUIET_SECONDS: Final = 0.2
NOTED: Final = 100_000
"""Joins whose time is noted."""


class NativeCrowd:
    """The clients, and what is measured of them."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid
        self.library = compiled.library("crowd")
        self.size = 0
        self._crowd: ctypes.c_void_p | None = None

    def _enter(self, places: Sequence[Place]) -> None:
        joins = [frames.masked(join(place)) for place in places]
        ends, end = [], 0
        for each in joins:
            end += len(each)
            ends.append(end)
        self.size = len(places)
        # The library reads them for as long as the crowd is there.
        self._handshake, self._joins = frames.handshake(self.port), b"".join(joins)
        self._ends = (ctypes.c_uint32 * self.size)(*ends)
        arguments = (self._handshake, ctypes.c_size_t(len(self._handshake)), self._joins, self._ends)
        new = self.library.crowd_new
        self._crowd = compiled.pointer(new, ctypes.c_uint16(self.port), self.size, *arguments)
        seconds = ctypes.c_double(JOIN_SECONDS)
        compiled.check(self.library.crowd_storm(self._crowd, WINDOW, seconds))

    def storm(self, connections: int, settle_seconds: float) -> dict[str, Any]:
        """All connect and join at once, a camera and a viewer to a room, and stay."""
        before = resident_bytes(self.pid)
        start = Clock.now(self.pid)
        self._enter(
            [Place("", f"room-{n // 2}", f"cam-{n}" if n % 2 == 0 else None) for n in range(connections)]
        )
        usage = Usage.since(start, self.pid)
        begun, joined = ((ctypes.c_uint64 * self.size)() for _ in range(2))
        self.library.crowd_times(self._crowd, begun, joined)
        first = min(begun)
        took = [there - here for here, there in zip(begun, joined, strict=True)]
        median = statistics.median(took)
        if settle_seconds:
            self.idle(settle_seconds)
        after = resident_bytes(self.pid)
        grown = None if before is None or after is None else (after - before) / connections
        return {
            "perSecond": connections / (max(joined) - first) * 1e9,
            "perCpuSecond": usage.per_server_second(connections),
            "medianMs": median / 1e6,
            "lastMs": max(took) / 1e6,
            "lastPerMedian": max(took) / median,
            "medianSinceStartMs": (statistics.median(joined) - first) / 1e6,
            "lastSinceStartMs": (max(joined) - first) / 1e6,
            "bytesPerConnection": grown,
            "cpu": asdict(usage),
        }

    def idle(self, seconds: float) -> dict[str, Any]:
        """Nothing but answers to pings."""
        pings = ctypes.c_uint64()
        start = Clock.now(self.pid)
        compiled.check(self.library.crowd_idle(self._crowd, ctypes.c_double(seconds), ctypes.byref(pings)))
        usage = Usage.since(start, self.pid)
        return {"cpuPercent": None if usage.server is None else usage.server * 100, "pings": pings.value}

    def room(self, members: int) -> dict[str, Any]:
        """So many viewers join one room, and one more another."""
        here, elsewhere = Place("", "the-room"), Place("", "elsewhere")
        start = time.perf_counter()
        self._enter([here] * members + [elsewhere])
        # Everybody has a welcome and an answer, and hears of all who came later.
        texts = 2 * (members + 1) + members * (members - 1) // 2
        seconds = ctypes.c_double(JOIN_SECONDS)
        compiled.check(self.library.crowd_hear(self._crowd, ctypes.c_uint64(texts), seconds))
        return {"seconds": time.perf_counter() - start}

    def churn(self, seconds: float, rate: float) -> dict[str, Any]:
        """The last one enters the room and leaves: `rate` times a second, or as fast as all hear it."""
        moves = [frames.masked(join(Place("", room))) for room in ("the-room", "elsewhere")]
        took = (ctypes.c_uint64 * NOTED)()
        joins, all_took = ctypes.c_uint64(), ctypes.c_uint64()
        start = Clock.now(self.pid)
        status = self.library.crowd_churn(
            self._crowd,
            (ctypes.c_char_p * 2)(*moves),
            (ctypes.c_uint32 * 2)(*map(len, moves)),
            BROADCASTS,
            ctypes.c_double(rate),
            ctypes.c_double(seconds),
            ctypes.c_double(JOIN_SECONDS),
            took,
            ctypes.c_uint64(NOTED),
            ctypes.byref(joins),
            ctypes.byref(all_took),
        )
        compiled.check(status)
        usage = Usage.since(start, self.pid)
        times = sorted(took[: min(joins.value, NOTED)])
        return {
            "perSecond": joins.value / all_took.value * 1e9,
            "perCpuSecond": usage.per_server_second(joins.value),
            "medianMs": statistics.median(times) / 1e6,
            "lastMs": times[-1] / 1e6,
            "cpu": asdict(usage),
        }

    def leave(self) -> dict[str, Any]:
        """All are gone at once; waits until the server has taken it in."""
        self.library.crowd_close(self._crowd)
        self._crowd = None
        end = time.monotonic() + JOIN_SECONDS
        before = cpu_seconds(self.pid)
        while time.monotonic() < end:
            time.sleep(QUIET_SECONDS)
            now = cpu_seconds(self.pid)
            if now is None or before is None or now - before < QUIET_SECONDS / 10:
                break
            before = now
        return {}


def main() -> None:
    """Follow orders until there are no more."""
    about = json.loads(sys.stdin.readline())
    if about["core"] is not None:
        os.sched_setaffinity(0, {about["core"]})
    raise_file_limit()
    crowd = NativeCrowd(about["port"], about["pid"])
    for line in sys.stdin:
        order = json.loads(line)
        kind = order.pop("do")
        print(json.dumps(getattr(crowd, kind)(**order)), flush=True)


if __name__ == "__main__":
    main()

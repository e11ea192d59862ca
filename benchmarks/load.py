"""The load generator, a process of its own: a job as JSON on standard input, its result on output."""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import Any, Final

from . import frames
from .clients import Client, Crowd, LoadError
from .machine import cpu_seconds, raise_file_limit, resident_bytes

OPEN_SECONDS: Final = 60.0
"""Longest time for connections to be made, of whatever number."""


@dataclass
class RelayJob:
    """Camera/viewer pairs that send to each other: `rate` messages/s, or if 0 as fast as they arrive."""

    port: int
    pid: int
    message: str
    size: int
    in_flight: int
    pairs: int
    warm_seconds: float
    seconds: float
    rate: int = 0
    token: str | None = None


@dataclass
class JoinJob:
    """Connections that join and stay. `settle` is how long they idle before memory is measured."""

    port: int
    pid: int
    connections: int
    window: int
    settle: float


@dataclass
class Usage:
    """Shares of a core that the server and this process used."""

    server: float | None
    generator: float

    @classmethod
    def since(cls, start: Clock, pid: int) -> Usage:
        """What was used since `start` was taken."""
        end = Clock.now(pid)
        wall = end.wall - start.wall
        known = end.server is not None and start.server is not None
        server = ((end.server or 0.0) - (start.server or 0.0)) / wall if known else None
        return cls(server, (end.generator - start.generator) / wall)


@dataclass
class Clock:
    """Wall and processor time at one moment."""

    wall: float
    server: float | None
    generator: float

    @classmethod
    def now(cls, pid: int) -> Clock:
        """This moment."""
        return cls(time.perf_counter(), cpu_seconds(pid), time.process_time())


class Relay:
    """The measured path. Per burst: as few reads as it arrives in, its frame heads looked at, one write."""

    def __init__(self, job: RelayJob) -> None:
        self.job = job
        self.crowd = Crowd(job.port, job.token)
        # A burst and a little more. A far larger buffer would cost Python more than the read itself.
        self.buffer = job.in_flight * (job.size + 100) + 4096
        self.latencies: list[int] = []
        self.relayed = 0

    def prepare(self) -> None:
        """Bring the pairs together as a page would; send one message each way and look at it closely."""
        deadline = time.monotonic() + OPEN_SECONDS
        crowd, pairs = self.crowd, range(self.job.pairs)
        cameras = crowd.open(((f"bench-{n}", f"cam-{n}") for n in pairs), 16, deadline)
        viewers = crowd.open(((f"bench-{n}", None) for n in pairs), 16, deadline)
        crowd.until(
            lambda: (
                all("clientJoined" in camera.seen for camera in cameras)
                and all("cameraAvailable" in viewer.seen for viewer in viewers)
            ),
            deadline,
            "the events of a room",
        )
        for camera, viewer in zip(cameras, viewers, strict=True):
            camera.peer, viewer.peer = viewer, camera
            viewer.send({"type": "requestStream", "cameraId": camera.camera_id})
        crowd.until(lambda: all("viewerRequest" in c.seen for c in cameras), deadline, "viewerRequest")
        for client in crowd.clients.values():
            payload = frames.MESSAGES[self.job.message](client.peer.id, self.job.size)
            frame = frames.masked(payload)
            client.burst = frame * self.job.in_flight
            client.write(frame)
        crowd.until(
            lambda: all(self.job.message in c.seen for c in crowd.clients.values()), deadline, "a relay"
        )
        for client in crowd.clients.values():
            self._check(client)

    def _check(self, client: Client) -> None:
        got = client.seen[self.job.message]
        sent: dict[str, Any] = json.loads(frames.MESSAGES[self.job.message](client.id, self.job.size))
        body = "sdp" if self.job.message == "offer" else "candidate"
        if got["sender"] != client.peer.id or got[body] != sent[body]:
            raise LoadError(f"a message was not relayed as the protocol says: {got}")
        client.payload_length = client.last_length
        client.frame_head = frames.head(client.last_length)[1:4]
        client.frame_length = client.last_length + len(frames.head(client.last_length))

    def arrive(self, client: Client, now: int, data: bytes) -> int:
        """Count the messages in `data`, and what they took; the start of one waits for its end."""
        if client.pending:
            data = client.pending + data
        count, left = divmod(len(data), client.frame_length)
        # All frames of a receiver are alike: where each of them must start, there is the head that is due.
        if left or data[:: client.frame_length] != frames.HEADS[count] or data[1:4] != client.frame_head:
            count = self._pick(client, data)
        else:
            client.pending = b""
        pop, note = client.peer.sent.popleft, self.latencies.append
        for _ in range(count):
            note(now - pop())
        self.relayed += count
        return count

    def _pick(self, client: Client, data: bytes) -> int:
        """The same frame by frame: there is a ping among them, or not all of them are whole."""
        count = position = 0
        for first, payload, position in frames.split(data):  # noqa: B007
            if first != frames.FINAL_TEXT:
                client.take(first, payload)
            elif len(payload) == client.payload_length:
                count += 1
            else:
                raise LoadError(f"not the message that was sent: {payload!r}")
        client.pending = data[position:]
        return count

    def saturate(self, seconds: float) -> None:
        """Bursts of messages, each sent when the last one has arrived: the server always has work."""
        clients, poll, clock = self.crowd.clients, self.crowd.poller.poll, time.perf_counter_ns
        arrive, burst, now = self.arrive, self.job.in_flight, clock()
        end = now + int(seconds * 1e9)
        while now < end:
            for fd, _ in poll(0.1):
                client = clients[fd]
                data = client.receive(self.buffer)
                # One time for "arrived" and for "sent next": the generator's own work counts as latency.
                now = clock()
                peer = client.peer
                if arrive(client, now, data) and not peer.sent:
                    peer.sent.extend(repeat(now, burst))
                    peer.write(peer.burst)
            now = clock()

    def pace(self, seconds: float, rate: int) -> None:
        """Send at an even rate, whatever the answers do, from one connection after the other."""
        clients, clock = self.crowd.clients, time.perf_counter_ns
        senders = list(clients.values())
        step = int(1e9 / rate)
        start = due = now = clock()
        end, turn = start + int(seconds * 1e9), 0
        while now < end:
            if now >= due:
                sender = senders[turn % len(senders)]
                turn, due = turn + 1, due + step
                if len(sender.sent) < 1000:
                    sender.sent.append(clock())
                    sender.write(sender.burst)
            # epoll waits for whole milliseconds, which is longer than a step: look without waiting.
            for fd, _ in self.crowd.poller.poll(0):
                client = clients[fd]
                data = client.receive(self.buffer)
                self.arrive(client, clock(), data)
            now = clock()

    def run(self) -> dict[str, Any]:
        """Warm up, measure, and say what was measured."""
        job = self.job
        self.prepare()
        if job.rate:
            self.pace(job.warm_seconds, job.rate)
        else:
            now = time.perf_counter_ns()
            for client in self.crowd.clients.values():
                client.sent.extend(repeat(now, job.in_flight))
                client.write(client.burst)
            self.saturate(job.warm_seconds)
        self.latencies.clear()
        self.relayed = 0
        start = Clock.now(job.pid)
        if job.rate:
            self.pace(job.seconds, job.rate)
        else:
            self.saturate(job.seconds)
        usage = Usage.since(start, job.pid)
        seconds = time.perf_counter() - start.wall
        if len(self.latencies) < 2:
            raise LoadError("nothing was relayed")
        cuts = statistics.quantiles(self.latencies, n=100)
        self.crowd.close()
        return {
            "messages": self.relayed,
            "perSecond": self.relayed / seconds,
            "p50Ms": cuts[49] / 1e6,
            "p99Ms": cuts[98] / 1e6,
            "cpu": asdict(usage),
        }


def join(job: JoinJob) -> dict[str, Any]:
    """Cameras and viewers, two to a room, connect and join; then they idle."""
    before = resident_bytes(job.pid)
    crowd = Crowd(job.port)
    start = Clock.now(job.pid)
    places = ((f"room-{n // 2}", f"cam-{n}" if n % 2 == 0 else None) for n in range(job.connections))
    crowd.open(places, job.window, time.monotonic() + OPEN_SECONDS)
    seconds = time.perf_counter() - start.wall
    usage = Usage.since(start, job.pid)
    end = time.monotonic() + job.settle
    crowd.until(lambda: time.monotonic() >= end, end + 5, "idle connections")
    after = resident_bytes(job.pid)
    crowd.close()
    grown = None if before is None or after is None else (after - before) / job.connections
    return {"perSecond": job.connections / seconds, "bytesPerConnection": grown, "cpu": asdict(usage)}


def main() -> None:
    """Do one job, in the core that was asked for."""
    order = json.load(sys.stdin)
    if order["core"] is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {order["core"]})
    raise_file_limit()
    # The process is short; a pause of its own would look like one of the server.
    gc.disable()
    result = Relay(RelayJob(**order["relay"])).run() if "relay" in order else join(JoinJob(**order["join"]))
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()

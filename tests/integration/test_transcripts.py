"""Every transcript of tests/protocol against a real server, with real WebSocket clients."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.live import LiveClient, connect_unwelcomed, deadline
from tests.processes import Server, server
from tests.transcripts import load, paths, run

TEXT, BINARY, CONTINUATION = 1, 2, 0
OVER = b""
"""In the queue of frames: the connection is over. (The server never sends an empty frame.)"""


class Participant:
    """A client whose frames can be looked at without being read."""

    _markers = itertools.count()

    def __init__(self, client: LiveClient) -> None:
        self.client = client
        self.code: int | None = None
        self._unread: deque[bytes] = deque()
        client.closed.addCallback(self._over)

    def _over(self, code: int | None) -> None:
        self.code = code
        self.client.frames.put(OVER)

    async def _next(self) -> bytes:
        return self._unread.popleft() if self._unread else await self.client.next_frame()

    async def next_frame(self) -> bytes:
        frame = await self._next()
        if frame == OVER:
            self._unread.appendleft(OVER)
            raise AssertionError(f"the connection is over, code {self.code}")
        return frame

    async def over(self) -> Sequence[bytes]:
        """Wait for the end of the connection; returns what came before it."""
        frames = []
        while (frame := await self._next()) != OVER:
            frames.append(frame)
        self._unread.appendleft(OVER)
        return frames

    async def unread(self) -> Sequence[bytes]:
        """All that the server has sent before it answers a ping; also: wait for what it was sent."""
        if OVER not in self._unread:
            marker = f"marker {next(self._markers)}"
            if self.client.state == LiveClient.STATE_OPEN:
                self.client.send({"type": "ping", "data": marker})
            while (frame := await self.client.next_frame()) != OVER:
                if msgspec.json.decode(frame) == {"type": "pong", "data": marker}:
                    return self._unread
                self._unread.append(frame)
            self._unread.append(OVER)
        return self._unread


class LiveWire:
    """A server process."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.participants: dict[str, Participant] = {}

    async def connect(self, name: str, answers_pings: bool) -> bytes:
        client = await connect_unwelcomed(self.server.websocket_url)
        client.answers_pings = answers_pings
        self.participants[name] = Participant(client)
        return await self.next_frame(name)

    async def send(self, name: str, fragments: Sequence[bytes], binary: bool) -> None:
        participant = self.participants[name]
        last = len(fragments) - 1
        for at, fragment in enumerate(fragments):
            opcode = CONTINUATION if at else BINARY if binary else TEXT
            participant.client.sendFrame(opcode, fragment, fin=at == last)
        await participant.unread()

    async def next_frame(self, name: str) -> bytes:
        return await self.participants[name].next_frame()

    async def unread(self, name: str) -> Sequence[bytes]:
        return await self.participants[name].unread()

    async def closed(self, name: str) -> int | None:
        frames = await self.participants[name].over()
        assert not frames, f"{name} got {frames} before the end"
        return self.participants[name].code

    async def disconnect(self, name: str, abruptly: bool) -> None:
        client = self.participants[name].client
        if abruptly:
            client.dropConnection(abort=True)
        else:
            client.sendClose(1000)
        await self.participants[name].over()
        assert abruptly or self.participants[name].code == 1000

    async def advance(self, seconds: float) -> None:
        """Time goes by itself here: whoever expects something waits for it."""

    async def stop_server(self) -> None:
        self.server.process.terminate()

    async def finish(self) -> None:
        """Leave the server as it was found, for the next transcript."""
        for name, participant in self.participants.items():
            if participant.client.state == LiveClient.STATE_OPEN:
                await self.disconnect(name, abruptly=False)


def live(stops: bool) -> list[object]:
    transcripts = [(path, load(path)) for path in paths()]
    return [
        pytest.param(path, id=path.stem)
        for path, transcript in transcripts
        if transcript.where != "memory" and any(step.stop_server for step in transcript.steps) == stops
    ]


@pytest.mark.parametrize("path", live(stops=False))
@deadline()
async def test_over_sockets(shared_server: Server, path: Path) -> None:
    wire = LiveWire(shared_server)
    try:
        await run(load(path), wire)
    finally:
        await wire.finish()


@pytest.mark.parametrize("path", live(stops=True))
@deadline()
async def test_a_stop_over_sockets(path: Path) -> None:
    with server() as running:
        await run(load(path), LiveWire(running))

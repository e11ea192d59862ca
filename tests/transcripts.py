"""Transcripts of the wire protocol: what they say, and how one is run (format: tests/protocol/README.md).

`run` plays a transcript over a `Wire`. The one in this module is the hub in memory with a clock of its
own; `tests/integration/test_transcripts.py` has the one over real sockets.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from twisted.internet.task import Clock

from cctvsignal.hub import Hub
from cctvsignal.messages import ProtocolError, decode, encode
from cctvsignal.policy import Policy
from cctvsignal.registry import Client

DIRECTORY: Final = Path(__file__).parent / "protocol"
_VARIABLE: Final = re.compile(r"\$[A-Za-z]\w*")

Piece: TypeAlias = str | tuple[str, int]
Bindings: TypeAlias = dict[str, object]


class Step(Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One line of a transcript: one action, and what it needs."""

    connect: str | None = None
    answers_pings: bool = True
    welcome: Raw | UnsetType = UNSET

    disconnect: str | None = None
    abruptly: bool = False

    sender: str | None = msgspec.field(default=None, name="from")
    send: Raw | UnsetType = UNSET
    text: str | list[Piece] | None = None
    fragments: list[str] | None = None
    hexadecimal: str | None = msgspec.field(default=None, name="hex")
    binary: bool = False

    to: str | list[str] | None = None
    expect: Raw | UnsetType = UNSET
    verbatim: dict[str, str] = {}
    expect_in_any_order: list[Raw] | None = None
    expect_nothing: bool = False
    closed: int | None = None

    advance: float | None = None
    stop_server: bool = False
    note: str | None = None

    @property
    def receivers(self) -> Sequence[str]:
        """The clients that an expectation is about."""
        return [self.to] if isinstance(self.to, str) else self.to or []


class Transcript(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """One file."""

    rules: list[str]
    steps: list[Step]
    where: Literal["both", "memory", "live"] = "both"
    plain: bool = False
    """All its clients speak section 1 of the protocol only."""


class Wire(Protocol):
    """How the clients of a transcript reach a server."""

    async def connect(self, name: str, answers_pings: bool) -> bytes:
        """A new client; returns its first frame."""

    async def send(self, name: str, fragments: Sequence[bytes], binary: bool) -> None:
        """Send one message and wait until the server has worked on it."""

    async def next_frame(self, name: str) -> bytes:
        """The next frame for a client; an `AssertionError` if it cannot come any more."""

    async def unread(self, name: str) -> Sequence[bytes]:
        """What the server has sent to a client up to now and `next_frame` has not returned."""

    async def closed(self, name: str) -> int | None:
        """The close code that the server sends to a client, with nothing unread before it."""

    async def disconnect(self, name: str, abruptly: bool) -> None:
        """End the connection of a client."""

    async def advance(self, seconds: float) -> None:
        """Let time go by, where time is not real."""

    async def stop_server(self) -> None:
        """Ask the server to stop."""


def load(path: Path) -> Transcript:
    """The transcript in a file; raises `msgspec.ValidationError` for one that is none."""
    return msgspec.json.decode(path.read_bytes(), type=Transcript)


def paths() -> list[Path]:
    """All transcripts."""
    return sorted(DIRECTORY.glob("*.json"))


async def run(transcript: Transcript, wire: Wire) -> None:
    """Play a transcript; raises `AssertionError` where the server says anything else."""
    player = _Player(wire)
    for number, step in enumerate(transcript.steps, 1):
        try:
            await player.play(step)
        except AssertionError as error:
            text = msgspec.json.encode(step).decode()
            raise AssertionError(f"step {number}, {text:.200}: {error}") from error
    for name in player.open:
        unread = await wire.unread(name)
        assert not unread, f"at the end, {name} has unread frames: {unread}"


class _Player:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.open: list[str] = []
        self.bindings: Bindings = {}

    async def play(self, step: Step) -> None:
        if step.connect is not None:
            await self._connect(step, step.connect)
        elif step.sender is not None:
            await self.wire.send(step.sender, list(self._payload(step)), step.binary)
        elif step.disconnect is not None:
            unread = await self.wire.unread(step.disconnect)
            assert not unread, f"{step.disconnect} has unread frames: {unread}"
            self.open.remove(step.disconnect)
            await self.wire.disconnect(step.disconnect, step.abruptly)
        elif step.to is not None:
            for name in step.receivers:
                await self._expect(step, name)
        elif step.advance is not None:
            await self.wire.advance(step.advance)
        elif step.stop_server:
            await self.wire.stop_server()
        else:
            assert step.note, "this step does nothing"

    async def _connect(self, step: Step, name: str) -> None:
        frame = await self.wire.connect(name, step.answers_pings)
        welcome = msgspec.json.decode(frame, type=dict[str, object])
        assert welcome["type"] == "welcome", f"the first frame is {frame!r}"
        assert welcome["clientId"] not in self.bindings.values(), "this client id is taken"
        self.bindings[f"${name}"] = welcome["clientId"]
        self.open.append(name)
        if step.welcome is not UNSET:
            self._check(step.welcome, frame)

    def _payload(self, step: Step) -> Iterator[bytes]:
        if step.send is not UNSET:
            yield self._filled(bytes(step.send).decode())
        elif step.hexadecimal is not None:
            yield bytes.fromhex(step.hexadecimal)
        elif step.fragments is not None:
            for fragment in step.fragments:
                yield self._filled(fragment)
        else:
            pieces = [step.text] if isinstance(step.text, str) else step.text or []
            yield self._filled(
                "".join(piece if isinstance(piece, str) else piece[0] * piece[1] for piece in pieces)
            )

    def _filled(self, text: str) -> bytes:
        return _VARIABLE.sub(lambda found: str(self.bindings[found.group()]), text).encode()

    async def _expect(self, step: Step, name: str) -> None:
        if step.closed is not None:
            code = await self.wire.closed(name)
            assert code == step.closed, f"{name} was closed with {code}"
            self.open.remove(name)
        elif step.expect is not UNSET:
            frame = await self.wire.next_frame(name)
            self._check(step.expect, frame)
            fields = msgspec.json.decode(frame, type=dict[str, Raw])
            for field, text in step.verbatim.items():
                assert bytes(fields[field]) == text.encode(), f"{field} came as {bytes(fields[field])!r}"
        elif step.expect_in_any_order is not None:
            await self._expect_in_any_order(name, list(step.expect_in_any_order))
        else:
            assert step.expect_nothing, "this step expects neither something nor nothing"
            unread = await self.wire.unread(name)
            assert not unread, f"{name} got {unread}"

    async def _expect_in_any_order(self, name: str, expected: list[Raw]) -> None:
        while expected:
            frame = await self.wire.next_frame(name)
            actual = msgspec.json.decode(frame)
            for candidate in expected:
                bindings = dict(self.bindings)
                if matches(msgspec.json.decode(candidate), actual, bindings):
                    self.bindings = bindings
                    expected.remove(candidate)
                    break
            else:
                raise AssertionError(f"{name} got {frame!r}")

    def _check(self, expected: Raw, frame: bytes) -> None:
        actual = msgspec.json.decode(frame)
        assert matches(msgspec.json.decode(expected), actual, self.bindings), f"it got {frame!r}"


def matches(expected: object, actual: object, bindings: Bindings) -> bool:
    """Whether a message is the expected one; variables that are new get their value from it."""
    if isinstance(expected, str) and _VARIABLE.fullmatch(expected):
        if expected == "$any":
            return True
        if expected == "$text":
            return isinstance(actual, str) and actual != ""
        return bindings.setdefault(expected, actual) == actual
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return expected.keys() == actual.keys() and all(
            matches(expected[key], actual[key], bindings) for key in expected
        )
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(
            matches(one, other, bindings) for one, other in zip(expected, actual, strict=True)
        )
    return type(expected) is type(actual) and expected == actual


class MemoryPeer:
    """A `Peer` that collects what the hub sends; it answers pings in the next turn of the clock."""

    def __init__(self, wire: MemoryWire, answers_pings: bool) -> None:
        self.frames: deque[bytes] = deque()
        self.close_code: int | None = None
        self._wire = wire
        self._answers_pings = answers_pings
        self.client: Client = wire.hub.connect(self)

    def send(self, frame: bytes) -> None:
        if self.close_code is None:
            self.frames.append(frame)

    def close(self, code: int, reason: str) -> None:
        assert self.close_code is None, "a connection is closed once"
        self.close_code = code
        self._wire.clock.callLater(0, self._wire.hub.disconnect, self.client)

    def ping(self) -> None:
        if self._answers_pings:
            self._wire.clock.callLater(0, self._wire.hub.pong, self.client)

    def receive(self, payload: bytes) -> None:
        """What a transport does with the payload of a text frame."""
        try:
            message = decode(payload)
        except ProtocolError as error:
            self.send(encode(error.answer))
        else:
            self._wire.hub.receive(self.client, message)


class MemoryWire:
    """The hub alone, with a clock that stands still until a transcript advances it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.hub = Hub(self.clock, Policy())
        self.peers: dict[str, MemoryPeer] = {}

    async def connect(self, name: str, answers_pings: bool) -> bytes:
        self.peers[name] = MemoryPeer(self, answers_pings)
        return await self.next_frame(name)

    async def send(self, name: str, fragments: Sequence[bytes], binary: bool) -> None:
        assert not binary, "frames are the business of the transport"
        assert len(fragments) == 1, "fragments are the business of the transport"
        self.peers[name].receive(fragments[0])
        self.clock.advance(0)

    async def next_frame(self, name: str) -> bytes:
        assert self.peers[name].frames, f"{name} got nothing"
        return self.peers[name].frames.popleft()

    async def unread(self, name: str) -> Sequence[bytes]:
        return self.peers[name].frames

    async def closed(self, name: str) -> int | None:
        assert not self.peers[name].frames, f"{name} has unread frames: {self.peers[name].frames}"
        return self.peers[name].close_code

    async def disconnect(self, name: str, abruptly: bool) -> None:
        self.hub.disconnect(self.peers[name].client)
        self.clock.advance(0)

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def stop_server(self) -> None:
        raise AssertionError("stopping is the business of the service")

"""The path suite: where the microseconds of a relayed message go, in one process and on one core.

The whole way is that of real sockets and the server's own reactor: what 50 clients have sent is read,
relayed and sent on. Each part of it is then measured alone; what is left is the way from one to the next.
"""

from __future__ import annotations

import gc
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.protocol import Factory, Protocol

from cctvsignal.access import ANYONE
from cctvsignal.assembly import assemble
from cctvsignal.entrance import Visitor
from cctvsignal.frames import take_plain
from cctvsignal.messages import decode
from cctvsignal.options import Options
from cctvsignal.registry import Client
from cctvsignal.websocket import SignalingProtocol

from . import frames
from .dialects import CCTVSIGNAL, DIALECTS, Place, content_of_size, join
from .machine import SetupError
from .servers import on_core

PAIRS: Final = 50
CASES: Final = {"250 B candidate": ("iceCandidate", 250), "2.5 KB offer": ("offer", 2500)}
LIMITS: Final = tuple(
    f"--limit-{name}=1000000000/1000000000" for name in ("messages", "candidates", "bytes")
)
"""They are counted, but never reached."""


@dataclass(frozen=True)
class Plan:
    """How often each part is tried; the least of all tries counts."""

    rounds: int
    seconds: float
    """Of each try."""


FULL: Final = Plan(rounds=40, seconds=0.02)
QUICK: Final = Plan(rounds=8, seconds=0.01)

Parts = dict[str, float]
"""Microseconds for each message."""


class Idle(Protocol):
    """Does nothing with what comes."""

    def dataReceived(self, data: bytes) -> None:
        """Only the way to here counts."""


class Nobody:
    """A peer that takes everything."""

    def send(self, frame: bytes) -> None:
        """Only the way to here counts."""

    def close(self, code: int, reason: str) -> None:
        """It does not happen."""

    def ping(self) -> None:
        """It does not happen."""


class House:
    """A server in this process, and pairs of clients at the other end of real sockets."""

    def __init__(self) -> None:
        from cctvsignal.reactor import BareEPollReactor

        make_reactor: Any = BareEPollReactor
        self.reactor = make_reactor()
        options = Options({})
        options.parseOptions(["--ping-interval=0", *LIMITS])
        self.factory = assemble(options, self.reactor, lambda hub: {}).websocket
        self._accepted: list[Any] = []
        self._port = self.reactor.listenTCP(0, Factory.forProtocol(self._accept), interface="127.0.0.1")
        self.senders = [self._join(f"room-{number}", "cam") for number in range(PAIRS)]
        self.receivers = [self._join(f"room-{number}") for number in range(PAIRS)]

    def close(self) -> None:
        """End all connections."""
        for end in (*self.senders, *self.receivers):
            end.transport.abortConnection()
            end.own.close()
        self._port.stopListening()
        self.turn()

    def turn(self) -> None:
        """What has come is read, relayed and sent on."""
        self.reactor.doIteration(0)
        self.reactor.runUntilCurrent()

    def _accept(self) -> Idle:
        accepted = Idle()
        self._accepted.append(accepted)
        return accepted

    def _join(self, room: str, camera_id: str | None = None) -> End:
        own = socket.create_connection(("127.0.0.1", self._port.getHost().port))
        self.turn()
        transport = self._accepted.pop().transport
        connection = self.factory.open(transport, Visitor("127.0.0.1", ANYONE))
        transport.protocol = connection
        connection.dataReceived(frames.masked(join(Place(room, room, camera_id))))
        self.turn()
        assert connection._client is not None
        return End(own, transport, connection, connection._client)


@dataclass
class End:
    """Both ends of one connection."""

    own: socket.socket
    transport: Any
    connection: SignalingProtocol
    client: Client

    def drain(self) -> None:
        """Read what the server has sent."""
        self.own.recv(1 << 20)


def run(plan: Plan, core: int | None, say: Callable[[str], None]) -> dict[str, Parts]:
    """The parts of both messages."""
    if sys.platform != "linux":
        raise SetupError("the path suite needs Linux: it uses the server's own reactor")
    found = {}
    with ExitStack() as stack:
        stack.enter_context(on_core(core))
        gc.disable()
        stack.callback(gc.enable)
        for case, (kind, size) in CASES.items():
            say(case)
            house = House()
            stack.callback(house.close)
            found[case] = _parts(house, kind, size, plan)
    return found


def lines(measured: dict[str, Parts]) -> list[str]:
    """The table."""
    first, second = measured.values()
    found = ["| microseconds for a message | " + " | ".join(measured) + " |", "|---|---:|---:|"]
    found += [f"| {part} | {first[part]:.2f} | {second[part]:.2f} |" for part in first]
    return found


def _parts(house: House, kind: str, size: int, plan: Plan) -> Parts:
    ours, messages = DIALECTS[CCTVSIGNAL], []
    for receiver in house.receivers:
        content = content_of_size(ours, kind, receiver.client.id, size)
        messages.append(frames.masked(ours.relay(kind, receiver.client.id, content)))

    def ask() -> None:
        for sender, message in zip(house.senders, messages, strict=True):
            sender.own.send(message)

    def drain() -> None:
        for receiver in house.receivers:
            receiver.drain()

    whole = _turns(ask, house.turn, drain, plan)
    [sender, *_], [receiver, *_], [data, *_] = house.senders, house.receivers, messages
    _, payload, _ = take_plain(data, 0, len(data)) or (0, b"", 0)
    message = decode(payload)
    ask()
    house.turn()
    sent = receiver.own.recv(1 << 20)
    for other in house.receivers[1:]:
        other.drain()
    hub, peer = house.factory.hub, receiver.client.peer
    parts = {
        "frame: head, mask, UTF-8": _alone(lambda: take_plain(data, 0, len(data)), plan),
        "JSON: the envelope, and a look at what is passed on": _alone(lambda: decode(payload), plan),
        "limits": _alone(lambda: sender.connection._may_go_on(sender.client, message, size), plan),
    }
    receiver.client.peer = Nobody()
    parts["rules, and JSON for the receiver"] = _alone(lambda: hub.receive(sender.client, message), plan)
    receiver.client.peer = peer
    inner, receiver.connection._sender._transport = receiver.transport, _Sink()
    text = sent[2:] if sent[1] < 126 else sent[4:]

    # One timer serves all that a turn gathers.
    outbox, reactor = house.factory.outbox, house.reactor
    outbox.reactor = _NoTimers()  # type: ignore[assignment]

    def send() -> None:
        receiver.connection.send(text)
        outbox.flush()

    parts["frame for the receiver, gathered"] = _alone(send, plan)
    receiver.connection._sender._transport, outbox.reactor = inner, reactor
    for end in house.senders:
        end.transport.protocol = Idle()
    reading = _turns(ask, house.turn, lambda: None, plan)
    sending = _turns(
        lambda: None, lambda: [end.transport.socket.send(sent) for end in house.receivers], drain, plan
    )
    rest = whole - reading - sending - sum(parts.values())
    return {
        "epoll, a call of the system to read, Twisted's transport": reading,
        **parts,
        "a call of the system to send": sending,
        "from one part to the next, and all that is cold": rest,
        "**the whole way**": whole,
    }


class _NoTimers:
    """A reactor to which each turn is the last."""

    def callLater(self, delay: float, call: Callable[[], None]) -> None:
        """It is never called."""


class _Sink:
    """A transport that takes everything, and is asked as a plain one is."""

    connected, dataBuffer, _tempDataLen = 1, b"", 0

    @property
    def socket(self) -> _Sink:
        return self

    def send(self, data: bytes) -> int:
        return len(data)


def _turns(
    before: Callable[[], object], turn: Callable[[], object], after: Callable[[], object], plan: Plan
) -> float:
    """Microseconds that one of the pairs takes in a turn; what is before and after is not counted."""
    best = float("inf")
    for _ in range(plan.rounds):
        end, took, count = time.perf_counter() + plan.seconds, 0.0, 0
        while time.perf_counter() < end:
            before()
            start = time.perf_counter()
            turn()
            took += time.perf_counter() - start
            count += 1
            after()
        best = min(best, took / count / PAIRS * 1e6)
    return best


def _alone(work: Callable[[], object], plan: Plan) -> float:
    """Microseconds that this takes, again and again."""
    best = float("inf")
    for _ in range(plan.rounds):
        start = time.perf_counter()
        for _ in range(500):
            work()
        best = min(best, (time.perf_counter() - start) / 500 * 1e6)
    return best

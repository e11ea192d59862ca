"""The relay suite: this server beside Node's, relays by relays and with many clients at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from . import compiled, machine, servers
from .dialects import CCTVSIGNAL, PEERJS
from .dialects import SOCKETIO as SOCKETIO_DIALECT
from .machine import SetupError
from .servers import FLOOR, NODE, OURS, PEERSERVER, SOCKETIO, Crowd, Server

PAIRS: Final = 50
SPARE_FILES: Final = 100
ROOM_RATE: Final = 100
"""Joins a second that are offered to a large room."""
WARMING: Final = {"message": "iceCandidate", "size": 250, "in_flight": 8}


@dataclass(frozen=True)
class Plan:
    """How long, how often and how many."""

    rounds: int
    warm_seconds: float
    seconds: float
    storm: int
    settle_seconds: float
    heartbeat_seconds: float
    """How often a server pings idle connections, and how long they are looked at."""
    members: int
    churn_seconds: float


FULL: Final = Plan(
    rounds=5,
    warm_seconds=0.25,
    seconds=0.75,
    storm=10_000,
    settle_seconds=1.0,
    heartbeat_seconds=20.0,
    members=2000,
    churn_seconds=0.75,
)
QUICK: Final = Plan(
    rounds=1,
    warm_seconds=0.2,
    seconds=0.4,
    storm=2000,
    settle_seconds=0.5,
    heartbeat_seconds=4.0,
    members=500,
    churn_seconds=0.4,
)


@dataclass(frozen=True)
class Case:
    """One measurement of relays as fast as they go, with these servers."""

    name: str
    message: str
    size: int
    in_flight: int
    servers: tuple[str, ...]


BESIDE: Final = (OURS, NODE, FLOOR)
ALL: Final = (*BESIDE, PEERSERVER, SOCKETIO)
ONE: Final = Case("250 B candidates, 1 in flight", "iceCandidate", 250, 1, ALL)
RELAYS: Final = (
    ONE,
    Case("250 B candidates, 8 in flight", "iceCandidate", 250, 8, ALL),
    Case("2.5 KB offers, 1 in flight", "offer", 2500, 1, BESIDE),
    Case("2.5 KB offers, 8 in flight", "offer", 2500, 8, BESIDE),
)
HALF: Final = "250 B candidates, at half of the most that Node ws relays"
STORM: Final = "storm: all connect and join at once"
IDLE: Final = "idle connections"
ROOM: Final = "one room, as fast as all hear it"
ROOM_PACED: Final = f"one room, {ROOM_RATE} joins/s"
CASES: Final = (*(case.name for case in RELAYS), HALF, STORM, IDLE, ROOM, ROOM_PACED)

DIALECT_OF: Final = {PEERSERVER: PEERJS, SOCKETIO: SOCKETIO_DIALECT}

Rounds = list[dict[str, dict[str, Any]]]
"""For each round, for each server, what the load generator reported."""
Measured = dict[str, Rounds]
Say = Callable[[str], None]


def alternate(
    number: int, names: Sequence[str], measure: Callable[[str], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Measure these servers, one right after the other; who is first changes with the round."""
    return {name: measure(name) for name in (names if number % 2 == 0 else names[::-1])}


def prepare(plan: Plan) -> dict[str, str]:
    """See to it that all is there that the suite needs; the versions of what is not Python."""
    files = machine.raise_file_limit()
    if files < plan.storm + SPARE_FILES:
        text = f"{plan.storm} connections need more open files than the {files} that are allowed here"
        raise SetupError(text)
    compiled.build()
    return servers.install_node() | {"gcc": compiled.compiler_version()}


def run(plan: Plan, server_core: int | None, load_core: int | None, say: Say) -> Measured:
    """All rounds of all measurements."""
    measured: Measured = {case: [] for case in CASES}
    with _all_running(ALL, server_core) as up:
        _relays(plan, up, load_core, measured, say)
        _storms(plan, up, load_core, measured, say)
    with _all_running((OURS, NODE), server_core) as up:
        _room(plan, up, load_core, measured, say)
    # In fresh processes: memory that was freed, but not given back, would be used again.
    with _all_running((OURS, NODE), server_core, plan.heartbeat_seconds) as up:
        _idle(plan, up, load_core, measured, say)
    return measured


@contextmanager
def _all_running(
    names: Sequence[str], core: int | None, heartbeat_seconds: float | None = None
) -> Iterator[dict[str, Server]]:
    """Servers without limits; of the Node servers, the relay pings only if it is told to."""
    arguments, environment = ["--no-limits"], None
    if heartbeat_seconds is not None:
        arguments.append(f"--ping-interval={heartbeat_seconds:g}")
        environment = {"HEARTBEAT_SECONDS": f"{heartbeat_seconds:g}"}
    with ExitStack() as stack:
        up = {}
        for name in names:
            server = servers.running(
                name, core, *(arguments if name == OURS else ()), environment=environment
            )
            up[name] = stack.enter_context(server)
        yield up


def _relays(plan: Plan, up: dict[str, Server], core: int | None, measured: Measured, say: Say) -> None:
    def relay(name: str, **job: Any) -> dict[str, Any]:
        server = up[name]
        job |= {"port": server.port, "pid": server.pid, "pairs": PAIRS}
        job |= {"dialect": DIALECT_OF.get(name, CCTVSIGNAL)}
        times = {"warm_seconds": plan.warm_seconds, "seconds": plan.seconds}
        return servers.load({"relay": times | job}, core)

    say("warming up")
    for name in ALL:
        relay(name, **WARMING)
    for number in range(plan.rounds):
        for case in RELAYS:
            say(f"round {number + 1} of {plan.rounds}: {case.name}")
            job: dict[str, Any] = {"message": case.message, "size": case.size, "in_flight": case.in_flight}
            measured[case.name].append(alternate(number, case.servers, partial(relay, **job)))
        say(f"round {number + 1} of {plan.rounds}: {HALF}")
        rate = measured[ONE.name][number][NODE]["perSecond"] / 2
        paced: dict[str, Any] = {"message": ONE.message, "size": ONE.size, "in_flight": 1, "rate": rate}
        result = alternate(number, (OURS, NODE), partial(relay, **paced))
        for each in result.values():
            each["offered"] = rate
        measured[HALF].append(result)


def _storms(plan: Plan, up: dict[str, Server], core: int | None, measured: Measured, say: Say) -> None:
    def storm(name: str) -> dict[str, Any]:
        with servers.crowd(up[name], core) as crowd:
            result = crowd.ask(do="storm", connections=plan.storm, settle_seconds=0.0)
            crowd.ask(do="leave")
            return result

    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}: {STORM}")
        measured[STORM].append(alternate(number, BESIDE, storm))


def _room(plan: Plan, up: dict[str, Server], core: int | None, measured: Measured, say: Say) -> None:
    with ExitStack() as stack:
        crowds: dict[str, Crowd] = {}
        for name, server in up.items():
            say(f"{plan.members} members join a room of {name}")
            crowds[name] = stack.enter_context(servers.crowd(server, core))
            crowds[name].ask(do="room", members=plan.members)

        def churn(name: str, rate: int) -> dict[str, Any]:
            return crowds[name].ask(do="churn", seconds=plan.churn_seconds, rate=rate)

        for number in range(plan.rounds):
            for case, rate in ((ROOM, 0), (ROOM_PACED, ROOM_RATE)):
                say(f"round {number + 1} of {plan.rounds}: {case}")
                measured[case].append(alternate(number, tuple(up), partial(churn, rate=rate)))


def _idle(plan: Plan, up: dict[str, Server], core: int | None, measured: Measured, say: Say) -> None:
    """Both idle at the same time: what each takes of the core is counted by process."""
    with ExitStack() as stack:
        crowds = {name: stack.enter_context(servers.crowd(server, core)) for name, server in up.items()}
        result = {}
        for name, crowd in crowds.items():
            say(f"{plan.storm} connections of {name} that will idle")
            result[name] = crowd.ask(do="storm", connections=plan.storm, settle_seconds=plan.settle_seconds)
        say(f"{plan.heartbeat_seconds:g} s of {IDLE}")
        for crowd in crowds.values():
            crowd.order(do="idle", seconds=plan.heartbeat_seconds)
        for name, crowd in crowds.items():
            result[name] |= crowd.result()
        measured[IDLE].append(result)

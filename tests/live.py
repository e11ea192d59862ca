"""A WebSocket client for tests against a live server, awaited message by message."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import pytest_twisted
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IReactorTime

DEADLINE_SECONDS = 20.0

P = ParamSpec("P")
T = TypeVar("T")


def deadline(
    seconds: float = DEADLINE_SECONDS,
) -> Callable[[Callable[P, Coroutine[Deferred[Any], Any, None]]], Callable[P, object]]:
    """Run an async test in the reactor and fail it when it takes longer."""

    def decorate(test: Callable[P, Coroutine[Deferred[Any], Any, None]]) -> Callable[P, object]:
        @functools.wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> Deferred[None]:
            assert IReactorTime.providedBy(reactor)
            running = Deferred.fromCoroutine(test(*args, **kwargs))
            return running.addTimeout(seconds, reactor)

        return pytest_twisted.inlineCallbacks(_yield_from(run))  # type: ignore[no-any-return]

    return decorate


def _yield_from(run: Callable[P, Deferred[None]]) -> Callable[P, Any]:
    @functools.wraps(run)
    def generate(*args: P.args, **kwargs: P.kwargs) -> Any:
        yield run(*args, **kwargs)

    return generate


class LiveClient(WebSocketClientProtocol):
    """One connection. `closed` fires with the close code that the server sent, None without one."""

    answers_pings = True

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        self.closed: Deferred[int | None] = Deferred()
        self.frames: DeferredQueue[bytes] = DeferredQueue()
        self.id = ""

    def onOpen(self) -> None:
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.frames.put(payload)

    def onPing(self, payload: bytes) -> None:
        if self.answers_pings:
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if not self.opened.called:
            self.opened.errback(ConnectionError(reason))
        self.closed.callback(self.remoteCloseCode)

    def send(self, message: object) -> None:
        """Send a message: bytes as they are, anything else as JSON."""
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.sendMessage(payload)

    def next_frame(self) -> Awaitable[bytes]:
        """The next frame from the server, as it came."""
        return self.frames.get()

    async def next(self) -> dict[str, Any]:
        """The next message from the server."""
        message = json.loads(await self.next_frame())
        assert isinstance(message, dict)
        return message

    async def ask(self, message: object) -> dict[str, Any]:
        """Send a message and return the next one that comes."""
        self.send(message)
        return await self.next()

    async def silent(self) -> None:
        """Assert that nothing has been sent to this client that was not read yet."""
        marker = f"silent-{id(object())}"
        answer = await self.ask({"type": "ping", "data": marker})
        assert answer == {"type": "pong", "data": marker}

    async def leave(self) -> None:
        """Close the connection properly and wait until it is over."""
        self.sendClose(1000)
        await self.closed

    async def vanish(self) -> None:
        """Drop the connection without a word."""
        self.dropConnection(abort=True)
        await self.closed


async def turn(seconds: float = 0.01) -> None:
    """Let the reactor do something else before something is looked at again."""
    done: Deferred[None] = Deferred()
    assert IReactorTime.providedBy(reactor)
    reactor.callLater(seconds, done.callback, None)
    await done


async def connect(url: str, *, answers_pings: bool = True) -> LiveClient:
    """A client that has had its welcome."""
    client = await connect_unwelcomed(url)
    client.answers_pings = answers_pings
    welcome = await client.next()
    assert welcome["type"] == "welcome"
    client.id = welcome["clientId"]
    return client


async def connect_unwelcomed(url: str) -> LiveClient:
    """A client whose opening handshake is done."""
    factory = WebSocketClientFactory(url)
    # Autobahn's own second to close is over soon on a machine that is busy with other things.
    factory.setProtocolOptions(
        openHandshakeTimeout=DEADLINE_SECONDS, closeHandshakeTimeout=DEADLINE_SECONDS, failByDrop=False
    )
    factory.protocol = LiveClient
    factory.noisy = False
    client = await HostnameEndpoint(reactor, factory.host, factory.port).connect(factory)
    assert isinstance(client, LiveClient)
    await client.opened
    return client


async def join(url: str, room: str, camera_id: str | None = None) -> LiveClient:
    """A client that is in a room, as a camera where an id is given."""
    client = await connect(url)
    role = {"deviceType": "camera", "cameraId": camera_id} if camera_id else {"deviceType": "viewer"}
    assert (await client.ask({"type": "join", "room": room, **role}))["type"] == "joined"
    return client

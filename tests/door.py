"""A server that lets people in, or not, and remembers what they brought."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue, maybeDeferred
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import ITransport
from twisted.internet.ssl import PrivateCertificate

from cctvsignal import messages
from tests.certificates import Certificates


@dataclass
class Door:
    """How a server treats whoever comes."""

    denies: int | None = None
    """An HTTP status instead of a WebSocket."""
    closes: int | None = None
    """A close code instead of a welcome."""
    welcomes: bool = True
    """Whether it says anything at all."""
    closes_joined: int | None = None
    """A close code for whoever has joined a room."""
    hangs_up: bool = False
    """Whether it does not wait for the answer to that."""
    came: DeferredQueue[str | None] = field(default_factory=DeferredQueue)
    """The header `Authorization` of each."""
    joined: DeferredQueue[messages.Join] = field(default_factory=DeferredQueue)


class Doorkeeper(WebSocketServerProtocol):
    """Welcomes clients, or not."""

    def __init__(self, door: Door) -> None:
        super().__init__()
        self.door = door

    def onConnect(self, request: ConnectionRequest) -> None:
        self.door.came.put(request.headers.get("authorization"))
        if self.door.denies is not None:
            raise ConnectionDeny(self.door.denies, "Unauthorized")

    def onOpen(self) -> None:
        if self.door.closes is not None:
            self.sendCloseFrame(self.door.closes)
            return
        if not self.door.welcomes:
            return
        limits = messages.Limits(65536, 0)
        self.sendMessage(messages.encode(messages.Welcome("me", 1, "test", [], False, limits)))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = messages.decode(payload)
        assert isinstance(message, messages.Join)
        joined = messages.Joined(message.room or messages.DEFAULT_ROOM, message.request_id)
        self.sendMessage(messages.encode(joined))
        self.door.joined.put(message)
        if self.door.closes_joined is not None:
            self.sendCloseFrame(self.door.closes_joined)
            if self.door.hangs_up:
                cast(ITransport, self.transport).loseConnection()


@asynccontextmanager
async def serving(
    door: Door, certificates: Certificates | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """The URL of a server with this door; `port` 0 is a free one."""
    factory = WebSocketServerFactory()
    factory.protocol = functools.partial(Doorkeeper, door)  # type: ignore[assignment]
    factory.noisy = False
    endpoint: TCP4ServerEndpoint | SSL4ServerEndpoint
    if certificates is None:
        scheme, endpoint = "ws", TCP4ServerEndpoint(reactor, port, interface="127.0.0.1")
    else:
        pem = certificates.certificate.read_bytes() + certificates.key.read_bytes()
        options = PrivateCertificate.loadPEM(pem).options()
        scheme, endpoint = "wss", SSL4ServerEndpoint(reactor, port, options, interface="127.0.0.1")
    listening = await endpoint.listen(factory)
    try:
        yield f"{scheme}://{host}:{listening.getHost().port}"
    finally:
        await maybeDeferred(listening.stopListening)

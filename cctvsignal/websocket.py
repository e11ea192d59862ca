"""Autobahn protocol and factory: frames of one connection to messages of the hub, and back. No rules.

Autobahn owns the handshake, fragmentation, UTF-8, control frames and the closing handshake; what it leaves
unbounded is bounded here: the size of a message, its number of fragments, how many come in what time, and
what a client does not read.
"""

from __future__ import annotations

import math
from typing import Any, Final, cast

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet import defer
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from .addresses import key_of
from .answers import error as error_answer
from .entrance import Entrance, Visitor, host_of
from .hub import Hub
from .limits import Buckets, Limits, Meter
from .messages import AnyClientMessage, ProtocolError, decode, encode
from .registry import Client

MAX_FRAGMENTS: Final = 64
"""Fragments of one message. Empty ones would pass any limit on size for ever."""
MAX_UNSENT_BYTES: Final = 1024 * 1024
MAX_UNSENT_SECONDS: Final = 10.0
"""A client that leaves this much unread, or reads nothing for so long, is cut off."""
TRANSPORT_BUFFER: Final = 32 * 1024
"""What a transport holds before it says that its client does not read."""
MAX_UNSENT_IN_ALL: Final = 64 * 1024 * 1024
"""What all of them together may leave unread."""
DRAIN_BATCH: Final = 200
"""How many connections are told of the end in one turn of the reactor."""
DRAIN_SECONDS: Final = 5.0
"""How long clients have to answer the close frame of a server that stops."""

TOO_FAST: Final = "This comes too fast: it was not carried out. Wait before you send it again."

log = Logger()

CLOSE_GOING_AWAY: Final = 1001
CLOSE_BINARY: Final = 1003
CLOSE_POLICY: Final = 1008
CLOSE_TOO_BIG: Final = 1009


@implementer(IPushProducer)
class SignalingProtocol(WebSocketServerProtocol):
    """One WebSocket connection: a `Peer` for the hub, a producer for its transport."""

    factory: SignalingFactory
    _client: Client | None = None
    _visitor: Visitor | None = None
    _meter: Meter
    _is_lost = False
    _neighbourhood = ""
    """What limits of its address go by."""
    _fragments = 0
    _unsent = 0
    """Bytes that wait for the client, while it does not read."""
    _sent = 0
    """Bytes that it was sent since it does not read."""
    _unsent_timer: IDelayedCall | None = None

    # --- what Autobahn calls

    async def onConnect(self, request: ConnectionRequest) -> None:  # type: ignore[override]
        """The opening handshake is sound; there is no subprotocol to choose."""
        peer = host_of(cast(ITransport, self.transport))
        self._visitor = await self.factory.entrance.identify(peer, request.headers, request.params)
        if self._is_lost:
            raise ConnectionDeny(ConnectionDeny.BAD_REQUEST, "gone before it was known who this is")

    def onOpen(self) -> None:
        # The HTTP channel is still registered as the transport's producer after the upgrade.
        consumer = cast(IConsumer, self.transport)
        consumer.unregisterProducer()
        _innermost(self.transport).bufferSize = TRANSPORT_BUFFER
        consumer.registerProducer(self, True)
        factory, visitor = self.factory, self._visitor
        self._visitor = None
        assert visitor is not None
        factory.connections.add(self)
        self._meter = Meter(factory.limits, factory.joins)
        self._neighbourhood = key_of(visitor.address)
        if visitor.close_code is not None:
            self.close(visitor.close_code, visitor.reason)
            return
        self._client = factory.hub.connect(self, visitor.identity, visitor.address)
        log.debug("{client} connected from {peer}", client=self._client.id, peer=self.peer)

    def onMessageBegin(self, isBinary: bool) -> None:
        super().onMessageBegin(isBinary)
        self._fragments = 0
        if isBinary and not self.factory.accept_binary:
            self._fail(CLOSE_BINARY, "messages are text frames")

    def onMessageFrameBegin(self, length: int) -> None:
        super().onMessageFrameBegin(length)
        self._fragments += 1
        factory = self.factory
        if 0 < factory.max_message_bytes < self.message_data_total_length:
            self._fail(CLOSE_TOO_BIG, f"messages have at most {factory.max_message_bytes} bytes")
        elif 0 < factory.max_fragments < self._fragments:
            self._fail(CLOSE_POLICY, f"messages have at most {factory.max_fragments} fragments")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        client = self._client
        if client is None or self.state != self.STATE_OPEN:
            return
        try:
            message = decode(payload)
        except ProtocolError as error:
            if self._may_go_on(client, None, len(payload)):
                self.send(encode(error.answer))
        else:
            if self._may_go_on(client, message, len(payload)):
                self.factory.hub.receive(client, message)

    def onPing(self, payload: bytes) -> None:
        if self._meter.control_frame(self.factory.reactor.seconds()):
            self._fail(CLOSE_POLICY, "too many pings")
        else:
            super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        if self._client is None:
            return
        if self._meter.control_frame(self.factory.reactor.seconds()):
            self._fail(CLOSE_POLICY, "too many pongs")
        else:
            self.factory.hub.pong(self._client)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.lost(self)
        self._stop_unsent_timer()
        if self._client is not None:
            client, self._client = self._client, None
            log.debug("{client} is gone: {code} {reason}", client=client.id, code=code, reason=reason)
            self.factory.hub.disconnect(client)

    def connectionLost(self, reason: Failure = Failure(ConnectionError())) -> None:  # noqa: B008
        self._is_lost = True
        self.factory.entrance.leave(self.transport)
        # Until the garbage collector finds it, a transport keeps all that its client has not read.
        inner = _innermost(self.transport)
        inner.dataBuffer, inner._tempDataBuffer = b"", []
        super().connectionLost(reason)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        if self._unsent_timer is not None and not self._may_keep(len(data)):
            return
        # Like dataReceived below, Autobahn's own formats a line for its log every time, wanted or not.
        cast(ITransport, self.transport).write(data)

    # --- what the transport calls: IProtocol

    def dataReceived(self, data: bytes) -> None:
        self._dataReceived(data)

    # --- what the hub calls: registry.Peer

    def send(self, frame: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.sendMessage(frame)

    def close(self, code: int, reason: str) -> None:
        if self.state == self.STATE_OPEN:
            # As many whole characters as there is place for (RFC 6455, section 5.5).
            whole = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")
            self.sendCloseFrame(code, whole.encode())

    def ping(self) -> None:
        self.sendPing()

    # --- what the transport calls: IPushProducer

    def pauseProducing(self) -> None:
        """The client does not read: what waits for it is counted from now on."""
        if self._unsent_timer is None:
            self._unsent_timer = self._look_again()
            self._may_keep(0)

    def resumeProducing(self) -> None:
        """All has been read."""
        self._stop_unsent_timer()

    def stopProducing(self) -> None:
        """The transport is gone; onClose does the rest."""

    # --- ends

    def abort(self) -> None:
        """End the connection at once, without a closing handshake."""
        self.wasNotCleanReason = self.wasNotCleanReason or "aborted by the server"
        self.dropConnection(abort=True)

    def _may_keep(self, size: int) -> bool:
        """Whether so many bytes more may wait for the client; if not, the connection is over."""
        waiting = _waiting(self.transport) + size
        self._sent += size
        self.factory.unsent += waiting - self._unsent
        self._unsent = waiting
        if waiting > self.factory.max_unsent_bytes or self.factory.unsent > MAX_UNSENT_IN_ALL:
            self._cut_off(f"{waiting} bytes unread")
            return False
        return True

    def _look_again(self) -> IDelayedCall:
        read = self._sent - _waiting(self.transport)
        reactor: IReactorTime = self.factory.reactor
        return reactor.callLater(MAX_UNSENT_SECONDS, self._check_progress, read)

    def _check_progress(self, read_before: int) -> None:
        if self._sent - _waiting(self.transport) > read_before:
            self._unsent_timer = self._look_again()
        else:
            self._cut_off(f"nothing read for {MAX_UNSENT_SECONDS:.0f} seconds")

    def _fail(self, code: int, reason: str) -> None:
        if not self.failedByMe:
            self._fail_connection(code, reason)

    def _cut_off(self, why: str) -> None:
        # A close frame cannot reach a client that does not read.
        log.warn("{peer} is cut off: {why}", peer=self.peer, why=why)
        self._stop_unsent_timer()
        self.wasNotCleanReason = why
        self.abort()

    def _may_go_on(self, client: Client, message: AnyClientMessage | None, size: int) -> bool:
        """Whether a message does not come too soon; if it does, its sender hears of it or is closed."""
        now = self.factory.reactor.seconds()
        wait = self._meter.message(message, size, client.identity.subject or self._neighbourhood, now)
        if not wait:
            return True
        if self._meter.is_out_of_patience:
            self._fail(CLOSE_POLICY, "too many messages")
        else:
            self.send(encode(error_answer(message, "rateLimited", TOO_FAST, math.ceil(wait * 1000) / 1000)))
        return False

    def _stop_unsent_timer(self) -> None:
        self.factory.unsent -= self._unsent
        self._unsent = self._sent = 0
        timer, self._unsent_timer = self._unsent_timer, None
        if timer is not None and timer.active():
            timer.cancel()


def _innermost(transport: Any) -> Any:
    """The transport below TLS, if there is any."""
    return _innermost(transport.transport) if isinstance(transport, ProtocolWrapper) else transport


def _waiting(transport: Any) -> int:
    """How many bytes a transport holds for its client."""
    # Twisted has no name for it that is public.
    inner = _innermost(transport)
    return int(len(inner.dataBuffer) - inner.offset + inner._tempDataLen)


class SignalingFactory(WebSocketServerFactory):
    """Makes the connections of one hub, and ends them.

    `max_message_bytes` and `max_fragments`: 0 is no limit. Times are in seconds; a `ping_interval` of 0
    means no heartbeat.
    """

    protocol = SignalingProtocol  # type: ignore[assignment]
    noisy = False
    accept_binary = False

    def __init__(
        self,
        hub: Hub,
        reactor: IReactorTime,
        entrance: Entrance,
        limits: Limits,
        *,
        server: str,
        max_message_bytes: int,
        max_fragments: int = MAX_FRAGMENTS,
        ping_interval: float,
        ping_timeout: float,
        handshake_timeout: float,
    ) -> None:
        super().__init__(server=server, reactor=reactor)
        self.hub = hub
        self.entrance = entrance
        self.limits = limits
        self.joins = Buckets()
        self.unsent = 0
        """How many bytes all clients together have not read, of those that do not read."""
        self.max_message_bytes = max_message_bytes
        self.max_fragments = max_fragments
        self.connections: set[SignalingProtocol] = set()
        self._drained: defer.Deferred[None] | None = None
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            # Close codes are part of the protocol: never drop a connection without one.
            failByDrop=False,
            openHandshakeTimeout=handshake_timeout,
            closeHandshakeTimeout=2,
            autoPingInterval=ping_interval,
            autoPingTimeout=ping_timeout,
            # Whoever sends, but never answers a ping, would live for ever.
            autoPingRestartOnAnyTraffic=False,
            # The entrance looks at origins, by rules of its own.
            allowNullOrigin=True,
        )

    @property
    def max_unsent_bytes(self) -> float:
        """How many bytes one client may leave unread: at least the two longest messages that there are."""
        return max(MAX_UNSENT_BYTES, 2 * self.max_message_bytes) if self.max_message_bytes else math.inf

    def lost(self, connection: SignalingProtocol) -> None:
        """A connection is over."""
        self.connections.discard(connection)
        if self._drained is not None and not self.connections:
            drained, self._drained = self._drained, None
            drained.callback(None)

    async def drain(self) -> None:
        """Send all clients away with 1001, in batches, and wait until they are gone."""
        if not self.connections:
            return
        drained = self._drained = defer.Deferred()
        going = list(self.connections)
        for start in range(0, len(going), DRAIN_BATCH):
            for connection in going[start : start + DRAIN_BATCH]:
                connection.close(CLOSE_GOING_AWAY, "server going away")
            await self._turn()
        deadline = self.reactor.callLater(DRAIN_SECONDS, self._abort_all)
        await drained
        if deadline.active():
            deadline.cancel()

    async def _turn(self) -> None:
        turn: defer.Deferred[None] = defer.Deferred()
        self.reactor.callLater(0, turn.callback, None)
        await turn

    def _abort_all(self) -> None:
        for connection in list(self.connections):
            connection.abort()

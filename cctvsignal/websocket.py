"""Autobahn protocol and factory: frames of one connection to messages of the hub, and back. No rules.

Autobahn owns the handshake, fragmentation, UTF-8, control frames and the closing handshake; what it leaves
unbounded is bounded here: the size of a message, its number of fragments, how many come in what time, and
what a client does not read. Plain frames are taken by hand (`frames`), and what is sent is gathered
(`sending`).
"""

from __future__ import annotations

import math
from contextlib import suppress
from functools import cached_property
from typing import Final, cast

from autobahn.twisted.util import peer2str
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet import defer
from twisted.internet.interfaces import IAddress, IConsumer, IReactorTime, ITCPTransport, ITransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from .addresses import key_of
from .answers import error as error_answer
from .entrance import Entrance, Visitor
from .frames import PING, TEXT, take_plain, text_frame
from .heartbeat import Heartbeat
from .hub import Hub
from .light import forget_handshake, lighten
from .limits import Buckets, Limits, Meter
from .messages import AnyClientMessage, ProtocolError, decode, encode
from .registry import Client
from .sending import Outbox, Sender

MAX_FRAGMENTS: Final = 64
"""Fragments of one message. Empty ones would pass any limit on size for ever."""
TOO_LONG_FACTOR: Final = 16
"""A message so many times as long as the longest is not read to its end."""
TOO_LONG_SECONDS: Final = 10.0
"""A second message that is too long within this time closes the connection."""
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


class SignalingProtocol(WebSocketServerProtocol):
    """One WebSocket connection: a `Peer` for the hub."""

    factory: SignalingFactory
    _sender: Sender
    _client: Client | None = None
    _visitor: Visitor | None = None
    _meter: Meter
    _is_lost = False
    _neighbourhood = ""
    """What limits of its address go by."""
    _fragments = 0
    _is_too_long = False
    """Whether the message that is under way is thrown away as it comes."""
    _too_long_at = -math.inf
    """When the last one was."""
    openHandshakeTimeout: float
    """In seconds; Autobahn's."""

    def __init__(self) -> None:
        """All that Autobahn's would set is on the class that `lighten` makes."""

    # --- what Autobahn calls

    @cached_property
    def peer(self) -> str:  # type: ignore[override]
        """Who this is, for the log."""
        return peer2str(cast(ITransport, self.transport))

    def _connectionMade(self) -> None:
        # Autobahn's own sets what `lighten` has put on the class.
        if self.openHandshakeTimeout:
            self.openHandshakeTimeoutCall = self.factory._batched_timer.call_later(
                self.openHandshakeTimeout, self.onOpenHandshakeTimeout
            )

    async def onConnect(self, request: ConnectionRequest) -> None:  # type: ignore[override]
        """The opening handshake is sound; there is no subprotocol to choose."""
        visiting: defer.Deferred[Visitor] = defer.Deferred()
        # Not by this request's headers: Autobahn has read them again, and in another way.
        self.factory.entrance.identify(self.transport, visiting.callback)
        self._visitor = await visiting
        if self._is_lost:
            raise ConnectionDeny(ConnectionDeny.BAD_REQUEST, "gone before it was known who this is")

    def _onOpen(self) -> None:
        # The HTTP channel is still registered as the transport's producer after the upgrade.
        cast(IConsumer, self.transport).unregisterProducer()
        forget_handshake(self)
        visitor, self._visitor = self._visitor, None
        assert visitor is not None
        self._begin(visitor)

    def onMessageBegin(self, isBinary: bool) -> None:
        super().onMessageBegin(isBinary)
        self._fragments = 0
        if isBinary and not self.factory.accept_binary:
            self._fail(CLOSE_BINARY, "messages are text frames")

    def onMessageFrameBegin(self, length: int) -> None:
        super().onMessageFrameBegin(length)
        self._fragments += 1
        factory = self.factory
        if self.message_data_total_length > factory.longest_message:
            self._throw_away()
        if self._is_too_long:
            self.message_data = []
        if 0 < factory.max_fragments < self._fragments:
            self._fail(CLOSE_POLICY, f"messages have at most {factory.max_fragments} fragments")

    def onMessageFrameData(self, payload: bytes) -> None:
        if not self._is_too_long:
            super().onMessageFrameData(payload)

    def onMessageEnd(self) -> None:
        if not self._is_too_long:
            super().onMessageEnd()
            return
        self._is_too_long, self.message_data = False, []
        client, longest = self._client, self.factory.longest_message
        if (
            client is not None
            and self.state == self.STATE_OPEN
            and self._may_go_on(client, None, self.message_data_total_length)
        ):
            text = f"A message has at most {longest} bytes: this one was not read."
            self.send(encode(error_answer(None, "invalidMessage", text)))

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
            self.factory.heartbeat.pong(self)
            self.factory.hub.pong(self._client)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.lost(self)
        if self._client is not None:
            client, self._client = self._client, None
            log.debug("{client} is gone: {code} {reason}", client=client.id, code=code, reason=reason)
            self.factory.hub.disconnect(client)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        self._sender.send(data)

    def _closeConnection(self, abort: bool = False) -> None:
        # The close frame may be among what was gathered; Twisted drops it if it comes with an abort.
        self._sender.flush()
        super()._closeConnection(abort)

    # --- what the transport calls: IProtocol

    def connectionMade(self) -> None:
        # Not Autobahn's, which collects what is known of the transport: nobody asks for it.
        self._sender = Sender(self.factory.outbox, self.transport, self._cut_off)
        # What is sent is gathered here already. Unix sockets do not gather.
        with suppress(AttributeError, OSError):
            cast(ITCPTransport, self.transport).setTcpNoDelay(True)
        self._connectionMade()

    def dataReceived(self, data: bytes) -> None:
        start = 0
        if self.state == self.STATE_OPEN and self.current_frame is None and not self.inside_message:
            # What is left of a frame is for whoever began with it.
            longest, end = self.factory.longest_message, 0 if self.data else len(data)
            while start < end and self.state == self.STATE_OPEN:
                taken = take_plain(data, start, longest)
                if taken is None:
                    break
                first, payload, start = taken
                if first == TEXT:
                    self.onMessage(payload, False)
                else:
                    self.onPong(payload)
        if start < len(data):
            self._dataReceived(data[start:] if start else data)

    def connectionLost(self, reason: Failure = Failure(ConnectionError())) -> None:  # noqa: B008
        self._is_lost = True
        self.factory.entrance.leave(self.transport)
        # Autobahn's own makes four lines for its log of it, and throws them away.
        WebSocketProtocol._connectionLost(self, reason)  # type: ignore[arg-type]
        self._sender.end()

    # --- what the hub calls: registry.Peer

    def send(self, frame: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self._sender.send(text_frame(frame))

    def close(self, code: int, reason: str) -> None:
        if self.state == self.STATE_OPEN:
            # As many whole characters as there is place for (RFC 6455, section 5.5).
            whole = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")
            self.sendCloseFrame(code, whole.encode())

    def ping(self) -> None:
        if self.state == self.STATE_OPEN:
            self._sender.send(PING)

    # --- ends

    def abort(self) -> None:
        """End the connection at once, without a closing handshake."""
        self.wasNotCleanReason = self.wasNotCleanReason or "aborted by the server"
        self.dropConnection(abort=True)

    def open(self, transport: ITransport, visitor: Visitor, answer: bytes) -> None:
        """Go on as if Autobahn's opening handshake ended well, with this answer (RFC 6455, 4.2.2)."""
        self.openHandshakeTimeout = 0
        self.makeConnection(transport)
        self.state = self.STATE_OPEN
        self._sender.send(answer)
        self._begin(visitor)

    def _begin(self, visitor: Visitor) -> None:
        """The connection is open."""
        factory = self.factory
        self._sender.watch()
        factory.begun(self)
        self._meter = Meter(factory.limits, factory.joins)
        self._neighbourhood = key_of(visitor.address)
        if visitor.close_code is not None:
            self.close(visitor.close_code, visitor.reason)
        else:
            self._client = factory.hub.connect(self, visitor.identity, visitor.address)

    def _throw_away(self) -> None:
        """The message that is under way is too long: read it without keeping it, or close."""
        longest, now = self.factory.longest_message, self.factory.reactor.seconds()
        is_second = not self._is_too_long and now - self._too_long_at < TOO_LONG_SECONDS
        if is_second or self.message_data_total_length > TOO_LONG_FACTOR * longest:
            self._fail(CLOSE_TOO_BIG, f"messages have at most {longest} bytes")
        else:
            self._is_too_long, self._too_long_at = True, now

    def _fail(self, code: int, reason: str) -> None:
        if not self.failedByMe:
            self._fail_connection(code, reason)

    def _cut_off(self, why: str) -> None:
        # A close frame cannot reach a client that does not read.
        text = "{peer} is cut off: {why}"
        self.factory.entrance.warnings.say(
            "clients that do not read", log.warn, text, peer=self.peer, why=why
        )
        self.wasNotCleanReason = why
        self.abort()

    def _may_go_on(self, client: Client, message: AnyClientMessage | None, size: int) -> bool:
        """Whether a message does not come too soon; if it does, its sender hears of it or is closed."""
        now = self.factory.reactor.seconds()
        wait = self._meter.message(message, size, client.identity.subject, self._neighbourhood, now)
        if not wait:
            return True
        if self._meter.is_out_of_patience:
            self._fail(CLOSE_POLICY, "too many messages")
        else:
            self.send(encode(error_answer(message, "rateLimited", TOO_FAST, math.ceil(wait * 1000) / 1000)))
        return False


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
        self.longest_message = max_message_bytes or math.inf
        self.max_fragments = max_fragments
        self.outbox = Outbox(reactor, self.longest_message)
        self.connections: set[SignalingProtocol] = set()
        self.heartbeat = Heartbeat(reactor, ping_interval, ping_timeout)
        self._drained: defer.Deferred[None] | None = None
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            # Close codes are part of the protocol: never drop a connection without one.
            failByDrop=False,
            openHandshakeTimeout=handshake_timeout,
            closeHandshakeTimeout=2,
            # The entrance looks at origins, by rules of its own.
            allowNullOrigin=True,
        )

    @cached_property
    def _light_protocol(self) -> type[SignalingProtocol]:
        return lighten(self.protocol, self)

    def buildProtocol(self, addr: IAddress | None) -> SignalingProtocol:  # type: ignore[override]
        connection = self._light_protocol()
        connection.factory = self
        return connection

    def open(self, transport: ITransport, visitor: Visitor, answer: bytes = b"") -> SignalingProtocol:
        """A connection whose opening handshake is over but for the server's answer."""
        connection = self.buildProtocol(None)
        connection.open(transport, visitor, answer)
        return connection

    def begun(self, connection: SignalingProtocol) -> None:
        """A connection is open."""
        self.connections.add(connection)
        self.heartbeat.start(connection)

    def lost(self, connection: SignalingProtocol) -> None:
        """A connection is over."""
        self.heartbeat.stop(connection)
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

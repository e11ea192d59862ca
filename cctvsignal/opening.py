"""The beginning of each connection: a plain upgrade becomes a WebSocket at once, all else goes to the site.

The objects of twisted.web and the handshake of Autobahn cost more than all the rest of a new connection.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolNegotiationFactory
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from .entrance import Turned, Visitor, host_of, is_secure
from .site import HandshakeSite
from .upgrade import read_upgrade, switching_protocols
from .websocket import SignalingFactory

MAX_EARLY_BYTES: Final = 65536
"""What a client may send before it has had an answer; then it is not read until it has."""

log = Logger()


@implementer(IProtocol)
class Opening:
    """The protocol of a connection until its first bytes have come, and it is known who sent them."""

    # There may be thousands that say nothing.
    __slots__ = ("_early", "_factory", "_host", "_is_lost", "_is_paused", "transport")

    def __init__(self, factory: OpeningFactory) -> None:
        self._factory = factory
        self._host = ""
        self._early: bytes | None = None
        """What came after the request; None as long as there is none."""
        self._is_lost = False
        self._is_paused = False
        self.transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        self._host = host_of(self.transport)
        site = self._factory.site
        try:
            site.entrance.enter(self.transport, self._host)
        except Turned as error:
            self._go_on_as_http().turn_away(error)
        else:
            site.deadlines.start(self.transport)

    def dataReceived(self, data: bytes) -> None:
        if self._early is not None:
            self._keep(data)
            return
        upgrade = read_upgrade(data)
        if upgrade is None:
            # Also for what is not whole: whoever waits for the rest has to know what all of it may be.
            self._go_on_as_http().dataReceived(data)
            return
        entrance = self._factory.site.entrance
        try:
            entrance.check(
                self.transport, self._host, is_secure(self.transport), upgrade.headers, upgrade.params
            )
        except Turned as error:
            channel = self._go_on_as_http()
            channel.refusal = error
            channel.dataReceived(data)
            return
        self._early = data[upgrade.end :]
        entrance.identify(self.transport, partial(self._open, upgrade.key))
        if self._early is not None:
            # The client has done its part in time.
            self._factory.site.deadlines.start(self.transport)

    def connectionLost(self, reason: Failure) -> None:
        self._is_lost = True
        self._factory.site.deadlines.stop(self.transport)
        self._factory.site.entrance.leave(self.transport)

    def _keep(self, data: bytes) -> None:
        assert self._early is not None
        self._early += data
        if len(self._early) > MAX_EARLY_BYTES and not self._is_paused:
            self._is_paused = True
            self.transport.pauseProducing()

    def _open(self, key: str, visitor: Visitor) -> None:
        if self._is_lost:
            return
        factory, transport = self._factory, self.transport
        early, self._early = self._early, None
        factory.site.deadlines.stop(transport)
        try:
            answer = switching_protocols(key, factory.server)
            websocket = factory.websocket.open(transport, visitor, answer)
            self._give_to(websocket)
            if self._is_paused:
                transport.resumeProducing()
            if early:
                websocket.dataReceived(early)
        except Exception:
            log.failure("a connection cannot be opened")
            transport.abortConnection()

    def _go_on_as_http(self) -> Any:
        channel: Any = self._factory.site.buildProtocol(self.transport.getPeer())
        channel.has_entered = True
        self._give_to(channel)
        channel.makeConnection(self.transport)
        return channel

    def _give_to(self, protocol: IProtocol) -> None:
        # By TLS, the transport is a wrapper around the next one.
        if isinstance(self.transport, ProtocolWrapper):
            self.transport.wrappedProtocol = protocol
        else:
            self.transport.protocol = protocol


@implementer(IProtocolNegotiationFactory)
class OpeningFactory(ServerFactory):
    """The server's port: `site` for HTTP, `websocket` for those who ask for an upgrade.

    `server` is what the Server header says.
    """

    noisy = False

    def __init__(self, site: HandshakeSite, websocket: SignalingFactory, server: str) -> None:
        self.site = site
        self.websocket = websocket
        self.server = server

    def buildProtocol(self, addr: IAddress | None) -> Opening:  # type: ignore[override]
        return Opening(self)

    def acceptableProtocols(self) -> list[bytes]:
        """What a client may choose by TLS (RFC 7301): as of the site."""
        return list(self.site.acceptableProtocols())

"""Puts the server together: starts it, drains it, stops it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict

from autobahn.twisted.resource import WebSocketResource
from twisted.application.service import MultiService, Service
from twisted.internet import defer
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from . import __version__
from .hub import SERVER, Hub
from .logs import make_observer
from .messages import Limits
from .options import Options
from .site import make_site
from .websocket import SignalingFactory


class CannotStart(SystemExit, Exception):
    """The server cannot start; the text says why.

    A `SystemExit` so that Python prints the text alone and exits with status 1; an `Exception` so that
    twistd cleans up behind it.
    """


class Listener(Service):
    """One endpoint that the site listens on."""

    log = Logger()

    def __init__(self, reactor: object, description: str, factory: IProtocolFactory) -> None:
        self._description = description
        self._endpoint = serverFromString(reactor, description)
        self._factory = factory
        self.port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._listen()

    def startService(self) -> None:
        super().startService()
        if self.port is None:
            self._listen()

    def stopService(self) -> defer.Deferred[None] | None:
        super().stopService()
        port, self.port = self.port, None
        return None if port is None else port.stopListening()

    def _listen(self) -> None:
        failures: list[Exception] = []
        listening = defer.maybeDeferred(self._endpoint.listen, self._factory)
        listening.addCallbacks(self._opened, lambda failure: failures.append(failure.value))
        if failures:
            error = failures[0]
            reason = getattr(error, "socketError", error)
            raise CannotStart(f"cctvsignal: cannot listen on {self._description}: {reason}") from None

    def _opened(self, port: IListeningPort) -> None:
        self.port = port
        scheme = "https" if self._description.startswith("ssl:") else "http"
        self.log.info("cctvsignal {version} is ready: {url}", version=__version__, url=_url(scheme, port))


class SignalingService(MultiService):
    """The whole server, for `twistd` or any other Twisted application."""

    log = Logger()

    def __init__(self, options: Options, reactor: IReactorTime) -> None:
        super().__init__()
        self._options = options
        self._started: float | None = None
        self._reactor = reactor
        self._hub = Hub(reactor, Limits(options["max-message-bytes"], messages_per_second=0))
        self._websocket = SignalingFactory(
            self._hub,
            reactor,
            server=SERVER,
            max_message_bytes=options["max-message-bytes"],
            ping_interval=options["ping-interval"],
            ping_timeout=options["ping-timeout"],
            handshake_timeout=options["handshake-timeout"],
        )
        site = make_site(
            WebSocketResource(self._websocket),
            reactor,
            server=SERVER,
            health=self._health,
            web_dir=options.web_directory,
            client_dir=options.client_directory,
            handshake_timeout=options["handshake-timeout"],
        )
        self.listeners = [Listener(reactor, endpoint, site) for endpoint in options.endpoints]
        for listener in self.listeners:
            listener.setServiceParent(self)

    def setServiceParent(self, parent: object) -> None:
        """Join an application; its log is from then on what the options say."""
        if isinstance(parent, Componentized) and not self._options.twistd_owns_log:
            parent.setComponent(ILogObserver, self.log_observer())
        super().setServiceParent(parent)

    def log_observer(self) -> ILogObserver:
        """Where the options want the log."""
        return make_observer(sys.stdout, self._options["log-format"], self._options["log-level"])

    def startService(self) -> None:
        self._started = self._reactor.seconds()
        super().startService()
        self.log.warn("Authentication is off: whoever reaches this port can watch and can be a camera.")

    def stopService(self) -> defer.Deferred[None]:
        """Stop listening, then send the clients away with 1001 and wait for them."""

        async def stop() -> None:
            await super(SignalingService, self).stopService()
            await self._websocket.drain()

        return defer.Deferred.fromCoroutine(stop())

    def _health(self) -> Mapping[str, object]:
        uptime = 0 if self._started is None else self._reactor.seconds() - self._started
        return {"version": __version__, "uptimeSeconds": round(uptime, 3), **asdict(self._hub.counts())}


def make_service(options: Options) -> SignalingService:
    """What twistd's plugin calls."""
    from twisted.internet import reactor

    assert IReactorTime.providedBy(reactor)
    return SignalingService(options, reactor)


def _url(scheme: str, port: IListeningPort) -> str:
    address = port.getHost()
    if not isinstance(address, IPv4Address | IPv6Address):
        return str(address)
    host = "localhost" if address.host in ("0.0.0.0", "::") else address.host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{address.port}/"

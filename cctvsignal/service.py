"""Puts the server together: starts it, drains it, stops it."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from socket import SO_ACCEPTCONN, SOL_SOCKET
from typing import Any, Final

from twisted.application.service import MultiService, Service
from twisted.internet import defer
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.components import Componentized

from . import __version__
from .admission import SERVER
from .assembly import assemble
from .hub import Hub
from .logs import in_background, make_observer
from .options import BACKLOG, Options
from .redirect import ToHttps
from .signals import Signals
from .tls import ReloadedCertificate

REVOCATION_SECONDS: Final = 2.0
"""How often the list of those who must go is looked at."""
WARNING_SECONDS: Final = 5.0
"""How often it is looked whether log lines were held back for long enough."""
CYCLES_AFTER: Final = 20_000
"""How many objects are kept until garbage is looked for among them."""


class CannotStart(SystemExit, Exception):
    """The server cannot start; the text says why.

    A `SystemExit` so that Python prints the text alone and exits with status 1; an `Exception` so that
    twistd cleans up behind it.
    """


class Listener(Service):
    """One endpoint that the site listens on."""

    log = Logger()

    def __init__(
        self,
        reactor: object,
        description: str,
        factory: IProtocolFactory,
        certificate: ReloadedCertificate | None = None,
    ) -> None:
        # What the owner wrote, without what was added to it.
        self._description = description.removesuffix(f":backlog={BACKLOG}")
        self._endpoint = serverFromString(reactor, description)
        self._is_secure = certificate is not None or description.startswith("ssl:")
        self._factory = factory if certificate is None else TLSMemoryBIOFactory(certificate, False, factory)
        self.port: IListeningPort | None = None
        self._listening: defer.Deferred[None] | None = None
        """What is under way, where an endpoint takes its time."""

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._listen()

    def startService(self) -> None:
        super().startService()
        if self.port is None:
            self._listen()

    def stopService(self) -> defer.Deferred[None] | None:
        super().stopService()
        if self._listening is not None:
            self._listening.cancel()
        port, self.port = self.port, None
        return None if port is None else port.stopListening()

    def _listen(self) -> None:
        problems: list[str] = []
        listening = defer.maybeDeferred(self._endpoint.listen, self._factory)
        self._listening = listening.addCallbacks(
            self._opened, lambda failure: problems.append(_reason(failure.value))
        )
        if problems:
            raise CannotStart(f"cctvsignal: cannot listen on {self._description}: {problems[0]}")
        self._listening.addCallback(lambda _: self._settled(problems))

    def _settled(self, problems: list[str]) -> None:
        self._listening = None
        if problems and self.running:
            # Too late to refuse the start, and other endpoints may do.
            text = "cannot listen on {endpoint}: {problem}; mend it and restart the server"
            self.log.error(text, endpoint=self._description, problem=problems[0])

    def _accept(self, port: Any, accept: Callable[[], None]) -> None:
        if port.socket.getsockopt(SOL_SOCKET, SO_ACCEPTCONN):
            accept()
        elif self.port is not None:
            # Twisted would try again in each turn, and log that it failed, as long as the process runs.
            lost, self.port = self.port, None
            lost.stopListening()
            text = "nothing listens on {endpoint} any more: the system closed it; restart the server"
            self.log.error(text, endpoint=self._description)

    def _opened(self, port: IListeningPort) -> None:
        self.port = port
        if _says_that_it_listens(port):
            watched: Any = port
            watched.doRead = partial(self._accept, port, watched.doRead)
        scheme = "https" if self._is_secure else "http"
        self.log.info("cctvsignal {version} is ready: {url}", version=__version__, url=_url(scheme, port))


class SignalingService(MultiService):
    """The whole server, for `twistd` or any other Twisted application."""

    log = Logger()

    def __init__(self, options: Options, reactor: IReactorTime) -> None:
        super().__init__()
        self._options = options
        self._started: float | None = None
        self._reactor = reactor
        try:
            self._parts = parts = assemble(options, reactor, self._health)
        except (OSError, ValueError) as error:
            raise CannotStart(f"cctvsignal: {error}") from None
        self.listeners = [
            Listener(reactor, endpoint, parts.port, parts.certificate) for endpoint in options.endpoints
        ]
        to_https = parts.site_for(ToHttps(self._https_port, SERVER))
        self.listeners += [Listener(reactor, endpoint, to_https) for endpoint in options.redirect_endpoints]
        for listener in self.listeners:
            listener.setServiceParent(self)
        self._revoking = LoopingCall(self._revoke)
        self._counting = LoopingCall(self._count)
        self._revoking.clock = self._counting.clock = reactor

    def setServiceParent(self, parent: object) -> None:
        """Join an application; its log is from then on what the options say."""
        if isinstance(parent, Componentized) and not self._options.twistd_owns_log:
            parent.setComponent(ILogObserver, self.log_observer())
        super().setServiceParent(parent)

    def log_observer(self) -> ILogObserver:
        """Where the options want the log."""
        log_format = self._options["log-format"]
        return make_observer(in_background(sys.stdout, log_format), log_format, self._options["log-level"])

    def startService(self) -> None:
        self._started = self._reactor.seconds()
        super().startService()
        if self._options.wants_tokens:
            self.log.info("Authentication is on: clients need a token.")
        else:
            text = "Authentication is off: whoever reaches this port can watch and can be a camera."
            self.log.warn(text)
        self._counting.start(WARNING_SECONDS)
        if self._parts.revoked is not None:
            self._revoking.start(REVOCATION_SECONDS)

    def stopService(self) -> defer.Deferred[None]:
        """Stop listening, then send the clients away with 1001 and wait for them."""

        async def stop() -> None:
            for looping in (self._revoking, self._counting):
                if looping.running:
                    looping.stop()
            await super(SignalingService, self).stopService()
            await self._parts.websocket.drain()
            self._parts.warnings.tick(at_the_end=True)
            for close in self._parts.closers:
                close()

        return defer.Deferred.fromCoroutine(stop())

    def reload(self) -> tuple[list[str], list[str]]:
        """Read all files again, changed or not; the names of those that were taken, and of the others."""
        taken: list[str] = []
        kept: list[str] = []
        for files in self._parts.watched:
            (taken if files.reload() else kept).append(files.names)
        if self._parts.audit is not None:
            self._parts.audit.reopen()
            taken.append(str(self._options["audit-log"]))
        if self._parts.revoked is not None:
            self._revoke()
        return taken, kept

    def _count(self) -> None:
        """Say what was held back."""
        self._parts.warnings.tick()
        if self._parts.audit is not None:
            self._parts.audit.tick()

    def _revoke(self) -> None:
        assert self._parts.revoked is not None
        self._parts.hub.revoke(self._parts.revoked())

    def _https_port(self) -> int:
        port = self.listeners[0].port
        address = None if port is None else port.getHost()
        return address.port if isinstance(address, IPv4Address | IPv6Address) else 443

    def _health(self, hub: Hub) -> dict[str, object]:
        uptime = 0 if self._started is None else self._reactor.seconds() - self._started
        return {"version": __version__, "uptimeSeconds": round(uptime, 3), **asdict(hub.counts())}


def make_service(options: Options) -> SignalingService:
    """What twistd's plugin calls."""
    from twisted.internet import reactor

    assert IReactorTime.providedBy(reactor)
    _use_monotonic_time(reactor)
    service = SignalingService(options, reactor)
    Signals(reactor, service.reload).setServiceParent(service)
    # What the server is made of never becomes garbage, and what it does makes next to no cycles: to look
    # for them after every 700 objects that are kept costs more than it finds.
    gc.freeze()
    gc.set_threshold(CYCLES_AFTER)
    return service


def _use_monotonic_time(reactor: Any) -> None:
    # Twisted's timers go by the time of day, and stand still for an hour when that is set back by one. A
    # reactor that runs already is a host program's, and has timers that were set by its own clock.
    if not reactor.running:
        reactor.seconds = time.monotonic


def _says_that_it_listens(port: Any) -> bool:
    try:
        return bool(port.socket.getsockopt(SOL_SOCKET, SO_ACCEPTCONN))
    except (AttributeError, OSError):
        # Not every system knows the option, and a port may be anything that listens.
        return False


def _reason(error: Exception) -> str:
    return str(getattr(error, "socketError", error)) or type(error).__name__


def _url(scheme: str, port: IListeningPort) -> str:
    address = port.getHost()
    if not isinstance(address, IPv4Address | IPv6Address):
        return str(address)
    host = "localhost" if address.host in ("0.0.0.0", "::") else address.host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{address.port}/"

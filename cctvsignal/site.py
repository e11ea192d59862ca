"""The HTTP side of the port: `/health`, `/api`, the web app as static files, the hand-over of upgrades.

Upgrades are recognised before Klein sees them: its routing would cost a third of the connection rate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qs, unquote_to_bytes

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime, ITransport
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request, Site
from zope.interface import implementer

from .addresses import Origins
from .entrance import Entrance, Turned, host_of, is_secure
from .pages import IceServers, WebApp, headers_of, plain_text
from .timers import Deadlines

WEBSOCKET_PATHS: Final = (b"/", b"/ws", b"/ws/")
API_PATHS: Final = (b"/health", b"/api/ice-servers")
"""What pages of other origins may read, if the owner lets them."""
METHODS: Final = (b"GET", b"HEAD")
LEAVING_SECONDS: Final = 2.0
"""How long a connection that was refused may take to go."""
MAX_LEAVING: Final = 32
"""So many at a time, who have no place any more, are told why by TLS."""
_ODD_CHARACTER: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
"""Control characters: some parsers take some of them for the end of a line."""
_ABSOLUTE_FORM: Final = re.compile(rb"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
MAX_BODY_BYTES: Final = 4096
"""Nothing is uploaded to this server."""
SECURITY_HEADERS: Final = {
    b"Content-Security-Policy": (
        b"default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    b"X-Content-Type-Options": b"nosniff",
    b"Referrer-Policy": b"no-referrer",
    b"Permissions-Policy": b"camera=(self), microphone=(self), display-capture=(self), geolocation=()",
    b"Cross-Origin-Opener-Policy": b"same-origin",
}


@implementer(IResource)
class Root:
    """Everything on the port: WebSocket upgrades go to Autobahn, all else to the web app."""

    isLeaf = True

    def __init__(
        self, websocket: IResource, web: IResource, server: str, origins: Origins, entrance: Entrance
    ) -> None:
        self._websocket = websocket
        self._entrance = entrance
        self._origins = origins
        self._web = web
        self._server = server.encode()

    def render(self, request: Request) -> bytes | int:
        if absolute := _ABSOLUTE_FORM.fullmatch(request.uri):
            # The host of a whole URL counts, and not the header (RFC 9112, section 3.2.2).
            host, rest = absolute.groups()
            request.requestHeaders.setRawHeaders(b"Host", [host])
            request.uri = rest if rest.startswith(b"/") else b"/" + rest
            request.path = request.uri.partition(b"?")[0]
            request.postpath = [unquote_to_bytes(name) for name in request.path[1:].split(b"/")]
        # Of other protocols, such as h2c, nothing is known: they are ignored (RFC 9110, section 7.8).
        wanted = b",".join(request.requestHeaders.getRawHeaders(b"Upgrade", ()))
        is_upgrade = b"websocket" in wanted.lower()
        if is_upgrade and request.method == b"GET" and request.path in WEBSOCKET_PATHS:
            return self._upgrade(request)
        request.setHeader(b"Server", self._server)
        for name, value in SECURITY_HEADERS.items():
            request.setHeader(name, value)
        try:
            peer = host_of(cast(ITransport, request.transport))
            self._entrance.request(peer, headers_of(request).get("x-forwarded-for"))
        except Turned as error:
            cast(Channel, request.channel).persistent = False
            return self._refuse(request, error)
        if request.path in API_PATHS and self._let_origin_read(request):
            return b""
        if request.method not in METHODS:
            request.setHeader(b"Allow", b", ".join(METHODS))
            return plain_text(request, http.NOT_ALLOWED, "Method Not Allowed")
        return cast("bytes | int", self._web.render(request))

    def _upgrade(self, request: Request) -> bytes | int:
        channel = cast(Channel, request.channel)
        transport = cast(ITransport, channel.transport)
        headers = headers_of(request)
        query = parse_qs(request.uri.partition(b"?")[2].decode("latin-1"))
        refusal, channel.refusal = channel.refusal, None
        try:
            if refusal is not None:
                raise refusal
            self._entrance.check(transport, host_of(transport), is_secure(transport), headers, query)
            if any(map(_ODD_CHARACTER.search, _header_texts(request))):
                raise self._entrance.refuse_headers(host_of(transport))
        except Turned as error:
            request.setHeader(b"Server", self._server)
            return self._refuse(request, error)
        return cast("bytes | int", self._websocket.render(request))

    @staticmethod
    def _refuse(request: Request, error: Turned) -> bytes:
        request.setHeader(b"Connection", b"close")
        if error.retry_after is not None:
            request.setHeader(b"Retry-After", b"%d" % math.ceil(error.retry_after))
        name = http.RESPONSES.get(error.status, b"Too Many Requests").decode()
        return plain_text(request, error.status, f"{name}: {error}")

    def _let_origin_read(self, request: Request) -> bool:
        """Say whether the page that asks may read the answer; true if that was all that it asked."""
        request.setHeader(b"Vary", b"Origin")
        origin = request.getHeader(b"Origin")
        if origin is None or not self._origins.lists(origin.decode("ascii", "replace")):
            return False
        request.setHeader(b"Access-Control-Allow-Origin", origin)
        if request.method != b"OPTIONS" or request.getHeader(b"Access-Control-Request-Method") is None:
            return False
        request.setHeader(b"Access-Control-Allow-Methods", b"GET")
        request.setHeader(b"Access-Control-Allow-Headers", b"Authorization")
        request.setHeader(b"Access-Control-Max-Age", b"600")
        request.setResponseCode(http.NO_CONTENT)
        return True

    def getChildWithDefault(self, name: bytes, request: Request) -> IResource:
        raise AssertionError("a leaf has no children")

    def putChild(self, path: bytes, child: IResource) -> None:
        raise AssertionError("a leaf has no children")


def _header_texts(request: Request) -> Iterator[bytes]:
    for name, values in request.requestHeaders.getAllRawHeaders():
        yield name
        yield from values


def _answer(status: bytes, header: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + header + b"Content-Length: 0\r\nConnection: close\r\n\r\n"


def _abort(transport: Any) -> None:
    transport.abortConnection()


class HostlessRequest(Request):
    """A request whose Host header does not matter: it may be absent, forged or no text at all."""

    def getRequestHostname(self) -> bytes:
        return b"localhost"


class Channel(http.HTTPChannel):
    """An HTTP connection whose every request must be there within the handshake time-out.

    Twisted's own time-out starts afresh with each line, and so waits for ever for a client that sends a
    line now and then.
    """

    factory: HandshakeSite
    has_entered = False
    """Whether somebody else had the connection before, counted it and set its deadline."""
    refusal: Turned | None = None
    """Why the first request may not become a WebSocket, if that has been found out already."""
    _refused = False
    _is_leaving = False

    def connectionMade(self) -> None:
        self.site = self.factory
        super().connectionMade()
        if self.has_entered:
            return
        transport = cast(ITransport, self.transport)
        try:
            self.factory.entrance.enter(transport, host_of(transport))
        except Turned as error:
            self.turn_away(error)
        else:
            self.factory.deadlines.start(transport)

    def turn_away(self, error: Turned) -> None:
        """There is no place for this connection: end it before anything of it is read."""
        retry_after = b"Retry-After: %d\r\n" % math.ceil(error.retry_after or 0)
        if not is_secure(self.transport):
            self._refuse_at_once(b"503 Service Unavailable", retry_after)
        elif self.factory.leaving < MAX_LEAVING:
            # The answer has to wait for the handshake, and the end for the other side.
            self.factory.leaving += 1
            self._is_leaving = True
            self._refuse(b"503 Service Unavailable", retry_after)
        else:
            self.forceAbortClient()

    def allHeadersReceived(self) -> None:
        if self.length is None or self.length > MAX_BODY_BYTES:
            self._refuse(b"413 Content Too Large")
        else:
            super().allHeadersReceived()

    def allContentReceived(self) -> None:
        self.factory.deadlines.stop(self.transport)
        super().allContentReceived()

    def forceAbortClient(self) -> None:
        """End it at once. Twisted's own would log a line for each: strangers decide how many there are."""
        self._abortingCall = None
        _abort(self.transport)

    def rawDataReceived(self, data: bytes) -> None:
        if not self._refused:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        self._refuse(b"431 Request Header Fields Too Large")

    def requestDone(self, request: Request) -> None:
        if self.clearLineBuffer():
            # One request in a turn of the reactor. Who does not wait for answers may ask again.
            self.persistent = False
        super().requestDone(request)
        self.factory.deadlines.start(self.transport)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.factory.deadlines.stop(self.transport)
        self.factory.leaving_deadlines.stop(self.transport)
        self.factory.entrance.leave(self.transport)
        self.factory.leaving -= self._is_leaving
        super().connectionLost(reason)

    def _refuse(self, status: bytes, header: bytes = b"") -> None:
        if not self._refused:
            self._refused = True
            cast(ITransport, self.transport).write(_answer(status, header))
            self.loseConnection()
            # By TLS, the other side has to agree to the end.
            self.factory.deadlines.stop(self.transport)
            self.factory.leaving_deadlines.start(self.transport)

    def _refuse_at_once(self, status: bytes, header: bytes) -> None:
        """The same, without waiting for the reactor: it may have no more files until this one is closed."""
        transport: Any = self.transport
        with suppress(OSError):
            transport.getHandle().send(_answer(status, header))
        self._refused = True
        transport.connectionLost(Failure(ConnectionDone()))


class HandshakeSite(Site):
    """HTTP on a port of the server. `handshake_timeout` is in seconds."""

    protocol = Channel  # type: ignore[assignment]
    requestFactory = HostlessRequest
    noisy = False

    def __init__(
        self, root: IResource, reactor: IReactorTime, handshake_timeout: float, entrance: Entrance
    ) -> None:
        super().__init__(root, reactor=reactor, timeout=60)
        self.entrance = entrance
        self.deadlines = Deadlines(reactor, handshake_timeout, _abort)
        """Of transports whose request has to come."""
        self.leaving_deadlines = Deadlines(reactor, LEAVING_SECONDS, _abort)
        self.leaving = 0
        """How many connections there are that were turned away, and have to be told so by TLS."""
        self.displayTracebacks = False

    def log(self, request: http.Request) -> None:
        """No access log: what matters is logged where it happens."""


def make_root(
    websocket: IResource,
    *,
    server: str,
    origins: Origins,
    entrance: Entrance,
    health: Callable[[], Mapping[str, object]],
    ice_servers: IceServers,
    web_dir: Path,
    client_dir: Path,
) -> Root:
    """Everything on the server's port. `websocket` takes over the connection of an upgrade request;
    `server` is what the Server header says.
    """
    web = WebApp(health, ice_servers, entrance, web_dir, client_dir).app.resource()
    return Root(websocket, web, server, origins, entrance)

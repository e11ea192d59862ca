"""The HTTP side of the port: `/health`, the web app as static files, and the hand-over of upgrades.

Upgrades are recognised before Klein sees them: its routing would cost a third of the connection rate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from klein import Klein
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITransport
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site
from twisted.web.static import File
from zope.interface import implementer

WEBSOCKET_PATHS: Final = (b"/", b"/ws")
METHODS: Final = (b"GET", b"HEAD")
UPGRADE_REQUIRED: Final = 426
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


class WebApp:
    """What a browser can GET."""

    app = Klein()
    # A redirect to the "right" number of slashes would name whatever host the request names.
    app.url_map.merge_slashes = False

    def __init__(self, health: Callable[[], Mapping[str, object]], web_dir: Path, client_dir: Path) -> None:
        self._health = health
        self._web = StaticFile(str(web_dir))
        self._client = StaticFile(str(client_dir))

    @app.route("/health")
    def health(self, request: IRequest) -> bytes:
        """Whether the server is well, as JSON (docs/protocol.md, section 1)."""
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-store")
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = json.dumps({"status": "OK", "timestamp": now, **self._health()}).encode()
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return body

    @app.route("/ws")
    def websocket_only(self, request: IRequest) -> bytes:
        """The WebSocket, asked for without an upgrade (RFC 9110, section 15.5.22)."""
        request.setHeader(b"Upgrade", b"websocket")
        return plain_text(
            request, UPGRADE_REQUIRED, "Upgrade Required: this address is for WebSocket clients"
        )

    @app.route("/client/", branch=True)
    def client(self, request: IRequest) -> IResource:
        """The JavaScript client."""
        return self._client

    @app.route("/", branch=True)
    def web(self, request: IRequest) -> IResource:
        """The web app."""
        return self._web


def plain_text(request: IRequest, status: int, text: str) -> bytes:
    """Answer with a line for people, which begins with the name of the status."""
    body = f"{status} {text}\n".encode()
    request.setResponseCode(status, text.partition(":")[0].encode())
    request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


class NotFound(Resource):
    """The answer for what is not there."""

    isLeaf = True

    def render(self, request: IRequest) -> bytes:
        return plain_text(request, http.NOT_FOUND, "Not Found")


class StaticFile(File):
    """Files of one directory and below: no listings, no hidden files, no redirects."""

    childNotFound = NotFound()  # type: ignore[assignment]
    contentTypes = {  # noqa: RUF012
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".webmanifest": "application/manifest+json",
    }

    def directoryListing(self) -> IResource:
        return self.childNotFound

    def getChild(self, path: bytes, request: Request) -> IResource:
        if path.startswith(b".") or b"\0" in path:
            return self.childNotFound
        return cast(IResource, super().getChild(path, request))

    def render_GET(self, request: Request) -> bytes | int:
        if not self.isfile():
            return self.childNotFound.render(request)
        # Pages and modules belong together: ask every time, and have it cost nothing.
        request.setHeader(b"Cache-Control", b"no-cache")
        tag = f'"{int(self.getModificationTime() * 1000):x}-{self.getsize():x}"'
        if request.setETag(tag.encode()) is http.CACHED:
            return b""
        return cast("bytes | int", super().render_GET(request))

    render_HEAD = render_GET


@implementer(IResource)
class Root:
    """Everything on the port: WebSocket upgrades go to Autobahn, all else to the web app."""

    isLeaf = True

    def __init__(self, websocket: IResource, web: IResource, server: str) -> None:
        self._websocket = websocket
        self._web = web
        self._server = server.encode()

    def render(self, request: Request) -> bytes | int:
        if request.path in WEBSOCKET_PATHS and request.getHeader(b"Upgrade") is not None:
            return cast("bytes | int", self._websocket.render(request))
        request.setHeader(b"Server", self._server)
        for name, value in SECURITY_HEADERS.items():
            request.setHeader(name, value)
        if request.method not in METHODS:
            request.setHeader(b"Allow", b", ".join(METHODS))
            return plain_text(request, http.NOT_ALLOWED, "Method Not Allowed")
        return cast("bytes | int", self._web.render(request))

    def getChildWithDefault(self, name: bytes, request: Request) -> IResource:
        raise AssertionError("a leaf has no children")

    def putChild(self, path: bytes, child: IResource) -> None:
        raise AssertionError("a leaf has no children")


class HostlessRequest(Request):
    """A request whose Host header does not matter: it may be absent, forged or no text at all."""

    def getRequestHostname(self) -> bytes:
        return b"localhost"


class Channel(http.HTTPChannel):
    """An HTTP connection whose every request must have its whole header within the handshake time-out.

    Twisted's own time-out starts afresh with each line, and so waits for ever for a client that sends a
    line now and then.
    """

    factory: HandshakeSite
    _deadline: IDelayedCall | None = None
    _refused = False

    def connectionMade(self) -> None:
        self.site = self.factory
        super().connectionMade()
        self._start_deadline()

    def allHeadersReceived(self) -> None:
        self._stop_deadline()
        if self.length is None or self.length > MAX_BODY_BYTES:
            self._refuse(b"413 Content Too Large")
        else:
            super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:
        if not self._refused:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        self._refuse(b"431 Request Header Fields Too Large")

    def requestDone(self, request: Request) -> None:
        super().requestDone(request)
        self._start_deadline()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._stop_deadline()
        super().connectionLost(reason)

    def _refuse(self, status: bytes) -> None:
        if not self._refused:
            self._refused = True
            answer = b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n\r\n"
            cast(ITransport, self.transport).write(answer)
            self.loseConnection()

    def _start_deadline(self) -> None:
        self._stop_deadline()
        site = self.factory
        self._deadline = site.reactor.callLater(site.handshake_timeout, self.forceAbortClient)

    def _stop_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()


class HandshakeSite(Site):
    """The server's port. `handshake_timeout` is in seconds."""

    protocol = Channel  # type: ignore[assignment]
    requestFactory = HostlessRequest
    noisy = False

    def __init__(self, root: IResource, reactor: IReactorTime, handshake_timeout: float) -> None:
        super().__init__(root, reactor=reactor, timeout=60)
        self.reactor = reactor
        self.handshake_timeout = handshake_timeout
        self.displayTracebacks = False

    def log(self, request: http.Request) -> None:
        """No access log: what matters is logged where it happens."""


def make_site(
    websocket: IResource,
    reactor: IReactorTime,
    *,
    server: str,
    health: Callable[[], Mapping[str, object]],
    web_dir: Path,
    client_dir: Path,
    handshake_timeout: float,
) -> HandshakeSite:
    """The factory of the server's port. `websocket` takes over the connection of an upgrade request;
    `server` is what the Server header says.
    """
    web = WebApp(health, web_dir, client_dir).app.resource()
    return HandshakeSite(Root(websocket, web, server), reactor, handshake_timeout)

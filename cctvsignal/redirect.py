"""Plain HTTP beside HTTPS: every request is sent on, to the same host and path."""

from __future__ import annotations

from collections.abc import Callable

from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from .addresses import is_host
from .pages import plain_text
from .site import METHODS


class ToHttps(Resource):
    """`port` says where HTTPS is, `server` is what the Server header says."""

    isLeaf = True

    def __init__(self, port: Callable[[], int], server: str) -> None:
        super().__init__()
        self._port = port
        self._server = server.encode()

    def render(self, request: Request) -> bytes:
        request.setHeader(b"Server", self._server)
        hosts = request.requestHeaders.getRawHeaders(b"Host", [])
        host = b",".join(hosts).decode("ascii", "replace")
        # Nobody but the browser that asks can be sent to another host: it has named it itself.
        if not is_host(host) or not request.uri.startswith(b"/"):
            return plain_text(
                request, http.BAD_REQUEST, "Bad Request: this needs the Host that is asked for"
            )
        if request.method not in METHODS:
            request.setHeader(b"Allow", b", ".join(METHODS))
            return plain_text(request, http.NOT_ALLOWED, "Method Not Allowed")
        name = host[: host.index("]") + 1] if host.startswith("[") else host.partition(":")[0]
        port = self._port()
        where = f"https://{name}" + ("" if port == 443 else f":{port}")
        request.setHeader(b"Location", where.encode() + request.uri)
        return plain_text(request, http.MOVED_PERMANENTLY, "Moved Permanently: to HTTPS")

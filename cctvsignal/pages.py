"""What a browser can GET: `/health`, `/api`, and the web app as static files."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - werkzeug imports it when it needs it, and there may be no file left then.
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.filepath import FilePath, InsecurePath
from twisted.web import http
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from .api import Answer
from .entrance import ORIGIN_REFUSED, Entrance, bearer, is_secure

UPGRADE_REQUIRED: Final = 426
MAX_FILE_BYTES: Final = 8 * 1024 * 1024
"""Of a file that is served."""
CONTENT_TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".ico": b"image/x-icon",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
    ".webmanifest": b"application/manifest+json",
}

log = Logger()

IceServers = Callable[[str | None, str | None, str], Deferred[Answer]]


class WebApp:
    """What a browser can GET. `ice_servers` gets the token, client id and address of a request."""

    app = Klein()
    # A redirect to the "right" number of slashes would name whatever host the request names.
    app.url_map.merge_slashes = False

    def __init__(
        self,
        health: Callable[[], Mapping[str, object]],
        ice_servers: IceServers,
        entrance: Entrance,
        web_dir: Path,
        client_dir: Path,
    ) -> None:
        self._health = health
        self._entrance = entrance
        self._ice_servers = ice_servers
        self._web = StaticFiles(web_dir)
        self._client = StaticFiles(client_dir)

    @app.route("/health")
    def health(self, request: IRequest) -> bytes:
        """Whether the server is well, as JSON (docs/protocol.md, section 1)."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return as_json(request, http.OK, {"status": "OK", "timestamp": now, **self._health()})

    @app.route("/api/ice-servers")
    async def ice_servers(self, request: Request) -> bytes:
        """The STUN and TURN servers for a client, as JSON (docs/protocol.md, section 2.1)."""
        token = bearer((request.getHeader(b"Authorization") or b"").decode("utf-8", "replace"))
        client_id = request.args.get(b"clientId", [b""])[0].decode("utf-8", "replace")
        address = self._entrance.address(_peer(request), headers_of(request).get("x-forwarded-for"))
        answer = await self._ice_servers(token, client_id or None, address)
        for name, value in answer.headers():
            request.setHeader(name, value)
        return as_json(request, answer.status, answer.content)

    @app.route("/ws")
    @app.route("/ws/")
    def websocket_only(self, request: Request) -> bytes:
        """The WebSocket, asked for without an upgrade (RFC 9110, section 15.5.22).

        A page whose WebSocket does not open names its origin in the query, to learn whether that is why: a
        browser does not tell, and sends no Origin header with a GET to the page's own host.
        """
        headers, secure = headers_of(request), is_secure(request.transport)
        for origin in request.args.get(b"origin", ()):
            named = origin.decode("ascii", "replace")
            if not self._entrance.admits_origin(named, _peer(request), secure, headers):
                return plain_text(request, http.FORBIDDEN, f"Forbidden: {ORIGIN_REFUSED}")
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


def _peer(request: Request) -> str:
    return str(getattr(request.getClientAddress(), "host", ""))


def headers_of(request: Request) -> dict[str, str]:
    """The headers that decide who may connect; one that is there twice has both values (RFC 9110, 5.3)."""
    names = (b"host", b"origin", b"authorization", b"x-forwarded-for", b"x-forwarded-proto")
    raw = {name: request.requestHeaders.getRawHeaders(name) for name in names}
    return {name.decode(): b",".join(values).decode("latin-1") for name, values in raw.items() if values}


def plain_text(request: IRequest, status: int, text: str) -> bytes:
    """Answer with a line for people, which begins with the name of the status."""
    body = f"{status} {text}\n".encode()
    request.setResponseCode(status, text.partition(":")[0].encode())
    request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


def as_json(request: IRequest, status: int, found: Mapping[str, object]) -> bytes:
    """Answer with JSON that nobody may keep."""
    body = json.dumps(found).encode()
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


class NotFound(Resource):
    """The answer for what is not there."""

    isLeaf = True

    def render(self, request: IRequest) -> bytes:
        return plain_text(request, http.NOT_FOUND, "Not Found")


class _File(NamedTuple):
    modified: float
    content: bytes
    tag: bytes


class StaticFiles(Resource):
    """The files of one directory and below, from memory: no listings, no hidden files, no redirects.

    A file is read again when it has changed. No ranges are served, as one request for many of them would be
    answered with many times the file, and no file is held open for a client that reads slowly.
    """

    isLeaf = True

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._root = FilePath(str(directory))
        self._kept: dict[str, _File] = {}

    def render_GET(self, request: Request) -> bytes:
        path = self._path(request.postpath or [])
        found = None if path is None else self._file(path)
        if path is None or found is None:
            return NotFound().render(request)
        request.setHeader(
            b"Content-Type", CONTENT_TYPES.get(path.splitext()[1], b"application/octet-stream")
        )
        # Pages and modules belong together: ask every time, and have it cost nothing.
        request.setHeader(b"Cache-Control", b"no-cache")
        is_known = http.CACHED in (request.setLastModified(found.modified), request.setETag(found.tag))
        if is_known:
            return b""
        request.setHeader(b"Content-Length", b"%d" % len(found.content))
        return found.content

    render_HEAD = render_GET

    def _path(self, segments: Sequence[bytes]) -> FilePath[str] | None:
        try:
            names = [segment.decode() for segment in segments]
            if any(name.startswith(".") or "\0" in name for name in names):
                return None
            return self._root.descendant([*names[:-1], names[-1] or "index.html"])
        except (UnicodeDecodeError, InsecurePath, IndexError):
            return None

    def _file(self, path: FilePath[str]) -> _File | None:
        try:
            path.restat()
            if not path.isfile():
                return None
            modified, size = path.getModificationTime(), path.getsize()
            if size > MAX_FILE_BYTES:
                log.warn(
                    "{path} is not served: it has more than {most} bytes",
                    path=path.path,
                    most=MAX_FILE_BYTES,
                )
                return None
            kept = self._kept.get(path.path)
            tag = f'"{int(modified * 1000):x}-{size:x}"'.encode()
            if kept is None or kept.tag != tag:
                kept = self._kept[path.path] = _File(modified, path.getContent(), tag)
        except OSError:
            return None
        return kept

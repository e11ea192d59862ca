"""HTTP as esp_http_server speaks it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_HEADERS: Final = 1024
"""Bytes of a request; with more it is refused."""
_ARGUMENT_BYTES: Final = 31

NOT_FOUND: Final = ("404 Not Found", "Nothing matches the given URI")
NOT_ALLOWED: Final = ("405 Method Not Allowed", "Specified method is invalid for this resource")
BAD_REQUEST: Final = ("400 Bad Request", "Bad request syntax")
UNAUTHORIZED: Final = ("401 Unauthorized", "No permission -- see authorization schemes")
FORBIDDEN: Final = ("403 Forbidden", "Request forbidden -- authorization will not help")
TIMED_OUT: Final = ("408 Request Timeout", "Server closed this connection")
TOO_LARGE: Final = ("431 Request Header Fields Too Large", "Header fields are too long")
FAILED: Final = ("500 Internal Server Error", "Server has encountered an unexpected error")


@dataclass(frozen=True)
class Request:
    """A request, without its body; the names of its headers are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]

    def argument(self, key: str) -> str | None:
        """An argument of the query as it stands there: nothing is unescaped, and too long is not there."""
        for pair in self.query.split("&"):
            name, separator, value = pair.partition("=")
            if separator and name == key:
                return value if len(value) <= _ARGUMENT_BYTES else None
        return None


def parse(received: bytes) -> tuple[Request, bytes] | None:
    """The first request and what follows it, or None if it is not complete; `ValueError` if it is none."""
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not target.startswith("/") or not version.startswith("HTTP/1."):
        raise ValueError("no request line")
    path, _, query = target.partition("?")
    fields = (line.partition(":") for line in lines)
    return Request(method, path, query, {name.lower(): value.strip() for name, _, value in fields}), rest


def response(
    body: bytes = b"",
    kind: str = "text/html",
    headers: tuple[str, ...] = (),
    *,
    status: str = "200 OK",
    length: int | None = None,
) -> bytes:
    """A response, with the length of its body or what it is to say; the headers come after those of every
    response."""
    length = len(body) if length is None else length
    lines = (f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {length}", *headers, "")
    return "".join(f"{line}\r\n" for line in lines).encode() + body


def failure(error: tuple[str, str], *headers: str) -> bytes:
    """One of the errors above."""
    status, text = error
    return response(text.encode(), headers=headers, status=status)

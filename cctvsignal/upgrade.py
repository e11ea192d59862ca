"""A request to become a WebSocket, as plain as nearly all are: read and answered (RFC 6455, section 4.2).

What is not plain is not wrong: it is left to twisted.web and Autobahn. So nothing may be taken for plain
that they would read or answer in another way.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from .addresses import is_host, is_origin

MAX_HEAD_BYTES: Final = 16384
MAX_HEADERS: Final = 100
"""Both are no more than twisted.web lets pass."""
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# No character here ends a line for `str.splitlines`, and none is white space but the space.
_HEAD: Final = re.compile(
    rb"GET (/(?:ws)?)(?:\?([!\"$-~]*))? HTTP/1\.1\r\n((?:%b:[ -~]*\r\n){1,%d})\r\n" % (_TOKEN, MAX_HEADERS)
)
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LEFT_TO_OTHERS: Final = frozenset(
    {"content-length", "transfer-encoding", "expect", "sec-websocket-protocol"}
)
_EXTENSIONS: Final = frozenset({"permessage-deflate", "permessage-deflate; client_max_window_bits"})
"""What browsers offer. None is accepted, but others may be malformed, and then the answer is 400."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request to become a WebSocket; the names of `headers` are in lower case."""

    path: str
    params: dict[str, list[str]]
    headers: dict[str, str]
    key: str
    end: int
    """So many bytes long is the request. What comes after it are frames."""


def read_upgrade(data: bytes) -> Upgrade | None:
    """The upgrade request that this begins with; None if there is none, or it is not whole or not plain."""
    head = _HEAD.match(data, 0, MAX_HEAD_BYTES)
    if head is None:
        return None
    path, query, lines = head.groups(b"")
    headers: dict[str, str] = {}
    for line in lines[:-2].decode("ascii").split("\r\n"):
        name, _, value = line.partition(":")
        name = name.lower()
        # Of some headers, a second one is an error, and of others it adds to the first.
        if name in headers:
            return None
        headers[name] = value.strip(" ")
    key = headers.get("sec-websocket-key", "")
    if not (_is_plain(headers) and _KEY.fullmatch(key)):
        return None
    params = parse_qs(query.decode("ascii")) if query else {}
    return Upgrade(path.decode("ascii"), params, headers, key, head.end())


def _is_plain(headers: dict[str, str]) -> bool:
    get = headers.get
    origin = get("origin")
    extensions = get("sec-websocket-extensions")
    return (
        is_host(get("host", ""))
        and get("upgrade", "").lower() == "websocket"
        and any(token.strip(" ") == "upgrade" for token in get("connection", "").lower().split(","))
        and get("sec-websocket-version") == "13"
        and (origin is None or _is_plain_origin(origin))
        and (extensions is None or extensions in _EXTENSIONS)
        and _LEFT_TO_OTHERS.isdisjoint(headers)
    )


def _is_plain_origin(origin: str) -> bool:
    # An address of IPv6 may be none, in spite of its brackets.
    return is_origin(origin) and "[" not in origin


def accept(key: str) -> str:
    """The header Sec-WebSocket-Accept of the answer (RFC 6455, section 4.2.2)."""
    return b64encode(hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()).decode()


def switching_protocols(key: str, server: str) -> bytes:
    """The answer; `server` is what its Server header says."""
    return (
        f"HTTP/1.1 101 Switching Protocols\r\nServer: {server}\r\nUpgrade: WebSocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept(key)}\r\n\r\n"
    ).encode()

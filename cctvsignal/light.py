"""Connections of Autobahn that are cheap to make and to keep.

Autobahn gives each connection a copy of every option and of every initial value, two Deferreds and a line
for its log about all of it: more work than the rest of the opening handshake, and more memory than all that
this server knows of a client.
"""

from __future__ import annotations

from functools import cached_property
from types import FunctionType
from typing import Any, TypeVar

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.utf8validator import Utf8Validator

P = TypeVar("P", bound=WebSocketServerProtocol)


class _Unheard:
    """In the place of a Deferred that nobody waits for."""

    def callback(self, result: object) -> None:
        """Nobody is told."""


def lighten(protocol: type[P], factory: WebSocketServerFactory) -> type[P]:
    """The same kind of connection, for this factory; what begins alike on all of them is on the class.

    The `__init__` of `protocol` does not call Autobahn's.
    """
    sample = protocol()
    WebSocketServerProtocol.__init__(sample)
    sample.factory = factory
    # No timer for the sample.
    sample.openHandshakeTimeout = 0  # type: ignore[attr-defined]
    WebSocketProtocol._connectionMade(sample)
    namespace: dict[str, Any] = {
        # A function on a class would become a method.
        name: staticmethod(value) if isinstance(value, FunctionType) else value
        for name, value in vars(sample).items()
    }
    namespace |= {
        "openHandshakeTimeout": factory.openHandshakeTimeout,
        "is_open": _Unheard(),
        "is_closed": _Unheard(),
        # It has a state of its own, but only for what does not come in one plain frame.
        "utf8validator": cached_property(lambda _: Utf8Validator()),
        # What the opening handshake would set.
        "websocket_version": 13,
        "inside_message": False,
        "current_frame": None,
    }
    return type(protocol.__name__, (protocol,), namespace)


def forget_handshake(connection: WebSocketServerProtocol) -> None:
    """Let go of what only the opening handshake needed: the request, several times over."""
    for name in [name for name in vars(connection) if name.startswith(("http_", "websocket_", "_ws"))]:
        delattr(connection, name)

"""An echo in the place of the hub, as the server does it and as Autobahn does it alone.

What the server shortens must not be seen from outside: tests send the same to both classes.
"""

from __future__ import annotations

from typing import cast

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.interfaces import ITransport

from cctvsignal.access import ANYONE, Identity
from cctvsignal.registry import Client, Peer
from cctvsignal.websocket import SignalingProtocol


class EchoHub:
    """Says nothing by itself."""

    def connect(self, peer: Peer, identity: Identity = ANYONE, address: str = "") -> Client:
        return Client("echo", peer)

    def pong(self, client: Client) -> None:
        """Nobody asked."""

    def disconnect(self, client: Client) -> None:
        """Nothing to forget."""


class EchoProtocol(SignalingProtocol):
    """Returns what the test sends instead of decoding it."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if isBinary:
            if self.state == self.STATE_OPEN:
                self.sendMessage(payload, isBinary)
        else:
            # What the hub calls.
            self.send(payload)


class PlainEchoProtocol(EchoProtocol):
    """The same without any shortcut: what comes is read by Autobahn, what goes is written at once."""

    def dataReceived(self, data: bytes) -> None:
        self._dataReceived(data)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        cast(ITransport, self.transport).write(data)

    def send(self, frame: bytes) -> None:
        if self.state == self.STATE_OPEN:
            WebSocketServerProtocol.sendMessage(self, frame)

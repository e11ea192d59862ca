"""The server's own port and protocol class with an echo in the place of the hub, for conformance tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from autobahn.twisted.resource import WebSocketResource
from twisted.internet import reactor
from twisted.internet.interfaces import IReactorCore, IReactorTCP, IReactorTime

from cctvsignal.hub import Hub
from cctvsignal.registry import Client, Peer
from cctvsignal.site import make_site
from cctvsignal.websocket import SignalingFactory, SignalingProtocol


class EchoHub:
    """Says nothing by itself."""

    def connect(self, peer: Peer) -> Client:
        return Client("echo", peer)

    def pong(self, client: Client) -> None:
        """Nobody asked."""

    def disconnect(self, client: Client) -> None:
        """Nothing to forget."""


class EchoProtocol(SignalingProtocol):
    """Returns what the test sends instead of decoding it."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self.state == self.STATE_OPEN:
            self.sendMessage(payload, isBinary)


def main() -> None:
    """Serve on a free port of 127.0.0.1 and print where."""
    assert IReactorTCP.providedBy(reactor)
    assert IReactorTime.providedBy(reactor)
    factory = SignalingFactory(
        cast(Hub, EchoHub()),
        reactor,
        server="echo",
        # The cases send binary messages, 16 MiB of text, and text in thousands of fragments.
        max_message_bytes=0,
        max_fragments=0,
        ping_interval=0,
        ping_timeout=0,
        handshake_timeout=10,
    )
    factory.protocol = EchoProtocol
    factory.accept_binary = True
    here = Path(__file__).parent
    site = make_site(
        WebSocketResource(factory),
        reactor,
        server="echo",
        health=dict,
        web_dir=here,
        client_dir=here,
        handshake_timeout=10,
    )
    port = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[arg-type]
    print(f"ready: {port.getHost().port}")  # type: ignore[attr-defined]
    sys.stdout.flush()
    assert IReactorCore.providedBy(reactor)
    reactor.run()


if __name__ == "__main__":
    main()

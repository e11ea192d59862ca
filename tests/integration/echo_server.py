"""The server's own port and protocol class with an echo in the place of the hub, for conformance tests."""

from __future__ import annotations

import math
import sys
from typing import cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorCore, IReactorTCP, IReactorTime

from cctvsignal.access import ANYONE, Identity
from cctvsignal.assembly import assemble
from cctvsignal.hub import Hub
from cctvsignal.options import Options
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
        if self.state == self.STATE_OPEN:
            self.sendMessage(payload, isBinary)


def main() -> None:
    """Serve on a free port of 127.0.0.1 and print where."""
    assert IReactorTCP.providedBy(reactor)
    assert IReactorTime.providedBy(reactor)
    options = Options({})
    options.parseOptions(["--no-limits", "--ping-interval=0"])
    parts = assemble(options, reactor, lambda hub: {})
    factory = parts.websocket
    factory.hub = cast(Hub, EchoHub())
    # The cases send binary messages, 16 MiB of text, and text in thousands of fragments.
    factory.longest_message = factory.outbox.max_unsent_bytes = math.inf
    factory.max_fragments = 0
    factory.protocol = EchoProtocol
    factory.accept_binary = True
    port = reactor.listenTCP(0, parts.port, interface="127.0.0.1")
    print(f"ready: {port.getHost().port}")  # type: ignore[attr-defined]
    sys.stdout.flush()
    assert IReactorCore.providedBy(reactor)
    reactor.run()


if __name__ == "__main__":
    main()

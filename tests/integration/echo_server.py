"""The server's own port and protocol class with an echo in the place of the hub, for conformance tests.

With the argument `plain`, the same port with Autobahn's own path alone.
"""

from __future__ import annotations

import sys
from typing import Final, cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorCore, IReactorTCP, IReactorTime

from cctvsignal.assembly import assemble
from cctvsignal.hub import Hub
from cctvsignal.options import Options
from tests.echo import EchoHub, EchoProtocol, PlainEchoProtocol

KINDS: Final = {(): EchoProtocol, ("plain",): PlainEchoProtocol}
"""By the arguments of the command."""


def main(*arguments: str) -> None:
    """Serve on a free port of 127.0.0.1 and print where."""
    assert IReactorTCP.providedBy(reactor)
    assert IReactorTime.providedBy(reactor)
    options = Options({})
    options.parseOptions(["--no-limits", "--ping-interval=0"])
    # The cases send binary messages, 16 MiB of text, and text in thousands of fragments.
    options["max-message-bytes"] = 0
    parts = assemble(options, reactor, lambda hub: {})
    factory = parts.websocket
    factory.hub = cast(Hub, EchoHub())
    factory.max_fragments = 0
    factory.protocol = KINDS[arguments]
    factory.accept_binary = True
    port = reactor.listenTCP(0, parts.port, interface="127.0.0.1")
    print(f"ready: {port.getHost().port}")  # type: ignore[attr-defined]
    sys.stdout.flush()
    assert IReactorCore.providedBy(reactor)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The parts of a server in this process, for tests without sockets."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from cctvsignal.assembly import Parts, assemble
from cctvsignal.options import Options


def assembled(reactor: IReactorTime, *arguments: str) -> Parts:
    """A server with these options, whatever the environment says."""
    options = Options({})
    options.parseOptions(list(arguments))
    return assemble(options, reactor, lambda hub: {})

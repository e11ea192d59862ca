"""A reverse proxy as people set them up: python -m tests.browser.proxies PORT [PREFIX [HOST]]

It passes on what is asked for below PREFIX ("/": everything) to a server on PORT of this machine, without
the prefix, and with HOST as its `Host`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from tests.processes import Server, command

NOT_HERE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Proxied:
    """Where a proxy has the pages of a server."""

    url: str
    """Without a slash at its end."""


class Upstream(Protocol):
    """The connection to the server, for one of a browser."""

    def __init__(self, browser: Downstream) -> None:
        self._browser = browser

    def dataReceived(self, data: bytes) -> None:
        assert self._browser.transport is not None
        self._browser.transport.write(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        assert self._browser.transport is not None
        self._browser.transport.loseConnection()


class Downstream(Protocol):
    """One connection of a browser, for one request: what follows an upgrade is passed on as it is."""

    def __init__(self, endpoint: TCP4ClientEndpoint, prefix: bytes, host: bytes | None) -> None:
        self._endpoint, self._prefix, self._host = endpoint, prefix, host
        self._received = b""
        self._is_asked = False
        self._upstream: Upstream | None = None

    def dataReceived(self, data: bytes) -> None:
        if self._upstream is not None:
            assert self._upstream.transport is not None
            self._upstream.transport.write(data)
            return
        self._received += data
        if b"\r\n\r\n" in self._received and not self._is_asked:
            self._is_asked = True
            self._ask()

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.loseConnection()

    def _ask(self) -> None:
        assert self.transport is not None
        method, _, rest = self._received.partition(b" ")
        if not rest.startswith(self._prefix):
            self.transport.write(NOT_HERE)
            self.transport.loseConnection()
            return
        request = method + b" /" + rest.removeprefix(self._prefix)
        if self._host is not None:
            request = re.sub(rb"\r\nhost:[^\r]*", b"\r\nHost: " + self._host, request, flags=re.I)
        if not re.search(rb"\r\nupgrade:", request, flags=re.I):
            request = re.sub(rb"\r\nconnection:[^\r]*", b"\r\nConnection: close", request, flags=re.I)
        connecting = connectProtocol(self._endpoint, Upstream(self))
        connecting.addCallbacks(lambda upstream: self._pass_on(upstream, request), self._fail)

    def _pass_on(self, upstream: Upstream, request: bytes) -> None:
        self._upstream = upstream
        assert upstream.transport is not None
        upstream.transport.write(request)

    def _fail(self, _: Failure) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class Proxy(Factory[Downstream]):
    """Takes connections of browsers."""

    noisy = False

    def __init__(self, port: int, prefix: bytes, host: bytes | None) -> None:
        self._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        self._prefix, self._host = prefix, host

    def buildProtocol(self, addr: object) -> Downstream:
        return Downstream(self._endpoint, self._prefix, self._host)


@contextmanager
def proxy(server: Server, prefix: str = "/", host: str | None = None) -> Iterator[Proxied]:
    """A proxy before a server."""
    arguments = [str(server.port), prefix, *([] if host is None else [host])]
    with command(sys.executable, "-m", "tests.browser.proxies", *arguments) as running:
        port = running.wait_for_line(r"port (\d+)").group(1)
        yield Proxied(f"http://127.0.0.1:{port}{prefix.rstrip('/')}")


def main(port: str, prefix: str = "/", host: str | None = None) -> None:
    factory = Proxy(int(port), prefix.encode(), None if host is None else host.encode())
    listening = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)

    def say(on: IListeningPort) -> None:
        address = on.getHost()
        assert isinstance(address, IPv4Address)
        print(f"port {address.port}", flush=True)

    listening.addCallback(say)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""One WebSocket connection to the server, from the name of its host to its close code."""

from __future__ import annotations

import asyncio
import functools
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from OpenSSL import SSL, crypto
from service_identity.exceptions import VerificationError
from twisted.internet import ssl
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.python.failure import Failure

from . import bridge
from .errors import ConnectionFailed, InvalidOption, TLSFailed, Unauthorized
from .redaction import HIDDEN, HOW_TO_WRITE, shown

OPEN_SECONDS: Final = 10.0
WELCOME_SECONDS: Final = 10.0
CLOSE_NORMAL: Final = 1000
CLOSE_UNAUTHORIZED: Final = 4401
CLOSES_OF_STRANGERS: Final = (CLOSE_UNAUTHORIZED, 4408)
"""Its token is no good, or it had none in time."""
REFUSED: Final = re.compile(r"upgrade failed \[40[13]\]")
"""Autobahn's words for an HTTP answer."""
PEM_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

Receive = Callable[[bytes], None]
Lost = Callable[["Connection", "int | None"], None]


class Connection(WebSocketClientProtocol):
    """A connection, made by `open_connection`. `gone` is its close code in the end, None without one."""

    def __init__(self, receive: Receive, lost: Lost, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._receive = receive
        self._lost = lost
        self.welcomed: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[int | None] = loop.create_future()
        self._why: Exception | None = None

    def say(self, payload: bytes) -> None:
        """Send a message, or lose it if the connection is about to end."""
        # While a close handshake is on its way, Autobahn would raise.
        if self.state == self.STATE_OPEN:
            self.sendMessage(payload)

    def check_open(self) -> None:
        """Raise `ConnectionFailed`, or its kind `Unauthorized`, if the connection is over."""
        if self.gone.done():
            code = self.gone.result()
            text = f"{shown(self.factory.url)} closed the connection at once (close code {code})."
            raise (Unauthorized if code in CLOSES_OF_STRANGERS else ConnectionFailed)(text, code)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._receive(payload)
        # The server's first message is its welcome, always.
        if not self.welcomed.done():
            self.welcomed.set_result(None)

    def connectionLost(self, reason: Failure = Failure(ConnectionError())) -> None:  # noqa: B008
        if isinstance(reason.value, SSL.Error | VerificationError):
            self._why = reason.value
        super().connectionLost(reason)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if not self.welcomed.done():
            self.welcomed.set_exception(self._refusal(str(reason)))
        if not self.gone.done():
            self.gone.set_result(self.remoteCloseCode)
        self._lost(self, self.remoteCloseCode)

    def _refusal(self, reason: str) -> ConnectionFailed:
        server, code = shown(self.factory.url), self.remoteCloseCode
        if self._why is not None:
            return TLSFailed(f"{server} is not trusted: {_tls_problem(self._why)}.")
        if code in CLOSES_OF_STRANGERS or REFUSED.search(reason):
            said = f" It says: {self.remoteCloseReason}" if self.remoteCloseReason else ""
            text = f"{server} lets nobody in without a valid token: check it.{said}"
            return Unauthorized(text, CLOSE_UNAUTHORIZED)
        return ConnectionFailed(f"{server} cannot be reached: no WebSocket there ({reason}).", code)


async def open_connection(
    server: str,
    receive: Receive,
    lost: Lost,
    *,
    token: str | None = None,
    ca_file: str | Path | None = None,
) -> Connection:
    """Connect to a ws:// or wss:// URL and wait for the server's welcome.

    `receive` gets each message, `lost` is called once, when the connection is over. `token` goes into the
    header `Authorization` (docs/protocol.md, section 3); `ca_file` has the certificates (PEM) that are
    trusted instead of the system's.

    Raises `InvalidOption`, or `ConnectionFailed` or one of its kinds.
    """
    reactor = bridge.the_reactor()
    loop = asyncio.get_running_loop()
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        factory = WebSocketClientFactory(server, headers=headers, reactor=reactor)
    except ValueError as error:
        # The error may quote any part of the URL.
        why = error if shown(server) == server else HOW_TO_WRITE
        raise InvalidOption(f"{shown(server)!r} is no ws:// or wss:// URL: {why}.") from None
    factory.setProtocolOptions(
        openHandshakeTimeout=OPEN_SECONDS,
        failByDrop=False,
        autoPingInterval=20,
        autoPingTimeout=10,
        autoPingRestartOnAnyTraffic=False,
    )
    factory.noisy = False
    factory.protocol = functools.partial(Connection, receive, lost, loop)  # type: ignore[assignment]
    host, port = factory.host, factory.port
    trust = _trust(ca_file)
    try:
        # The loop's resolver, because Twisted's uses threads that only a reactor's own end would end.
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        name = host if host in shown(server) else HIDDEN
        raise ConnectionFailed(f"There is no host {name!r} ({error}): check {shown(server)}.") from None
    problem: object = "no address"
    for family, _, _, _, address in addresses:
        kind = TCP6ClientEndpoint if family == socket.AF_INET6 else TCP4ClientEndpoint
        endpoint: IStreamClientEndpoint = kind(reactor, str(address[0]), port, timeout=OPEN_SECONDS)
        if factory.isSecure:
            endpoint = wrapClientTLS(optionsForClientTLS(host, trustRoot=trust), endpoint)
        try:
            connection = await endpoint.connect(factory).asFuture(loop)
        except ConnectError as error:
            problem = error
            continue
        assert isinstance(connection, Connection)
        await _wait_for_welcome(connection, server)
        return connection
    raise ConnectionFailed(f"{shown(server)} cannot be reached: {problem} Is the server running there?")


async def _wait_for_welcome(connection: Connection, server: str) -> None:
    try:
        async with asyncio.timeout(WELCOME_SECONDS):
            await connection.welcomed
    except TimeoutError:
        connection.dropConnection(abort=True)
        raise ConnectionFailed(f"{shown(server)} sends no welcome: is it a cctvsignal server?") from None
    except asyncio.CancelledError:
        connection.dropConnection(abort=True)
        raise
    connection.check_open()


def _trust(ca_file: str | Path | None) -> Any:
    if ca_file is None:
        return ssl.platformTrust()
    try:
        certificates = PEM_CERTIFICATE.findall(Path(ca_file).read_bytes())
        if not certificates:
            raise InvalidOption(f"{ca_file} has no PEM certificate in it.")
        return trustRootFromCertificates([Certificate.loadPEM(each) for each in certificates])
    except OSError as error:
        raise InvalidOption(f"The certificates in {ca_file} cannot be read: {error}.") from None
    except crypto.Error:
        raise InvalidOption(f"The certificates in {ca_file} cannot be read: they are broken.") from None


def _tls_problem(error: Exception) -> str:
    if isinstance(error, VerificationError):
        return "its certificate is for another host name"
    reasons = [str(entry[-1]) for entry in error.args[0]] if error.args else []
    if "certificate verify failed" in reasons:
        return "its certificate is not signed by an authority that is trusted here (name its CA file)"
    return ", ".join(reasons) or "the TLS handshake failed"

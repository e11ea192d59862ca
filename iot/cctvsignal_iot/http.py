"""HTTP to one device and to nobody else, over treq.

A device on the home network is fetched from on behalf of strangers on the internet: names that resolve to
something unexpected, and redirects to other hosts, are refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from cctvsignal_clients import bridge
from cctvsignal_clients.redaction import shown
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from .config import DeviceConfig

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 5.0
MOST_BODY_BYTES: Final = 2 * 1024 * 1024
MOST_HEAD_BYTES: Final = 16 * 1024
"""Of an answer: its status line and its headers."""
_BOUNDARY: Final = re.compile(r'boundary[ \t]*=[ \t]*(?:"([^"]*)"|([^;]+))', re.IGNORECASE)
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_NO_ONE: Final[Callable[[], None]] = lambda: None  # noqa: E731


class DeviceError(Exception):
    """The device did not give what it was asked for; the text has no credentials in it."""


class Unreachable(DeviceError):
    """There is no connection, or it was lost before there was an answer."""


class NobodyListens(Unreachable):
    """The device is there, and has nothing on this port."""


class NoAnswer(DeviceError):
    """It took the connection, and said nothing: another client has its only place, or it hangs."""


class RefusedAddress(DeviceError):
    """The name resolves to an address that it may not have, or a redirect leads to another host."""


class Denied(DeviceError):
    """The device wants a user name, a password or a secret, or others than it was given (401, 403)."""


class Missing(DeviceError):
    """There is nothing at this path (404), or not what was expected."""


class Stream:
    """The body of an answer, as it comes. `ended` is done when no more comes."""

    def __init__(self, response: IResponse) -> None:
        self._response = response
        self._reader: _BodyReader | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.content_type = (_header(response, b"content-type") or "").partition(";")[0].strip().lower()
        boundary = _BOUNDARY.search(_header(response, b"content-type") or "")
        self.boundary = (boundary[1] or boundary[2] or "").strip() if boundary else None

    @property
    def is_open(self) -> bool:
        """Whether the device has not ended it."""
        return not self.ended.done() or self.ended.exception() is not None

    def read(self, on_data: Callable[[bytes], None]) -> None:
        """Hand on all that comes; what `on_data` raises becomes that of `ended`."""
        self._reader = _BodyReader(on_data, self.ended)
        self._response.deliverBody(self._reader)

    def close(self) -> None:
        """Read no more, and hang up."""
        if self._reader is None:
            self.read(lambda data: None)
        assert self._reader is not None
        self._reader.hang_up()


class DeviceHTTP:
    """Requests to the device that `config` describes."""

    def __init__(self, config: DeviceConfig) -> None:
        self._config = config
        self._told: str | None = None
        self._pool = HTTPConnectionPool(bridge.the_reactor(), persistent=False)
        self._auth = None if config.username is None else (config.username, config.password)
        self._headers: dict[bytes | str, bytes | str] = (
            {} if config.secret is None else {"X-Camera-Secret": config.secret}
        )

    def moved(self, address: str) -> None:
        """The device has told, and proved, that this is its address from now on."""
        self._told = address

    async def open(self, url: str, on_connect: Callable[[], None] = _NO_ONE) -> Stream:
        """Ask for something that has no end; `on_connect` is called when there is a TCP connection.

        Raises a kind of `DeviceError`. Waits for an answer until it is cancelled.
        """
        return Stream(await self._request(url, None, on_connect))

    async def get(self, url: str, params: Mapping[str, str] | None = None) -> bytes:
        """A whole answer of up to 2 MiB, within `ANSWER_SECONDS`. Raises a kind of `DeviceError`."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._get(url, params)
        except TimeoutError:
            raise NoAnswer("the device did not answer in time") from None

    async def status(self, url: str) -> dict[str, Any]:
        """A JSON object. Raises a kind of `DeviceError`."""
        try:
            return msgspec.json.decode(await self.get(url), type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            raise Missing(f"{shown(url)} is no JSON object") from None

    async def _get(self, url: str, params: Mapping[str, str] | None) -> bytes:
        stream = Stream(await self._request(url, params))
        body = bytearray()

        def take(data: bytes) -> None:
            body.extend(data)
            if len(body) > MOST_BODY_BYTES:
                raise Missing(f"the answer is longer than {MOST_BODY_BYTES} bytes")

        stream.read(take)
        try:
            await stream.ended
        finally:
            stream.close()
        return bytes(body)

    async def _request(
        self, url: str, params: Mapping[str, str] | None, on_connect: Callable[[], None] = _NO_ONE
    ) -> IResponse:
        loop = asyncio.get_running_loop()
        reactor = bridge.the_reactor()
        endpoints = _OnlyThisDevice(reactor, self._config, self._told, on_connect)
        client = HTTPClient(Agent.usingEndpointFactory(reactor, endpoints, self._pool))
        asked: Deferred[Any] = client.get(
            url,
            params=dict(params or {}),
            headers=self._headers,
            auth=self._auth,
            unbuffered=True,
        )
        try:
            response: IResponse = await asked.asFuture(loop)
        except DeviceError:
            raise
        except Refused:
            raise NobodyListens(f"nothing listens on port {urlsplit(url).port or 80}") from None
        except ConnectError as error:
            raise Unreachable(f"there is no connection: {error}") from None
        except (ResponseFailed, ConnectionLost, ConnectingCancelledError) as error:
            for failure in getattr(error, "reasons", []):
                if isinstance(failure, Failure) and isinstance(failure.value, DeviceError):
                    raise failure.value from None
            raise Unreachable("the connection was lost before there was an answer") from None
        except OSError as error:
            raise Unreachable(f"there is no connection: {error}") from None
        if response.code == 200:
            return response
        Stream(response).close()
        if response.code in (401, 403):
            raise Denied(f"the device answers {response.code}")
        raise Missing(f"{shown(url)} is answered with {response.code}")


@implementer(IAgentEndpointFactory)
class _OnlyThisDevice:
    """For one request: `told` is the address that the device has proved to have."""

    def __init__(
        self, reactor: Any, config: DeviceConfig, told: str | None, on_connect: Callable[[], None]
    ) -> None:
        self._reactor = reactor
        self._host = (urlsplit(config.url).hostname or "").lower()
        self._address = config.address
        self._told = told
        self._on_connect = on_connect

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """For the agent."""
        host = uri.host.decode("ascii", "replace").strip("[]").lower()
        if uri.scheme != b"http" or host != self._host:
            raise RefusedAddress(
                f"the device redirects to {shown(f'http://{host}')}, which is not the device"
            )
        if self._told is not None:
            return _CheckedEndpoint(self._reactor, self._told, uri.port, None, self._on_connect)
        return _CheckedEndpoint(self._reactor, host, uri.port, self._address, self._on_connect)


@implementer(IStreamClientEndpoint)
class _CheckedEndpoint:
    def __init__(
        self, reactor: Any, host: str, port: int, address: str | None, on_connect: Callable[[], None]
    ) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._address = address
        self._on_connect = on_connect

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """For the agent."""
        return bridge.start(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Unreachable(f"there is no host {self._host}: {error.strerror}") from None
        address = str(found[0][4][0])
        self._check(address)
        kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        endpoint: IStreamClientEndpoint = kind(self._reactor, address, self._port, timeout=CONNECT_SECONDS)
        wrapper = await endpoint.connect(_HeadReaders(factory)).asFuture(loop)
        assert isinstance(wrapper, _HeadReader)
        self._on_connect()
        return wrapper.wrappedProtocol

    def _check(self, address: str) -> None:
        ip = ipaddress.ip_address(address.partition("%")[0])
        if self._address is not None:
            if ip != ipaddress.ip_address(self._address):
                raise RefusedAddress(f"{self._host} resolves to {address} instead of {self._address}")
        elif address != self._host and not ip.is_private:
            # A literal address was written down by the owner; a name belongs to whoever runs its DNS.
            raise RefusedAddress(f"{self._host} resolves to {address}, which is not on a private network")


class _HeadReader(ProtocolWrapper):
    """Bounds the head of an answer, and leaves out of it the lines that are not headers.

    Twisted would drop the connection for one of those; browsers do not.
    """

    def __init__(self, factory: Any, wrapped: IProtocol) -> None:
        super().__init__(factory, wrapped)
        self._head: bytearray | None = bytearray()

    def dataReceived(self, data: bytes) -> None:
        if self._head is None:
            super().dataReceived(data)
            return
        self._head += data
        end = _END_OF_HEAD.search(self._head, 0, MOST_HEAD_BYTES)
        if end is not None:
            head, rest, self._head = self._head[: end.start()], self._head[end.end() :], None
            super().dataReceived(only_headers(bytes(head)) + bytes(rest))
        elif len(self._head) >= MOST_HEAD_BYTES:
            self.abortConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionError())) -> None:  # noqa: B008
        if self._head is not None and len(self._head) >= MOST_HEAD_BYTES:
            reason = Failure(Missing(f"the headers of its answer are over {MOST_HEAD_BYTES} bytes"))
        super().connectionLost(reason)


class _HeadReaders(WrappingFactory):
    protocol = _HeadReader
    noisy = False


def only_headers(head: bytes) -> bytes:
    """The head of an answer without the lines that are not headers, and with the empty line after it."""
    status, *lines = re.split(rb"\r?\n", head)
    kept, goes_on = [status], False
    for line in lines:
        if not line.startswith((b" ", b"\t")):
            goes_on = line.find(b":") > 0
        if goes_on:
            kept.append(line)
    return b"\r\n".join([*kept, b"", b""])


class _BodyReader(Protocol):
    def __init__(self, on_data: Callable[[bytes], None], ended: asyncio.Future[None]) -> None:
        self._on_data = on_data
        self._ended = ended

    def dataReceived(self, data: bytes) -> None:
        if self._ended.done():
            return
        try:
            self._on_data(data)
        except Exception as error:
            self._ended.set_exception(error)
            self._ended.exception()  # Nobody may wait for it any more.
            self.hang_up()

    def connectionLost(self, reason: Failure = Failure(ConnectionError())) -> None:  # noqa: B008
        if not self._ended.done():
            self._ended.set_result(None)

    def hang_up(self) -> None:
        """Drop the connection."""
        if self.transport is not None:
            self.transport.loseConnection()


def _header(response: IResponse, name: bytes) -> str | None:
    values = response.headers.getRawHeaders(name)
    return values[0].decode("latin-1") if values else None

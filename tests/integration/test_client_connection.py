"""How a client gets to its server: with a token, over TLS, and back again."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from cctvsignal_clients import Disconnected, InvalidOption, TLSFailed, Unauthorized, ViewerClient
from cctvsignal_clients.retry import Backoff
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue, maybeDeferred
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.ssl import PrivateCertificate

from cctvsignal import messages
from tests.certificates import Certificates, write_certificates
from tests.live import deadline

TOKEN = "s3cret-token"


@dataclass
class Door:
    """How a server treats whoever comes; `came` has the header `Authorization` of each."""

    denies: int | None = None
    """An HTTP status instead of a WebSocket."""
    closes: int | None = None
    """A close code instead of a welcome."""
    closes_joined: int | None = None
    """A close code for whoever has joined a room."""
    came: DeferredQueue[str | None] = field(default_factory=DeferredQueue)
    url: str = ""


class Doorkeeper(WebSocketServerProtocol):
    """Welcomes clients, or not."""

    def __init__(self, door: Door) -> None:
        super().__init__()
        self.door = door

    def onConnect(self, request: ConnectionRequest) -> None:
        self.door.came.put(request.headers.get("authorization"))
        if self.door.denies is not None:
            raise ConnectionDeny(self.door.denies, "Unauthorized")

    def onOpen(self) -> None:
        if self.door.closes is not None:
            self.sendCloseFrame(self.door.closes)
            return
        limits = messages.Limits(65536, 0)
        self.sendMessage(messages.encode(messages.Welcome("me", 1, "test", [], False, limits)))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = messages.decode(payload)
        assert isinstance(message, messages.Join)
        self.sendMessage(messages.encode(messages.Joined("default", message.request_id)))
        if self.door.closes_joined is not None:
            self.sendCloseFrame(self.door.closes_joined)


@asynccontextmanager
async def serving(
    door: Door, certificates: Certificates | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[str]:
    """The URL of a server with this door."""
    factory = WebSocketServerFactory()
    factory.protocol = functools.partial(Doorkeeper, door)  # type: ignore[assignment]
    factory.noisy = False
    endpoint: TCP4ServerEndpoint | SSL4ServerEndpoint
    if certificates is None:
        scheme, endpoint = "ws", TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    else:
        pem = certificates.certificate.read_bytes() + certificates.key.read_bytes()
        options = PrivateCertificate.loadPEM(pem).options()
        scheme, endpoint = "wss", SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1")
    port = await endpoint.listen(factory)
    try:
        yield f"{scheme}://{host}:{port.getHost().port}"
    finally:
        await maybeDeferred(port.stopListening)


@deadline()
async def test_a_token_is_sent_in_the_header_and_nowhere_else() -> None:
    door = Door()
    async with serving(door) as url:
        async with ViewerClient(url, token=TOKEN):
            assert await door.came.get() == f"Bearer {TOKEN}"
        async with ViewerClient(url):
            assert await door.came.get() is None


@deadline()
@pytest.mark.parametrize("door", [Door(denies=401), Door(denies=403), Door(closes=4401)])
async def test_who_has_no_valid_token_is_told_so(door: Door) -> None:
    async with serving(door) as url:
        viewer = ViewerClient(url, token=TOKEN)
        with pytest.raises(Unauthorized, match="lets nobody in without a valid token") as caught:
            await viewer.connect()
        assert caught.value.close_code == 4401
        assert TOKEN not in str(caught.value) + repr(caught.value)
        assert not viewer.connected


@deadline()
async def test_who_loses_the_right_to_be_there_stays_away() -> None:
    async with serving(Door(closes_joined=4401)) as url:
        viewer = ViewerClient(url, token=TOKEN)
        lost: DeferredQueue[Disconnected] = DeferredQueue()
        viewer.on("disconnected", lost.put)
        await viewer.connect()
        assert await lost.get() == Disconnected(4401, will_reconnect=False)
        await viewer.close()


@deadline()
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_certificate_of_ones_own_is_trusted_once_its_authority_is_named(
    tmp_path: Path, host: str
) -> None:
    certificates = write_certificates(tmp_path, host)
    door = Door()
    async with serving(door, certificates, host) as url:
        with pytest.raises(TLSFailed, match=r"is not trusted: .*name its CA file"):
            await ViewerClient(url, token=TOKEN).connect()
        async with ViewerClient(url, token=TOKEN, ca_file=certificates.ca) as viewer:
            assert viewer.connected
        assert await door.came.get() == f"Bearer {TOKEN}"
        # Whoever is not trusted did not get to see the token.
        assert not door.came.pending


@deadline()
@pytest.mark.parametrize("names", [["192.0.2.9"], ["other.example"]])
async def test_a_certificate_for_another_host_is_not_trusted(tmp_path: Path, names: list[str]) -> None:
    certificates = write_certificates(tmp_path, *names)
    async with serving(Door(), certificates) as url:
        with pytest.raises(TLSFailed, match=r"127\.0\.0\.1.* certificate is for another host name"):
            await ViewerClient(url, ca_file=certificates.ca).connect()


@deadline()
async def test_another_authority_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_certificates(tmp_path / "other", "127.0.0.1")
    async with serving(Door(), write_certificates(tmp_path, "127.0.0.1")) as url:
        with pytest.raises(TLSFailed, match="is not trusted"):
            await ViewerClient(url, ca_file=other.ca).connect()


@deadline()
async def test_a_ca_file_has_certificates_in_it(tmp_path: Path) -> None:
    door = Door()
    (tmp_path / "empty.pem").write_text("no certificate\n")
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    problems = {"empty": "has no PEM certificate", "broken": "cannot be read", "absent": "cannot be read"}
    async with serving(door, write_certificates(tmp_path, "127.0.0.1")) as url:
        for name, problem in problems.items():
            with pytest.raises(InvalidOption, match=problem) as caught:
                await ViewerClient(url, ca_file=tmp_path / f"{name}.pem").connect()
            assert f"{name}.pem" in str(caught.value)
        assert not door.came.pending


@deadline()
async def test_a_client_does_not_come_back_where_that_is_not_wanted() -> None:
    door = Door(closes_joined=1012)
    async with serving(door) as url:
        viewer = ViewerClient(url, reconnect=None)
        lost: DeferredQueue[Disconnected] = DeferredQueue()
        viewer.on("disconnected", lost.put)
        for _ in range(2):
            # It can be told to, all the same.
            await viewer.connect()
            assert await lost.get() == Disconnected(1012, will_reconnect=False)
            await door.came.get()
        await viewer.close()
        assert not door.came.pending
        assert not lost.pending


@deadline()
async def test_a_client_comes_back_as_fast_as_is_wanted() -> None:
    door = Door(closes_joined=1012)
    async with serving(door) as url:
        viewer = ViewerClient(url, token=TOKEN, reconnect=Backoff(first_seconds=0.01, most_seconds=0.02))
        await viewer.connect()
        # With the usual waits, so many attempts would take minutes.
        for _ in range(20):
            assert await door.came.get() == f"Bearer {TOKEN}"
        await viewer.close()

"""What peers send to the sockets of aioice and aiortc, which neither takes as it comes."""

from __future__ import annotations

import asyncio
import datetime
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from aioice import stun
from aioice.ice import CandidatePair, Connection
from aiortc import RTCCertificate, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from cctvsignal_clients import aiortc_compat, bridge
from cctvsignal_clients.sdp import read
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from tests.live import deadline

Attributes = dict[str, Any]
GOOD: Final[Attributes] = {"PRIORITY": 1, "ICE-CONTROLLING": 5, "USE-CANDIDATE": None}


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Connection, list[dict[str, Any]]]]:
    """An ICE agent that waits for checks, and all errors that nobody has caught."""
    loop, uncaught = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: uncaught.append(context))
    connection = Connection(ice_controlling=False, use_ipv6=False)
    try:
        await connection.gather_candidates()
        connection.remote_username, connection.remote_password = "peer", "p" * 22
        yield connection, uncaught
    finally:
        await connection.close()
        loop.set_exception_handler(None)


class Stranger:
    """A socket on which a peer's requests leave, and answers come."""

    def __init__(self, connection: Connection) -> None:
        candidate = connection.local_candidates[0]
        self.connection = connection
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((candidate.host, 0))
        self.socket.connect((candidate.host, candidate.port))

    def request(self, attributes: Attributes, method: stun.Method = stun.Method.BINDING) -> stun.Message:
        """A request with a correct MESSAGE-INTEGRITY."""
        username = f"{self.connection.local_username}:peer"
        message = stun.Message(method, stun.Class.REQUEST, attributes={"USERNAME": username, **attributes})
        message.add_message_integrity(self.connection.local_password.encode())
        return message

    def send(self, data: bytes) -> None:
        self.socket.send(data)

    async def answer(self) -> stun.Message:
        """The next answer; the agent's own checks are left out."""
        loop = asyncio.get_running_loop()
        while True:
            message = stun.parse_message(await loop.sock_recv(self.socket, 2048))
            if message.message_class != stun.Class.REQUEST:
                return message


async def _asked(*datagrams: Callable[[Stranger], bytes]) -> tuple[list[int | None], list[Any], list[Any]]:
    """How each of these is answered, all remote candidates after that, and what nobody has caught.

    After each comes a request that is answered in any case.
    """
    codes: list[int | None] = []
    async with listening() as (connection, uncaught):
        checking = asyncio.create_task(connection.connect())
        while not connection._early_checks_done:
            await asyncio.sleep(0)
        stranger = Stranger(connection)
        with stranger.socket:
            for datagram in datagrams:
                data = datagram(stranger)
                stranger.send(data)
                last = stranger.request({"PRIORITY": 1}, stun.Method.ALLOCATE)
                stranger.send(bytes(last))
                while (answer := await stranger.answer()).transaction_id != last.transaction_id:
                    assert answer.transaction_id == data[8:20]
                    codes.append(answer.error_code)
        checking.cancel()
        await asyncio.gather(checking, return_exceptions=True)
        return codes, connection.remote_candidates, uncaught


@deadline()
async def test_a_request_without_priority_is_answered_and_checked_back() -> None:
    without = {name: value for name, value in GOOD.items() if name != "PRIORITY"}
    codes, candidates, uncaught = await bridge.start(_asked(lambda peer: bytes(peer.request(without))))
    assert (codes, uncaught) == ([None], [])
    assert [(each.type, each.priority) for each in candidates] == [("prflx", 110 << 24 | 65535 << 8 | 255)]


@deadline()
async def test_a_request_without_priority_may_come_before_the_description() -> None:
    async def early() -> list[Any]:
        async with listening() as (connection, uncaught):
            stranger = Stranger(connection)
            with stranger.socket:
                stranger.send(bytes(stranger.request({"USE-CANDIDATE": None})))
                assert (await stranger.answer()).error_code is None
                checking = asyncio.create_task(connection.connect())
                while not connection.remote_candidates and not checking.done():
                    await asyncio.sleep(0)
                checking.cancel()
                assert [each.type for each in connection.remote_candidates] == ["prflx"]
            return uncaught

    assert await bridge.start(early()) == []


def _raw(message_type: int, attributes: bytes, length: int | None = None) -> bytes:
    head = struct.pack("!HHI", message_type, len(attributes) if length is None else length, stun.COOKIE)
    return head + b"transaction!" + attributes


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


NONSENSE: Final[dict[str, Callable[[Stranger], bytes]]] = {
    "a short PRIORITY": lambda _: _raw(1, _attribute(0x24, b"\0")),
    "a long PRIORITY": lambda _: _raw(1, _attribute(0x24, bytes(8))),
    "a short FINGERPRINT": lambda _: _raw(1, _attribute(0x8028, b"")),
    "a short tie-breaker": lambda _: _raw(1, _attribute(0x802A, b"\0\0")),
    "an attribute beyond the end": lambda _: _raw(1, struct.pack("!HH", 0x24, 400)),
    "a name that is not UTF-8": lambda _: _raw(1, _attribute(0x06, b"\xff\xfe\xff\xfe")),
    "an address of no family": lambda _: _raw(0x101, _attribute(0x20, b"\0\3\0\0\0\0\0\0")),
    "a lifetime of one byte in an indication": lambda _: _raw(0x11, _attribute(0x0D, b"x")),
    "a method that does not exist": lambda _: _raw(0x3EEF, b""),
    "nothing": lambda _: b"",
    "one byte": lambda _: b"\0",
    "a wrong length": lambda _: _raw(1, b"", 400),
}
ANSWERED: Final[dict[str, tuple[Callable[[Stranger], bytes], int | None]]] = {
    "no user name": (lambda _: bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST)), 400),
    "no role": (lambda peer: bytes(peer.request({})), None),
    "both roles": (lambda peer: bytes(peer.request({**GOOD, "ICE-CONTROLLED": 2**64 - 1})), 487),
    "another method": (lambda peer: bytes(peer.request(GOOD, stun.Method.REFRESH)), 400),
    "an unknown user": (lambda peer: bytes(peer.request({"USERNAME": "a:b"})), 401),
}


@deadline()
@pytest.mark.parametrize("name", NONSENSE)
async def test_what_is_no_request_is_dropped_without_an_error(name: str) -> None:
    codes, candidates, uncaught = await bridge.start(_asked(NONSENSE[name]))
    assert (codes, candidates, uncaught) == ([], [], [])


@deadline()
@pytest.mark.parametrize("name", ANSWERED)
async def test_what_is_half_a_request_is_answered(name: str) -> None:
    datagram, code = ANSWERED[name]
    codes, _, uncaught = await bridge.start(_asked(datagram))
    assert (codes, uncaught) == ([code], [])


@deadline()
async def test_addresses_of_one_peer_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiortc_compat, "MAX_REMOTE_CANDIDATES", 3)

    async def from_many() -> int:
        async with listening() as (connection, uncaught):
            checking = asyncio.create_task(connection.connect())
            peers = [Stranger(connection) for _ in range(6)]
            for peer in peers:
                peer.send(bytes(peer.request(GOOD)))
                if peer in peers[:3]:
                    await peer.answer()
            # One that is known is answered as ever, and after the others.
            peers[0].send(bytes(peers[0].request(GOOD)))
            await peers[0].answer()
            checking.cancel()
            for peer in peers:
                peer.socket.close()
            assert uncaught == []
            return len(connection.remote_candidates)

    assert await bridge.start(from_many()) == 3


class OldCertificate(RTCCertificate):
    """An RSA certificate, with which a server has no other ciphers."""

    @classmethod
    def generateCertificate(cls) -> OldCertificate:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
        now = datetime.datetime.now(tz=datetime.UTC)
        builder = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        )
        builder = builder.serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        certificate = builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
        return cls(key, certificate)  # type: ignore[arg-type]

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        # The second is for servers with other certificates than its own.
        context.set_cipher_list(b"ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA")
        return context


async def _connected_to_rsa(setup: str) -> str:
    """The state of a connection with a peer that has an RSA certificate and offers this role."""
    theirs, ours = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    vars(theirs)["_RTCPeerConnection__certificates"] = [OldCertificate.generateCertificate()]
    aiortc_compat.use_own_certificate(ours)
    states: asyncio.Queue[str] = asyncio.Queue()
    ours.on("connectionstatechange", lambda: states.put_nowait(ours.connectionState))
    try:
        theirs.createDataChannel("x")
        await theirs.setLocalDescription(await theirs.createOffer())
        offer = read(theirs.localDescription.sdp.replace("a=setup:actpass", f"a=setup:{setup}"))
        await ours.setRemoteDescription(RTCSessionDescription(offer.text, "offer"))
        await ours.setLocalDescription(await ours.createAnswer())
        answer = offer.answer(ours.localDescription.sdp)
        await theirs.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        while (state := await states.get()) not in ("connected", "failed"):
            pass
        return state
    finally:
        await ours.close()
        await theirs.close()


@deadline()
@pytest.mark.parametrize("setup", ["passive", "actpass"])
async def test_a_peer_with_an_rsa_certificate_connects_in_both_roles(setup: str) -> None:
    assert await bridge.start(_connected_to_rsa(setup)) == "connected"


def test_a_name_that_has_moved_is_told_at_once() -> None:
    aiortc_compat.check()
    with pytest.raises(
        ImportError, match=r"aiortc [\d.]+ and aioice [\d.]+: there is no CandidatePair\.lost"
    ):
        aiortc_compat.check([(CandidatePair, ["nominated", "lost"])])

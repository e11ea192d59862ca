"""STUN and TURN servers: those that answer are used, and nobody waits for those that do not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from aioice import stun
from aioice.ice import StunProtocol, get_host_addresses
from aiortc import RTCConfiguration, RTCPeerConnection
from cctvsignal_clients import (
    CameraClient,
    ICEFailed,
    InvalidOption,
    ViewerClient,
    bridge,
    ice,
    peer,
)
from cctvsignal_clients.ice import rtc_ice_servers
from cctvsignal_clients.peer import PeerSession

from cctvsignal.messages import IceServer
from tests.certificates import Certificates, write_certificates
from tests.live import deadline, join
from tests.media import MEDIA_SECONDS, counters, streaming_camera
from tests.processes import Server
from tests.turn_server import RELAY_PORTS, TurnServer, turn_server

WRONG = "wr0ng"
REFUSED = "refuses (error 401 Unauthorized): check user name and credential"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"), _own_address())


@pytest.fixture(scope="module")
def coturn(certificates: Certificates) -> Iterator[TurnServer]:
    with turn_server(_own_address(), certificates) as running:
        yield running


def _own_address() -> str:
    """One that aioice has candidates of, which 127.0.0.1 is not."""
    addresses: list[str] = get_host_addresses(use_ipv4=True, use_ipv6=False)
    return addresses[0]


@contextmanager
def silent_server() -> Iterator[int]:
    """A UDP port that takes everything and answers nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taking:
        taking.bind(("127.0.0.1", 0))
        yield int(taking.getsockname()[1])


class OldServer(asyncio.DatagramProtocol):
    """A STUN server that answers without what RFC 5389 has added."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        asked = stun.parse_message(data)
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
        answer.attributes["MAPPED-ADDRESS"] = addr
        self.transport.sendto(bytes(answer), addr)


async def _old_server() -> asyncio.DatagramTransport:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(OldServer, (_own_address(), 0))
    return transport


async def gathered(session: PeerSession) -> list[str]:
    """Wait until all servers have answered, or not; what was wrong with them."""
    assert session._late is not None
    if session._gathering is not None:
        await bridge.start(_end_of(session._gathering))
    assert not session._late.pending
    return session._late.problems


async def _end_of(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])


def only_session(client: CameraClient | ViewerClient) -> PeerSession:
    (session,) = client._sessions.values()
    return session


async def candidates(url: str, room: str) -> tuple[str, list[str]]:
    """The SDP that the only camera of a room offers, and the candidates that it sends afterwards."""
    viewer = await join(url, room)
    viewer.send({"type": "requestStream", "cameraId": "cam-1"})
    sdp = ""
    found: list[str] = []
    while True:
        message = await viewer.next()
        if message["type"] == "offer":
            sdp = message["sdp"]["sdp"]
        elif message["type"] == "iceCandidate":
            assert sdp
            assert message["candidate"]["sdpMid"] == "0"
            if not message["candidate"]["candidate"]:
                await viewer.leave()
                return sdp, found
            found.append(message["candidate"]["candidate"])


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("kind", ["stun", "turn", "turn-tcp"])
async def test_nothing_waits_for_a_server_that_does_not_answer(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(ice, "SERVER_SECONDS", MEDIA_SECONDS)
    url, room = shared_server.websocket_url, f"silent-{kind}"
    with silent_server() as port, socket.create_server(("127.0.0.1", 0)) as taking:
        ice_server = {
            "stun": IceServer([f"stun:127.0.0.1:{port}"]),
            "turn": IceServer([f"turn:127.0.0.1:{port}"], "user", "secret"),
            "turn-tcp": IceServer(
                [f"turn:127.0.0.1:{taking.getsockname()[1]}?transport=tcp"], "user", "secret"
            ),
        }[kind]
        async with (
            streaming_camera(url, room, ice_servers=[ice_server]) as camera,
            ViewerClient(url, room=room, ice_servers=[ice_server]) as viewer,
        ):
            stream = await viewer.request_stream("cam-1")
            await counters(stream, 1)
            for session in (only_session(camera), only_session(viewer)):
                assert session._late is not None
                assert session._late.pending
            assert (await stream.stats()).path == "direct"


@deadline(MEDIA_SECONDS)
async def test_a_server_that_does_not_answer_is_given_up(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice, "SERVER_SECONDS", 0.3)
    url = shared_server.websocket_url
    with silent_server() as port:
        stun = IceServer([f"stun:127.0.0.1:{port}"])
        async with (
            streaming_camera(url, "given-up", ice_servers=[stun]) as camera,
            ViewerClient(url, room="given-up", ice_servers=[stun]) as viewer,
        ):
            stream = await viewer.request_stream("cam-1")
            for session in (only_session(camera), only_session(viewer)):
                problem = f"the STUN server 127.0.0.1:{port} does not answer"
                assert await gathered(session) == [problem]
            await counters(stream, 1)


@deadline(MEDIA_SECONDS)
async def test_a_server_that_answers_something_else_is_given_up(shared_server: Server) -> None:
    url = shared_server.websocket_url
    transport = await bridge.start(_old_server())
    host, port = transport.get_extra_info("sockname")
    stun_server = IceServer([f"stun:{host}:{port}"])
    async with (
        streaming_camera(url, "old", ice_servers=[stun_server]) as camera,
        ViewerClient(url, room="old", ice_servers=[stun_server]) as viewer,
    ):
        stream = await viewer.request_stream("cam-1")
        for session in (only_session(camera), only_session(viewer)):
            problem = f"the STUN server {host}:{port} answers without XOR-MAPPED-ADDRESS"
            assert await gathered(session) == [problem]
        await counters(stream, 1)
    transport.close()


@deadline(MEDIA_SECONDS)
async def test_a_stun_server_says_how_a_camera_is_seen(shared_server: Server, coturn: TurnServer) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "stun", ice_servers=[coturn.stun()]):
        sdp, found = await candidates(url, "stun")
        assert "typ host" in sdp
        assert "typ srflx" not in sdp
        assert "a=end-of-candidates" not in sdp
        assert found
        assert all("typ srflx" in line for line in found)
        assert any(f" {coturn.host} " in line for line in found)


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_turn_server_gives_a_relay(
    shared_server: Server, coturn: TurnServer, transport: str
) -> None:
    url, room = shared_server.websocket_url, f"turn-{transport}"
    async with streaming_camera(url, room, ice_servers=[coturn.turn(transport=transport)]):
        sdp, found = await candidates(url, room)
        assert "typ relay" not in sdp
        assert len(found) == 1
        assert f" {coturn.host} " in found[0]
        assert "typ relay" in found[0]


@deadline(MEDIA_SECONDS)
async def test_a_turn_server_of_ones_own_is_trusted_once_its_authority_is_named(
    shared_server: Server, coturn: TurnServer, certificates: Certificates
) -> None:
    url = shared_server.websocket_url
    async with (
        streaming_camera(url, "untrusted", ice_servers=[coturn.turns()]) as camera,
        ViewerClient(url, room="untrusted") as viewer,
    ):
        stream = await viewer.request_stream("cam-1")
        (problem,) = await gathered(only_session(camera))
        assert problem.startswith(f"the TURN server {coturn.host}:{coturn.tls_port} has an untrusted")
        assert problem.endswith("name its CA file")
        await counters(stream, 1)
    async with streaming_camera(url, "trusted", ice_servers=[coturn.turns()], ca_file=certificates.ca):
        _, found = await candidates(url, "trusted")
        assert len(found) == 1
        assert "typ relay" in found[0]


@deadline(MEDIA_SECONDS)
async def test_media_goes_directly_where_a_turn_server_refuses(
    shared_server: Server, coturn: TurnServer
) -> None:
    url = shared_server.websocket_url
    turn = coturn.turn(WRONG)
    async with (
        streaming_camera(url, "refused", ice_servers=[turn]) as camera,
        ViewerClient(url, room="refused", ice_servers=[turn]) as viewer,
    ):
        stream = await viewer.request_stream("cam-1")
        for session in (only_session(camera), only_session(viewer)):
            (problem,) = await gathered(session)
            assert problem == f"the TURN server {coturn.host}:{coturn.port} {REFUSED}"
        await counters(stream, 1)
        assert (await stream.stats()).path == "direct"


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize(
    ("seconds", "text"), [(1.0, "Signaling worked, but no"), (9.0, "answered, but no")]
)
async def test_why_servers_were_of_no_use_is_told_where_no_path_is_found(
    shared_server: Server, coturn: TurnServer, monkeypatch: pytest.MonkeyPatch, seconds: float, text: str
) -> None:
    # Whether the session or the request for it takes too long.
    monkeypatch.setattr(peer, "CONNECT_SECONDS", seconds)
    url = shared_server.websocket_url
    camera = await join(url, "nowhere", "cam-1")
    async with ViewerClient(url, room="nowhere", ice_servers=[coturn.turn(WRONG)]) as viewer:
        asked = viewer.request_stream("cam-1", timeout=2.0)
        while (request := await camera.next())["type"] != "viewerRequest":
            pass
        sdp = await bridge.start(_offer_to_nowhere())
        camera.send({"type": "offer", "target": request["viewerId"], "sdp": {"type": "offer", "sdp": sdp}})
        with pytest.raises(ICEFailed, match=f"{text} media path") as caught:
            await asked
        assert f"Also, the TURN server {coturn.host}:{coturn.port} {REFUSED}." in str(caught.value)
        assert WRONG not in str(caught.value)
    await camera.leave()


async def _offer_to_nowhere() -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction="sendonly")
    await connection.setLocalDescription(await connection.createOffer())
    lines = connection.localDescription.sdp.splitlines()
    await connection.close()
    kept = [line for line in lines if not line.startswith(("a=candidate", "a=end-of-candidates"))]
    # An address for documentation (RFC 5737).
    nowhere = "a=candidate:1 1 udp 2122260223 198.51.100.1 9 typ host"
    return "\r\n".join([*kept, nowhere, ""])


@pytest.fixture
def firewall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing through but what comes from relays."""
    original = StunProtocol.datagram_received

    def filtered(protocol: StunProtocol, data: bytes, address: tuple[Any, ...]) -> None:
        at_relay = protocol.local_candidate is not None and protocol.local_candidate.type == "relay"
        if at_relay or address[1] in RELAY_PORTS:
            original(protocol, data, address)

    monkeypatch.setattr(StunProtocol, "datagram_received", filtered)


@deadline(MEDIA_SECONDS)
@pytest.mark.usefixtures("firewall")
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("who", ["both", "camera", "viewer"])
async def test_media_goes_over_a_relay_where_nothing_else_does(
    shared_server: Server, coturn: TurnServer, certificates: Certificates, transport: str, who: str
) -> None:
    url, room = shared_server.websocket_url, f"relay-{transport}-{who}"
    turn = coturn.turns() if transport == "tls" else coturn.turn(transport=transport)
    nothing = IceServer([])
    async with (
        streaming_camera(
            url, room, ice_servers=[nothing if who == "viewer" else turn], ca_file=certificates.ca
        ) as camera,
        ViewerClient(
            url, room=room, ice_servers=[nothing if who == "camera" else turn], ca_file=certificates.ca
        ) as viewer,
    ):
        stream = await viewer.request_stream("cam-1")
        await counters(stream, 1)
        assert (await stream.stats()).path == "relayed"
        assert only_session(camera).path == "relayed"


@deadline()
async def test_what_is_no_ice_server_is_told_before_anybody_comes(shared_server: Server) -> None:
    url, odd = shared_server.websocket_url, [IceServer(["stun:127.0.0.1"]), IceServer(["http://example"])]
    for client in (
        ViewerClient(url, room="odd", ice_servers=odd),
        CameraClient(url, room="odd", camera_id="cam-1", ice_servers=odd),
    ):
        with pytest.raises(InvalidOption, match="'http://example' is no stun:, turn: or turns: URL"):
            await client.connect()
        assert not client.connected


def test_what_is_no_ice_server_does_no_harm_when_the_server_offers_it() -> None:
    offered = [IceServer(["http://example"]), IceServer(["stun:127.0.0.1"])]
    assert [server.urls for server in rtc_ice_servers(offered)] == [["stun:127.0.0.1"]]

"""Relays for those who have credentials of the server, and for nobody else: with a real TURN server."""

from __future__ import annotations

import base64
import ipaddress
import json
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest
from aioice.stun import TransactionFailed
from cctvsignal_clients import bridge
from twisted.internet.threads import deferToThread

from cctvsignal.ice import IceOffer, sign
from cctvsignal.messages import IceServer
from tests.certificates import Certificates, write_certificates
from tests.live import LiveClient, connect_unwelcomed, deadline, join
from tests.media import counters_of_file
from tests.networks import Host, Networks, networks, why_not
from tests.processes import REPOSITORY, Process, command, script, server
from tests.turn_server import USUAL_PORTS, Allocation, TurnServer, allocate, turn_server, with_secret

REASON = why_not()
SECRET = "0123456789abcdef-of-a-test"
STUN = "stun:stun.example.com"
SAMPLE = REPOSITORY / "docs" / "turnserver.conf"
UNAUTHORIZED, FORBIDDEN = 401, 403
OPEN = "11.213"
"""How addresses begin that the sample takes for the open internet; no packet of a test gets there."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"), "127.0.0.1")


@pytest.fixture(scope="module")
def coturn(certificates: Certificates) -> Iterator[TurnServer]:
    # Nonces that are soon stale make it look at who somebody is again, when a relay is prolonged.
    more = [*with_secret(SECRET), "--stale-nonce=2"]
    with turn_server("127.0.0.1", certificates, options=more) as running:
        yield running


# --- who gets a relay


async def _refusal(coturn: TurnServer, user: IceServer) -> int:
    try:
        relay = await allocate(coturn, user)
    except TransactionFailed as failed:
        return failed.response.error_code or -1
    await relay.close()
    return 0


async def refusal(coturn: TurnServer, user: IceServer) -> int:
    """What is wrong with a request for a relay, 0 for nothing."""
    return await bridge.start(_refusal(coturn, user))


def turn_user(username: str | None, credential: str | None) -> IceServer:
    return IceServer(["turn:turn.example.com"], username, credential)


def only_relay(servers: list[IceServer]) -> IceServer:
    """The one TURN server of a list."""
    (relay,) = (server for server in servers if server.username is not None)
    return relay


@deadline()
@pytest.mark.parametrize(("seconds_ago", "expected"), [(0, 0), (590, 0), (602, UNAUTHORIZED)])
async def test_a_credential_is_good_until_it_expires(
    coturn: TurnServer, seconds_ago: int, expected: int
) -> None:
    offer = IceOffer(turn=[coturn.url], secret=SECRET, seconds=600)
    servers, _ = offer.servers("vera", time.time() - seconds_ago)
    assert await refusal(coturn, only_relay(servers)) == expected


@deadline()
async def test_a_forged_credential_gets_no_relay(coturn: TurnServer) -> None:
    now = int(time.time())
    good, expired, later = (f"{now + seconds}:vera" for seconds in (60, -60, 3600))
    signature = base64.b64decode(sign(SECRET, good))
    bent = base64.b64encode(bytes([signature[0] ^ 1]) + signature[1:]).decode()
    assert await refusal(coturn, turn_user(good, sign(SECRET, good))) == 0
    for username, credential in (
        (good, sign("another-secret-of-a-test", good)),
        (good, bent),
        (good, ""),
        # One's own credential cannot be made to last longer, nor be another's.
        (later, sign(SECRET, good)),
        (later, sign(SECRET, expired)),
        (good.replace("vera", "otto"), sign(SECRET, good)),
        ("vera", sign(SECRET, "vera")),
        (None, None),
    ):
        assert await refusal(coturn, turn_user(username, credential)) == UNAUTHORIZED, username


# --- what the server gives


def options(coturn: TurnServer, *more: str) -> list[str]:
    """Those of a server beside a TURN server."""
    return [f"--stun={STUN}", f"--turn={coturn.url}", f"--turn-secret={SECRET}", *more]


def checked_relay(servers: list[dict[str, Any]], subject: str) -> tuple[int, IceServer]:
    """The TURN server among those that a client is told of, and when its credential expires."""
    stun, *others = (IceServer(**server) for server in servers)
    assert stun == IceServer([STUN])
    relay = only_relay(others)
    expiry, _, user = str(relay.username).partition(":")
    assert user == subject
    assert relay.credential == sign(SECRET, str(relay.username))
    return int(expiry), relay


async def next_relay(client: LiveClient) -> tuple[int, IceServer]:
    message = await client.next()
    assert message["type"] == "iceServers"
    return checked_relay(message["iceServers"], client.id)


@deadline(40)
async def test_credentials_are_replaced_before_they_expire_and_relays_outlive_them(
    coturn: TurnServer,
) -> None:
    with server(*options(coturn, "--turn-ttl=4")) as running:
        client = await join(running.websocket_url, "renewed")
        first_expiry, first = await next_relay(client)
        kept: Allocation = await bridge.start(allocate(coturn, first))
        try:
            second_expiry, _ = await next_relay(client)
            assert second_expiry > first_expiry
            # When it was made, the first was good: coturn takes one until the second in its name is over.
            assert second_expiry - 4 <= first_expiry
            third_expiry, third = await next_relay(client)
            assert third_expiry > second_expiry
            assert int(time.time()) > first_expiry
            assert await refusal(coturn, first) == UNAUTHORIZED
            assert await refusal(coturn, third) == 0
            assert await bridge.start(kept.refresh()) == 0
            assert await bridge.start(kept.permit("11.0.0.1")) == 0
        finally:
            await bridge.start(kept.close())
        await client.leave()


@deadline()
async def test_credentials_are_for_clients_in_a_room_and_last_an_hour(coturn: TurnServer) -> None:
    with server(*options(coturn)) as running:
        client = await connect_unwelcomed(running.websocket_url)
        welcome = await client.next()
        assert welcome["iceServers"] == [{"urls": [STUN]}]
        await client.silent()
        client.id = welcome["clientId"]
        address = f"{running.url}/api/ice-servers?clientId={client.id}"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            await deferToThread(_get, address)
        asked = int(time.time())
        joined = await client.ask({"type": "join", "room": "relays", "deviceType": "viewer"})
        assert joined["type"] == "joined"
        for expiry, relay in (
            await next_relay(client),
            checked_relay((await deferToThread(_get, address))["iceServers"], client.id),
        ):
            assert asked + 3600 <= expiry <= time.time() + 3600
            assert await refusal(coturn, relay) == 0
        await client.leave()


def _get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.parametrize("seconds", ["3", "3601", "forever"])
def test_a_server_does_not_start_with_credentials_that_last_too_long(seconds: str) -> None:
    arguments = ["--port=0", "--turn=turn:127.0.0.1", f"--turn-secret={SECRET}", f"--turn-ttl={seconds}"]
    with command(sys.executable, "-m", "cctvsignal", *arguments) as refused:
        assert refused.wait() == 1, refused.output
    (line,) = refused.lines
    assert line.startswith(
        f"cctvsignal: --turn-ttl={seconds}: a time is a number of seconds from 4 to 3600"
    )


# --- where relays lead

REFUSED = {
    "127.0.0.1": [
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "169.254.169.254/32"),
    ],
    "::1": [
        *("::/128", "::1/128", "::/96", "::ffff:0:0/96", "::ffff:127.0.0.1/128", "::ffff:10.0.0.1/128"),
        *("::ffff:169.254.169.254/128", "::ffff:8.8.8.8/128", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64"),
        *("2001::/32", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7"),
        *("fe80::/10", "fec0::/10", "ff00::/8"),
        # Each byte but the first, by itself.
        *(str(ipaddress.IPv6Address(1 << 8 * byte)) for byte in range(15)),
    ],
}
"""By where a client comes from, which says of which family its relay is."""
ALLOWED = {
    "127.0.0.1": [
        *("1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
        *("126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0"),
        *("191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255"),
        *("192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "223.255.255.255"),
    ],
    "::1": [
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "2a00::1",
        "3ffe::1",
        "3fff:1000::1",
    ],
}


@contextmanager
def sampled(
    host: str, certificates: Certificates, ports: tuple[int, int] | None = None, within: Host | None = None
) -> Iterator[TurnServer]:
    """coturn, configured as docs/turnserver.conf says."""
    more = [*with_secret(SECRET), "--allocation-default-address-family=keep"]
    prefix = () if within is None else within.command()
    with turn_server(
        host, certificates, options=more, configuration=SAMPLE, ports=ports, within=prefix
    ) as running:
        assert "Bad configuration" not in running.process.output
        yield running


async def _ways(coturn: TurnServer, user: IceServer, addresses: list[str]) -> dict[str, tuple[int, int]]:
    """What is wrong with a permission and with a channel to each address."""
    relay = await allocate(coturn, user)
    try:
        return {
            address: (await relay.permit(address), await relay.bind(channel, address))
            for channel, address in enumerate(addresses, 0x4000)
        }
    finally:
        await relay.close()


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def a_good_user() -> IceServer:
    servers, _ = IceOffer(turn=["turn:turn.example.com"], secret=SECRET).servers("vera", time.time())
    return only_relay(servers)


@deadline()
@pytest.mark.parametrize("host", REFUSED)
async def test_the_sample_configuration_leads_relays_to_the_open_internet_only(
    certificates: Certificates, host: str
) -> None:
    refused = [
        str(address) for each in map(ipaddress.ip_network, REFUSED[host]) for address in (each[0], each[-1])
    ]
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6, not even ::1")
    with sampled(host, certificates) as coturn:
        ways = await bridge.start(_ways(coturn, a_good_user(), list(dict.fromkeys(refused))))
        assert ways == dict.fromkeys(refused, (FORBIDDEN, FORBIDDEN))
        ways = await bridge.start(_ways(coturn, a_good_user(), ALLOWED[host]))
        assert ways == dict.fromkeys(ALLOWED[host], (0, 0))


@deadline()
async def test_without_a_configuration_relays_lead_to_private_networks(coturn: TurnServer) -> None:
    inside = ["10.0.0.1", "192.168.1.1", "169.254.169.254"]
    ways = await bridge.start(_ways(coturn, a_good_user(), inside))
    assert ways == dict.fromkeys(inside, (0, 0))


@deadline()
async def test_the_sample_configuration_has_no_secret_that_one_could_forget(
    certificates: Certificates,
) -> None:
    with turn_server("127.0.0.1", certificates, options=(), configuration=SAMPLE) as coturn:
        assert await refusal(coturn, a_good_user()) == UNAUTHORIZED
        assert await refusal(coturn, turn_user(None, None)) == UNAUTHORIZED


# --- what a relay is for


@contextmanager
def signaling(networks: Networks, *arguments: str) -> Iterator[str]:
    """A server in the middle; its URL."""
    listen = f"--listen=tcp:8080:interface={networks.middle.address}"
    cctvsignal = [sys.executable, "-m", "cctvsignal", listen, *arguments]
    with command(*networks.middle.command(*cctvsignal)) as running:
        running.wait_for_line("http://")
        yield f"ws://{networks.middle.address}:8080"


@contextmanager
def camera(networks: Networks, url: str) -> Iterator[Process]:
    arguments = [f"--server={url}", "--id=cam-1", "--source=test", "--size=320x240"]
    with command(*networks.camera.command(script("cctvsignal-camera"), *arguments)) as running:
        running.wait_for_line("Camera cam-1 is in room")
        yield running


@contextmanager
def viewer(networks: Networks, url: str, *arguments: str) -> Iterator[Process]:
    arguments = (f"--server={url}", "--camera=cam-1", "--log-format=json", *arguments)
    with command(*networks.viewer.command(script("cctvsignal-viewer"), *arguments)) as running:
        yield running


def check_relayed(coturn: TurnServer, size: int) -> None:
    """Wait until a relay is given up, of the camera or of the viewer, that so many bytes went through."""
    # The other end may have had one, too, that the two did not need, or that was not ready in time.
    while (usage := coturn.next_usage()).received + usage.sent < size:
        pass
    expiry, _, subject = usage.username.partition(":")
    assert 0 < int(expiry) - time.time() <= 3600
    assert uuid.UUID(subject)


def video_bytes(path: Path) -> int:
    """How much coded video is in a file."""
    with av.open(str(path)) as container:
        return sum(packet.size for packet in container.demux(video=0))


@pytest.mark.skipif(REASON != "", reason=REASON)
@pytest.mark.parametrize("transport", ["udp", pytest.param("tcp", marks=pytest.mark.long)])
def test_a_camera_and_a_viewer_that_cannot_reach_each_other_meet_over_a_relay(
    certificates: Certificates, tmp_path: Path, transport: str
) -> None:
    picture, video = tmp_path / "picture.png", tmp_path / "video.mkv"
    with networks(OPEN) as hosts:
        for end, other in ((hosts.camera, hosts.viewer), (hosts.viewer, hosts.camera)):
            assert end.reaches(hosts.middle)
            assert not end.reaches(other)
        with sampled(hosts.middle.address, certificates, USUAL_PORTS, hosts.middle) as coturn:
            turn = [f"--turn={coturn.url}?transport={transport}", f"--turn-secret={SECRET}"]
            with signaling(hosts, *turn) as url, camera(hosts, url):
                with viewer(hosts, url, f"--snapshot={picture}") as watching:
                    assert watching.wait() == 0, watching.output
                assert len(counters_of_file(picture)) == 1
                check_relayed(coturn, 1)
                with viewer(hosts, url, f"--record={video}") as watching:
                    watching.wait_for_line(r'"fps": [1-9].*"path": "relayed"')
                    assert watching.stop(signal.SIGINT) == 0, watching.output
                numbers = counters_of_file(video)
                assert numbers
                assert numbers == sorted(set(numbers))
                check_relayed(coturn, video_bytes(video))


@pytest.mark.long
@pytest.mark.skipif(REASON != "", reason=REASON)
def test_without_a_relay_they_do_not_meet(tmp_path: Path) -> None:
    with networks(OPEN) as hosts, signaling(hosts) as url, camera(hosts, url):
        with viewer(hosts, url, f"--snapshot={tmp_path / 'picture.png'}", "--timeout=5") as watching:
            assert watching.wait() == 1
        assert "no media path was found" in watching.output
        # It is the middle that keeps them apart, and nothing else.
        hosts.middle.forward(True)
        assert hosts.camera.reaches(hosts.viewer)
        assert hosts.viewer.reaches(hosts.camera)

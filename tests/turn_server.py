"""A STUN and TURN server that was not written here: coturn."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aioice.stun import Class, Message, Method, TransactionFailed
from aioice.turn import TurnClientUdpProtocol

from cctvsignal.messages import IceServer
from tests.certificates import Certificates
from tests.processes import Process, command

USER: Final = "camera"
PASSWORD: Final = "s3cret"
RELAY_PORTS: Final = range(20000, 20200)
"""Where relays are: no port that a system gives to a socket by itself."""
USUAL_PORTS: Final = (3478, 5349)
"""For TURN, and for TURN over TLS."""
_ONE_USER: Final = ("--lt-cred-mech", f"--user={USER}:{PASSWORD}")


@dataclass(frozen=True)
class Usage:
    """What went through a relay: bytes from others for its user, and bytes of its user for others."""

    username: str
    received: int
    sent: int


@dataclass(frozen=True)
class TurnServer:
    """Where it is, and what it logs."""

    host: str
    port: int
    tls_port: int
    process: Process = field(repr=False)

    @property
    def url(self) -> str:
        """Its URL, over UDP."""
        return f"turn:{self.host}:{self.port}"

    def stun(self) -> IceServer:
        """As a STUN server."""
        return IceServer(urls=[f"stun:{self.host}:{self.port}"])

    def turn(self, credential: str = PASSWORD, transport: str = "udp") -> IceServer:
        """As a TURN server over UDP or TCP."""
        return IceServer([f"{self.url}?transport={transport}"], USER, credential)

    def turns(self) -> IceServer:
        """As a TURN server over TLS."""
        return IceServer([f"turns:{self.host}:{self.tls_port}?transport=tcp"], USER, PASSWORD)

    def next_usage(self) -> Usage:
        """Wait until a relay is given up."""
        line = r"peer usage: .*username=<(.*?)>, rp=\d+, rb=(\d+), sp=\d+, sb=(\d+)"
        found = self.process.wait_for_line(line)
        return Usage(found[1], int(found[2]), int(found[3]))


def with_secret(secret: str) -> Sequence[str]:
    """The options of a server that shares this secret with cctvsignal."""
    return ("--use-auth-secret", f"--static-auth-secret={secret}")


@contextmanager
def turn_server(
    host: str,
    certificates: Certificates,
    *,
    options: Sequence[str] = _ONE_USER,
    configuration: Path | None = None,
    ports: tuple[int, int] | None = None,
    within: Sequence[str] = (),
) -> Iterator[TurnServer]:
    """A server at this address, on free ports of it unless some are given.

    `options` say who may use it, `configuration` is a file, `within` a command that runs it elsewhere.
    """
    port, tls_port = ports or (_free_port(host), _free_port(host))
    with tempfile.TemporaryDirectory() as directory:
        arguments = [
            *within,
            "turnserver",
            *(["-n"] if configuration is None else ["-c", str(configuration)]),
            "--no-cli",
            "--no-dtls",
            "--log-file=stdout",
            "--simple-log",
            "--verbose",
            f"--pidfile={Path(directory, 'pid')}",
            f"--userdb={Path(directory, 'db')}",
            f"--listening-ip={host}",
            f"--listening-port={port}",
            f"--tls-listening-port={tls_port}",
            f"--relay-ip={host}",
            f"--min-port={RELAY_PORTS[0]}",
            f"--max-port={RELAY_PORTS[-1]}",
            f"--cert={certificates.certificate}",
            f"--pkey={certificates.key}",
            "--realm=test",
            *options,
        ]
        with command(*arguments) as process:
            process.wait_for_line(rf"TLS/TCP.* listener opened on : {host}:{tls_port}")
            yield TurnServer(host, port, tls_port, process)


@dataclass(frozen=True)
class Allocation:
    """A relay of one client, which may be led somewhere."""

    client: TurnClientUdpProtocol

    async def permit(self, address: str) -> int:
        """Ask for a permission (RFC 8656, section 9); what was wrong with it, 0 for nothing."""
        request = Message(Method.CREATE_PERMISSION, Class.REQUEST)
        request.attributes["XOR-PEER-ADDRESS"] = (address, 9)
        return await self._ask(request)

    async def bind(self, channel: int, address: str) -> int:
        """Ask for a channel, which is another way to a permission (section 12); the same."""
        request = Message(Method.CHANNEL_BIND, Class.REQUEST)
        request.attributes["CHANNEL-NUMBER"] = channel
        request.attributes["XOR-PEER-ADDRESS"] = (address, 9)
        return await self._ask(request)

    async def refresh(self) -> int:
        """Prolong the relay (section 7); the same."""
        request = Message(Method.REFRESH, Class.REQUEST)
        request.attributes["LIFETIME"] = self.client.lifetime
        return await self._ask(request)

    async def close(self) -> None:
        """Give it up."""
        await self.client.delete()

    async def _ask(self, request: Message) -> int:
        try:
            await self.client.request_with_retry(request)
        except TransactionFailed as failed:
            return failed.response.error_code or -1
        return 0


async def allocate(server: TurnServer, user: IceServer) -> Allocation:
    """A relay over UDP, to be closed; raises `TransactionFailed` where there is none for this user."""
    where = (server.host, server.port)
    _, client = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: TurnClientUdpProtocol(where, user.username, user.credential, 600, 500), remote_addr=where
    )
    try:
        await client.connect()
    except BaseException:
        client.transport.close()
        raise
    return Allocation(client)


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])

"""A STUN and TURN server that was not written here: coturn."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cctvsignal.messages import IceServer
from tests.certificates import Certificates
from tests.processes import command

USER: Final = "camera"
PASSWORD: Final = "s3cret"
RELAY_PORTS: Final = range(20000, 20200)
"""Where relays are: no port that a system gives to a socket by itself."""


@dataclass(frozen=True)
class TurnServer:
    """Where it is."""

    host: str
    port: int
    tls_port: int

    def stun(self) -> IceServer:
        """As a STUN server."""
        return IceServer(urls=[f"stun:{self.host}:{self.port}"])

    def turn(self, credential: str = PASSWORD, transport: str = "udp") -> IceServer:
        """As a TURN server over UDP or TCP."""
        return IceServer([f"turn:{self.host}:{self.port}?transport={transport}"], USER, credential)

    def turns(self) -> IceServer:
        """As a TURN server over TLS."""
        return IceServer([f"turns:{self.host}:{self.tls_port}?transport=tcp"], USER, PASSWORD)


@contextmanager
def turn_server(host: str, certificates: Certificates) -> Iterator[TurnServer]:
    """A server on free ports of this address."""
    port, tls_port = _free_port(host), _free_port(host)
    with tempfile.TemporaryDirectory() as directory:
        arguments = [
            "turnserver",
            "-n",  # No configuration file.
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
            "--lt-cred-mech",
            "--realm=test",
            f"--user={USER}:{PASSWORD}",
        ]
        with command(*arguments) as process:
            process.wait_for_line(rf"TLS/TCP.* listener opened on : {host}:{tls_port}")
            yield TurnServer(host, port, tls_port)


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])

"""ICE candidates that keep nobody waiting: this machine's at once, those of servers when they answer.

aioice asks STUN and TURN servers before it gives out any candidate, and waits five seconds for one that is
silent. Here they are asked afterwards, and what they answer is sent as further candidates (RFC 8838).
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from aioice import Candidate
from aioice.ice import Connection, StunProtocol, relayed_candidate, server_reflexive_candidate
from aioice.stun import TransactionFailed, TransactionTimeout
from aiortc import RTCIceServer
from aiortc.rtcicetransport import parse_stun_turn_uri
from twisted.logger import Logger

from cctvsignal.messages import IceServer

from .errors import InvalidOption
from .redaction import shown

SERVER_SECONDS: Final = 10.0
PROBLEMS: Final = (OSError, TransactionFailed, TransactionTimeout, TimeoutError, KeyError)
"""What asking a server raises; `KeyError` for an answer without the attribute that was asked for."""

log = Logger()


class LateCandidates:
    """The candidates that STUN and TURN servers have for one ICE connection.

    To be made before candidates are gathered: it takes the servers away from the connection.
    """

    def __init__(self, connection: Connection, ca_file: str | Path | None = None) -> None:
        self.problems: list[str] = []
        """What went wrong with servers, for people."""
        self._connection = connection
        self._ca_file = ca_file
        self._stun, self._turn = connection.stun_server, connection.turn_server
        connection.stun_server = connection.turn_server = None
        self.pending = self._stun is not None or self._turn is not None
        """Whether there may be further candidates."""
        expected = connection._remote_candidates_expected
        # Else checks end, or fail, as soon as those among the first candidates are through.
        connection._remote_candidates_expected = (  # type: ignore[method-assign]
            lambda: self.pending or expected()
        )

    async def gather(self) -> AsyncIterator[str]:
        """Ask the servers, and yield each candidate as it comes: an RFC 8839 candidate-attribute."""
        asked = [asyncio.create_task(self._ask_turn())] if self._turn is not None else []
        if self._stun is not None:
            asked += [
                asyncio.create_task(self._ask_stun(protocol))
                for protocol in self._connection._protocols
                if ipaddress.ip_address(protocol.local_candidate.host).version == 4
            ]
        try:
            for answer in asyncio.as_completed(asked):
                candidate = await answer
                if candidate is not None:
                    yield f"candidate:{candidate.to_sdp()}"
        finally:
            for task in asked:
                task.cancel()
            self.pending = False
            if self._connection._early_checks_done:
                self._connection._check_list_maybe_fail()

    async def _ask_stun(self, protocol: StunProtocol) -> Candidate | None:
        assert self._stun is not None
        try:
            async with asyncio.timeout(SERVER_SECONDS):
                candidate, _ = await server_reflexive_candidate(protocol, self._stun)
        except PROBLEMS as error:
            self._report("STUN", self._stun, error)
            return None
        self._connection._local_candidates.append(candidate)
        return candidate

    async def _ask_turn(self) -> Candidate | None:
        connection = self._connection
        assert self._turn is not None
        encrypted: Any = connection.turn_ssl
        if encrypted and self._ca_file is not None:
            encrypted = ssl.create_default_context(cafile=self._ca_file)
        try:
            async with asyncio.timeout(SERVER_SECONDS):
                candidate, protocol = await relayed_candidate(
                    component=1,
                    hide_related_address=False,
                    protocol_factory=lambda: StunProtocol(connection),
                    turn_server=self._turn,
                    turn_username=connection.turn_username,
                    turn_password=connection.turn_password,
                    turn_ssl=encrypted,
                    turn_transport=connection.turn_transport,
                )
        except PROBLEMS as error:
            self._report("TURN", self._turn, error)
            return None
        if connection._closing:
            await protocol.close()
            return None
        connection._protocols.append(protocol)
        connection._local_candidates.append(candidate)
        for remote in connection._remote_candidates:
            connection._pair_remote_candidate(remote)
        connection.sort_check_list()
        return candidate

    def _report(self, kind: str, server: tuple[str, int], error: Exception) -> None:
        host, port = server
        if isinstance(error, ssl.SSLCertVerificationError):
            problem = f"has an untrusted certificate ({error.verify_message}): name its CA file"
        elif isinstance(error, TransactionFailed):
            code = error.response.attributes.get("ERROR-CODE", ("?", ""))
            problem = f"refuses (error {code[0]} {code[1]}): check user name and credential"
        elif isinstance(error, TransactionTimeout | TimeoutError):
            problem = "does not answer"
        elif isinstance(error, KeyError):
            problem = f"answers without {error.args[0]}"
        else:
            problem = f"cannot be used: {error}"
        text = f"the {kind} server {host}:{port} {problem}"
        if text not in self.problems:
            self.problems.append(text)


def check(servers: Sequence[IceServer]) -> None:
    """Raise `InvalidOption` for a URL that is none (RFC 7064, RFC 7065)."""
    for server in servers:
        for url in server.urls:
            try:
                parse_stun_turn_uri(url)
            except ValueError:
                raise InvalidOption(f"{shown(url)!r} is no stun:, turn: or turns: URL.") from None


def rtc_ice_servers(servers: Sequence[IceServer]) -> list[RTCIceServer]:
    """The servers for aiortc, without URLs that it does not know: what a server offers must stop nobody."""
    valid = []
    for server in servers:
        urls = [url for url in server.urls if _is_known(url)]
        if urls:
            valid.append(RTCIceServer(urls, server.username, server.credential))
    return valid


def _is_known(url: str) -> bool:
    try:
        check([IceServer([url])])
    except InvalidOption as error:
        log.warn("an ICE server is left out: {error}", error=error)
        return False
    return True

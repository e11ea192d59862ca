"""Who the clients of a hub are, until when, and which STUN and TURN servers they get to know for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from . import __version__
from .access import ANYONE, CLOSE_UNAUTHORIZED, NOBODY, Identity
from .messages import PROTOCOL_VERSION, IceServer, IceServers, Welcome, encode
from .policy import Policy
from .registry import Client
from .timers import Clock, Timers

CLOSE_TOO_LATE: Final = 4408
SERVER: Final = f"cctvsignal/{__version__}"
"""What this server calls itself."""


class Admission:
    """`expel` is called with a client that may stay no longer, a close code and the reason."""

    def __init__(self, clock: Clock, policy: Policy, expel: Callable[[Client, int, str], None]) -> None:
        self._clock = clock
        self._policy = policy
        self._wall = policy.wall or clock.seconds
        self._expel = expel
        self._ends = Timers(clock)
        """When the token of a client expires, or when it should have sent one."""
        self._renewals = Timers(clock)
        """When a client needs new credentials for TURN servers."""

    def begin(self, client: Client) -> Welcome:
        """The first message for a client that has just connected."""
        identity = client.identity
        known = identity is not ANYONE and identity is not NOBODY
        if identity is NOBODY:
            at = client.since + self._policy.authentication_seconds
            self._ends.set(client, at, self._expel, client, CLOSE_TOO_LATE, "no token came in time")
        elif known:
            self._expire(client)
        return Welcome(
            client_id=client.id,
            protocol=PROTOCOL_VERSION,
            server=SERVER,
            ice_servers=self._ice_servers(client) if known else self._policy.ice.public(),
            authenticated=known,
            limits=self._policy.limits,
        )

    def become(self, client: Client, identity: Identity) -> None:
        """A client has said who it is."""
        client.identity = identity
        self._expire(client)

    def end(self, client: Client) -> None:
        """The client is gone."""
        self._ends.cancel(client)
        self._renewals.cancel(client)

    def leave(self, client: Client) -> None:
        """The client has left its room: TURN servers are for those in one, or whose token is known."""
        if client.identity is ANYONE:
            client.has_relays = False
            self._renewals.cancel(client)

    def offer_relays(self, client: Client) -> None:
        """Tell a client that is in a room now of the TURN servers, unless it knows them."""
        if self._policy.ice.relays and not client.has_relays:
            self._send_ice_servers(client)

    def _expire(self, client: Client) -> None:
        self._ends.cancel(client)
        expires = client.identity.expires
        if expires < math.inf:
            # From here on time is measured, not read: it counts even if the clock is set back.
            at = self._clock.seconds() + expires - self._wall()
            self._ends.set(client, at, self._expel, client, CLOSE_UNAUTHORIZED, "your token has expired")

    def _send_ice_servers(self, client: Client) -> None:
        client.peer.send(encode(IceServers(self._ice_servers(client))))

    def _ice_servers(self, client: Client) -> list[IceServer]:
        subject = client.identity.subject or client.id
        servers, renew = self._policy.ice.servers(subject, self._wall())
        client.has_relays = True
        if renew is not None:
            self._renewals.set(client, self._clock.seconds() + renew, self._send_ice_servers, client)
        return servers

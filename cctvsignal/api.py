"""`GET /api/ice-servers`: the STUN and TURN servers, for those who may use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from twisted.internet.defer import Deferred, succeed
from twisted.web import http

from .access import CannotSay, Unauthorized
from .hub import Hub
from .messages import IceServer
from .policy import Authenticate, IceOffer, Outcome

Answer: TypeAlias = tuple[int, Mapping[str, object]]
"""An HTTP status, and what is said as JSON."""


class IceServersApi:
    """`authenticate` is None where nobody needs a token: there, servers are for clients in a room.

    `wall` is the time of day, in seconds since the epoch.
    """

    def __init__(
        self, hub: Hub, ice: IceOffer, authenticate: Authenticate | None, wall: Callable[[], float]
    ) -> None:
        self._hub = hub
        self._ice = ice
        self._authenticate = authenticate
        self._wall = wall

    def answer(self, token: str | None, client_id: str | None) -> Deferred[Answer]:
        """What a request with this token gets, or in the name of this client."""
        if self._authenticate is None:
            client = self._hub.client(client_id or "")
            if client is None or client.room is None:
                return succeed(
                    _refusal(http.UNAUTHORIZED, "Name the clientId of a client that is in a room.")
                )
            return succeed(self._servers(client.id))
        if not token:
            return succeed(_refusal(http.UNAUTHORIZED, "Send your token: Authorization: Bearer ..."))
        answering: Deferred[Answer] = Deferred()
        self._authenticate(token, lambda outcome: answering.callback(self._for(outcome)))
        return answering

    def _for(self, outcome: Outcome) -> Answer:
        if isinstance(outcome, Unauthorized):
            return _refusal(http.UNAUTHORIZED, str(outcome))
        if isinstance(outcome, CannotSay):
            return _refusal(http.SERVICE_UNAVAILABLE, outcome.answer)
        return self._servers(outcome.subject)

    def _servers(self, subject: str) -> Answer:
        servers, _ = self._ice.servers(subject, self._wall())
        return http.OK, {"iceServers": [_plain(server) for server in servers]}


def _plain(server: IceServer) -> dict[str, object]:
    fields = {"urls": server.urls, "username": server.username, "credential": server.credential}
    return {name: value for name, value in fields.items() if value is not None}


def _refusal(status: int, text: str) -> Answer:
    return status, {"error": text}

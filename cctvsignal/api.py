"""`GET /api/ice-servers`: the STUN and TURN servers, for those who may use them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.web import http

from .access import CannotSay, TooManyTokens, Unauthorized
from .hub import Hub
from .messages import IceServer
from .policy import Authenticate, IceOffer, Outcome

TOO_MANY_REQUESTS: Final = 429


class Answer(NamedTuple):
    """An HTTP status, what is said as JSON, and when to ask again, in seconds."""

    status: int
    content: Mapping[str, object]
    retry_after: float | None = None

    def headers(self) -> Iterator[tuple[bytes, bytes]]:
        """What the headers of the answer say, beside what all have."""
        if self.status == http.UNAUTHORIZED:
            yield b"WWW-Authenticate", b"Bearer"
        if self.retry_after is not None:
            yield b"Retry-After", b"%d" % math.ceil(self.retry_after)


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

    def answer(self, token: str | None, client_id: str | None, address: str) -> Deferred[Answer]:
        """What a request from this address gets, with this token or in the name of this client."""
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
        self._authenticate(token, address, lambda outcome: answering.callback(self._for(outcome)))
        return answering

    def _for(self, outcome: Outcome) -> Answer:
        if isinstance(outcome, Unauthorized):
            return _refusal(http.UNAUTHORIZED, str(outcome))
        if isinstance(outcome, CannotSay):
            too_many = isinstance(outcome, TooManyTokens)
            status = TOO_MANY_REQUESTS if too_many else http.SERVICE_UNAVAILABLE
            return _refusal(status, outcome.answer, outcome.retry_after)
        return self._servers(outcome.subject)

    def _servers(self, subject: str) -> Answer:
        servers, _ = self._ice.servers(subject, self._wall())
        return Answer(http.OK, {"iceServers": [_plain(server) for server in servers]})


def _plain(server: IceServer) -> dict[str, object]:
    fields = {"urls": server.urls, "username": server.username, "credential": server.credential}
    return {name: value for name, value in fields.items() if value is not None}


def _refusal(status: int, text: str, retry_after: float | None = None) -> Answer:
    return Answer(status, {"error": text}, retry_after)

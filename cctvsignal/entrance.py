"""Who may connect, and as whom: places for connections, origins of pages, tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from twisted.internet.interfaces import ISSLTransport, ITransport
from twisted.logger import Logger

from .access import ANYONE, CLOSE_UNAUTHORIZED, NOBODY, Identity, Unauthorized
from .addresses import Origins, Proxies
from .gate import Gate, TooMany
from .policy import Authenticate, Outcome
from .rate_limited_log import RateLimitedLog
from .timers import Clock

CLOSE_BUSY: Final = 1013
BAD_REQUEST: Final = 400
FORBIDDEN: Final = 403
TOO_MANY_REQUESTS: Final = 429
UNAVAILABLE: Final = 503
OVER_TLS: Final = frozenset({"https", "wss"})
"""What X-Forwarded-Proto says of TLS. Traefik says wss of WebSockets."""
ORIGIN_REFUSED: Final = "pages of this origin may not connect: see --allow-origin"

log = Logger()


class Turned(Exception):
    """Away before it became a WebSocket: an HTTP status, the reason for people, and when to come again."""

    def __init__(self, status: int, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after
        """In seconds; None: the same request will never do."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a request says of whoever asks to come in, decided once: both ways in go on with this alone."""

    address: str
    token: str | None


@dataclass(frozen=True)
class Visitor:
    """Whoever asks to come in. `close_code` and `reason`: it is told why not, once it is a WebSocket."""

    address: str
    identity: Identity
    close_code: int | None = None
    reason: str = ""


class Entrance:
    """`authenticate` is None where nobody needs a token.

    `refused` are told of the address of whoever is not let in, and why. `warnings` takes what strangers
    cause to be logged.
    """

    def __init__(
        self,
        clock: Clock,
        gate: Gate,
        proxies: Proxies,
        origins: Origins,
        authenticate: Authenticate | None,
        refused: Sequence[Callable[[str, str], None]] = (),
        warnings: RateLimitedLog | None = None,
    ) -> None:
        self._gate = gate
        self._proxies = proxies
        self._origins = origins
        self._authenticate = authenticate
        self._arrivals: dict[object, Arrival] = {}
        """By connection: those that may become WebSockets and are not known yet."""
        self._refused = refused
        self.warnings = warnings or RateLimitedLog(clock)

    def enter(self, connection: object, peer: str) -> None:
        """There is a new connection from this address; raises `Turned`."""
        try:
            self._gate.enter(connection)
            if not self._proxies.trusts(peer):
                self._gate.comes_from(connection, peer)
        except TooMany as error:
            # Its place is for others, however long it takes to go.
            self._gate.leave(connection)
            raise self._turned(peer, UNAVAILABLE, str(error), error.retry_after) from None

    def request(self, peer: str, forwarded_for: str | None) -> None:
        """There is a request for a page; raises `Turned`."""
        address = self._proxies.client(peer, forwarded_for)
        # One of a proxy itself is a check of how the server does.
        if not self._proxies.trusts(address):
            try:
                self._gate.request(address)
            except TooMany as error:
                raise self._turned(address, TOO_MANY_REQUESTS, str(error), error.retry_after) from None

    def check(
        self,
        connection: object,
        peer: str,
        secure: bool,
        headers: Mapping[str, str],
        query: Mapping[str, Sequence[str]],
    ) -> None:
        """Whether a connection may become a WebSocket; raises `Turned`. `identify` goes on from here.

        `peer` is the address at its other end, `secure` whether it is TLS; the names of `headers` are in
        lower case.
        """
        address = self._proxies.client(peer, headers.get("x-forwarded-for"))
        if not self.admits_origin(headers.get("origin"), peer, secure, headers):
            raise self._turned(address, FORBIDDEN, ORIGIN_REFUSED)
        if self._proxies.trusts(peer) and not self._proxies.trusts(address):
            try:
                self._gate.comes_from(connection, address)
            except TooMany as error:
                raise self._turned(address, UNAVAILABLE, str(error), error.retry_after) from None
        token = bearer(headers.get("authorization")) or next(iter(query.get("token", ())), None)
        self._arrivals[connection] = Arrival(address, token)

    def refuse_headers(self, peer: str) -> Turned:
        """The refusal of an upgrade with characters in its headers that parsers read differently."""
        return self._turned(peer, BAD_REQUEST, "control characters in a header")

    def admits_origin(
        self, origin: str | None, peer: str, secure: bool, headers: Mapping[str, str]
    ) -> bool:
        """Whether a page of this origin may connect; the rest as for `check`."""
        if self._proxies.trusts(peer):
            secure = secure or headers.get("x-forwarded-proto", "").strip().lower() in OVER_TLS
        return self._origins.admits(origin, headers.get("host"), secure)

    def identify(self, connection: object, done: Callable[[Visitor], None]) -> None:
        """Find out who a connection is that was checked, and call `done` with it.

        At once, unless somebody else has to be asked.
        """
        arrival = self._arrivals.pop(connection)
        address, token = arrival.address, arrival.token
        if self._authenticate is None or not token:
            done(Visitor(address, ANYONE if self._authenticate is None else NOBODY))
        else:
            self._authenticate(token, address, lambda outcome: done(self._visitor(address, outcome)))

    def address(self, peer: str, forwarded_for: str | None) -> str:
        """The address of whoever sent a request, as far as proxies that are named have written it."""
        return self._proxies.client(peer, forwarded_for)

    def leave(self, connection: object) -> None:
        """The connection is over. A second call does nothing."""
        self._arrivals.pop(connection, None)
        self._gate.leave(connection)

    def _visitor(self, address: str, outcome: Outcome) -> Visitor:
        if isinstance(outcome, Identity):
            return Visitor(address, outcome)
        if isinstance(outcome, Unauthorized):
            code, text = CLOSE_UNAUTHORIZED, str(outcome)
        else:
            code, text = CLOSE_BUSY, outcome.answer
        self._report(address, code, text)
        return Visitor(address, NOBODY, code, text)

    def _turned(self, address: str, status: int, text: str, retry_after: float | None = None) -> Turned:
        self._report(address, status, text)
        return Turned(status, text, retry_after)

    def _report(self, address: str, kind: int, reason: str) -> None:
        for refused in self._refused:
            refused(address, reason)
        hint = "; if that is a proxy, name it by --trusted-proxy" if kind == UNAVAILABLE else ""
        text = "{address} is turned away: {reason}{hint}"
        self.warnings.say(
            f"rejected connections ({kind})", log.warn, text, address=address, reason=reason, hint=hint
        )


def host_of(transport: ITransport) -> str:
    """The address at the other end; a Unix socket has none."""
    return str(getattr(transport.getPeer(), "host", ""))


def is_secure(transport: object) -> bool:
    """Whether this is TLS."""
    return ISSLTransport.providedBy(transport)


def bearer(authorization: str | None) -> str | None:
    """The token in a header `Authorization` (RFC 6750, section 2.1)."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None

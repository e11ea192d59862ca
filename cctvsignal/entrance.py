"""Who may connect, and as whom: the checks of a request to become a WebSocket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred

from .access import ANYONE, NOBODY, CannotSay, Identity, Unauthorized
from .addresses import Origins, Proxies
from .gate import Gate, TooMany
from .policy import Authenticate, Outcome

CLOSE_BUSY: Final = 1013
CLOSE_UNAUTHORIZED: Final = 4401
FORBIDDEN: Final = 403
UNAVAILABLE: Final = 503


class Turned(Exception):
    """Away before it became a WebSocket: an HTTP status, and the reason for people."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Visitor:
    """Whoever asks to come in. `close_code` and `reason`: it is told why not, once it is a WebSocket."""

    address: str
    identity: Identity
    close_code: int | None = None
    reason: str = ""


class Entrance:
    """`authenticate` is None where nobody needs a token."""

    def __init__(
        self, gate: Gate, proxies: Proxies, origins: Origins, authenticate: Authenticate | None
    ) -> None:
        self._gate = gate
        self._proxies = proxies
        self._origins = origins
        self._authenticate = authenticate

    def admit(
        self,
        connection: object,
        peer: str,
        secure: bool,
        headers: Mapping[str, str],
        query: Mapping[str, Sequence[str]],
    ) -> Deferred[Visitor]:
        """Who this is; fails with `Turned`.

        `peer` is the address at the other end of the transport `connection`, `secure` whether that is TLS;
        the names of `headers` are in lower case.
        """
        address, secure = self.origin_of(peer, secure, headers)
        if not self._origins.admits(headers.get("origin"), headers.get("host"), secure):
            raise Turned(FORBIDDEN, "Pages of this origin may not connect: see --allow-origin")
        if self._proxies.trusts(peer) and address != peer:
            try:
                self._gate.comes_from(connection, address)
            except TooMany as error:
                raise Turned(UNAVAILABLE, str(error)) from None
        token = bearer(headers.get("authorization")) or next(iter(query.get("token", ())), None)
        visiting: Deferred[Visitor] = Deferred()
        if self._authenticate is None or not token:
            visiting.callback(Visitor(address, ANYONE if self._authenticate is None else NOBODY))
        else:
            self._authenticate(token, lambda outcome: visiting.callback(_visitor(address, outcome)))
        return visiting

    def origin_of(self, peer: str, secure: bool, headers: Mapping[str, str]) -> tuple[str, bool]:
        """The address that a request comes from, and whether it came by TLS."""
        if self._proxies.trusts(peer):
            secure = secure or headers.get("x-forwarded-proto", "").strip().lower() == "https"
        return self._proxies.client(peer, headers.get("x-forwarded-for")), secure

    def leave(self, connection: object) -> None:
        """The connection is over."""
        self._gate.leave(connection)


def bearer(authorization: str | None) -> str | None:
    """The token in a header `Authorization` (RFC 6750, section 2.1)."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _visitor(address: str, outcome: Outcome) -> Visitor:
    if isinstance(outcome, Unauthorized):
        return Visitor(address, NOBODY, CLOSE_UNAUTHORIZED, str(outcome))
    if isinstance(outcome, CannotSay):
        return Visitor(address, NOBODY, CLOSE_BUSY, "Tokens cannot be checked at the moment: try again.")
    return Visitor(address, outcome)

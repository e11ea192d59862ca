"""Tokens that the owner's own service knows: it is asked once for each, and must answer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import urlsplit, urlunsplit

import msgspec
import treq
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, ITransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from .access import CannotSay, Identity, Unauthorized
from .auth import MAX_TOKEN_LENGTH, Revocations, identity
from .policy import Outcome

SECONDS: Final = 3.0
MAX_ANSWER_BYTES: Final = 65536
KEPT: Final = 10_000
"""How many answers are kept; the oldest gives way."""
REFUSALS: Final = (401, 403, 404)

log = Logger()


class _Body(Protocol):
    """An answer that comes in time and is not too long, or whose connection is closed."""

    def __init__(self) -> None:
        self._received = bytearray()
        self.done: Deferred[bytes] = Deferred(lambda _: self._hang_up())

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > MAX_ANSWER_BYTES:
            self._hang_up()

    def connectionLost(self, reason: Failure = Failure(ConnectionError())) -> None:  # noqa: B008
        if self.done.called:
            return
        # What was on its way when the connection was closed may be all the rest.
        if reason.check(ResponseDone) and len(self._received) <= MAX_ANSWER_BYTES:
            self.done.callback(bytes(self._received))
        else:
            self.done.errback(ValueError("its answer is cut short, or too long"))

    def _hang_up(self) -> None:
        cast(ITransport, self.transport).loseConnection()


class WebhookAuthenticator:
    """Asks a URL: `POST {"token": ...}`, answered by 200 and the claims as JSON, or by 401, 403 or 404.

    Whatever else happens lets nobody in.
    """

    def __init__(self, url: str, reactor: IReactorTime, revoked: Callable[[], Revocations]) -> None:
        self._url = url
        parts = urlsplit(url)
        # What is left out may be a password.
        self._name = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        self._reactor = reactor
        self._revoked = revoked
        self._known: dict[bytes, Identity] = {}
        self._asking: dict[bytes, list[Callable[[Outcome], None]]] = {}

    def __call__(self, token: str, done: Callable[[Outcome], None]) -> None:
        """Find out whose token this is."""
        if len(token) > MAX_TOKEN_LENGTH:
            done(Unauthorized("The token is too long."))
            return
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and known.expires > time.time():
            done(self._unless_revoked(known))
            return
        waiting = self._asking.setdefault(digest, [])
        waiting.append(done)
        if len(waiting) == 1:
            asking = Deferred.fromCoroutine(self._ask(token)).addTimeout(SECONDS, self._reactor)
            asking.addErrback(self._failed).addCallback(self._answered, digest)

    async def _ask(self, token: str) -> Outcome:
        response = await treq.post(self._url, json={"token": token}, allow_redirects=False)
        if response.code in REFUSALS:
            return Unauthorized("The token is not known.")
        if response.code != 200:
            raise ValueError(f"it answered {response.code}")
        body = _Body()
        response.deliverBody(body)
        received = await body.done
        try:
            # No leeway: the service's answer is as fresh as can be.
            return identity(msgspec.json.decode(received, type=dict), 0)
        except Unauthorized as error:
            raise ValueError(str(error)) from None

    def _failed(self, failure: Failure) -> Outcome:
        error = failure.value
        reasons = getattr(error, "reasons", None)
        text = str(reasons[0].value if reasons else error) or type(error).__name__
        log.error("{url} does not say whose a token is: {text}", url=self._name, text=text)
        return CannotSay(text)

    def _answered(self, outcome: Outcome, digest: bytes) -> None:
        if isinstance(outcome, Identity):
            if outcome.expires <= time.time():
                outcome = Unauthorized("The token has expired.")
            else:
                while len(self._known) >= KEPT:
                    del self._known[next(iter(self._known))]
                self._known[digest] = outcome
                outcome = self._unless_revoked(outcome)
        for done in self._asking.pop(digest):
            done(outcome)

    def _unless_revoked(self, found: Identity) -> Outcome:
        return Unauthorized("The token was revoked.") if self._revoked().concerns(found) else found

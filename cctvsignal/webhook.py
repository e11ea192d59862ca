"""Tokens that the owner's own service knows: it is asked once for each, and must answer.

Strangers decide how many tokens there are to ask for, so there are so many questions at once and no more,
so many that wait, in turn for each address, and a short memory of what was refused.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar, cast
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
from .addresses import key_of
from .auth import MAX_TOKEN_LENGTH, ClaimRules, MalformedClaims, Revocations
from .policy import Outcome
from .rate_limited_log import RateLimitedLog
from .timers import Deadlines

SECONDS: Final = 3.0
MAX_ANSWER_BYTES: Final = 65536
KEPT: Final = 10_000
"""How many answers of each kind are kept; the oldest gives way."""
AT_ONCE: Final = 20
"""How many questions are open at a time."""
SOCKETS: Final = 2 * AT_ONCE
"""How many files they need: a name may have two addresses that are tried side by side."""
WAITING: Final = 1000
"""How many questions wait for that."""
WAITING_SECONDS: Final = 8.0
"""How long one may wait: less than a client has for its opening handshake."""
REFUSED_SECONDS: Final = 5.0
"""How long a refusal is kept: its holder may be known a moment later."""
REFUSALS: Final = (401, 403, 404)

T = TypeVar("T")

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


@dataclass(eq=False)
class _Question:
    """Whose a token is. `line` is the address that has asked first, as limits know it."""

    token: str
    digest: bytes
    line: str
    askers: list[Callable[[Outcome], None]] = field(default_factory=list)


class WebhookAuthenticator:
    """Asks a URL: `POST {"token": ...}`, answered by 200 and the claims as JSON, or by 401, 403 or 404.

    Whatever else happens lets nobody in. `now` is wall time, in seconds since the epoch.
    """

    def __init__(
        self,
        url: str,
        reactor: IReactorTime,
        revoked: Callable[[], Revocations],
        rules: ClaimRules,
        warnings: RateLimitedLog,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        parts = urlsplit(url)
        # What is left out may be a password.
        self._name = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        self._reactor = reactor
        self._revoked = revoked
        self._rules = rules
        self._warnings = warnings
        self._now = now
        self._known: dict[bytes, Identity] = {}
        self._refused: dict[bytes, tuple[float, Unauthorized]] = {}
        """Until when a token counts as refused, in seconds of the reactor, and why."""
        self._questions: dict[bytes, _Question] = {}
        """All that wait or are open."""
        self._lines: dict[str, dict[bytes, _Question]] = {}
        """Those that wait, by the address of who asks; it is the turn of the first address."""
        self._open = 0
        self._patience = Deadlines(reactor, WAITING_SECONDS, self._give_up)

    def __call__(self, token: str, address: str, done: Callable[[Outcome], None]) -> None:
        """Find out whose token this is."""
        if len(token) > MAX_TOKEN_LENGTH:
            done(Unauthorized("The token is too long."))
            return
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        kept = self._kept(digest)
        if kept is not None:
            done(kept)
            return
        question = self._questions.get(digest)
        if question is None:
            if len(self._questions) - self._open >= WAITING:
                done(self._busy("too many questions wait"))
                return
            question = self._questions[digest] = _Question(token, digest, key_of(address))
            self._lines.setdefault(question.line, {})[digest] = question
            self._patience.start(question)
        question.askers.append(done)
        self._ask_more()

    def _kept(self, digest: bytes) -> Outcome | None:
        """What was answered to this token before, as far as that still counts."""
        known = self._known.get(digest)
        if known is not None and known.expires > self._now():
            return self._unless_revoked(known)
        until, refusal = self._refused.get(digest, (0.0, None))
        return refusal if until > self._reactor.seconds() else None

    def _ask_more(self) -> None:
        while self._open < AT_ONCE and self._lines:
            question = next(iter(next(iter(self._lines.values())).values()))
            self._take_out(question)
            self._open += 1
            asking = Deferred.fromCoroutine(self._ask(question.token)).addTimeout(SECONDS, self._reactor)
            asking.addErrback(self._failed).addCallback(partial(self._answered, question))

    def _take_out(self, question: _Question) -> None:
        """It waits no longer. Others of the same address wait until all other addresses had their turn."""
        self._patience.stop(question)
        line = self._lines.pop(question.line)
        del line[question.digest]
        if line:
            self._lines[question.line] = line

    def _give_up(self, question: _Question) -> None:
        self._take_out(question)
        self._tell(question, self._busy("a question waited for too long"))

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
            return self._rules.identity(msgspec.json.decode(received, type=dict), self._now())
        except MalformedClaims as error:
            raise ValueError(str(error)) from None
        except Unauthorized as error:
            return error

    def _failed(self, failure: Failure) -> Outcome:
        error = failure.value
        reasons = getattr(error, "reasons", None)
        return self._busy(str(reasons[0].value if reasons else error) or type(error).__name__)

    def _busy(self, text: str) -> CannotSay:
        line = "{url} does not say whose a token is: {text}"
        self._warnings.say("auth webhook", log.error, line, url=self._name, text=text)
        return CannotSay(text)

    def _answered(self, question: _Question, outcome: Outcome) -> None:
        self._open -= 1
        if isinstance(outcome, Identity):
            _keep(self._known, question.digest, outcome)
            outcome = self._unless_revoked(outcome)
        elif isinstance(outcome, Unauthorized):
            until = self._reactor.seconds() + REFUSED_SECONDS
            _keep(self._refused, question.digest, (until, outcome))
        self._tell(question, outcome)
        self._ask_more()

    def _tell(self, question: _Question, outcome: Outcome) -> None:
        del self._questions[question.digest]
        for done in question.askers:
            try:
                done(outcome)
            except Exception:
                log.failure("whoever asked for a token could not go on with the answer")

    def _unless_revoked(self, found: Identity) -> Outcome:
        return Unauthorized("The token was revoked.") if self._revoked().concerns(found) else found


def _keep(kept: dict[bytes, T], digest: bytes, answer: T) -> None:
    """Keep an answer as the youngest."""
    kept.pop(digest, None)
    while len(kept) >= KEPT:
        del kept[next(iter(kept))]
    kept[digest] = answer

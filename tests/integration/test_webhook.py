"""Tokens that a service of the owner knows, and what happens when that service does not say."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, DeferredQueue, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from cctvsignal import webhook
from cctvsignal.access import CannotSay, Unauthorized
from cctvsignal.auth import ClaimRules, Revocations
from cctvsignal.policy import Outcome
from cctvsignal.rate_limited_log import RateLimitedLog
from cctvsignal.webhook import WebhookAuthenticator
from tests.live import LiveClient, connect, deadline, turn
from tests.processes import Server, server
from tests.tokens import AUDIENCE, ISSUER, LONG, admitted, bearer, come, joining, refused

BAD_ANSWERS = {
    "error-500": (500, b"{}"),
    "status-201": (201, b"GOOD"),
    "status-204": (204, b""),
    "nothing": (200, b""),
    "nonsense": (200, b"yes, let them in"),
    "list": (200, b"[]"),
    "no-claims": (200, b"{}"),
    "role-unknown": (200, b'{"sub":"vera","exp":9999999999,"role":"owner"}'),
    "exp-text": (200, b'{"sub":"vera","exp":"9999999999"}'),
    "rooms-text": (200, b'{"sub":"vera","exp":9999999999,"rooms":"*"}'),
    "not-utf8": (200, b'{"sub":"\xff","exp":9999999999}'),
    "deep": (200, b"[" * 30000),
    "long": (200, b" " * 70000 + b"GOOD"),
    "surrogate": (200, b'{"sub":"vera","exp":9999999999,"role":"\\ud800"}'),
    "no-ascii": (200, '{{"sub":"vera","exp":9999999999,"role":"{}"}}'.format("é" * 200).encode()),
}


class WhoIsThis(Resource):
    """The owner's service. It answers by token: with claims, with a status and body, or not at all."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.claims: dict[str, dict[str, Any]] = {}
        self.waiting: DeferredQueue[Request] = DeferredQueue()
        """Requests that are not answered, or not to the end."""
        self.gone: DeferredQueue[str] = DeferredQueue()
        """The tokens of those whose connection was ended by the server that had asked."""

    def render_POST(self, request: Request) -> bytes | int:
        assert request.content is not None
        content = json.loads(request.content.read())
        assert list(content) == ["token"]
        text = content["token"]
        self.asked[text] += 1
        if text in self.claims:
            return json.dumps(self.claims[text]).encode()
        if text in BAD_ANSWERS:
            status, body = BAD_ANSWERS[text]
            request.setResponseCode(status)
            return body.replace(b"GOOD", json.dumps(good()).encode())
        if text.startswith("redirected"):
            self.claims["the-other-way"] = good()
            request.setResponseCode(int(text[-3:]))
            request.setHeader(b"Location", b"/elsewhere?token=the-other-way")
            return b""
        if text.startswith("slow"):
            request.notifyFinish().addErrback(lambda _: self.gone.put(text))
            if text == "slow-body":
                request.write(b'{"sub":')
            self.waiting.put(request)
            return NOT_DONE_YET
        request.setResponseCode(int(text[-3:]) if text.startswith("refused") else 401)
        return b""

    def render_GET(self, request: Request) -> bytes:
        self.asked["a redirect was followed"] += 1
        return json.dumps(good()).encode()


def good(**more: Any) -> dict[str, Any]:
    return {"sub": "vera", "exp": time.time() + LONG, "role": "viewer", "rooms": ["hall"], **more}


@asynccontextmanager
async def asked() -> AsyncIterator[tuple[WhoIsThis, str]]:
    """A service, and its address."""
    service = WhoIsThis()
    site = Site(service)
    site.noisy = False
    listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(site)
    try:
        yield service, f"http://127.0.0.1:{listening.getHost().port}/who"
    finally:
        await maybeDeferred(listening.stopListening)


@asynccontextmanager
async def owner(*options: str) -> AsyncIterator[tuple[WhoIsThis, Server]]:
    """A service and a server that asks it."""
    async with asked() as (service, url):
        with server(f"--auth-webhook={url}", *options) as running:
            yield service, running
        assert "Traceback" not in running.output
        assert "Unhandled" not in running.output


@deadline()
async def test_the_service_says_who_somebody_is_and_is_asked_once() -> None:
    async with owner() as (service, running):
        url = running.websocket_url
        service.claims["viewer-token"] = good(cameras=["porch-*"])
        service.claims["camera-token"] = good(role="camera", cameras=["garden"])
        viewer = await admitted(url, "viewer-token")
        assert (await viewer.ask(joining("hall")))["type"] == "joined"
        for other in (joining("elsewhere"), joining("hall", "porch-1")):
            assert (await viewer.ask(other))["code"] == "forbidden"
        # In any way that a token may come, it is the same token.
        camera = await connect(url)
        auth = {"type": "auth", "token": "camera-token"}
        assert await camera.ask(auth) == {"type": "authenticated"}
        assert (await camera.ask(joining("hall", "garden")))["type"] == "joined"
        await viewer.silent()
        for text in ("viewer-token", "camera-token"):
            for _ in range(3):
                await (await admitted(url, text)).leave()
            assert service.asked[text] == 1
        for client in (viewer, camera):
            await client.leave()


@deadline()
async def test_many_who_come_with_one_token_at_a_time_are_one_question() -> None:
    async with owner() as (service, running):
        coming = DeferredList(
            [maybeDeferred(come, running.websocket_url, bearer("slow-token")) for _ in range(10)],
            consumeErrors=True,
        )
        request = await service.waiting.get()
        # All of them are there before they hear anything: the last one's own question is answered.
        service.claims["another-token"] = good()
        await (await admitted(running.websocket_url, "another-token")).leave()
        request.write(json.dumps(good()).encode())
        request.finish()
        clients = [client for _, client in await coming]
        for client in clients:
            assert (await client.next())["authenticated"] is True
            await client.leave()
        assert service.asked["slow-token"] == 1


@deadline()
async def test_an_answer_is_kept_until_its_token_expires() -> None:
    async with owner() as (service, running):
        service.claims["short"] = good(exp=time.time() + 2)
        client = await admitted(running.websocket_url, "short")
        await (await admitted(running.websocket_url, "short")).leave()
        assert service.asked["short"] == 1
        # There is no leeway: the service's clock is as good as its word.
        assert await client.closed == 4401
        service.claims["short"] = good()
        await (await admitted(running.websocket_url, "short")).leave()
        assert service.asked["short"] == 2
        service.claims["over"] = good(exp=time.time() - 1)
        assert "expired" in await refused(running.websocket_url, "over")


@deadline()
async def test_whom_the_service_does_not_know_is_refused() -> None:
    async with owner() as (service, running):
        for text in ("unknown", "refused-401", "refused-403", "refused-404"):
            assert "not known" in await refused(running.websocket_url, text)
            client = await connect(running.websocket_url)
            answer = await client.ask({"type": "auth", "token": text})
            assert (answer["code"], answer["message"]) == ("unauthorized", "The token is not known.")
            await client.leave()
            # It is asked once, whoever brings it how often.
            assert service.asked[text] == 1
        # But a refusal is kept for seconds only: its holder may be known by then.
        service.claims["unknown"] = good()
        while True:
            client = await come(running.websocket_url, bearer("unknown"))
            if await is_welcomed(client):
                break
            await turn(0.2)
        await client.leave()
        assert service.asked["unknown"] == 2
        assert "Traceback" not in running.output
        assert all(text not in running.output for text in service.asked)


async def is_welcomed(client: LiveClient) -> bool:
    """Whether the first thing that a client hears is a message, not a close."""
    either: list[Deferred[Any]] = [maybeDeferred(client.next_frame), client.closed]
    _, index = await DeferredList(either, fireOnOneCallback=True)
    return index == 0


async def is_told_to_try_again(url: str, text: str) -> bool:
    client = await come(url, bearer(text))
    code, reason = await client.closed, client.remoteCloseReason
    return (code, reason) == (1013, "Tokens cannot be checked at the moment: try again.")


@deadline(40)
async def test_an_answer_that_makes_no_sense_lets_nobody_in() -> None:
    redirects = [f"redirected-{status}" for status in (301, 302, 303, 307, 308)]
    async with owner() as (service, running):
        for text in (*BAD_ANSWERS, *redirects):
            assert await is_told_to_try_again(running.websocket_url, text), text
        running.wait_for_line(r"error http://127\.0\.0\.1:\d+/who does not say whose a token is: \S")
        assert not service.asked["the-other-way"]
        assert not service.asked["a redirect was followed"]
        # Nothing of it is kept.
        service.claims["nonsense"] = good()
        await (await admitted(running.websocket_url, "nonsense")).leave()


SLOW = ("slow-head", "slow-body")


@deadline()
async def test_a_service_that_takes_too_long_lets_nobody_in_and_is_hung_up_on() -> None:
    async with owner() as (service, running):
        asking = [await connect(running.websocket_url) for _ in SLOW]
        coming = []
        before = time.monotonic()
        for client, text in zip(asking, SLOW, strict=True):
            client.send({"type": "auth", "token": text})
            coming.append(maybeDeferred(is_told_to_try_again, running.websocket_url, text))
        for client, told in zip(asking, coming, strict=True):
            assert await told
            answer = await client.next()
            assert (answer["code"], answer["ref"]) == ("serverBusy", "auth")
            assert time.monotonic() - before >= 2.9
            await client.leave()
        assert service.asked == dict.fromkeys(SLOW, 1)
        # Otherwise it could be made to hold as many connections as there are tokens.
        assert {await service.gone.get() for _ in SLOW} == set(SLOW)


@deadline()
async def test_a_service_that_is_not_there_lets_nobody_in() -> None:
    listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(Resource()))
    port = listening.getHost().port
    await maybeDeferred(listening.stopListening)
    with server(f"--auth-webhook=http://127.0.0.1:{port}/who") as running:
        assert await is_told_to_try_again(running.websocket_url, "a-token")
        running.wait_for_line(r"error .*/who does not say whose a token is: .*refused")
        assert "a-token" not in running.output
        assert "Traceback" not in running.output


@deadline()
async def test_a_key_in_the_address_of_the_service_is_not_logged() -> None:
    with server("--auth-webhook=http://127.0.0.1:1/who?key=not-to-be-seen") as running:
        assert await is_told_to_try_again(running.websocket_url, "a-token")
        running.wait_for_line(r"error .*127\.0\.0\.1:1/who")
        assert "not-to-be-seen" not in running.output


@deadline()
async def test_who_goes_before_the_service_answers_leaves_nothing_behind() -> None:
    async with owner() as (service, running):
        client = await connect(running.websocket_url)
        client.send({"type": "auth", "token": "slow-token"})
        request = await service.waiting.get()
        await client.vanish()
        request.write(json.dumps(good()).encode())
        request.finish()
        await (await admitted(running.websocket_url, "slow-token")).leave()
        assert service.asked["slow-token"] == 1


# --- what strangers can make a server ask


def refuse(request: Request) -> None:
    request.setResponseCode(401)
    request.finish()


@deadline(40)
async def test_unknown_tokens_are_so_many_questions_at_once_and_each_address_has_its_turn() -> None:
    strangers = 60
    async with owner("--trusted-proxy=127.0.0.1") as (service, running):

        def ask(text: str, address: str) -> Any:
            headers = {**bearer(text), "X-Forwarded-For": address}
            return maybeDeferred(come, running.websocket_url, headers)

        coming = [ask(f"slow-{number}", "192.0.2.1") for number in range(strangers)]
        requests = [await service.waiting.get() for _ in range(webhook.AT_ONCE)]
        # Whoever comes now is behind one stranger, not behind all of them.
        coming.append(ask("slow-neighbour", "192.0.2.2"))
        await (await connect(running.websocket_url)).leave()
        assert not service.waiting.pending
        assert sum(service.asked.values()) == webhook.AT_ONCE
        for _ in range(2):
            refuse(requests.pop())
            requests.append(await service.waiting.get())
        assert service.asked["slow-neighbour"] == 1
        for _ in range(strangers - webhook.AT_ONCE - 1):
            refuse(requests.pop())
            requests.append(await service.waiting.get())
        for request in requests:
            refuse(request)
        for _, client in await DeferredList(coming):
            assert await client.closed == 4401
        assert sum(service.asked.values()) == strangers + 1


@deadline()
async def test_a_queue_of_questions_that_is_full_is_busy_and_a_question_that_waits_too_long_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook, "AT_ONCE", 1)
    monkeypatch.setattr(webhook, "WAITING", 2)
    monkeypatch.setattr(webhook, "SECONDS", 2 * webhook.WAITING_SECONDS)
    assert IReactorTime.providedBy(reactor)
    clock = Clock()
    async with asked() as (service, url):
        authenticate = WebhookAuthenticator(
            url, clock, Revocations, ClaimRules(), RateLimitedLog(clock), lambda: 0.0
        )
        outcomes: dict[str, Outcome] = {}

        def ask(text: str) -> None:
            authenticate(text, "192.0.2.1", lambda outcome: outcomes.update({text: outcome}))

        for text in ("slow-1", "slow-2", "slow-3", "slow-4"):
            ask(text)
        request = await service.waiting.get()
        assert list(outcomes) == ["slow-4"]
        assert isinstance(outcomes["slow-4"], CannotSay)
        assert outcomes["slow-4"].retry_after > 0
        # Those that wait are told to try again; the open question ends by its own time-out.
        clock.advance(webhook.WAITING_SECONDS)
        assert set(outcomes) == {"slow-2", "slow-3", "slow-4"}
        clock.advance(webhook.WAITING_SECONDS)
        assert all(isinstance(outcome, CannotSay) for outcome in outcomes.values())
        assert set(outcomes) == {"slow-1", "slow-2", "slow-3", "slow-4"}
        assert await service.gone.get() == "slow-1"
        assert service.asked == {"slow-1": 1}
        # And there is place again.
        ask("unknown")
        while "unknown" not in outcomes:
            await turn()
        assert isinstance(outcomes["unknown"], Unauthorized)
        assert request.code == 200


@deadline()
async def test_a_service_that_is_down_is_worth_one_line_and_the_number_of_others() -> None:
    with server("--auth-webhook=http://127.0.0.1:1/who") as running:
        for number in range(30):
            assert await is_told_to_try_again(running.websocket_url, f"token-{number}")
        lines = [line for line in running.lines if "does not say whose a token is" in line]
        assert len(lines) == 1
        assert len([line for line in running.lines if "turned away" in line]) == 1
    assert "error auth webhook: 29 more since the last line" in running.output
    assert "warn  rejected connections (1013): 29 more since the last line" in running.output


WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "aud-of-others": {"aud": "others"},
    "aud-absent": {"aud": None},
    "aud-is-a-number": {"aud": 5},
    "aud-list-of-others": {"aud": ["others"]},
    "iss-of-others": {"iss": "others"},
    "iss-absent": {"iss": None},
    "not-yet": {"nbf": time.time() + LONG},
    "from-the-future": {"iat": time.time() + LONG},
    "too-late": {"exp": time.time() - 1},
}


@deadline()
async def test_claims_of_the_service_are_checked_as_those_of_signed_tokens() -> None:
    async with owner(f"--auth-audience={AUDIENCE}", f"--auth-issuer={ISSUER}") as (service, running):
        ours: dict[str, Any] = {"aud": AUDIENCE, "iss": ISSUER}
        for text, wrong in WRONG_CLAIMS.items():
            service.claims[text] = good(**ours | wrong)
            assert await refused(running.websocket_url, text), text
        # Clocks may differ by a minute.
        rights: list[tuple[str, dict[str, Any]]] = [
            ("list", {"aud": ["others", AUDIENCE]}),
            ("soon", {"nbf": time.time() + 30}),
        ]
        for text, right in rights:
            service.claims[text] = good(**ours | right)
            await (await admitted(running.websocket_url, text)).leave()

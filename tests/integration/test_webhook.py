"""Tokens that a service of the owner knows, and what happens when that service does not say."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import DeferredList, DeferredQueue, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.live import connect, deadline
from tests.processes import Server, server
from tests.tokens import LONG, admitted, bearer, come, joining, refused

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
async def owner(*options: str) -> AsyncIterator[tuple[WhoIsThis, Server]]:
    """A service and a server that asks it."""
    service = WhoIsThis()
    site = Site(service)
    site.noisy = False
    listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(site)
    url = f"http://127.0.0.1:{listening.getHost().port}/who"
    try:
        with server(f"--auth-webhook={url}", *options) as running:
            yield service, running
        assert "Traceback" not in running.output
        assert "Unhandled" not in running.output
    finally:
        await maybeDeferred(listening.stopListening)


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
        # A refusal is not kept: its holder may be known a moment later.
        service.claims["unknown"] = good()
        await (await admitted(running.websocket_url, "unknown")).leave()
        assert "Traceback" not in running.output
        assert all(text not in running.output for text in service.asked)


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

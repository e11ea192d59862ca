"""Credentials of TURN servers."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from cctvsignal.ice import IceOffer, check_secret, check_url, sign
from cctvsignal.messages import IceServer

SECRET = "0123456789abcdef"


def test_a_credential_is_the_hmac_of_its_user_name() -> None:
    offer = IceOffer(["stun:a"], ["turn:b", "turns:b"], secret=SECRET, seconds=600)
    [stun, turn], renew = offer.servers("vera", 1000.5)
    assert stun == IceServer(["stun:a"])
    assert turn.urls == ["turn:b", "turns:b"]
    assert turn.username == "1600:vera"
    digest = hmac.new(SECRET.encode(), b"1600:vera", hashlib.sha1).digest()
    assert turn.credential == sign(SECRET, "1600:vera") == base64.b64encode(digest).decode()
    assert renew == 450


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("a:b", "a_b"),
        ("a b\r\n", "a_b__"),
        ("vera@example.com", "vera@example.com"),
        ("é" * 200, "_" * 128),
        ("x" * 300, "x" * 128),
    ],
)
def test_subjects_are_made_fit_for_a_user_name(subject: str, name: str) -> None:
    [turn], _ = IceOffer(turn=["turn:b"], secret=SECRET).servers(subject, 0)
    assert turn.username == f"3600:{name}"


def test_static_credentials_are_the_same_for_everybody_and_for_ever() -> None:
    offer = IceOffer(turn=["turn:b"], username="u", credential="p")
    assert offer.servers("vera", 5) == ([IceServer(["turn:b"], "u", "p")], None)


def test_without_turn_there_is_nothing_to_keep_secret() -> None:
    assert IceOffer(["stun:a"]).servers("vera", 5) == (IceOffer(["stun:a"]).public(), None)
    assert IceOffer().public() == []
    assert not IceOffer(["stun:a"]).relays


@pytest.mark.parametrize(
    "url",
    [
        "turn:example.com",
        "turn:example.com:3478",
        "turns:example.com:5349?transport=tcp",
        "TURN:192.0.2.1",
        "turn:[2001:db8::1]:3478?transport=udp",
    ],
)
def test_urls_of_turn_servers(url: str) -> None:
    assert check_url(url, "turn", "turns") == url


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "turn://example.com", "turn:user@example.com", "stun:a", "turn:a:b", "turn:a\n"],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"a URL such as turn:example.com:3478"):
        check_url(url, "turn", "turns")


def test_a_secret_is_long() -> None:
    assert check_secret(SECRET) == SECRET
    with pytest.raises(ValueError):
        check_secret(SECRET[1:])

"""Who may do what: every role with every message, and names with stars."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cctvsignal.access import ANYONE, NOBODY, Identity, Role, refusal
from cctvsignal.messages import CLIENT_MESSAGE_TYPES, decode

MESSAGES: dict[str, dict[str, Any]] = {
    "join as a camera": {"type": "join", "room": "hall", "deviceType": "camera", "cameraId": "porch-1"},
    "join as another camera": {
        "type": "join",
        "room": "hall",
        "deviceType": "camera",
        "cameraId": "garden",
    },
    "join as a viewer": {"type": "join", "room": "hall"},
    "join another room": {"type": "join", "room": "attic"},
    "join another room as a camera": {"type": "join", "deviceType": "camera", "cameraId": "porch-1"},
    "requestStream": {"type": "requestStream", "cameraId": "porch-1"},
    "listCameras": {"type": "listCameras"},
    "offer": {"type": "offer", "target": "t", "sdp": {}},
    "answer": {"type": "answer", "target": "t", "sdp": {}},
    "iceCandidate": {"type": "iceCandidate", "target": "t", "candidate": None},
    "bye": {"type": "bye", "target": "t"},
    "leave": {"type": "leave"},
    "ping": {"type": "ping"},
}
OTHERS = {"offer", "answer", "iceCandidate", "bye", "leave", "ping"}
VIEWING = {"join as a viewer", "requestStream", "listCameras"}
ALLOWED: dict[Role, set[str]] = {
    "camera": OTHERS | {"join as a camera"},
    "viewer": OTHERS | VIEWING,
    "both": OTHERS | VIEWING | {"join as a camera"},
    "admin": OTHERS | VIEWING | {"join as a camera"},
}


def test_the_table_has_every_message() -> None:
    # Whoever is not known yet may send auth, and the hub lets everybody send it again.
    assert {message["type"] for message in MESSAGES.values()} | {"auth"} == CLIENT_MESSAGE_TYPES


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("role", ALLOWED)
def test_every_role_with_every_message(role: Role, message: str) -> None:
    identity = Identity("somebody", role, ("hall",), ("porch-*",))
    found = refusal(identity, decode(json.dumps(MESSAGES[message]).encode()))
    if message in ALLOWED[role]:
        assert found is None
    else:
        assert found is not None
        assert found[0] == "forbidden"


@pytest.mark.parametrize("message", MESSAGES)
def test_without_authentication_everybody_may_send_everything(message: str) -> None:
    assert refusal(ANYONE, decode(json.dumps(MESSAGES[message]).encode())) is None


@pytest.mark.parametrize("message", MESSAGES)
def test_whoever_has_not_said_who_it_is_may_send_nothing(message: str) -> None:
    found = refusal(NOBODY, decode(json.dumps(MESSAGES[message]).encode()))
    assert found is not None
    assert found[0] == "unauthorized"


def test_a_refusal_says_nothing_of_what_there_is() -> None:
    viewer = Identity("somebody", "viewer", ("hall",))
    texts = {
        refusal(viewer, decode(b'{"type":"join","room":"%s"}' % room)) for room in (b"attic", b"cellar")
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("role", "cameras", "registers", "views"),
    [
        ("camera", None, True, False),
        ("camera", ("porch-*",), True, False),
        ("camera", ("garden",), False, False),
        ("viewer", None, False, True),
        ("viewer", ("porch-*",), False, True),
        ("viewer", ("garden",), False, False),
        ("viewer", (), False, False),
        ("both", None, True, True),
        ("both", ("garden", "porch-1"), True, True),
        ("both", ("garden",), False, False),
        ("admin", None, True, True),
        ("admin", ("garden",), False, False),
    ],
)
def test_which_cameras_an_identity_is_for(
    role: Role, cameras: tuple[str, ...] | None, registers: bool, views: bool
) -> None:
    identity = Identity("somebody", role, ("*",), cameras)
    assert (identity.may_register("porch-1"), identity.may_view("porch-1")) == (registers, views)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("porch", "porch", True),
        ("porch", "porch-1", False),
        ("porch", "Porch", False),
        ("*", "anything at all", True),
        ("porch-*", "porch-", True),
        ("porch-*", "porch", False),
        ("*-1", "porch-1", True),
        ("*-1", "porch-11", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "abc", True),
        ("a*b*c", "acb", False),
        ("a*bb*b", "abb", False),
        ("a*bb*b", "abbb", True),
        ("**", "x", True),
        # Only the star is anything but itself.
        ("p?rch", "porch", False),
        ("[a-z]", "a", False),
        ("[a-z]", "[a-z]", True),
        (".*", "porch", False),
        ("", "porch", False),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, name: str, matches: bool) -> None:
    assert Identity("somebody", "viewer", (pattern,)).may_enter(name) is matches


pieces = st.lists(st.text("ab", max_size=3), min_size=1, max_size=5)


@given(pieces, st.lists(st.text("ab", max_size=3), min_size=5, max_size=5))
def test_a_name_that_is_made_of_a_pattern_matches_it(parts: list[str], fillings: list[str]) -> None:
    name = parts[0] + "".join(map("".join, zip(fillings, parts[1:], strict=False)))
    assert Identity("somebody", "viewer", ("*".join(parts),)).may_enter(name)


def test_many_stars_take_no_time() -> None:
    assert not Identity("somebody", "viewer", ("*a" * 60 + "b",)).may_enter("a" * 128)


def test_an_identity_may_change_only_into_one_for_the_same() -> None:
    one = Identity("somebody", "viewer", ("hall",), ("porch",), expires=10)
    assert one.grants_the_same(Identity("somebody", "viewer", ("hall",), ("porch",), math.inf, "token"))
    for other in (
        Identity("another", "viewer", ("hall",), ("porch",)),
        Identity("somebody", "both", ("hall",), ("porch",)),
        Identity("somebody", "viewer", ("attic",), ("porch",)),
        Identity("somebody", "viewer", ("hall",), None),
    ):
        assert not one.grants_the_same(other)

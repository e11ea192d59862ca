"""Every transcript of tests/protocol against the hub in memory, and that none is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import UNSET, Raw
from twisted.internet.defer import Deferred

from cctvsignal.messages import CLIENT_MESSAGE_TYPES, SERVER_MESSAGE_TYPES, ErrorCode
from tests.transcripts import Bindings, MemoryWire, Transcript, load, matches, paths, run

PLAIN_FIELDS = {
    "join": {"room", "deviceType", "cameraId"},
    "offer": {"target", "sdp"},
    "answer": {"target", "sdp"},
    "iceCandidate": {"target", "candidate"},
    "requestStream": {"cameraId", "requestId"},
}
NOT_REACHABLE_YET = {"rateLimited", "unauthorized", "forbidden", "roomFull", "resumeFailed", "serverBusy"}


def result_of(running: Deferred[None]) -> None:
    """Raise what a coroutine raised that had nothing to wait for."""
    outcome: list[object] = []
    running.addBoth(outcome.append)
    assert outcome, "nothing in memory takes time"
    if outcome[0] is not None:
        running.addErrback(lambda failure: None)
        outcome[0].raiseException()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "path", [path for path in paths() if load(path).where != "live"], ids=lambda path: path.stem
)
def test_in_memory(path: Path) -> None:
    result_of(Deferred.fromCoroutine(run(load(path), MemoryWire())))


def transcripts() -> Iterator[Transcript]:
    return map(load, paths())


def sent() -> Iterator[dict[str, Any]]:
    for transcript in transcripts():
        for step in transcript.steps:
            if step.send is not UNSET:
                yield json.loads(bytes(step.send))


def expected() -> Iterator[dict[str, Any]]:
    for transcript in transcripts():
        for step in transcript.steps:
            singles = [raw for raw in (step.expect, step.welcome) if isinstance(raw, Raw)]
            for raw in singles + (step.expect_in_any_order or []):
                yield json.loads(bytes(raw))


def test_every_message_of_clients_is_sent() -> None:
    assert {str(message.get("type")) for message in sent()} >= CLIENT_MESSAGE_TYPES


def test_every_message_of_the_server_is_expected() -> None:
    # The servers of transcripts know no TURN servers; tests/unit/test_hub_access.py has those that do.
    assert {message["type"] for message in expected()} == SERVER_MESSAGE_TYPES - {"iceServers"}


def test_every_error_code_that_can_be_reached_is_expected() -> None:
    codes = {message["code"] for message in expected() if message["type"] == "error"}
    assert codes == set(get_args(ErrorCode)) - NOT_REACHABLE_YET


def test_every_close_code_that_can_be_reached_is_expected() -> None:
    codes = {step.closed for transcript in transcripts() for step in transcript.steps}
    assert codes >= {1001, 1003, 1007, 1008, 1009, 4409}


def test_every_transcript_names_its_rules() -> None:
    for path in paths():
        assert all(rule.startswith("section ") for rule in load(path).rules), path.name
        assert load(path).rules, path.name


def test_plain_transcripts_speak_section_1_only() -> None:
    plain = [transcript for transcript in transcripts() if transcript.plain]
    assert plain
    for step in (step for transcript in plain for step in transcript.steps):
        if step.send is not UNSET:
            message = json.loads(bytes(step.send))
            known = PLAIN_FIELDS[message.pop("type")]
            assert all(field in known or field.startswith("old") for field in message)


def test_a_new_variable_takes_the_value_it_meets_and_keeps_it() -> None:
    bindings: Bindings = {}
    assert matches({"id": "$one"}, {"id": "x"}, bindings)
    assert matches(["$one", "$any", "$text"], ["x", None, "y"], bindings)
    assert not matches(["$one"], ["y"], bindings)
    assert not matches("$text", "", bindings)


def test_messages_match_only_with_the_same_fields_and_types() -> None:
    assert not matches({"a": 1}, {"a": 1, "b": 2}, {})
    assert not matches({"a": 1, "b": 2}, {"a": 1}, {})
    assert not matches({"a": 1}, {"a": True}, {})
    assert not matches([1], [1, 2], {})

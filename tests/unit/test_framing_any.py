"""Any frames, cut anywhere: the server does what Autobahn does, and what the client asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.framing_cases import last, part
from tests.unit.wire import (
    ABORT_ME,
    BINARY,
    CLOSE,
    CLOSE_ME,
    CONTINUATION,
    DEFAULT,
    KEY,
    NO_KEY,
    PING,
    PONG,
    TEXT,
    UNLIMITED,
    Setup,
    answer,
    both,
    byte_by_byte,
    close_frame,
    frame,
    frame_by_frame,
)

KEYS: Final = st.sampled_from([KEY, NO_KEY, b"\xff" * 4]) | st.binary(min_size=4, max_size=4)
SIZES: Final = st.sampled_from([124, 125, 126, 127, 128, 1000, 65535, 65536])
TEXTS: Final = st.text(max_size=40).map(str.encode) | st.builds(
    # Boundaries of the field for the length, with something at the end that is no ASCII.
    lambda size, end: b"x" * (size - len(end.encode())) + end.encode(),
    SIZES,
    st.sampled_from(["", "é", "前", "😀"]),
)
CONTROL: Final = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))
CODES: Final = st.sampled_from([1000, 1001, 1002, 1003, *range(1007, 1014), 3000, 4999])
REASONS: Final = st.text(max_size=30).map(str.encode)


@dataclass(frozen=True)
class Talk:
    """What a client sends that keeps to all rules, and what it gets for it."""

    stream: bytes
    answers: bytes
    events: tuple[tuple[str, bytes], ...]


@st.composite
def talks(draw: st.DrawFn) -> Talk:
    """Messages, whole or in fragments with control frames between them, and perhaps a close at the end."""
    stream, answers, events = bytearray(), bytearray(), []
    for _ in range(draw(st.integers(1, 6))):
        for opcode, payload in draw(st.lists(CONTROL, max_size=2)):
            stream += frame(payload, opcode, key=draw(KEYS))
            answers += answer(payload, PONG) if opcode == PING else b""
            events.append(("ping" if opcode == PING else "pong", payload))
        opcode = draw(st.sampled_from([TEXT, TEXT, TEXT, BINARY]))
        message = draw(TEXTS if opcode == TEXT else st.binary(max_size=200))
        # Anywhere, also within a character.
        cuts = draw(st.lists(st.integers(0, len(message)), max_size=4).map(sorted) | st.just([]))
        starts, ends = [0, *cuts], [*cuts, len(message)]
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            kind, fin = CONTINUATION if number else opcode, number == len(cuts)
            stream += frame(message[start:end], kind, fin=fin, key=draw(KEYS))
            for control, payload in [] if fin else draw(st.lists(CONTROL, max_size=1)):
                stream += frame(payload, control, key=draw(KEYS))
                answers += answer(payload, PONG) if control == PING else b""
                events.append(("ping" if control == PING else "pong", payload))
        answers += answer(message, opcode)
        events.append(("text" if opcode == TEXT else "binary", message))
    if draw(st.booleans()):
        stream += close_frame(draw(CODES), draw(REASONS), draw(KEYS))
        answers += answer(b"\x03\xe8", CLOSE)
    return Talk(bytes(stream), bytes(answers), tuple(events))


def cut_up(stream: bytes, cuts: list[int]) -> list[bytes]:
    """Segments that end here, wherever that is in a stream of this length."""
    ends = sorted(cut % (len(stream) + 1) for cut in cuts)
    return [stream[start:end] for start, end in zip([0, *ends], [*ends, len(stream)], strict=True)]


CUTS: Final = st.lists(st.integers(0, 2**17) | st.integers(0, 100), max_size=12)
# Connections without a socket are cheap.
much = settings(max_examples=2 * settings().max_examples)


@much
@given(talks(), CUTS)
def test_whoever_keeps_to_the_rules_is_answered_however_it_is_cut(talk: Talk, cuts: list[int]) -> None:
    stream = talk.stream
    for segments in (
        *([stream], cut_up(stream, cuts), byte_by_byte(stream)),
        *(frame_by_frame(stream), frame_by_frame(stream, heads=True)),
    ):
        result = both(segments)
        assert result.received == talk.answers
        assert result.events == talk.events


SETUPS: Final = st.sampled_from(
    [UNLIMITED, DEFAULT, Setup(max_message_bytes=20), Setup(max_message_bytes=130, max_fragments=2)]
)
FRAMES: Final = st.builds(
    frame,
    st.sampled_from(
        [CLOSE_ME, ABORT_ME, b"", b"\x03\xe8", b"\x03\xedno", b"\xff", b"\xf0\x9f", b"\x98\x80"]
    )
    | TEXTS
    | st.binary(max_size=140),
    st.sampled_from([TEXT] * 6 + [CONTINUATION, CONTINUATION, BINARY, CLOSE, PING, PONG])
    | st.integers(0, 15),
    fin=st.sampled_from([True, True, True, False]),
    rsv=st.sampled_from([0] * 8 + [1, 2, 4, 7]),
    key=st.sampled_from([KEY] * 6 + [NO_KEY, None]),
    bits=st.sampled_from([None] * 8 + [64]),
    length=st.sampled_from([None] * 12 + [0, 1, 126, 65536, 2**31, 2**63 - 1, 2**63, 2**64 - 1]),
)


def in_some_ways(stream: bytes, cuts: list[int], setup: Setup) -> None:
    """Assert that the server does with a stream what Autobahn does, wherever it is cut."""
    both([stream], setup)
    both(cut_up(stream, cuts), setup)
    both(frame_by_frame(stream), setup)


@much
@given(talks(), st.integers(0, 2**17), st.integers(0, 255), CUTS, SETUPS)
def test_a_talk_with_one_byte_changed_has_the_same_outcome(
    talk: Talk, at: int, byte: int, cuts: list[int], setup: Setup
) -> None:
    wrong = bytearray(talk.stream)
    wrong[at % len(wrong)] = byte
    in_some_ways(bytes(wrong), cuts, setup)


@much
@given(talks(), st.integers(0, 300), st.integers(0, 3), st.binary(max_size=3), CUTS, SETUPS)
def test_a_talk_with_bytes_put_in_or_left_out_has_the_same_outcome(
    talk: Talk, at: int, cut: int, put: bytes, cuts: list[int], setup: Setup
) -> None:
    at %= len(talk.stream)
    wrong = talk.stream[:at] + put + talk.stream[at + cut :]
    in_some_ways(wrong, cuts, setup)


@much
@given(st.lists(FRAMES, min_size=1, max_size=8).map(b"".join), CUTS, SETUPS)
@example(frame(b"one") + frame(CLOSE_ME) + frame(b"two") + close_frame(), [], DEFAULT)
@example(part(b"one", TEXT) + frame(b"two") + last(b"three"), [], DEFAULT)
def test_any_frames_have_the_same_outcome(stream: bytes, cuts: list[int], setup: Setup) -> None:
    in_some_ways(stream, cuts, setup)


@much
@given(st.binary(max_size=200), CUTS, SETUPS)
def test_any_bytes_have_the_same_outcome(stream: bytes, cuts: list[int], setup: Setup) -> None:
    both(cut_up(frame(b"before") + stream + frame(b"after"), cuts), setup)

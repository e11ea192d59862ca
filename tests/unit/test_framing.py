"""Every rule of RFC 6455 for frames: the server does what Autobahn does, byte for byte.

The server reads plain frames by hand, and gathers what it sends. Each case goes through it and through
Autobahn alone; what a client and the hub see must be the same. That both are not wrong together is shown by
what is expected, word for word, of some of them.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Final

import pytest

from tests.unit import framing_cases, utf8_cases
from tests.unit.framing_cases import PAYLOADS, Case, last, part
from tests.unit.wire import (
    ABORT_ME,
    BINARY,
    CLOSE,
    CLOSE_ME,
    CONTINUATION,
    DEFAULT,
    KEY,
    PING,
    PONG,
    TEXT,
    UNLIMITED,
    UPGRADE,
    Connection,
    Echo,
    Outcome,
    PlainEcho,
    Recording,
    Server,
    answer,
    both,
    byte_by_byte,
    close_frame,
    frame,
    frame_by_frame,
    outcome,
    outcome_from_the_start,
    outcomes_side_by_side,
)

CASES: Final = framing_cases.CASES | utf8_cases.CASES
BEFORE, AFTER, LATER = frame(b"before"), frame(b"after"), frame(b"later")

WAYS: Final[dict[str, Callable[[bytes], list[bytes]]]] = {
    "in one segment": lambda stream: [stream],
    "byte by byte": byte_by_byte,
    "between texts in one segment": lambda stream: [BEFORE + stream + AFTER, LATER, close_frame(1001)],
    "between texts byte by byte": lambda stream: byte_by_byte(BEFORE + stream + AFTER + close_frame(1001)),
    "frame by frame": lambda stream: frame_by_frame(stream + AFTER),
    "heads and payloads": lambda stream: frame_by_frame(BEFORE + stream + AFTER, heads=True),
    "between halves of texts": lambda stream: [
        *(BEFORE[:4], BEFORE[4:] + stream + AFTER[:4], AFTER[4:] + LATER[:1], LATER[1:])
    ],
}
"""How a stream may come."""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_case_has_the_same_outcome_however_it_comes(case: Case) -> None:
    for way, segments in WAYS.items():
        both(segments(case.stream), case.setup, way)
    with_handshake = [UPGRADE + BEFORE + case.stream, AFTER]
    plain = outcome_from_the_start(PlainEcho, with_handshake, case.setup)
    assert outcome_from_the_start(Echo, with_handshake, case.setup) == plain


@pytest.mark.parametrize("bits", range(16), ids=lambda bits: f"with FIN and reserved bits {bits:04b}")
def test_every_first_byte(bits: int) -> None:
    for opcode in range(16):
        for key in (KEY, None):
            for payload in (b"", PAYLOADS[opcode]):
                each = frame(payload, opcode, fin=bits > 7, rsv=bits & 7, key=key)
                both([BEFORE + each + AFTER, LATER])
                both([part(b"a", TEXT) + each + last(b"z") + AFTER, LATER])


@pytest.mark.parametrize("opcode", [0, TEXT, BINARY, CLOSE, PING, PONG, 3, 11])
def test_every_second_byte(opcode: int) -> None:
    for length in range(128):
        for key in (KEY, None):
            each = bytearray(frame(b"x" * 130, opcode, key=key))
            each[1] = each[1] & 0x80 | length
            both([BEFORE + bytes(each) + AFTER, LATER])


TOUR: Final = b"".join(
    [
        frame(b"hello"),
        frame("é前😀".encode(), key=bytes(4)),
        frame(),
        part(b"frag", TEXT) + frame(b"?", PING) + last("ménts".encode()),
        frame(b"x" * 126),
        frame(b"!", PONG),
        frame(b"\xff", BINARY),
        frame(b"the last one"),
        close_frame(1001, b"done"),
    ]
)
TOUR_ANSWERS: Final = b"".join(
    [
        *(answer(b"hello"), answer("é前😀".encode()), answer(), answer(b"?", PONG)),
        *(answer("fragménts".encode()), answer(b"x" * 126), answer(b"\xff", BINARY)),
        *(answer(b"the last one"), answer(b"\x03\xe8", CLOSE)),
    ]
)


def test_a_tour_of_all_frames_is_answered_wherever_it_is_cut() -> None:
    for cut in range(len(TOUR) + 1):
        assert both([TOUR[:cut], TOUR[cut:]]).received == TOUR_ANSWERS


def test_a_tour_of_all_frames_is_answered_in_segments_of_any_one_size() -> None:
    for size in range(1, 40):
        segments = [TOUR[at : at + size] for at in range(0, len(TOUR), size)]
        assert both(segments).received == TOUR_ANSWERS


def test_a_tour_of_all_frames_with_one_bit_wrong() -> None:
    # Not all, which takes long; but all bits of a byte have their turn.
    for bit in range(0, len(TOUR) * 8, 3):
        wrong = bytearray(TOUR)
        wrong[bit // 8] ^= 1 << bit % 8
        both([bytes(wrong)], DEFAULT if bit % 2 else UNLIMITED)


def test_connections_of_one_server_know_nothing_of_each_other() -> None:
    # Each is within something else at every moment: a head, a character, a fragmented message, an end.
    streams = [
        TOUR,
        part("é".encode()[:1], TEXT) + frame(b"?", PING) + last("é".encode()[1:]) + AFTER * 9,
        BEFORE + part(b"x", TEXT) + part(b"y") * 20,
        BEFORE + frame(b"abc\xff") + AFTER * 9,
        BEFORE * 4 + frame(b"x" * 300, BINARY),
        BEFORE * 2 + frame(CLOSE_ME) + AFTER + close_frame(4000),
        BEFORE * 3 + close_frame(3000, b"bye"),
        AFTER[:3],
    ]
    segments = [[UPGRADE, *byte_by_byte(stream)] for stream in streams]
    alone = [outcome_from_the_start(PlainEcho, each) for each in segments]
    assert outcomes_side_by_side(Echo, segments) == alone
    assert outcomes_side_by_side(PlainEcho, segments) == alone


# --- what is expected, word for word


def failed(code: int, reason: bytes) -> bytes:
    """The server ends the connection."""
    return answer(code.to_bytes(2, "big") + reason, CLOSE)


def is_answered(
    segments: list[bytes], received: bytes, end: str = "left", case: Case | None = None
) -> Outcome:
    """Assert that a client of either class gets this; what else became of it."""
    setup = UNLIMITED if case is None else case.setup
    for kind in (PlainEcho, Echo):
        result = outcome(kind, segments, setup)
        assert (result.received, result.end) == (received, end)
    return result


def test_a_text_is_echoed() -> None:
    result = is_answered([b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"], b"\x81\x05Hello")
    assert result.events == (("text", b"Hello"),)


def test_a_fragmented_text_is_echoed_in_one_frame() -> None:
    result = is_answered([part(b"Hel", TEXT) + last(b"lo")], b"\x81\x05Hello")
    assert result.events == (("text", b"Hello"),)


def test_a_ping_between_fragments_is_answered_at_once() -> None:
    stream = BEFORE + part(b"Hel", TEXT) + frame(b"?", PING) + last(b"lo") + AFTER
    result = is_answered([stream], b"\x81\x06before\x8a\x01?\x81\x05Hello\x81\x05after")
    assert [kind for kind, _ in result.events] == ["text", "ping", "text", "text"]


def test_lengths_are_written_in_as_few_bits_as_will_do() -> None:
    is_answered([frame(b"x" * 125)], b"\x81\x7d" + b"x" * 125)
    is_answered([frame(b"x" * 126)], b"\x81\x7e\x00\x7e" + b"x" * 126)
    is_answered([frame(b"x" * 65535)], b"\x81\x7e\xff\xff" + b"x" * 65535)
    is_answered([frame(b"x" * 65536)], b"\x81\x7f\0\0\0\0\0\1\0\0" + b"x" * 65536)


def test_a_close_is_answered_with_1000() -> None:
    result = is_answered([close_frame(3000, b"bye")], b"\x88\x02\x03\xe8", "closed")
    assert result.ended == ((True, 3000, "bye"),)


def test_a_close_without_a_body_is_answered_with_1000() -> None:
    result = is_answered([BEFORE + close_frame(None) + AFTER], b"\x81\x06before\x88\x02\x03\xe8", "closed")
    assert result.events == (("text", b"before"),)
    assert result.ended == ((True, None, None),)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (frame(b"hello", rsv=4), b"RSV = 4 and no extension negotiated"),
        (frame(b"hello", key=None), b"unmasked client-to-server frame"),
        (frame(b"hello", 3), b"data frame using reserved opcode 3"),
        (frame(b"hello", 11), b"control frame using reserved opcode 11"),
        (frame(b"", PING, fin=False), b"fragmented control frame"),
        (frame(b"x" * 126, PING), b"control frame with payload length > 125 octets"),
        (frame(b"hello", bits=16), b"invalid data frame length (not using minimal length encoding)"),
        (frame(b"hello", bits=64), b"invalid data frame length (not using minimal length encoding)"),
        (last(b"hello"), b"received continuation data frame outside fragmented message"),
    ],
)
def test_a_frame_against_the_rules_ends_in_1002_and_no_text_after_it_is_heard(
    wrong: bytes, reason: bytes
) -> None:
    received = answer(b"before") + failed(1002, reason)
    result = is_answered([BEFORE + wrong + AFTER, LATER], received)
    assert [payload for kind, payload in result.events if kind == "text"] == [b"before"]
    is_answered([BEFORE + wrong + AFTER, LATER, close_frame(1002)], received, "aborted")


def test_a_text_within_a_fragmented_one_ends_in_1002() -> None:
    reason = b"received non-continuation data frame while inside fragmented message"
    result = is_answered([part(b"Hel", TEXT) + frame(b"hello")], failed(1002, reason))
    assert result.events == ()


@pytest.mark.parametrize("digits", utf8_cases.INVALID.values(), ids=utf8_cases.INVALID.keys())
def test_a_text_that_is_no_utf_8_ends_in_1007(digits: str) -> None:
    for kind in (PlainEcho, Echo):
        result = outcome(kind, [BEFORE + frame(b"abc" + bytes.fromhex(digits)) + AFTER, LATER])
        assert result.received.startswith(answer(b"before") + b"\x88")
        assert result.received[len(answer(b"before")) :][2:4] == (1007).to_bytes(2, "big")
        assert result.events == (("text", b"before"),)


@pytest.mark.parametrize("text", utf8_cases.VALID.values(), ids=utf8_cases.VALID.keys())
def test_a_text_that_is_utf_8_is_echoed(text: str) -> None:
    is_answered([frame(text.encode())], answer(text.encode()))


TOO_LONG = answer(
    b'{"type":"error","code":"invalidMessage",'
    b'"message":"A message has at most 65536 bytes: this one was not read."}'
)


@pytest.mark.parametrize(
    "stream",
    [
        frame(b"x" * 65537),
        frame(b"x" * 16 * 65536),
        part(b"x" * 65536, TEXT) + frame(b"?", PING) + part(b"x") + last(b"y" * 70000),
        part(b"x", TEXT) + last(b"x" * 65536),
    ],
    ids=["one byte more", "16 times as long", "fragments of any length", "two fragments"],
)
def test_a_text_over_the_limit_is_refused_and_what_comes_after_it_is_read(stream: bytes) -> None:
    case = Case(BEFORE + stream + AFTER, DEFAULT)
    pongs = answer(b"?", PONG) if frame(b"?", PING) in stream else b""
    received = answer(b"before") + pongs + TOO_LONG + answer(b"after")
    result = is_answered([case.stream], received, "left", case)
    assert [event for event in result.events if event[0] == "text"] == [
        ("text", b"before"),
        ("text", b"after"),
    ]


@pytest.mark.parametrize("kind", [PlainEcho, Echo])
@pytest.mark.parametrize(
    "stream",
    [frame(b"x" * 16 * 65536), part(b"x" * 65536, TEXT) + part(b"x" * 65536) * 14 + last(b"x" * 65536)],
    ids=["one frame", "fragments"],
)
def test_a_text_over_the_limit_takes_no_memory(kind: type[Recording], stream: bytes) -> None:
    server = Server(kind, DEFAULT)
    connection = Connection(server)
    connection.receive(UPGRADE)
    segments = [stream[start : start + 16384] for start in range(0, len(stream), 16384)]
    tracemalloc.start()
    try:
        for segment in segments:
            connection.receive(segment)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert connection.finish().received.endswith(TOO_LONG)
    server.close()
    # A message may be as long as the limit before it is known that it goes on, and be joined once.
    assert kept < 65536
    assert most < 4 * 65536


def test_a_second_text_over_the_limit_ends_in_1009() -> None:
    case = Case(frame(b"x" * 65537) + BEFORE + frame(b"x" * 65537) + AFTER, DEFAULT)
    received = TOO_LONG + answer(b"before") + failed(1009, b"messages have at most 65536 bytes")
    is_answered([case.stream], received, "left", case)


@pytest.mark.parametrize(
    "stream",
    [
        frame(b"", bits=64, length=16 * 65536 + 1),
        part(b"x" * 65537, TEXT) + frame(b"", CONTINUATION, bits=64, length=15 * 65536),
        frame(b"", bits=64, length=2**63 - 1),
    ],
    ids=["a text", "a fragment", "2^63"],
)
def test_a_text_far_over_the_limit_ends_in_1009_at_once(stream: bytes) -> None:
    case = Case(BEFORE + stream, DEFAULT)
    received = answer(b"before") + failed(1009, b"messages have at most 65536 bytes")
    assert is_answered([case.stream], received, "left", case).events == (("text", b"before"),)


def test_a_text_as_long_as_the_limit_passes() -> None:
    case = Case(frame(b"x" * 65536), DEFAULT)
    is_answered([case.stream], answer(b"x" * 65536), "left", case)


def test_the_65th_fragment_ends_in_1008() -> None:
    case = Case(BEFORE + part(b"", TEXT) + part(b"") * 63 + last(b"") + AFTER, DEFAULT)
    received = answer(b"before") + failed(1008, b"messages have at most 64 fragments")
    is_answered([case.stream], received, "left", case)


def test_a_binary_message_ends_in_1003_where_none_is_accepted() -> None:
    case = Case(BEFORE + frame(b"\xff", BINARY) + AFTER, DEFAULT)
    received = answer(b"before") + failed(1003, b"messages are text frames")
    assert is_answered([case.stream], received, "left", case).events == (("text", b"before"),)
    is_answered([case.stream], answer(b"before") + answer(b"\xff", BINARY) + answer(b"after"))


def test_nothing_is_answered_after_the_hub_closes_in_the_midst_of_a_segment() -> None:
    received = answer(b"before") + answer(CLOSE_ME) + failed(4000, b"as you wish")
    is_answered([BEFORE + frame(CLOSE_ME) + AFTER + frame(b"?", PING), LATER], received)
    is_answered([BEFORE + frame(CLOSE_ME) + AFTER, close_frame(4000) + LATER], received, "aborted")


def test_nothing_is_heard_after_the_hub_aborts_in_the_midst_of_a_segment() -> None:
    result = is_answered([BEFORE, frame(ABORT_ME) + AFTER, LATER], answer(b"before"), "aborted")
    assert result.events == (("text", b"before"), ("text", ABORT_ME))

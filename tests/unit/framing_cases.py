"""Streams of frames for every rule of RFC 6455, sections 5, 7.4 and 8.1, by what they are about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tests.unit.wire import (
    ABORT_ME,
    BINARY,
    CLOSE,
    CLOSE_ME,
    CONTINUATION,
    DEFAULT,
    NO_KEY,
    PING,
    PONG,
    TEXT,
    UNLIMITED,
    Setup,
    close_frame,
    frame,
    masked,
)

NAMES: Final = {
    CONTINUATION: "a continuation",
    TEXT: "a text",
    BINARY: "a binary message",
    CLOSE: "a close",
    PING: "a ping",
    PONG: "a pong",
}
PAYLOADS: Final = {opcode: b"\x03\xe8bye" if opcode == CLOSE else b"hello" for opcode in range(16)}
"""A close has a code in front."""


@dataclass(frozen=True)
class Case:
    """What a client sends, and to what kind of server."""

    stream: bytes
    setup: Setup = UNLIMITED


def part(payload: bytes, opcode: int = CONTINUATION, *, fin: bool = False) -> bytes:
    """A fragment, of which there are more."""
    return frame(payload, opcode, fin=fin)


def last(payload: bytes) -> bytes:
    """The last fragment of a message."""
    return frame(payload, CONTINUATION)


def pieces(payload: bytes, *cuts: int) -> bytes:
    """A text message in fragments that end here."""
    ends = [0, *cuts, len(payload)]
    parts = [payload[start:end] for start, end in pairwise(ends)]
    return part(parts[0], TEXT) + b"".join(part(each) for each in parts[1:-1]) + last(parts[-1])


def fragmentation() -> Iterator[tuple[str, Case]]:
    """Section 5.4."""
    start, end = part(b"one ", TEXT), last(b"two")
    streams = {
        "two fragments": start + end,
        "many fragments": start + part(b"and ") * 20 + end,
        "fragments that are all empty": part(b"", TEXT) + part(b"") * 3 + last(b""),
        "an empty first fragment": part(b"", TEXT) + end,
        "an empty last fragment": start + last(b""),
        "fragments of a binary message": part(b"\xff", BINARY) + last(b"\xfe"),
        "two fragmented messages": (start + end) * 2,
        "a fragmented message of which the end never comes": start + part(b"more"),
        "a ping between fragments": start + frame(b"?", PING) + end,
        "an empty ping between fragments": start + frame(b"", PING) + end,
        "a pong between fragments": start + frame(b"!", PONG) + end,
        "pings between all fragments": (start + frame(b"1", PING) + part(b"") + frame(b"2", PING) + end)
        * 2,
        "a close between fragments": start + close_frame() + end,
        "a close instead of the last fragment": start + close_frame(1001, b"no time"),
        "a text between fragments": start + frame(b"hello") + end,
        "a binary message between fragments": start + frame(b"hello", BINARY) + end,
        "a text between fragments of a binary message": part(b"1", BINARY) + frame(b"hello") + last(b"2"),
        "a fragmented text between fragments": start + start + end + end,
        "the start of a text while a text has been started": start + start,
        "a continuation without a start": frame(b"hello", CONTINUATION),
        "a continuation without a start and without an end": part(b"hello"),
        "an empty continuation without a start": frame(b"", CONTINUATION),
        "a continuation after a whole text": frame(b"hello") + last(b"more"),
        "a continuation after the last fragment": start + end + end,
        "a continuation after a ping": frame(b"", PING) + last(b"more"),
        "a reserved opcode between fragments": start + frame(b"", 3) + end,
        "a fragment without a mask": start + frame(b"two", CONTINUATION, key=None),
        "reserved bits on a continuation": start + frame(b"two", CONTINUATION, rsv=4),
        "another key for every fragment": part(b"one ", TEXT) + frame(b"two", CONTINUATION, key=NO_KEY),
    }
    yield from ((name, Case(stream)) for name, stream in streams.items())


def control_frames() -> Iterator[tuple[str, Case]]:
    """Section 5.5."""
    for opcode in (CLOSE, PING, PONG):
        name, head = NAMES[opcode], b"\x03\xe8" if opcode == CLOSE else b""
        for size in (0, 2, 124, 125):
            yield f"{name} of {size} bytes", Case(frame((head + b"x" * 123)[:size], opcode))
        for size in (126, 127, 65535, 65536):
            yield (
                f"{name} of {size} bytes, which is too long",
                Case(frame(head + b"x" * (size - 2), opcode)),
            )
        yield f"{name} that is a fragment", Case(frame(head, opcode, fin=False))
        yield f"{name} in two fragments", Case(frame(head, opcode, fin=False) + last(b"bye"))
        yield f"{name} whose length is said in 16 bits", Case(frame(head + b"x", opcode, bits=16))
        yield f"{name} whose length is said in 64 bits", Case(frame(head + b"x", opcode, bits=64))
        yield f"{name} without a mask", Case(frame(head, opcode, key=None))
        yield f"{name} with a key of zeros", Case(frame(head + b"x", opcode, key=NO_KEY))
    yield "many pings in a row", Case(b"".join(frame(b"%d" % each, PING) for each in range(30)))
    yield (
        "pings among texts",
        Case((frame(b"one") + frame(b"1", PING) + frame(b"2") + frame(b"", PONG)) * 5),
    )
    yield "a ping whose payload is no UTF-8", Case(frame(b"\xff\xfe", PING))
    yield "more pings than may come at once", Case(frame(b"", PING) * 501, DEFAULT)
    yield "more pongs than may come at once", Case(frame(b"", PONG) * 501, DEFAULT)
    yield "as many pings as may come at once", Case(frame(b"", PING) * 499, DEFAULT)


def lengths() -> Iterator[tuple[str, Case]]:
    """Section 5.2, and the limits of the server."""
    for size in (0, 1, 2, 3, 4, 5, 7, 8, 9, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 65537):
        text = (b"0123456789abcdef" * 5000)[:size]
        yield f"a text of {size} bytes", Case(frame(text))
        yield f"a binary message of {size} bytes", Case(frame(text, BINARY))
        yield f"a fragment of {size} bytes", Case(part(text, TEXT) + last(b"!"))
        yield f"a last fragment of {size} bytes", Case(part(b"!", TEXT) + last(text))
    for size in (0, 1, 125):
        yield f"{size} bytes in 16 bits", Case(frame(b"x" * size, bits=16))
    for size in (0, 1, 125, 126, 65535):
        yield f"{size} bytes in 64 bits", Case(frame(b"x" * size, bits=64))
    yield "a binary message of 5 bytes in 16 bits", Case(frame(b"hello", BINARY, bits=16))
    yield "a continuation of 5 bytes in 64 bits", Case(part(b"", TEXT) + frame(b"hello", 0, bits=64))
    for name, length in {"2**63": 2**63, "2**64 - 1": 2**64 - 1, "2**63 - 1": 2**63 - 1}.items():
        for kind, setup in {"with limits": DEFAULT, "without limits": UNLIMITED}.items():
            yield f"a length of {name} {kind}", Case(frame(b"hello", length=length, bits=64), setup)
    yield "a length of 2**63 of a ping", Case(frame(b"hello", PING, length=2**63, bits=64))


def limits() -> Iterator[tuple[str, Case]]:
    """What the server bounds, and Autobahn does not."""
    for most in (5, 125, 126, 200, 65536):
        setup = DEFAULT if most == 65536 else Setup(max_message_bytes=most)
        text = b"x" * most
        streams = {
            "a text as long as the limit": frame(text),
            "a text one byte longer than the limit": frame(text + b"x"),
            "fragments as long as the limit": part(text[:3], TEXT) + last(text[3:]),
            "fragments one byte longer than the limit": part(text[:3], TEXT) + last(text[2:]),
            "fragments over the limit from the second of three on": part(text, TEXT)
            + part(b"x")
            + last(b""),
            "a text whose head alone tells that it is too long": frame(b"", bits=64, length=70000),
            "a fragmented text that is too long and goes on": part(text * 2, TEXT) + last(text) * 2,
            "two texts that are too long": frame(text * 2) * 2,
            "a text that is too long, and no UTF-8": frame(b"\xff" + text),
            "two texts as long as the limit": frame(text) * 2,
        }
        yield from ((f"{name} of {most}", Case(stream, setup)) for name, stream in streams.items())
    start = part(b"x", TEXT)
    yield "64 fragments", Case(start + part(b"x") * 62 + last(b"x"), DEFAULT)
    yield "65 fragments", Case(start + part(b"x") * 63 + last(b"x"), DEFAULT)
    yield "100 empty fragments", Case(part(b"", TEXT) + part(b"") * 99, DEFAULT)
    yield "64 fragments, twice", Case((start + part(b"x") * 62 + last(b"x")) * 2, DEFAULT)
    yield (
        "texts among fragments that are none too many",
        Case((frame(b"x") + start + last(b"x")) * 70, DEFAULT),
    )
    for name, setup in {"refused": DEFAULT, "accepted": UNLIMITED}.items():
        yield f"a binary message where they are {name}", Case(frame(b"hello", BINARY), setup)
        yield f"an empty binary message where they are {name}", Case(frame(b"", BINARY), setup)
        yield f"binary that is no UTF-8 where it is {name}", Case(frame(b"\xff\xc0", BINARY), setup)
        fragments = part(b"he", BINARY) + frame(b"?", PING) + last(b"llo")
        yield f"fragments of a binary message where they are {name}", Case(fragments, setup)
        twice = frame(b"hello", BINARY) * 2
        yield f"two binary messages where they are {name}", Case(twice, setup)


def masks() -> Iterator[tuple[str, Case]]:
    """Section 5.3."""
    for key in (NO_KEY, b"\xff" * 4, b"\0\0\0\1", b"\x80\0\0\0", b"\x81\x85\x81\x85"):
        streams = b"".join(frame("0123456é89"[:size].encode(), key=key) for size in range(11))
        yield f"texts of all short lengths with the key {key.hex()}", Case(streams)
        yield f"a long text with the key {key.hex()}", Case(frame("é前😀".encode() * 300, key=key))
    for opcode in (TEXT, BINARY):
        name = NAMES[opcode]
        yield f"{name} without a mask", Case(frame(b"hello", opcode, key=None))
        yield f"{name} of no bytes without a mask", Case(frame(b"", opcode, key=None))
        yield f"{name} of 126 bytes without a mask", Case(frame(b"x" * 126, opcode, key=None))
        yield f"{name} of no bytes with a mask", Case(frame(b"", opcode))
        yield (
            f"{name} twice, once without a mask",
            Case(frame(b"a", opcode) + frame(b"b", opcode, key=None)),
        )
    # Where the segment of a payload begins, nobody may take it for the start of a frame.
    key = b"\x80" * 4
    inner = frame(b"hello", key=key)
    for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
        yield f"{NAMES[opcode]} whose payload is a frame", Case(frame(inner, opcode, key=NO_KEY))
    yield "a text whose payload is a frame as it is masked", Case(frame(masked(inner, key), key=key))
    fragment = frame(masked(inner, key), fin=False, key=key)
    yield "a fragment whose payload is a frame as it is masked", Case(fragment + last(b"x"))


def ends_of_the_connection() -> Iterator[tuple[str, Case]]:
    """Section 7, as far as frames are concerned."""
    yield "a close without a body", Case(close_frame(None))
    yield "a close of one byte", Case(frame(b"\x03", CLOSE))
    for code in (
        0,
        1,
        999,
        *range(1000, 1017),
        1100,
        1999,
        2000,
        2999,
        3000,
        3999,
        4000,
        4999,
        5000,
        65535,
    ):
        yield f"a close with code {code}", Case(close_frame(code))
        yield f"a close with code {code} and a reason", Case(close_frame(code, b"why"))
    yield "a close with the longest reason", Case(close_frame(1000, b"x" * 123))
    yield "a close with a reason in many scripts", Case(close_frame(1000, "é前😀".encode() * 13))
    reasons = {
        "no UTF-8": b"\xff",
        "cut": b"abc\xe2\x82",
        "a surrogate": b"\xed\xa0\x80",
        "overlong": b"\xc0\x80",
    }
    for name, reason in reasons.items():
        yield f"a close whose reason is {name}", Case(close_frame(1000, reason))
    yield "a close with a wrong code and a wrong reason", Case(close_frame(1005, b"\xff"))
    yield "two closes", Case(close_frame() * 2)
    yield (
        "everything after a close",
        Case(close_frame() + frame(b"?", PING) + frame(b"\xff") + frame(b"", 3)),
    )
    yield "half a frame after a close", Case(close_frame() + frame(b"hello")[:5])
    yield "a text before and after a close", Case(frame(b"one") + close_frame(1001) + frame(b"two"))
    endings = {"begins to close": CLOSE_ME, "ends the connection": ABORT_ME}
    for name, ending in endings.items():
        end = frame(ending)
        yield f"a text upon which the server {name}", Case(end)
        yield f"texts after the server {name}", Case(end + frame(b"one") + frame(b"two"))
        yield f"a ping after the server {name}", Case(end + frame(b"?", PING) + frame(b"!", PONG))
        yield f"a close after the server {name}", Case(end + close_frame(4000) + frame(b"late"))
        yield f"a violation after the server {name}", Case(end + frame(b"", 3) + frame(b"late"))
        yield f"text that is no UTF-8 after the server {name}", Case(end + frame(b"\xff") + frame(b"late"))
        yield f"fragments after the server {name}", Case(end + part(b"one", TEXT) + last(b"two"))
        yield f"half a frame after the server {name}", Case(end + frame(b"hello")[:-2])
        fragmented = part(ending[:3], TEXT) + frame(b"?", PING) + last(ending[3:])
        yield f"a fragmented text upon which the server {name}", Case(fragmented + frame(b"one"))
        yield f"a text upon which the server {name}, twice", Case(end + end)


def cut_short() -> Iterator[tuple[str, Case]]:
    """Frames of which the end never comes."""
    frames = {"short": frame(b"hello"), "of 126 bytes": frame(b"x" * 126), "of 65536": frame(b"x" * 65536)}
    for name, whole in frames.items():
        for size in (1, 2, 3, 4, 5, 6, 7, 9, 10, 13, 14, len(whole) - 1):
            if size < len(whole):
                yield f"a text {name} of which {size} bytes come", Case(whole[:size])
    for size in range(1, 6):
        yield f"an empty text of which {size} bytes come", Case(frame()[:size])
        yield f"a violation of which {size} bytes come", Case(frame(rsv=1)[:size])
    yield "a text that is no UTF-8, cut short after the fault", Case(frame(b"\xffhello")[:-2])
    yield "a text that is no UTF-8, cut short before the fault", Case(frame(b"hello\xff")[:-2])


def two_in_a_row() -> Iterator[tuple[str, Case]]:
    """Plain frames, one after the other."""
    yield "nothing", Case(b"")
    yield "one text", Case(frame(b"hello"))
    yield "ten texts", Case(b"".join(frame(b"text %d" % each) for each in range(10)))
    yield "empty texts", Case(frame() * 10)
    yield (
        "texts of all three kinds of length",
        Case(frame(b"a") + frame(b"b" * 126) + frame(b"c" * 65536) + frame()),
    )
    yield "texts and binary messages", Case((frame(b"one") + frame(b"\xff", BINARY)) * 3)
    yield "violations of two kinds", Case(frame(b"", 3) + frame(rsv=7) + frame(b"hello"))


CASES: Final = {
    name: case
    for family in (
        *(two_in_a_row, fragmentation, control_frames, lengths, limits, masks, ends_of_the_connection),
        cut_short,
    )
    for name, case in family()
}

"""What is UTF-8 and what is not (RFC 3629), in frames and over frames: RFC 6455, section 8.1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.unit.framing_cases import Case, last, part, pieces
from tests.unit.wire import BINARY, PING, TEXT, close_frame, frame

VALID: Final = {
    "U+0000": "\x00",
    "U+007F": "\x7f",
    "U+0080": "\x80",
    "U+07FF": "\u07ff",
    "U+0800": "\u0800",
    "U+D7FF": "\ud7ff",
    "U+E000": "\ue000",
    "U+FEFF": "\ufeff",
    "U+FFFE": "\ufffe",
    "U+FFFF": "\uffff",
    "U+10000": "\U00010000",
    "U+1FFFE": "\U0001fffe",
    "U+10FFFF": "\U0010ffff",
    "many scripts": "κόσμε 前 😀 é",
}
INVALID: Final = {
    "a lone first continuation byte": "80",
    "a lone last continuation byte": "bf",
    "two lone continuation bytes": "80bf",
    "one continuation byte too many": "c3a980",
    "the start of two bytes": "c3",
    "the start of three bytes": "e2",
    "two of three bytes": "e282",
    "the start of four bytes": "f0",
    "two of four bytes": "f09f",
    "three of four bytes": "f09f98",
    "a start in the place of a continuation": "e282c3a9",
    "two starts": "c3c3a9",
    "an overlong U+0000 in two bytes": "c080",
    "an overlong U+002F in two bytes": "c0af",
    "the last overlong character of two bytes": "c1bf",
    "an overlong U+0000 in three bytes": "e08080",
    "the last overlong character of three bytes": "e09fbf",
    "an overlong U+0000 in four bytes": "f0808080",
    "the last overlong character of four bytes": "f08fbfbf",
    "the first surrogate": "eda080",
    "the last surrogate": "edbfbf",
    "a pair of surrogates": "eda080edb080",
    "the first character after U+10FFFF": "f4908080",
    "the start of a character after U+10FFFF": "f490",
    "the byte F5": "f5808080",
    "a start of five bytes": "f888808080",
    "a start of six bytes": "fc8480808080",
    "the byte FE": "fe",
    "the byte FF": "ff",
    "a byte order mark of UTF-16": "fffe",
}


def valid() -> Iterator[tuple[str, Case]]:
    for name, text in VALID.items():
        encoded = text.encode()
        yield f"{name}", Case(frame(encoded))
        yield f"{name} at the end of a long text", Case(frame(b"x" * 200 + encoded))
        cuts = range(1, len(encoded))
        for cut in cuts:
            yield f"{name} in fragments, cut at {cut}", Case(pieces(b"a" + encoded + b"z", cut + 1))
        yield f"{name} in fragments of a byte", Case(pieces(encoded, *cuts))
        start, end = part(encoded[:1], TEXT), last(encoded[1:])
        yield f"{name} in fragments around a ping", Case(start + frame(b"\xff", PING) + end)
        yield f"{name} in the reason of a close", Case(close_frame(1000, encoded))


def invalid() -> Iterator[tuple[str, Case]]:
    for name, digits in INVALID.items():
        wrong = bytes.fromhex(digits)
        yield f"{name}", Case(frame(wrong))
        yield f"{name} within a text", Case(frame(b"abc" + wrong + b"xyz"))
        yield f"{name} at the end of a text", Case(frame("é前😀".encode() + wrong))
        yield f"{name} at the end of a long text", Case(frame(b"x" * 200 + wrong))
        yield f"{name} in the first fragment", Case(part(wrong, TEXT) + last(b"xyz"))
        yield f"{name} in the last fragment", Case(part(b"abc", TEXT) + last(wrong))
        yield f"{name} before an empty last fragment", Case(part(wrong, TEXT) + last(b""))
        for cut in range(1, len(wrong)):
            yield f"{name} in fragments, cut at {cut}", Case(pieces(wrong, cut))
        around = part(wrong[:-1], TEXT) + frame(b"?", PING) + last(wrong[-1:])
        yield f"{name} in fragments around a ping", Case(around)
        yield f"{name} in a binary message", Case(frame(wrong, BINARY))
        yield f"{name} in the reason of a close", Case(close_frame(1000, wrong))
        yield f"{name}, twice", Case(frame(wrong) * 2)


CASES: Final = {
    **{f"valid: {name}": case for name, case in valid()},
    **{f"invalid: {name}": case for name, case in invalid()},
}

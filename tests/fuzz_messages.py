"""A fuzz target for the wire protocol: python -m tests.fuzz_messages [SECONDS [SEED]]

Half of the time goes to `cctvsignal.messages.decode`: valid messages with faults of every kind must give a
message that can be kept, compared and sent on, and that Python's own JSON reads in the same way, or a
`ProtocolError` with an answer. The other half is `tests.fuzz_frames`. On a failure the exit status is 1 and
the input is printed; the same seed makes the same inputs.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any, Final, get_args

import msgspec

from cctvsignal.messages import (
    AnyClientMessage,
    Error,
    ErrorCode,
    ProtocolError,
    decode,
    decode_server,
    encode,
)
from tests import fuzz_frames
from tests.fuzz_frames import CAMERA_ID, OBSERVER, Found, damaged

VALUES: Final[dict[str, object]] = {
    "room": "yard",
    "deviceType": "camera",
    "cameraId": CAMERA_ID,
    "meta": {"name": "Einfahrt ⛔", "fps": 25, "zoom": 1.5, "tags": ["a", None, True]},
    "maxViewers": 3,
    "target": OBSERVER,
    "sdp": {"type": "offer", "sdp": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n"},
    "candidate": {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMLineIndex": 0},
    "reason": "over",
    "data": "sign of life",
    "requestId": "r-1",
    "ack": True,
    "deviceKey": "0123456789abcdef-0123456789abcdef",
    "token": "header.claims.signature",
}
"""Something valid for the fields that there are."""
PLAIN: Final = ("meta", "maxViewers", "target", "reason", "data", "requestId", "ack", "deviceKey", "token")
"""Fields that the decoder leaves as they are; of the rest, it trims names and fills in defaults."""
CODES: Final = get_args(ErrorCode)
ODD: Final = (
    *b'null true false [] {} "" 0 -0 -0.0 1.0 1e2 1E+400 5e-400 1000000 1000001'.split(),
    *b"NaN -Infinity 1e999 01 +1 .5 1. 0x1 1_0 'a' undefined /**/ ,, :".split(),
    *b"9007199254740993 -9223372036854775809 18446744073709551616 2.2250738585072011e-308".split(),
    *(b"1" + b"0" * 400, b"9" * 5000, b"0." + b"1" * 900, b"1" * 700 + b".5e-600"),
    *rb'"\ud800" "\udc00\ud800" "\ud83d\ude00" "\ud800\u0041" "\u0000" "\u00" "\x41" "\u202e" "\"'.split(),
    *(b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"', b'"\xef\xbb\xbf"', b'"\xc2\xa0"'),
    *(b'"\n"', b'"\x7f"', b'"' + b"x" * 126 + b'"', b'"' + "ä".encode() * 65 + b'"', b'" x "', b'"<b>"'),
    *(
        b"[" * 31 + b"]" * 31,
        b"[" * 33 + b"]" * 33,
        b"[" * 5000,
        b'{"a":' * 40,
        b'["]"' + b",[]" * 40 + b"]",
    ),
    *rb'{"__proto__":{"a":1}} {"a":1,"a":2} {"a":1,"\u0061":2} {"":0} {"a":1e999} [{"a":NaN}]'.split(),
    *b'"camera" "viewer" "Camera" "offer" "leave"'.split(),
)
"""JSON values that readers disagree about, and things that are none."""
AROUND: Final = (
    b"\xef\xbb\xbf",
    b"\0",
    b" \t\r\n",
    b"\x0c",
    b"\xc2\xa0",
    b"{}",
    b",",
    b"/**/",
    b"\xff\xfe",
    b"]",
)
"""What may stand before or after a message, and what may not."""

Pairs = list[tuple[bytes, bytes]]
"""Names and values of one object, both as JSON: unlike a dictionary it can repeat a name."""


def _examples() -> list[bytes]:
    examples = []
    for kind in get_args(AnyClientMessage):
        fields = msgspec.structs.fields(kind)
        known = {
            field.encode_name: VALUES.get(field.encode_name, "a name") for field in fields if field.required
        }
        known["type"] = kind.__struct_config__.tag
        examples.append(known)
        examples.append(
            {
                **known,
                **{
                    each.encode_name: VALUES[each.encode_name]
                    for each in fields
                    if each.encode_name in VALUES
                },
            }
        )
    examples.append({"type": "iceCandidate", "target": OBSERVER, "candidate": None})
    return [json.dumps(example, ensure_ascii=False).encode() for example in examples]


EXAMPLES: Final = _examples()
"""Valid messages of every type: with nothing but what is required, and with everything."""
NAMES: Final = sorted(
    {field.encode_name for kind in get_args(AnyClientMessage) for field in msgspec.structs.fields(kind)}
)


# --- faults in what a message says ------------------------------------------------------------------


def repeat(source: Random, pairs: Pairs) -> None:
    """Repeat a name, with its own value, another one or an odd one."""
    name, value = source.choice(pairs)
    value = source.choice((value, source.choice(pairs)[1], source.choice(ODD)))
    pairs.insert(source.randint(0, len(pairs)), (name, value))


def change(source: Random, pairs: Pairs) -> None:
    """Give a field an odd value, or that of another field."""
    at = source.randrange(len(pairs))
    pairs[at] = (pairs[at][0], source.choice((source.choice(ODD), source.choice(pairs)[1])))


def escape(source: Random, pairs: Pairs) -> None:
    """Write a character of a name, or of a value that is a text, as its escape."""
    at, part = source.randrange(len(pairs)), source.randrange(2)
    pair = list(pairs[at])
    text = pair[part]
    if len(text) > 2 and text.startswith(b'"') and b"\\" not in text:
        where = source.randrange(1, len(text) - 1)
        pair[part] = text[:where] + b"\\u%04x" % text[where] + text[where + 1 :]
        pairs[at] = (pair[0], pair[1])


def nest(source: Random, pairs: Pairs) -> None:
    """Put a value into arrays or objects, about as deep as it may be."""
    at, depth = source.randrange(len(pairs)), source.choice((1, 29, 30, 31, 32, 33, 200))
    opened, closed = source.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"]":', b"}]")))
    pairs[at] = (pairs[at][0], opened * depth + pairs[at][1] + closed * depth)


def add(source: Random, pairs: Pairs) -> None:
    """Add a field that belongs to another message, or to none."""
    name = source.choice((*NAMES, "type", "sender", "", "Type", "requestID"))
    pairs.insert(source.randint(0, len(pairs)), (json.dumps(name).encode(), source.choice(ODD)))


def drop(source: Random, pairs: Pairs) -> None:
    """Leave a field out."""
    if len(pairs) > 1:
        del pairs[source.randrange(len(pairs))]


def shuffle(source: Random, pairs: Pairs) -> None:
    """Another order."""
    source.shuffle(pairs)


FAULTS: Final[tuple[Callable[[Random, Pairs], None], ...]] = (
    repeat,
    change,
    escape,
    nest,
    add,
    drop,
    shuffle,
)


def faulty(source: Random) -> bytes:
    """A message with some faults, or with none."""
    frame = source.choice(EXAMPLES)
    if source.random() < 0.7:
        values = msgspec.json.decode(frame, type=dict[str, msgspec.Raw])
        pairs = [(json.dumps(name).encode(), bytes(value)) for name, value in values.items()]
        for _ in range(source.randint(1, 4)):
            source.choice(FAULTS)(source, pairs)
        comma, colon = source.choice(((b",", b":"), (b",", b":"), (b" ,\n", b"\t: ")))
        frame = b"{" + comma.join(name + colon + value for name, value in pairs) + b"}"
    choice = source.random()
    if choice < 0.1:
        frame = source.choice((source.choice(AROUND) + frame, frame + source.choice(AROUND)))
    elif choice < 0.2:
        other = source.choice(EXAMPLES)
        frame = frame[: source.randint(0, len(frame))] + other[source.randint(0, len(other)) :]
    elif choice < 0.3:
        at = source.randint(0, len(frame))
        frame = frame[:at] + source.choice(ODD) + frame[at + source.choice((0, 0, 1, 5)) :]
    elif choice < 0.55:
        frame = damaged(source, frame)
    return frame


# --- what must be true of every frame ---------------------------------------------------------------


def _read(text: bytes) -> Any:
    """What Python's own JSON reads; numbers of any length, which it would refuse as int."""
    # No other bytes than UTF-8 get as far as the decoder, which looks only at those of fields it knows.
    return json.loads(text.decode(errors="replace"), parse_int=Decimal)


def _check_answer(error: Error) -> None:
    answer = _read(encode(error))
    assert answer["type"] == "error", answer
    assert answer["code"] in CODES, answer
    assert decode_server(encode(error)) == error, answer


def accepted(frame: bytes) -> bool:
    """Whether a frame is a message. Raises `AssertionError` if the decoder does what it must not."""
    try:
        message = decode(frame)
    except ProtocolError as error:
        _check_answer(error.answer)
        return False
    again = decode(encode(message))
    assert again == message, f"{message} became {again}"
    assert encode(again) == encode(message), f"{message} became {again}"
    theirs = _read(frame)
    assert theirs["type"] == message.__struct_config__.tag, f"{theirs['type']!r} was read as {message}"
    for field in msgspec.structs.fields(message):
        ours, name = getattr(message, field.name), field.encode_name
        if isinstance(ours, msgspec.Raw):
            assert _read(bytes(ours)) == theirs[name], f"{name} is {bytes(ours)!r}"
        elif name in PLAIN:
            assert ours == theirs.get(name), f"{name} is {ours!r}, and not {theirs.get(name)!r}"
    return True


def run(seconds: float, source: Random) -> str:
    """Try messages for so long; what was done, in a sentence. Raises `Found`."""
    for frame in EXAMPLES:
        assert accepted(frame), frame
    tried, good, end = 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        frame = faulty(source)
        try:
            good += accepted(frame)
        except Exception as error:
            raise Found(f"after {tried} messages: {error!r}", frame) from error
        tried += 1
    assert 0 < good < tried, "either nothing was accepted, or everything"
    return f"{tried} messages to the decoder: {good} accepted, the rest refused"


def _written(data: bytes) -> str:
    """An input as a Python expression, of a length that can be copied."""
    if len(data) <= 2000:
        return repr(data)
    packed = base64.b64encode(zlib.compress(data, 9))
    return f"zlib.decompress(base64.b64decode({packed!r}))"


def main(seconds: float, seed: int) -> int:
    """The exit status."""
    print(f"seed {seed}", flush=True)
    try:
        print(run(seconds / 2, Random(f"{seed} messages")), flush=True)
        print(fuzz_frames.run(seconds / 2, Random(f"{seed} frames"), faulty))
    except Found as found:
        traceback.print_exc()
        print(f"seed {seed}, and the input of {len(found.data)} bytes was\n{_written(found.data)}")
        return 1
    print(f"nothing wrong in {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)
    sys.exit(main(SECONDS, SEED))

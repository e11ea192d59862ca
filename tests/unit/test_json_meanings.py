"""Odd JSON has one meaning or none: the server, Python's clients and JavaScript's read the same.

What the server passes on is read here from the frame that it would send, by Python's `json`, by `msgspec`
and, where there is a Node.js, by `JSON.parse`. Numbers are compared for their exact value.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest

from cctvsignal import messages
from cctvsignal.messages import AnyClientMessage, AnyServerMessage, ProtocolError, decode, encode

READERS: Final[dict[str, Callable[[bytes], Any]]] = {"json": json.loads, "msgspec": msgspec.json.decode}
JOIN: Final = b'{"type":"join","room":"yard","deviceType":"camera","cameraId":"cam-1","meta":%s}'
LARGE: Final = b"1" + b"0" * 400

# --- what the server lets through: the frame, and what the receiver of the answer or relay is told ----

PAYLOADS: Final[dict[str, tuple[bytes, object]]] = {
    "nothing odd": (b'{"type":"offer","sdp":"v=0"}', {"type": "offer", "sdp": "v=0"}),
    "spaces everywhere": (b' {\t"a" :\r\n[ 1 , 2 ] } ', {"a": [1, 2]}),
    "a name twice: the last counts": (b'{"a":1,"a":2}', {"a": 2}),
    "a name twice, once escaped": (b'{"a":1,"\\u0061":2}', {"a": 2}),
    "a name twice, the last value null": (b'{"sdp":"v=0","sdp":null}', {"sdp": None}),
    "a name twice, deeper": (b'{"a":{"b":{"c":1},"b":[]}}', {"a": {"b": []}}),
    "names that differ in case": (b'{"a":1,"A":2}', {"a": 1, "A": 2}),
    "names composed and decomposed": ('{"\u00e9":1,"e\u0301":2}'.encode(), {"\u00e9": 1, "e\u0301": 2}),
    "an empty name": (b'{"":1}', {"": 1}),
    "__proto__": (b'{"__proto__":{"admin":true}}', {"__proto__": {"admin": True}}),
    "constructor": (b'{"constructor":{"prototype":{"a":1}}}', {"constructor": {"prototype": {"a": 1}}}),
    "names that are numbers": (b'{"10":1,"9":2,"-1":3}', {"10": 1, "9": 2, "-1": 3}),
    "minus zero": (b'{"a":-0}', {"a": 0}),
    "minus zero, as a fraction": (b'{"a":-0.0}', {"a": -0.0}),
    "a whole number as a fraction": (b'{"a":1.0,"b":1e2,"c":0.1E1}', {"a": 1, "b": 100, "c": 1}),
    "zero with an exponent": (b'{"a":0e999}', {"a": 0}),
    "too small to be anything but zero": (b'{"a":1e-999}', {"a": 0}),
    "the least above zero": (b'{"a":5e-324}', {"a": 5e-324}),
    "the largest fraction": (b'{"a":1.7976931348623157e308}', {"a": 1.7976931348623157e308}),
    "a number that slow readers round otherwise": (
        b'{"a":2.2250738585072011e-308}',
        {"a": 2.225073858507201e-308},
    ),
    "more digits than a number holds": (b'{"a":0.1000000000000000055511151231257827}', {"a": 0.1}),
    "2^53": (b'{"a":9007199254740992}', {"a": 2**53}),
    "2^53 + 1": (b'{"a":9007199254740993}', {"a": 2**53 + 1}),
    "2^53 + 1, as a fraction": (b'{"a":9007199254740993.0}', {"a": 2.0**53}),
    "-(2^63) - 1": (b'{"a":-9223372036854775809}', {"a": -(2**63) - 1}),
    "2^64": (b'{"a":18446744073709551616}', {"a": 2**64}),
    "2^64 + 1": (b'{"a":18446744073709551617}', {"a": 2**64 + 1}),
    "a pair of surrogates": (b'{"\\ud83d\\ude00":"\\uD83D\\uDE00"}', {"\U0001f600": "\U0001f600"}),
    "a NUL, escaped": (b'{"a\\u0000b":"\\u0000"}', {"a\0b": "\0"}),
    "a byte order mark within": (b'{"\xef\xbb\xbfa":"\\ufeff"}', {"\ufeffa": "\ufeff"}),
    "line separators and DEL": (b'{"a":"\xe2\x80\xa8\xe2\x80\xa9\x7f"}', {"a": "\u2028\u2029\x7f"}),
    "every short escape": (b'{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t"}', {"a": '"\\/\b\f\n\r\t'}),
    "what looks like a comment": (b'{"a":"/* b */ // c"}', {"a": "/* b */ // c"}),
    "brackets in a text": (b'{"a":"]}{[\\"]"}', {"a": ']}{["]'}),
    "not a character of any script": (b'{"a":"\xef\xbf\xbf\\uffff"}', {"a": "\uffff\uffff"}),
}
"""Objects for `sdp` and `candidate`, which leave as they came."""

MESSAGES: Final[dict[str, tuple[bytes, dict[str, object]]]] = {
    "type twice, and the same": (b'{"type":"ping","type":"ping"}', {"type": "pong"}),
    "type, escaped": (b'{"\\u0074ype":"ping"}', {"type": "pong"}),
    "the value of type, escaped": (b'{"type":"\\u0070in\\u0067"}', {"type": "pong"}),
    "type last": (b'{"data":"a","type":"ping"}', {"type": "pong", "data": "a"}),
    "a field twice: the last counts": (
        b'{"type":"ping","data":"a","data":"b"}',
        {"type": "pong", "data": "b"},
    ),
    "a field twice, once escaped": (
        b'{"type":"ping","d\\u0061ta":"a","data":"b"}',
        {"type": "pong", "data": "b"},
    ),
    "a field twice, the last null": (b'{"type":"ping","data":"a","data":null}', {"type": "pong"}),
    "a request id twice": (
        b'{"type":"ping","requestId":"1","requestId":"2"}',
        {"type": "pong", "requestId": "2"},
    ),
    "sdp twice": (
        b'{"type":"offer","target":"b","sdp":{"a":1},"sdp":{"a":2}}',
        {"type": "offer", "sender": "a", "sdp": {"a": 2}},
    ),
    "sdp twice, the first no object": (
        b'{"type":"answer","target":"b","sdp":5,"sdp":{"a":2}}',
        {"type": "answer", "sender": "a", "sdp": {"a": 2}},
    ),
    "a candidate, and none": (
        b'{"type":"iceCandidate","target":"b","candidate":{"a":1},"candidate": null }',
        {"type": "iceCandidate", "sender": "a", "candidate": None},
    ),
    "a sender of its own": (
        b'{"type":"bye","target":"b","sender":"c","reason":"\\u0000"}',
        {"type": "bye", "sender": "a", "reason": "\0"},
    ),
    "a field in another case": (b'{"type":"ping","DATA":"a"}', {"type": "pong"}),
    "a number too large, in a field that nobody reads": (b'{"type":"ping","x":1e999}', {"type": "pong"}),
    "spaces around it": (b' \t\r\n{"type":"ping"}\n', {"type": "pong"}),
    "a byte order mark in a text": (
        b'{"type":"ping","data":"\xef\xbb\xbfa"}',
        {"type": "pong", "data": "\ufeffa"},
    ),
    "names of a camera, escaped": (
        b'{"type":"join","room":"\\u0079ard","deviceType":"c\\u0061mera","cameraId":"\\ud83d\\ude00"}',
        {"type": "clientJoined", "clientId": "a", "deviceType": "camera", "cameraId": "\U0001f600"},
    ),
}
"""Whole messages, and what somebody is told for each."""

METAS: Final = {
    name: PAYLOADS[name]
    for name in (
        "a name twice: the last counts",
        "__proto__",
        "minus zero",
        "minus zero, as a fraction",
        "a whole number as a fraction",
        "too small to be anything but zero",
        "more digits than a number holds",
        "2^53 + 1",
        "2^53 + 1, as a fraction",
        "-(2^63) - 1",
        "2^64 + 1",
        "a pair of surrogates",
        "a NUL, escaped",
        "line separators and DEL",
    )
}
"""Objects for `meta`, which the server reads and writes anew."""


def _accepted() -> dict[str, tuple[bytes, object]]:
    rows: dict[str, tuple[bytes, object]] = dict(MESSAGES)
    for name, (text, meaning) in PAYLOADS.items():
        rows[f"sdp: {name}"] = (
            b'{"type":"offer","target":"b","sdp":%s}' % text,
            {"type": "offer", "sender": "a", "sdp": meaning},
        )
        rows[f"candidate: {name}"] = (
            b'{"type":"iceCandidate","target":"b","candidate":%s}' % text,
            {"type": "iceCandidate", "sender": "a", "candidate": meaning},
        )
    joined = {"type": "clientJoined", "clientId": "a", "deviceType": "camera", "cameraId": "cam-1"}
    for name, (text, meaning) in METAS.items():
        rows[f"meta: {name}"] = (JOIN % text, {**joined, "meta": meaning})
    return rows


ACCEPTED: Final = _accepted()
ROUNDED: Final = "JavaScript rounds whole numbers beyond 2^53, and Python does not"
ZERO: Final = "JavaScript reads -0, and Python the whole number 0, which has no sign; they compare equal"
NOT_THE_SAME: Final = {
    **{f"{field}: 2^53 + 1": ROUNDED for field in ("sdp", "candidate", "meta")},
    **{f"{field}: -(2^63) - 1": ROUNDED for field in ("sdp", "candidate", "meta")},
    **{f"{field}: 2^64 + 1": ROUNDED for field in ("sdp", "candidate", "meta")},
    **{f"{field}: minus zero": ZERO for field in ("sdp", "candidate")},
}
"""Rows that the server lets through although JavaScript reads them otherwise, and how."""

# --- what it refuses: the frame, and the code ---------------------------------------------------------

ODD_IN_SDP: Final[dict[str, tuple[bytes, str]]] = {
    "NaN": (b'{"a":NaN}', "invalidJson"),
    "Infinity": (b'{"a":Infinity}', "invalidJson"),
    "minus Infinity": (b'{"a":-Infinity}', "invalidJson"),
    "1e999": (b'{"a":1e999}', "invalidMessage"),
    "-1e999": (b'{"a":[-1e999]}', "invalidMessage"),
    "just too large": (b'{"a":1.7976931348623159e308}', "invalidMessage"),
    "a whole number of 401 digits": (b'{"a":[{"b":-%s}]}' % LARGE, "invalidMessage"),
    "a whole number of 5,000 digits": (b'{"a":%s}' % (b"9" * 5000), "invalidMessage"),
    "a leading zero": (b'{"a":01}', "invalidJson"),
    "a leading zero after a minus": (b'{"a":-01}', "invalidJson"),
    "a plus": (b'{"a":+1}', "invalidJson"),
    "no digit before the point": (b'{"a":.5}', "invalidJson"),
    "no digit after the point": (b'{"a":5.}', "invalidJson"),
    "no exponent after the e": (b'{"a":1e}', "invalidJson"),
    "hexadecimal": (b'{"a":0x10}', "invalidJson"),
    "an underscore in a number": (b'{"a":1_0}', "invalidJson"),
    "a high surrogate alone": (b'{"a":"\\ud800"}', "invalidJson"),
    "a high surrogate before a letter": (b'{"a":"\\ud800\\u0041"}', "invalidJson"),
    "a low surrogate alone": (b'{"a":"\\udc00"}', "invalidJson"),
    "surrogates in the wrong order": (b'{"a":"\\udc00\\ud800"}', "invalidJson"),
    "a surrogate alone in a name": (b'{"\\ud800":1}', "invalidJson"),
    "an escape of two digits": (b'{"a":"\\x41"}', "invalidJson"),
    "an escape cut short": (b'{"a":"\\u00"}', "invalidJson"),
    "a tab as it is": (b'{"a":"\t"}', "invalidJson"),
    "a line end as it is": (b'{"a":"\n"}', "invalidJson"),
    "single quotes": (b"{'a':1}", "invalidJson"),
    "a name without quotes": (b"{a:1}", "invalidJson"),
    "a comment": (b'{"a":1/* b */}', "invalidJson"),
    "a comment to the end of the line": (b'{"a":1// b\n}', "invalidJson"),
    "a comma after the last": (b'{"a":1,}', "invalidJson"),
    "a comma after the last of a list": (b'{"a":[1,]}', "invalidJson"),
    "two commas": (b'{"a":[1,,2]}', "invalidJson"),
    "no comma": (b'{"a":1 "b":2}', "invalidJson"),
    "True": (b'{"a":True}', "invalidJson"),
    "undefined": (b'{"a":undefined}', "invalidJson"),
    "a no-break space": (b'{"a":\xc2\xa01}', "invalidJson"),
    "a form feed": (b'{"a":\x0c1}', "invalidJson"),
    "a byte order mark": (b'\xef\xbb\xbf{"a":1}', "invalidJson"),
    "a list": (b"[]", "invalidMessage"),
    "a text": (b'"{}"', "invalidMessage"),
}
REFUSED: Final[dict[str, tuple[bytes, str]]] = {
    **{
        f"sdp: {name}": (b'{"type":"offer","target":"b","sdp":%s}' % text, code)
        for name, (text, code) in ODD_IN_SDP.items()
    },
    "two types": (b'{"type":"ping","type":"leave"}', "invalidMessage"),
    "two types, one of them escaped": (b'{"type":"leave","\\u0074ype":"ping"}', "invalidMessage"),
    "two types, the first unknown": (b'{"type":"?","type":"ping"}', "invalidMessage"),
    "two types, the last unknown": (b'{"type":"ping","type":"?"}', "unknownType"),
    "two types, the last a number": (b'{"type":"ping","type":5}', "invalidMessage"),
    "type in another case": (b'{"Type":"ping"}', "unknownType"),
    "a type in another case": (b'{"type":"Ping"}', "unknownType"),
    "a type with a space": (b'{"type":"ping "}', "unknownType"),
    "a field twice, the first of the wrong type": (
        b'{"type":"ping","data":5,"data":"a"}',
        "invalidMessage",
    ),
    "sdp twice, the last no object": (
        b'{"type":"offer","target":"b","sdp":{},"sdp":5}',
        "invalidMessage",
    ),
    "a byte order mark before it": (b'\xef\xbb\xbf{"type":"ping"}', "invalidJson"),
    "UTF-16": ('{"type":"ping"}'.encode("utf-16-le"), "invalidJson"),
    "something after it": (b'{"type":"ping"} x', "invalidJson"),
    "two messages": (b'{"type":"ping"}{"type":"ping"}', "invalidJson"),
    "a NUL after it": (b'{"type":"ping"}\0', "invalidJson"),
    "a comment before it": (b'// a\n{"type":"ping"}', "invalidJson"),
    "single quotes": (b"{'type':'ping'}", "invalidJson"),
    "nothing": (b"", "invalidJson"),
    "a list": (b'[{"type":"ping"}]', "invalidMessage"),
    "a surrogate alone in a room": (b'{"type":"join","room":"\\ud800"}', "invalidJson"),
    "a surrogate alone in a camera id": (
        b'{"type":"requestStream","cameraId":"a\\udfff"}',
        "invalidJson",
    ),
    "a surrogate alone in a target": (b'{"type":"bye","target":"\\udbff"}', "invalidJson"),
    "a surrogate alone in a field that nobody reads": (b'{"type":"ping","x":"\\ud800"}', "invalidJson"),
    "NaN in a field that nobody reads": (b'{"type":"ping","x":NaN}', "invalidJson"),
    "an escaped bracket in a room": (b'{"type":"join","room":"\\u003c"}', "invalidMessage"),
    "an escaped NUL in a room": (b'{"type":"join","room":"a\\u0000"}', "invalidMessage"),
    "a number of viewers with a leading zero": (b'{"type":"join","maxViewers":01}', "invalidJson"),
    "a number of viewers as a fraction": (b'{"type":"join","maxViewers":1.0}', "invalidMessage"),
    "no viewers, with a minus": (b'{"type":"join","maxViewers":-0}', "invalidMessage"),
    "2^64 + 1 viewers": (b'{"type":"join","maxViewers":18446744073709551617}', "invalidMessage"),
    "1e999 viewers": (b'{"type":"join","maxViewers":1e999}', "invalidMessage"),
    "1e999 in meta": (JOIN % b'{"a":1e999}', "invalidMessage"),
    "NaN in meta": (JOIN % b'{"a":NaN}', "invalidJson"),
    "a surrogate alone in meta": (JOIN % b'{"a":"\\ud800"}', "invalidJson"),
}

# --- how it is compared -------------------------------------------------------------------------------

SCRIPT: Final = """
const exact = (number) => {
  if (Object.is(number, -0)) return "-0";
  if (!Number.isFinite(number)) return String(number);
  if (Number.isInteger(number)) return String(BigInt(number));
  return Buffer.from(new Float64Array([number]).buffer).reverse().toString("hex");
};
const marked = (key, value) => {
  if (typeof value === "number") return `number ${exact(value)}`;
  return typeof value === "string" ? `text ${value}` : value;
};
let input = "";
process.stdin.setEncoding("utf8").on("data", (text) => (input += text)).on("end", () =>
  console.log(`[${JSON.parse(input).map((frame) => JSON.stringify(JSON.parse(frame), marked)).join()}]`));
"""
"""Reads a list of frames, and writes what they mean as `marked` below does."""


def marked(value: Any) -> Any:
    """The same with texts and numbers told apart, and numbers by their exact value."""
    if isinstance(value, dict):
        return {name: marked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner) for inner in value]
    if isinstance(value, str):
        return f"text {value}"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return f"number {value}"
    if value == 0:
        return "number -0" if math.copysign(1, value) < 0 else "number 0"
    if not math.isfinite(value):
        return "number Infinity" if value > 0 else "number -Infinity"
    return f"number {int(value) if value.is_integer() else struct.pack('>d', value).hex()}"


def told(message: AnyClientMessage) -> AnyServerMessage:
    """What somebody is told when client "a" has sent this."""
    match message:
        case messages.Offer():
            return messages.RelayedOffer("a", message.sdp)
        case messages.Answer():
            return messages.RelayedAnswer("a", message.sdp)
        case messages.IceCandidate():
            return messages.RelayedIceCandidate("a", message.candidate)
        case messages.Bye():
            return messages.RelayedBye("a", message.reason)
        case messages.Ping():
            return messages.Pong(message.data, message.request_id)
        case messages.Join():
            assert message.device_type is not None
            return messages.ClientJoined("a", message.device_type, message.camera_id, message.meta)
    raise AssertionError(message)


@pytest.fixture(scope="module")
def javascript() -> dict[str, Any]:
    """What JSON.parse reads from each frame that is sent for what was accepted, by the name of the row."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here to ask what JSON.parse reads")
    frames = [encode(told(decode(frame))).decode() for frame, _ in ACCEPTED.values()]
    command, given = [node, "--eval", SCRIPT], json.dumps(frames).encode()
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True)
    return dict(zip(ACCEPTED, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("reader", READERS)
def test_python_reads_what_was_meant(reader: str, name: str) -> None:
    frame, meaning = ACCEPTED[name]
    assert marked(READERS[reader](encode(told(decode(frame))))) == marked(meaning)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(strict=True, reason=reason))
        if (reason := NOT_THE_SAME.get(name))
        else name
        for name in ACCEPTED
    ],
)
def test_javascript_reads_what_was_meant(javascript: dict[str, Any], name: str) -> None:
    assert javascript[name] == marked(ACCEPTED[name][1])


@pytest.mark.parametrize("name", REFUSED)
def test_what_readers_may_disagree_about_is_refused(name: str) -> None:
    frame, code = REFUSED[name]
    with pytest.raises(ProtocolError) as refused:
        decode(frame)
    assert refused.value.answer.code == code

"""What `decode` accepts and refuses, and with which code."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest

from cctvsignal import messages
from cctvsignal.messages import (
    CLIENT_MESSAGE_TYPES,
    MAX_DEPTH,
    AnyClientMessage,
    Join,
    Ping,
    ProtocolError,
    RequestStream,
    decode,
)


def refusal(frame: str | bytes) -> messages.Error:
    """The error that a frame gets."""
    with pytest.raises(ProtocolError) as caught:
        decode(frame if isinstance(frame, bytes) else frame.encode())
    return caught.value.answer


def code(frame: str | bytes) -> str:
    return refusal(frame).code


def with_payload(payload: str) -> str:
    return f'{{"type":"offer","target":"t","sdp":{payload}}}'


BIG = "9" * 5000
NOT_JSON = {
    "nothing": "",
    "space": " ",
    "half an object": "{",
    "half a string": '{"type":"pi',
    "half a message": '{"type":"ping"',
    "a comma too many": '{"type":"ping",}',
    "a comma too many in an array": '{"type":"ping","x":[1,]}',
    "single quotes": "{'type':'ping'}",
    "a bare key": '{type:"ping"}',
    "two values": '{"type":"ping"} {"type":"ping"}',
    "something behind it": '{"type":"ping"}x',
    "NaN": '{"type":"join","meta":{"a":NaN}}',
    "Infinity": '{"type":"join","meta":{"a":-Infinity}}',
    "a leading zero": '{"type":"ping","x":01}',
    "a plus": '{"type":"ping","x":+1}',
    "no digits": '{"type":"ping","x":1.}',
    "hexadecimal": '{"type":"ping","x":0x1}',
    "a comment": '{"type":"ping"/**/}',
    "a byte order mark": '\ufeff{"type":"ping"}',
    "an unknown escape": '{"type":"ping","x":"\\q"}',
    "a line break in a string": '{"type":"ping","x":"\n"}',
    "a zero in a string": '{"type":"ping","x":"\0"}',
    "a zero behind it": '{"type":"ping"}\0',
    "a lone high surrogate": '{"type":"join","room":"\\ud800"}',
    "a lone low surrogate": '{"type":"join","room":"\\udc00x"}',
    "surrogates the wrong way round": '{"type":"join","room":"\\udc00\\ud800"}',
    "a lone surrogate in meta": '{"type":"join","meta":{"a":"\\ud800"}}',
    "a lone surrogate in the type": '{"type":"\\ud800"}',
    "a lone surrogate in a payload": with_payload('{"sdp":"\\ud800"}'),
    "a lone surrogate beside an unknown type": '{"type":"nonsense","requestId":"\\ud800"}',
    "a payload that is none": with_payload('{"a":01}'),
    "an end after a wrong field": '{"type":"join","room":5',
    "a mess after a wrong field": '{"type":"offer","target":5,"sdp"oops',
    "a mess after an unknown type": '{"type":"nonsense", oops',
    "10,000 open arrays": "[" * 10_000,
    "10,000 arrays": "[" * 10_000 + "]" * 10_000,
    "10,000 open objects": '{"a":' * 10_000,
    "10,000 objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "30,000 arrays in a payload": with_payload('{"a":' + "[" * 30_000 + "]" * 30_000 + "}"),
    "30,000 open arrays in a payload": with_payload('{"a":' + "[" * 30_000),
    "30,000 arrays in what is ignored": '{"type":"ping","x":' + "[" * 30_000 + "]" * 30_000 + "}",
    "a depth that hides behind a string": '{"type":"ping","x":"\\"[{","y":' + "[" * 500 + "]" * 500 + "}",
}


@pytest.mark.parametrize("frame", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_json_is_invalid_json(frame: str) -> None:
    answer = refusal(frame)
    assert (answer.code, answer.ref, answer.request_id) == ("invalidJson", None, None)


@pytest.mark.parametrize("frame", ["[]", "[{}]", "null", "true", "1", "1.5", "-0", '"ping"', " [ ] "])
def test_json_that_is_not_an_object_is_an_invalid_message(frame: str) -> None:
    assert code(frame) == "invalidMessage"


@pytest.mark.parametrize(
    "kind", ["", "Ping", "ping ", "welcome", "joined", "pong", "error", "é" * 200, "\0"]
)
def test_a_type_that_is_not_one_is_unknown(kind: str) -> None:
    answer = refusal(json.dumps({"type": kind, "requestId": "r"}))
    assert (answer.code, answer.ref, answer.request_id) == ("unknownType", kind[:64], "r")


def test_no_type_is_unknown_and_a_type_that_is_no_string_is_invalid() -> None:
    assert code("{}") == "unknownType"
    for kind in ("null", "1", "true", '["ping"]', '{"ping":1}'):
        assert code(f'{{"type":{kind}}}') == "invalidMessage"


# --- the types of fields, from the Structs

KINDS: dict[str, str] = {
    "null": "null",
    "boolean": "true",
    "integer": "1",
    "fraction": "1.5",
    "string": '"text"',
    "array": "[]",
    "object": "{}",
}
ACCEPTED: dict[str, set[str]] = {
    "requestId": {"string", "null"},
    "room": {"string", "null"},
    "deviceType": {"null"},
    "cameraId": {"string", "null"},
    "meta": {"object", "null"},
    "maxViewers": {"integer", "null"},
    "ack": {"boolean", "null"},
    "target": {"string"},
    "sdp": {"object"},
    "candidate": {"object", "null"},
    "reason": {"string", "null"},
    "data": {"string", "null"},
    "token": {"string"},
    "deviceKey": {"null"},
}
"""By field: the kinds of JSON values that docs/protocol.md allows (a null means absent)."""
VALID: dict[str, dict[str, Any]] = {
    "join": {"room": "hall", "requestId": "r"},
    "offer": {"target": "t", "sdp": {}, "requestId": "r"},
    "answer": {"target": "t", "sdp": {}, "requestId": "r"},
    "iceCandidate": {"target": "t", "candidate": None, "requestId": "r"},
    "requestStream": {"cameraId": "cam", "requestId": "r"},
    "bye": {"target": "t", "requestId": "r"},
    "leave": {"requestId": "r"},
    "listCameras": {"requestId": "r"},
    "ping": {"requestId": "r"},
    "auth": {"token": "t", "requestId": "r"},
}


def fields_of_messages() -> list[tuple[str, str, bool]]:
    """(type, field, whether it must be there) of every field of every message of clients."""
    return [
        (str(kind.__struct_config__.tag), field.encode_name, field.required)
        for kind in get_args(AnyClientMessage)
        for field in msgspec.structs.fields(kind)
    ]


def test_the_tables_here_know_all_messages_and_fields() -> None:
    assert VALID.keys() == CLIENT_MESSAGE_TYPES
    assert ACCEPTED.keys() == {field for _, field, _ in fields_of_messages()}


@pytest.mark.parametrize("kind", VALID)
def test_the_valid_messages_here_are_valid(kind: str) -> None:
    assert decode(json.dumps({"type": kind, **VALID[kind]}).encode()).request_id == "r"


@pytest.mark.parametrize(("kind", "field", "required"), fields_of_messages())
def test_a_field_of_the_wrong_type_is_an_invalid_message(kind: str, field: str, required: bool) -> None:
    accepted = ACCEPTED[field] - ({"null"} if (kind, field) == ("requestStream", "cameraId") else set())
    for name, text in KINDS.items():
        frame = json.dumps({"type": kind, **VALID[kind], field: "@"}).replace('"@"', text)
        if name in accepted:
            decode(frame.encode())
        else:
            answer = refusal(frame)
            request_id = None if field == "requestId" else "r"
            expected = ("invalidMessage", kind, request_id)
            assert (answer.code, answer.ref, answer.request_id) == expected, frame


@pytest.mark.parametrize(("kind", "field", "required"), fields_of_messages())
def test_only_required_fields_must_be_there(kind: str, field: str, required: bool) -> None:
    frame = {name: value for name, value in {"type": kind, **VALID[kind]}.items() if name != field}
    if required:
        assert code(json.dumps(frame)) == "invalidMessage"
    else:
        decode(json.dumps(frame).encode())


WRONG_VALUES = {
    "an unknown deviceType": '{"type":"join","deviceType":"Camera"}',
    "a camera without id": '{"type":"join","deviceType":"camera"}',
    "a camera whose id is null": '{"type":"join","deviceType":"camera","cameraId":null}',
    "no place for viewers": '{"type":"join","maxViewers":0}',
    "less than no place": '{"type":"join","maxViewers":-1}',
    "a fraction of places": '{"type":"join","maxViewers":2.5}',
    "infinitely many places": '{"type":"join","maxViewers":1e999}',
    "5,000 digits of places": f'{{"type":"join","maxViewers":{BIG}}}',
    "an infinite number in meta": '{"type":"join","meta":{"a":1e999}}',
    "5,000 digits in meta": f'{{"type":"join","meta":{{"a":[{BIG}]}}}}',
    "an infinite number in sdp": with_payload('{"a":[1e999]}'),
    "5,000 digits in sdp": with_payload(f'{{"a":-{BIG}}}'),
    "a candidate with an infinite number": '{"type":"iceCandidate","target":"t","candidate":{"a":-1e999}}',
    "an sdp of text": with_payload('"v=0"'),
    "a candidate of text": '{"type":"iceCandidate","target":"t","candidate":"null"}',
    "an empty requestId": '{"type":"ping","requestId":""}',
    "65 characters of requestId": json.dumps({"type": "ping", "requestId": "x" * 65}),
    "126 characters of data": json.dumps({"type": "ping", "data": "x" * 126}),
    "an ack without requestId": '{"type":"bye","target":"t","ack":true}',
    "15 characters of deviceKey": json.dumps({"type": "join", "deviceKey": "k" * 15}),
    "257 characters of deviceKey": json.dumps({"type": "join", "deviceKey": "k" * 257}),
    "an empty token": '{"type":"auth","token":""}',
    "8193 characters of token": json.dumps({"type": "auth", "token": "t" * 8193}),
    "an infinite requestId": '{"type":"ping","requestId":1e999}',
}


@pytest.mark.parametrize("frame", WRONG_VALUES.values(), ids=WRONG_VALUES.keys())
def test_a_wrong_value_is_an_invalid_message(frame: str) -> None:
    assert code(frame) == "invalidMessage"


def test_the_longest_request_id_and_data_pass() -> None:
    message = decode(json.dumps({"type": "ping", "requestId": "é" * 64, "data": "é" * 125}).encode())
    assert message == Ping(request_id="é" * 64, data="é" * 125)


def test_the_deepest_message_passes_and_a_level_more_does_not() -> None:
    for payload in ('{"a":' * (MAX_DEPTH - 1) + "1" + "}" * (MAX_DEPTH - 1), '{"a":"%s"}' % ("[" * 1000)):
        decode(with_payload(payload).encode())
    assert code(with_payload('{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH)) == "invalidJson"


def test_many_brackets_that_do_not_nest_pass() -> None:
    decode(with_payload('{"a":[' + ",".join(["[]"] * 5000) + "]}").encode())
    decode(with_payload(json.dumps({"a": '"]}' * 500 + "\\", "b": "[{" * 500})).encode())


def test_the_last_of_two_equal_keys_counts() -> None:
    assert decode(b'{"type":"join","room":"a","room":"b"}') == Join(room="b")
    assert decode(b'{"room":"a","type":"join","room":"b"}') == Join(room="b")
    assert code('{"type":"join","type":"leave"}') == "invalidMessage"
    assert code('{"type":"join","room":"b","room":5}') == "invalidMessage"


def test_unknown_fields_are_ignored() -> None:
    frame = {"type": "ping", "Data": 1, "sender": [], "data ": {}, "": None, "requestid": 5}
    assert decode(json.dumps(frame).encode()) == Ping()


# --- names

REFUSED_CHARACTERS = (
    [chr(number) for number in [*range(0x20), *range(0x7F, 0xA0)]]
    + list("<>&\"'\\`")
    + list("\u061c\u200e\u200f\u2028\u2029\ufeff")
    + [chr(number) for number in [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]]
    # What is not seen, so that two names would look the same.
    + list(
        "\u00ad\u034f\u115f\u1160\u17b4\u180b\u180e\u200b\u200c\u200d\u2060\u2061\u3164\ufe00\ufe0f\uffa0"
    )
    + list("\U000e0001\U000e0041\U000e007f\U000e0100")
    # What is nothing yet, nothing ever, or something else for each font.
    + list("\u0378\ufdd0\ufffe\uffff\U0001fffe\U0010ffff\ue000\U000f0000")
)


@pytest.mark.parametrize("character", REFUSED_CHARACTERS, ids=lambda character: f"U+{ord(character):04X}")
def test_a_character_that_names_may_not_have(character: str) -> None:
    name = f"a{character}b"
    for message in (
        {"type": "join", "room": name},
        {"type": "join", "deviceType": "camera", "cameraId": name},
        {"type": "requestStream", "cameraId": name},
    ):
        assert code(json.dumps(message)) == "invalidMessage"
        assert code(json.dumps(message, ensure_ascii=False)) in ("invalidMessage", "invalidJson")


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "x" * 128,
        "é" * 128,
        "😀" * 128,
        "Küche",
        "前庭",
        "غرفة",
        "कमरा",
        "e\u0301",
        "a  b",
        "می\u200cخواهم",
        "क्\u200dष",
        "ಕ್\u200c",
        "❤\ufe0f",
        "1\ufe0f\u20e3",
        "!#$%()*+,-./:;=?@[]^_{|}~",
    ],
)
def test_names_of_all_scripts_with_punctuation(name: str) -> None:
    frame = json.dumps({"type": "join", "room": name, "deviceType": "camera", "cameraId": name})
    assert decode(frame.encode()) == Join(room=name, device_type="camera", camera_id=name)


@pytest.mark.parametrize(
    "name",
    [
        "\u2800",
        "\u2800 \u2800",
        "\u0301",
        "\u0301\u0302",
    ],
    ids=ascii,
)
def test_a_name_that_looks_blank_is_refused(name: str) -> None:
    assert code(json.dumps({"type": "join", "room": name})) == "invalidMessage"


def test_names_are_compared_in_form_c() -> None:
    names = [
        decode(json.dumps({"type": "join", "room": name}).encode())
        for name in ("Ku\u0308che", "K\u00fcche")
    ]
    assert names[0] == names[1] == Join(room="K\u00fcche")
    for name, length in (("e\u0301" * 128, 128), ("\u0958" * 64, 128)):
        message = decode(json.dumps({"type": "requestStream", "cameraId": name}).encode())
        assert isinstance(message, RequestStream)
        assert len(message.camera_id) == length
    assert code(json.dumps({"type": "requestStream", "cameraId": "\u0958" * 65})) == "invalidMessage"


def test_names_have_1_to_128_characters_after_trimming() -> None:
    for space in (" ", "\t", "\n", "\u00a0", "\u3000"):
        frame = {"type": "requestStream", "cameraId": space + "x" * 128 + space * 5}
        assert decode(json.dumps(frame).encode()) == RequestStream(camera_id="x" * 128)
        assert code(json.dumps({"type": "requestStream", "cameraId": space})) == "invalidMessage"
        assert decode(json.dumps({"type": "join", "room": space}).encode()) == Join(room="default")
    for long in ("x" * 129, "😀" * 129, "x " * 64 + "x"):
        assert code(json.dumps({"type": "requestStream", "cameraId": long})) == "invalidMessage"
        assert code(json.dumps({"type": "join", "room": long})) == "invalidMessage"


def test_what_join_leaves_open_has_its_defaults() -> None:
    for frame in (b'{"type":"join"}', b'{"type":"join","room":""}', b'{"type":"join","room":null}'):
        message = decode(frame)
        assert isinstance(message, Join)
        assert (message.room, message.device_type, message.camera_id) == ("default", "viewer", None)


def test_the_camera_id_of_a_viewer_means_nothing() -> None:
    assert decode(b'{"type":"join","cameraId":"<script>"}') == Join()


def test_meta_has_at_most_2048_bytes() -> None:
    for filler in ("x" * 2040, "é" * 1020):
        meta: dict[str, object] = {"n": filler}
        assert decode(json.dumps({"type": "join", "meta": meta}).encode()) == Join(meta=meta)
        assert code(json.dumps({"type": "join", "meta": {"n": filler + "x"}})) == "invalidMessage"

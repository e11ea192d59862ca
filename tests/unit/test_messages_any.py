"""Whatever comes, `decode` has an answer; and nothing comes back changed."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cctvsignal import messages
from cctvsignal.messages import (
    CLIENT_MESSAGE_TYPES,
    AnyClientMessage,
    AnyServerMessage,
    ProtocolError,
    decode,
    decode_server,
    encode,
)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = sorted({name for kind in get_args(AnyClientMessage) for name in kind.__struct_encode_fields__})
MESSAGES = st.builds(
    lambda kind, fields: {"type": kind, **fields},
    st.sampled_from(sorted(CLIENT_MESSAGE_TYPES)) | st.text(max_size=10),
    st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=6),
)


def decodes_or_refuses(frame: bytes) -> None:
    try:
        message = decode(frame)
    except ProtocolError as error:
        answer = error.answer
    else:
        # What was let through can be kept, compared and sent on.
        assert type(decode(encode(message))) is type(message)
        return
    assert decode_server(encode(answer)) == answer
    assert answer.message.endswith(".")


@given(st.binary())
@example(b"\xff\xfe")
@example(b'{"type":"\xff"}')
@example(b'{"type":"ping","data":"\xed\xa0\x80"}')
def test_any_bytes_are_decoded_or_refused(frame: bytes) -> None:
    decodes_or_refuses(frame)


@given(JSON_VALUES | MESSAGES)
@example({"type": "join", "maxViewers": 2**70, "meta": {"a": -(2**70)}})
def test_any_json_is_decoded_or_refused(value: Any) -> None:
    decodes_or_refuses(json.dumps(value).encode())
    decodes_or_refuses(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@given(
    MESSAGES.map(lambda value: json.dumps(value).encode()),
    st.integers(0, 300),
    st.integers(0, 3),
    st.binary(max_size=3),
)
def test_any_message_with_a_fault_is_decoded_or_refused(
    frame: bytes, at: int, cut: int, put: bytes
) -> None:
    at %= len(frame) + 1
    decodes_or_refuses(frame[:at] + put + frame[at + cut :])


def server_messages() -> st.SearchStrategy[AnyServerMessage]:
    text = st.text(max_size=20)
    payload = st.dictionaries(text, JSON_VALUES, max_size=3)
    raw = payload.map(lambda value: msgspec.Raw(json.dumps(value).encode()))
    st.register_type_strategy(msgspec.Raw, raw)
    whole = st.integers(-(2**70), 2**70)
    meta = st.dictionaries(text, text | whole | st.booleans() | st.none() | st.lists(text), max_size=3)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "meta": st.none() | meta,
        "protocol": whole,
        "cameras": st.lists(
            st.builds(
                messages.CameraInfo, camera_id=text, client_id=text, viewers=whole, meta=st.none() | meta
            )
        ),
        "limits": st.builds(messages.Limits, whole, whole),
    }
    kinds: list[st.SearchStrategy[AnyServerMessage]] = [
        st.builds(kind, **{name: optional[name] for name in kind.__struct_fields__ if name in optional})
        for kind in get_args(AnyServerMessage)
    ]
    return st.one_of(kinds)


def plain(message: AnyServerMessage) -> dict[str, Any]:
    """A message as a dictionary, payloads as the bytes that they are."""
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    return {
        name: bytes(value) if isinstance(value, msgspec.Raw) else value for name, value in fields.items()
    }


@given(server_messages())
@settings(max_examples=200)
def test_messages_of_the_server_come_back_as_they_were(message: AnyServerMessage) -> None:
    back = decode_server(encode(message))
    assert type(back) is type(message)
    assert plain(back) == plain(message)
    assert "\n" not in encode(message).decode()


SPACE = st.text(" \t\r\n", max_size=3)


@st.composite
def spaced_json(draw: st.DrawFn, depth: int = 3) -> str:
    """JSON text as nobody's encoder writes it."""
    choice = draw(st.integers(0, 5 if depth else 3))
    if choice == 0:
        return draw(st.sampled_from(["null", "true", "false", "0", "-0", "1.0", "1E+2", "0.10", "1e-3"]))
    if choice == 1:
        return json.dumps(draw(st.text(max_size=10)), ensure_ascii=draw(st.booleans()))
    if choice == 2:
        return '"' + "".join(f"\\u{ord(char):04X}" for char in draw(st.text("aé前/", max_size=4))) + '"'
    if choice == 3:
        return str(draw(st.integers(-(2**70), 2**70)))
    if choice == 4:
        inner = draw(st.lists(spaced_json(depth - 1), max_size=3))
        return "[" + draw(SPACE) + (draw(SPACE) + "," + draw(SPACE)).join(inner) + "]"
    return draw(spaced_object(depth - 1))


@st.composite
def spaced_object(draw: st.DrawFn, depth: int = 3) -> str:
    keys = draw(st.lists(st.text(max_size=6), max_size=4))
    parts = [
        draw(SPACE)
        + json.dumps(key)
        + draw(SPACE)
        + ":"
        + draw(SPACE)
        + draw(spaced_json(depth))
        + draw(SPACE)
        for key in keys
    ]
    return "{" + ",".join(parts) + draw(SPACE) + "}"


@given(spaced_object(), SPACE, st.sampled_from(["offer", "answer", "iceCandidate"]))
def test_a_payload_leaves_byte_for_byte_as_it_came(payload: str, space: str, kind: str) -> None:
    # Lone surrogates, which json.dumps writes as escapes, are refused before they get here.
    field = "candidate" if kind == "iceCandidate" else "sdp"
    frame = f'{{{space}"{field}"{space}:{space}{payload}{space},"target":"t","type":"{kind}"}}'.encode()
    message = decode(frame)
    raw = getattr(message, field)
    assert bytes(raw) == payload.encode()
    relayed = {
        "offer": messages.RelayedOffer,
        "answer": messages.RelayedAnswer,
        "iceCandidate": messages.RelayedIceCandidate,
    }[kind]
    sent = encode(relayed("sender", raw))
    assert bytes(msgspec.json.decode(sent, type=dict[str, msgspec.Raw])[field]) == payload.encode()

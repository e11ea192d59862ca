"""What is wrong with a frame that is no message of docs/protocol.md, for its sender."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

RequestId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]


class _Envelope(Struct, rename="camel"):
    type: Raw = Raw(b"")
    request_id: Raw = Raw(b"")


Explanation: TypeAlias = tuple[str, str, str | None, str | None]
"""The code and text of an `error`, and the request id and type of the message at fault."""


def explain(frame: bytes, error: Exception, known: Container[str]) -> Explanation:
    """What to answer to a frame that the decoder refused with `error`; `known` are the types there are."""
    try:
        # The decoder stops at the first thing that is wrong; what follows may not even be JSON.
        msgspec.json.decode(frame, type=Raw)
        envelope = msgspec.json.decode(frame, type=_Envelope)
    except msgspec.ValidationError:
        return "invalidMessage", "A message must be one JSON object.", None, None
    except (msgspec.DecodeError, UnicodeDecodeError) as malformed:
        return "invalidJson", f"The message is not valid JSON: {malformed}.", None, None
    kind, request_id = _text(envelope.type, str), _text(envelope.request_id, RequestId)
    if not bytes(envelope.type):
        return "unknownType", "The message has no type.", request_id, None
    if kind is None:
        return "invalidMessage", "The type of a message must be a string.", request_id, None
    if kind not in known:
        return "unknownType", f"There is no message of type {kind[:64]!r}.", request_id, kind[:64]
    return "invalidMessage", f"In {kind}: {error}.", request_id, kind


def _text(value: Raw, kind: Any) -> str | None:
    try:
        return str(msgspec.json.decode(value, type=kind))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None

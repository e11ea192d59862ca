"""Rules about the form of JSON that types cannot express (docs/protocol.md, section 1)."""

from __future__ import annotations

import re
import sys
from typing import Final

import msgspec

_LARGEST: Final = int(sys.float_info.max)
_DIGITS: Final = sys.float_info.max_10_exp
"""A whole number that is too large has more digits than that."""
_decode: Final = msgspec.json.Decoder().decode

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)


def check_object(payload: msgspec.Raw, field: str) -> None:
    """Raise `ValueError` for what is no object, or what other JSON parsers would read otherwise (1e999)."""
    try:
        value = _decode(payload)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{field} is not sound: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{field} must be an object")
    if len(payload) > _DIGITS:
        check_numbers(value, field)


def check_numbers(value: object, field: str) -> None:
    """Raise `ValueError` for a whole number that others would read as infinite; nests as JSON may."""
    if isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            if not isinstance(entry, str):
                check_numbers(entry, field)
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"{field} has a number that is too large")


def nests_deeper(frame: bytes, limit: int) -> bool:
    """Whether arrays and objects nest more than `limit` levels, in JSON that need not be valid."""
    # Most frames do not even have that many brackets: count them before looking where they stand. To take
    # them out is a search in C; `count` looks at each byte, and takes as long as the decoder.
    size = len(frame)
    if 2 * size - len(frame.replace(b"{", b"")) - len(frame.replace(b"[", b"")) <= limit:
        return False
    depth = 0
    for byte in _STRING.sub(b"", frame):
        if byte in b"{[":
            depth += 1
            if depth > limit:
                return True
        elif byte in b"}]":
            depth -= 1
    return False

"""What a client's messages with a `requestId` were answered (docs/protocol.md, section 2.3)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

REPEAT_SECONDS: Final = 60.0
"""How long an answer is kept for a repetition."""
ANSWERS_KEPT: Final = 256
"""How many answers are kept for one client; the oldest gives way."""


@dataclass(eq=False, slots=True)
class Kept:
    """One message, and what it was answered so far."""

    at: float
    """When it came, in seconds."""
    digest: bytes
    answers: list[bytes] = field(default_factory=list)

    def has_content(self, content: bytes) -> bool:
        """Whether the message had this content."""
        return self.digest == _digest(content)


class Repetitions:
    """The messages of one client that carried a `requestId`."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}

    def before(self, request_id: str, content: bytes, now: float) -> Kept | None:
        """The message that carried this id before; None for a new one, which is kept from now on."""
        kept = self._kept
        if request_id in kept and now - kept[request_id].at < REPEAT_SECONDS:
            return kept[request_id]
        kept.pop(request_id, None)
        while kept:
            oldest = next(iter(kept))
            if len(kept) < ANSWERS_KEPT and now - kept[oldest].at < REPEAT_SECONDS:
                break
            del kept[oldest]
        kept[request_id] = Kept(now, _digest(content))
        return None

    def answered(self, request_id: str, frame: bytes) -> None:
        """Keep an answer to the message with this id."""
        if request_id in self._kept:
            self._kept[request_id].answers.append(frame)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()

"""What a client's messages with a `requestId` were answered (docs/protocol.md, section 2.3)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

REPEAT_SECONDS: Final = 60.0
"""How long an answer is kept for a repetition."""
ANSWERS_KEPT: Final = 256
"""How many messages are kept for one client; the oldest gives way."""
BYTES_KEPT: Final = 256 * 1024
"""How long their answers may be together: a list of cameras can be long."""


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

    __slots__ = ("_bytes", "_kept")

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._bytes = 0

    def before(self, request_id: str, content: bytes, now: float) -> Kept | None:
        """The message that carried this id before; None for a new one, which is kept from now on."""
        kept = self._kept
        if request_id in kept and now - kept[request_id].at < REPEAT_SECONDS:
            return kept[request_id]
        # The ids are in the order of their age, and this one is about to be the youngest.
        if request_id in kept:
            self._forget(request_id)
        while kept:
            oldest = next(iter(kept))
            if len(kept) < ANSWERS_KEPT and now - kept[oldest].at < REPEAT_SECONDS:
                break
            self._forget(oldest)
        kept[request_id] = Kept(now, _digest(content))
        return None

    def answered(self, request_id: str, frame: bytes) -> None:
        """Keep an answer to the message with this id."""
        if request_id in self._kept:
            self._kept[request_id].answers.append(frame)
            self._bytes += len(frame)
            while self._bytes > BYTES_KEPT:
                self._forget(next(iter(self._kept)))

    def _forget(self, request_id: str) -> None:
        self._bytes -= sum(map(len, self._kept.pop(request_id).answers))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()

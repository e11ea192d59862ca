"""What clients' messages with a `requestId` were answered (docs/protocol.md, section 2.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from .timers import Clock, Deadlines

REPEAT_SECONDS: Final = 60.0
"""How long an answer is kept for a repetition."""
SWEEP_SECONDS: Final = 5.0
"""How much later it may be freed, together with others."""
ANSWERS_KEPT: Final = 256
"""How many messages are kept for one client; the oldest gives way."""
BYTES_KEPT: Final = 256 * 1024
"""How many bytes of answers are kept for one client: a list of cameras can be long."""
BYTES_KEPT_IN_ALL: Final = 64 * 1024 * 1024
"""How many bytes are kept for all clients together; the oldest message of all gives way."""
BYTES_EACH: Final = 512
"""What a message takes in memory beside its answers."""


@dataclass(eq=False, slots=True)
class Kept:
    """One message, and what it was answered so far."""

    client: Hashable
    request_id: str
    at: float
    """When it came, in seconds."""
    digest: bytes
    answers: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes of its answers."""

    def has_content(self, content: bytes) -> bool:
        """Whether the message had this content."""
        return self.digest == _digest(content)


@dataclass(eq=False, slots=True)
class _OfClient:
    by_id: dict[str, Kept] = field(default_factory=dict)
    """Oldest first."""
    size: int = 0


class Repetitions:
    """The messages with a `requestId` of all clients of a hub: bounded for each client, and in all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ages = Deadlines(clock, REPEAT_SECONDS, self._forget, SWEEP_SECONDS)
        self._clients: dict[Hashable, _OfClient] = {}
        self.size = 0
        """How many bytes are kept in all."""

    def before(self, client: Hashable, request_id: str) -> Kept | None:
        """The message of this client that carried this id before, unless it is too long ago."""
        mine = self._clients.get(client)
        kept = None if mine is None else mine.by_id.get(request_id)
        if kept is None or self._clock.seconds() - kept.at >= REPEAT_SECONDS:
            return None
        return kept

    def keep(self, client: Hashable, request_id: str, content: bytes) -> None:
        """A client sends a message with an id that `before` does not know."""
        mine = self._clients.get(client)
        if mine is not None and request_id in mine.by_id:
            self._drop(mine.by_id[request_id])
        mine = self._clients.setdefault(client, _OfClient())
        kept = mine.by_id[request_id] = Kept(client, request_id, self._clock.seconds(), _digest(content))
        self._ages.start(kept)
        self.size += BYTES_EACH
        self._grow(mine, 0)

    def answered(self, client: Hashable, request_id: str, frame: bytes) -> None:
        """Keep an answer to the message with this id, if the message is kept."""
        mine = self._clients.get(client)
        if mine is not None and request_id in mine.by_id:
            mine.by_id[request_id].answers.append(frame)
            mine.by_id[request_id].size += len(frame)
            self._grow(mine, len(frame))

    def forget(self, client: Hashable) -> None:
        """The client is gone."""
        mine = self._clients.get(client)
        for kept in () if mine is None else list(mine.by_id.values()):
            self._drop(kept)

    def _grow(self, mine: _OfClient, size: int) -> None:
        mine.size += size
        self.size += size
        while len(mine.by_id) > ANSWERS_KEPT or mine.size > BYTES_KEPT:
            self._drop(next(iter(mine.by_id.values())))
        while self.size > BYTES_KEPT_IN_ALL:
            self._drop(self._ages.first())

    def _drop(self, kept: Kept) -> None:
        self._ages.stop(kept)
        self._forget(kept)

    def _forget(self, kept: Kept) -> None:
        mine = self._clients[kept.client]
        del mine.by_id[kept.request_id]
        mine.size -= kept.size
        self.size -= kept.size + BYTES_EACH
        if not mine.by_id:
            del self._clients[kept.client]


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()

"""Events with names, and those who listen to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.logger import Logger

Listener = Callable[[Any], object]
log = Logger()


@dataclass(frozen=True)
class Disconnected:
    """The event `disconnected`: the server's close code, if it gave one, and what the client does now.

    Where it did not let the client back into its room, `reason` is what it said, and `code` the close code
    that would say the same, if there is one.
    """

    code: int | None
    will_reconnect: bool
    reason: str = ""


class Emitter:
    """Something that has events."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[tuple[Listener, bool]]] = {}
        """By event: who listens, and whether only once."""

    def on(self, event: str, listener: Listener) -> None:
        """Call `listener` with the event's one argument each time it happens."""
        self._listeners.setdefault(event, []).append((listener, False))

    def once(self, event: str, listener: Listener) -> None:
        """Call `listener` the next time the event happens, and not again."""
        self._listeners.setdefault(event, []).append((listener, True))

    def off(self, event: str, listener: Listener) -> None:
        """Call `listener` no longer."""
        kept = [entry for entry in self._listeners.get(event, ()) if entry[0] != listener]
        self._listeners[event] = kept

    def _emit(self, event: str, argument: Any = None) -> None:
        for entry in list(self._listeners.get(event, ())):
            listener, only_once = entry
            if only_once and entry in self._listeners[event]:
                self._listeners[event].remove(entry)
            try:
                listener(argument)
            except Exception:
                log.failure("a listener of {event} failed", event=event)

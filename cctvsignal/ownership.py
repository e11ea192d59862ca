"""Whose a camera id is (docs/protocol.md, section 2.4), which may take a while to find out.

Meanwhile, what the client says waits, so that its messages keep their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from .access import refusal
from .answers import Answers
from .messages import AnyClientMessage, Join
from .policy import DeviceKeys, Verdict
from .registry import Client, Registry

MOST_HELD: Final = 1000
"""Messages of one client that wait; limits of a connection are lower, where there are any."""
BUSY_SECONDS: Final = 5.0
"""When to try again where keys cannot be looked up or kept."""

GoOn: TypeAlias = Callable[[bool], None]
"""Carries on with a join; whether its key, if it brings one, is the one that the id is pinned to."""


class Ownership:
    """Asks for the owners of ids on behalf of the hub.

    Args:
        keys: What knows them.
        answers: For those who cannot have an id.
        registry: Says who holds an id at the moment, and who is still connected.
        receive: Takes the messages that have waited.
        settle: Called after what did not happen in the course of another call of the hub.
    """

    def __init__(
        self,
        keys: DeviceKeys,
        answers: Answers,
        registry: Registry,
        receive: Callable[[Client, AnyClientMessage], None],
        settle: Callable[[], None],
    ) -> None:
        self._keys = keys
        self._answers = answers
        self._registry = registry
        self._receive = receive
        self._settle = settle
        self._asking = 0
        """How many questions are being asked in this call: an answer may come before it returns."""

    def look(self, client: Client, join: Join, go_on: GoOn) -> None:
        """Find out whether a client may have the id of its join; if not, it is told so."""
        camera_id, key = join.camera_id, join.device_key
        # Whoever holds the id may refresh without a key.
        if camera_id is None or (key is None and self._holds(client, join)):
            go_on(True)
        else:
            self._ask(client, join, partial(self._keys.look, join.room or "", camera_id, key), go_on)

    def pin(self, client: Client, join: Join, go_on: GoOn) -> None:
        """Keep the key of a join for an id that has none; if somebody was faster, the client is told so."""
        assert join.camera_id is not None
        assert join.device_key is not None
        name, key = (join.room or "", join.camera_id), join.device_key
        pin = partial(self._keys.pin, *name, key, client.address, client.identity.subject)
        self._ask(client, join, pin, go_on)

    def hold(self, client: Client, message: AnyClientMessage) -> None:
        """Keep a message until it is known whose the id is that its sender asked for before."""
        assert client.held is not None
        if len(client.held) < MOST_HELD:
            client.held.append(message)
        else:
            text = "Too many messages came while a join waits: this one was dropped."
            self._answers.refuse(client, message, "serverBusy", text, BUSY_SECONDS)

    def _holds(self, client: Client, join: Join) -> bool:
        return self._registry.holder(join.room, join.camera_id) is client

    def _ask(
        self, client: Client, join: Join, ask: Callable[[Callable[[Verdict], None]], None], go_on: GoOn
    ) -> None:
        client.held = deque()
        self._asking += 1
        try:
            ask(partial(self._answered, client, join, go_on))
        finally:
            self._asking -= 1

    def _answered(self, client: Client, join: Join, go_on: GoOn, verdict: Verdict) -> None:
        if client.id not in self._registry.clients:
            return
        held, client.held = client.held or deque(), None
        # It may have brought another token meanwhile.
        forbidden = refusal(client.identity, join)
        if verdict is Verdict.BUSY:
            text = "The keys of devices cannot be looked up or kept at the moment: try again."
            self._answers.refuse(client, join, "serverBusy", text, BUSY_SECONDS)
        elif verdict is Verdict.DENIED and not self._holds(client, join):
            text = f"The id {join.camera_id} belongs to another device: use its deviceKey, or another id."
            self._answers.refuse(client, join, "forbidden", text)
        elif forbidden is not None:
            self._answers.refuse(client, join, *forbidden)
        else:
            go_on(verdict is not Verdict.FREE or join.device_key is None)
        while held and client.held is None:
            self._receive(client, held.popleft())
        if client.held is not None:
            client.held.extend(held)
        if not self._asking:
            self._settle()

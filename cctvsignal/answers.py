"""What a client is answered, and what a repetition is answered (docs/protocol.md, sections 2.3 and 2.5)."""

from __future__ import annotations

from typing import Final

from .messages import (
    Ack,
    Auth,
    ClientMessage,
    Error,
    ErrorCode,
    Join,
    ListCameras,
    Ping,
    RequestStream,
    ServerMessage,
    encode,
)
from .policy import Policy
from .registry import Client
from .repetition import Repetitions
from .timers import Clock

_RECORDED: Final = {Join: "joined", RequestStream: "requested", Auth: "authenticated"}
"""The messages whose outcome is worth writing down, and as which event."""
_READS: Final = frozenset((ListCameras, Ping))
"""They change nothing, so a repetition is answered anew, and their answers are not kept."""


class Answers:
    """The direct answers of one hub, and its record of what they were."""

    def __init__(self, clock: Clock, policy: Policy) -> None:
        self._repetitions = Repetitions(clock)
        self._records = policy.records

    def is_new(self, client: Client, message: ClientMessage, request_id: str) -> bool:
        """Whether this message is to be carried out; a repetition gets its answer again."""
        before = self._repetitions.before(client, request_id)
        if before is None:
            if type(message) not in _READS:
                self._repetitions.keep(client, request_id, encode(message))
            return True
        if before.has_content(encode(message)):
            for frame in before.answers:
                client.peer.send(frame)
        else:
            text = "This requestId was used for another message a short time ago."
            client.peer.send(encode(error(message, "invalidMessage", text)))
        return False

    def forget(self, client: Client) -> None:
        """The client is gone."""
        self._repetitions.forget(client)

    def answer(self, client: Client, message: ClientMessage, answer: ServerMessage) -> None:
        """Send the answer to a message."""
        frame = encode(answer)
        if message.request_id is not None:
            self._repetitions.answered(client, message.request_id, frame)
        client.peer.send(frame)

    def refuse(
        self,
        client: Client,
        message: ClientMessage,
        code: ErrorCode,
        text: str,
        retry_after: float | None = None,
    ) -> None:
        """Answer with an `error`; `retry_after` is in seconds."""
        self.note(client, message, code)
        self.answer(client, message, error(message, code, text, retry_after))

    def acknowledge(self, client: Client, message: ClientMessage) -> None:
        """Answer with an `ack`."""
        assert message.request_id is not None
        self.answer(client, message, Ack(message.request_id))

    def note(self, client: Client, message: ClientMessage, outcome: str) -> None:
        """Write down what became of a message, if that is worth it."""
        event = _RECORDED.get(type(message)) if self._records else None
        if isinstance(message, Join):
            self.record(event, client, room=message.room, camera=message.camera_id, outcome=outcome)
        elif isinstance(message, RequestStream):
            self.record(event, client, camera=message.camera_id, outcome=outcome)
        else:
            self.record(event, client, outcome=outcome)

    def record(self, event: str | None, client: Client, **facts: object) -> None:
        """Write down an event; None is none."""
        if event is not None:
            for record in self._records:
                record(event, client, facts)


def error(
    message: ClientMessage | None, code: ErrorCode, text: str, retry_after: float | None = None
) -> Error:
    """The `error` that says what was wrong with a message (None: with what is no message).

    `retry_after` is in seconds.
    """
    if message is None:
        return Error(code, text, retry_after=retry_after)
    return Error(code, text, message.request_id, str(message.__struct_config__.tag), retry_after)

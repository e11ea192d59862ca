"""Messages to the server that wait for their answers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Final

from cctvsignal import messages
from cctvsignal.messages import ClientMessage, ServerMessage

from .errors import ClientError, RequestTimeout

ANSWER_SECONDS: Final = 10.0


class Questions:
    """What one client has asked its server, found by the request id (docs/protocol.md, section 2.3)."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._answers: dict[str, asyncio.Future[ServerMessage]] = {}

    async def ask(self, message: ClientMessage, send: Callable[[ClientMessage], None]) -> ServerMessage:
        """Send a message and wait for the answer, which may be a refusal.

        Raises `RequestTimeout`, what `send` raises, and what is given to `give_up`.
        """
        # Cameras see the request ids of viewers, and must not take them for their own.
        request_id = message.request_id = uuid.uuid4().hex
        if isinstance(message, messages.AcknowledgedMessage):
            message.ack = True  # Success has no other answer.
        answer = self._answers[request_id] = asyncio.get_running_loop().create_future()
        try:
            send(message)
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            raise RequestTimeout(f"{self._server} did not answer within {ANSWER_SECONDS:.0f} s.") from None
        finally:
            del self._answers[request_id]

    def settle(self, message: ServerMessage) -> bool:
        """Whether this is the answer to a question, which has it now."""
        request_id = getattr(message, "request_id", None)
        answer = None if request_id is None else self._answers.get(request_id)
        if answer is None or answer.done():
            return False
        answer.set_result(message)
        return True

    def give_up(self, error: ClientError) -> None:
        """No answer will come to what was asked so far."""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)

"""A camera whose answers are whatever a test writes, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

from cctvsignal_clients import bridge

FRAME_SECONDS = 0.04
Answer: TypeAlias = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request, of which it is given all; the connection is closed when it returns."""


@asynccontextmanager
async def raw_camera(answer: Answer) -> AsyncIterator[str]:
    """The address of a camera that listens on this machine."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                request = await reader.readuntil(b"\r\n\r\n")
                await answer(request.decode("latin-1"), writer)
        finally:
            writer.close()

    async def end() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close()
        await server.wait_closed()

    server = await bridge.start(asyncio.start_server(serve, "127.0.0.1", 0))
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        await bridge.start(end())


def stream_of(head: bytes, part: Callable[[int], bytes]) -> Answer:
    """Answers with a stream: this head, then part after part, numbered, as long as somebody reads."""

    async def answer(request: str, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        number = 0
        while not writer.is_closing():
            writer.write(part(number))
            await writer.drain()
            await asyncio.sleep(FRAME_SECONDS)
            number += 1

    return answer

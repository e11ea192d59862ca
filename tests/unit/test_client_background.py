"""What fails in the background of the Python clients is logged at once, and shows."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from cctvsignal_clients import Disconnected, MediaFailed, Stream, ViewerClient, bridge, signaling
from cctvsignal_clients.reporting import Reporter, _Handler
from cctvsignal_clients.retry import Backoff
from pyee.asyncio import AsyncIOEventEmitter
from twisted.internet.defer import CancelledError
from twisted.logger import capturedLogs, formatEvent

from cctvsignal.messages import Joined
from tests.live import deadline
from tests.unit.test_client_session import Door, at


def failures(logs: Sequence[dict[str, Any]]) -> list[tuple[str, type[BaseException]]]:
    """What was logged with a traceback."""
    return [(str(formatEvent(each)), each["log_failure"].type) for each in logs if "log_failure" in each]


async def _break(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


@deadline()
async def test_a_task_that_dies_is_logged_though_its_owner_holds_it() -> None:
    async def hold() -> list[asyncio.Task[None]]:
        held = [
            bridge.background(_break(ValueError("secret of one")), "encoding for one"),
            bridge.background(_break(KeyError("another"))),
        ]
        await asyncio.wait(held)
        await asyncio.sleep(0)
        return held

    with capturedLogs() as logs:
        held = await bridge.start(hold())
    assert failures(logs) == [("encoding for one failed", ValueError), ("_break failed", KeyError)]
    assert all(task.done() for task in held)


@deadline()
async def test_a_task_that_is_cancelled_is_not_logged() -> None:
    async def cancel() -> None:
        task = bridge.background(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)

    with capturedLogs() as logs:
        await bridge.start(cancel())
    assert failures(logs) == []


@deadline()
async def test_what_dies_again_and_again_does_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("cctvsignal_clients.bridge.time.monotonic", lambda: clock[0])
    with capturedLogs() as logs:
        for _ in range(50):
            bridge.report("drawing", OSError("again"))
        clock[0] += bridge.REPORT_SECONDS
        bridge.report("drawing", OSError("again"))
    assert [text for text, _ in failures(logs)] == [
        "drawing failed",
        "drawing failed (49 more times since it was last logged)",
    ]


@deadline()
async def test_a_handler_that_raises_does_not_stop_the_object_that_calls_it() -> None:
    def broken(argument: object) -> None:
        raise ValueError(argument)

    emitter = AsyncIOEventEmitter()
    emitter.on("message", bridge.listener(broken))
    with capturedLogs() as logs:
        assert emitter.emit("message", 1)
    ((text, kind),) = failures(logs)
    assert "broken failed" in text
    assert kind is ValueError


@deadline()
async def test_what_fails_while_it_tidies_up_is_logged() -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise OSError("the disk is full")

    async def turn() -> None:
        await asyncio.sleep(0)

    with capturedLogs() as logs:
        result = bridge.start(work())
        await bridge.start(turn())
        result.cancel()
        with pytest.raises(CancelledError):
            await result
        await bridge.start(turn())
        await bridge.start(turn())
    gc.collect()
    ((text, kind),) = failures(logs)
    assert "work failed" in text
    assert kind is OSError


async def _lose(door: Door, viewer: ViewerClient) -> list[Disconnected]:
    lost: list[Disconnected] = []
    viewer.on("disconnected", lost.append)
    await viewer.connect()
    keeper = viewer._keeper
    assert keeper is not None
    back = asyncio.get_running_loop().create_future()
    viewer.once("roomJoined", back.set_result)
    door.lines[0].sendClose(None)
    await asyncio.wait((keeper, back), return_when=asyncio.FIRST_COMPLETED)
    assert viewer.connected is back.done()
    await asyncio.sleep(0)
    return lost


@deadline()
async def test_a_client_comes_back_though_an_attempt_fails_unexpectedly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door(Joined("default"), Joined("default"))
    at(door, monkeypatch)
    attempts: list[int] = []

    async def open_badly(*arguments: Any, **options: Any) -> Any:
        attempts.append(len(attempts))
        if len(attempts) == 2:
            raise RuntimeError("nobody has thought of this")
        return await door.open(*arguments, **options)

    monkeypatch.setattr(signaling, "open_connection", open_badly)
    viewer = ViewerClient(reconnect=Backoff(0.0, 0.0))
    with capturedLogs() as logs:
        lost = await bridge.start(_lose(door, viewer))
    assert lost == [Disconnected(None, will_reconnect=True)]
    assert viewer.connected
    assert failures(logs) == [("coming back to ws://localhost:8080 failed", RuntimeError)]
    await viewer.close()


class BrokenBackoff(Backoff):
    """One that fails."""

    def pause(self, code: int | None, attempt: int, fraction: float | None = None) -> float | None:
        raise ZeroDivisionError


@deadline()
async def test_a_client_whose_keeper_dies_says_that_it_does_not_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door(Joined("default"))
    at(door, monkeypatch)
    with capturedLogs() as logs:
        lost = await bridge.start(_lose(door, ViewerClient(reconnect=BrokenBackoff())))
    assert [(each.code, each.will_reconnect) for each in lost] == [(None, True), (None, False)]
    assert "its log says why" in lost[-1].reason
    assert failures(logs) == [("WebRTCCCTVClient._keep failed", ZeroDivisionError)]


@deadline()
async def test_a_stream_whose_keeper_dies_is_over_and_says_so() -> None:
    async def keep() -> Stream:
        viewer = ViewerClient()
        stream = viewer._streams["cam-1"] = Stream("cam-1")
        lost: list[Stream] = []
        viewer.on("streamLost", lost.append)

        async def fail(stream: Stream) -> None:
            raise ZeroDivisionError

        viewer._until_dead = fail  # type: ignore[method-assign]
        viewer._keepers["cam-1"] = keeper = bridge.background(viewer._keep_alive(stream))
        await asyncio.wait([keeper])
        await asyncio.sleep(0)
        assert lost == [stream]
        assert viewer._streams == {}
        return stream

    with capturedLogs() as logs:
        stream = await bridge.start(keep())
    assert [kind for _, kind in failures(logs)] == [ZeroDivisionError]
    assert isinstance(stream.loss, MediaFailed)
    assert [frame async for frame in stream.frames()] == []


@deadline()
async def test_a_message_that_cannot_be_taken_does_not_end_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door(Joined("default"))
    at(door, monkeypatch)
    viewer = ViewerClient()

    def broken(message: object) -> None:
        raise LookupError

    viewer._handlers = {**viewer._handlers, Joined: broken}
    with capturedLogs() as logs:
        await viewer.connect()
    assert viewer.connected
    assert failures(logs) == [("taking a message of type joined failed", LookupError)]
    await viewer.close()


@deadline()
async def test_a_timer_that_fails_is_reported_with_its_traceback() -> None:
    out = io.StringIO()
    handler = _Handler(Reporter(out, "text"))

    async def fail() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def ring() -> None:
            done.set_result(None)
            raise ValueError("of a timer")

        loop.call_later(0, ring)
        await done
        await asyncio.sleep(0)

    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    try:
        await bridge.start(fail())
    finally:
        logger.removeHandler(handler)
    assert "in ring" in out.getvalue()
    assert "ValueError: of a timer" in out.getvalue()

"""One result for two worlds: awaited in a Twisted coroutine or in an asyncio task.

aiortc speaks asyncio and Autobahn speaks Twisted; both run on one event loop, that of Twisted's
`AsyncioSelectorReactor`. The clients work in asyncio tasks inside and give out `Result`s.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")

_tasks: set[asyncio.Task[Any]] = set()
"""asyncio itself keeps only weak references to tasks."""


class Result(Deferred[T]):
    """The outcome of an asyncio task: a Deferred, which an asyncio task can await, too.

    Cancelling it cancels the task, which still tidies up.
    """

    def __init__(self, task: asyncio.Task[T]) -> None:
        super().__init__(self._cancel_task)
        self._task = task
        task.add_done_callback(self._finished)

    def __await__(self) -> Generator[Any, None, T]:
        # Whoever runs the coroutine gets this object: Twisted because it is a Deferred, asyncio because it
        # has the marks of a future. Which of the two it is cannot be seen from here.
        self._asyncio_future_blocking = True
        yield self
        return self._task.result()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """For asyncio."""
        return self._task.get_loop()

    def add_done_callback(self, wake: Callable[[asyncio.Task[T]], object], *, context: Context) -> None:
        """For asyncio."""
        self.addErrback(lambda _: None)
        self._task.add_done_callback(wake, context=context)

    def cancel(self, message: object = None) -> bool:  # type: ignore[override]
        """Cancel the task. asyncio gives a message, and asks whether there was something to cancel."""
        running = not self._task.done()
        super().cancel()
        return running

    @staticmethod
    def _cancel_task(result: Deferred[T]) -> None:
        assert isinstance(result, Result)
        result._task.cancel()

    def _finished(self, task: asyncio.Task[T]) -> None:
        if self.called:
            # It was cancelled, and its owner has been told so; asyncio would complain of an unseen error.
            _ = task.cancelled() or task.exception()
        elif task.cancelled():
            self.cancel()
        elif error := task.exception():
            self.errback(Failure(error))
        else:
            self.callback(task.result())


def start(work: Coroutine[Any, Any, T]) -> Result[T]:
    """Run an asyncio coroutine as a task and give out its result."""
    return Result(_run(work))


def background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run an asyncio coroutine whose result nobody waits for; it must deal with its own errors."""
    return _run(work)


def _run(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    task = _loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


def the_reactor() -> asyncioreactor.AsyncioSelectorReactor:
    """The reactor on the running loop; in a plain asyncio program it is installed here.

    Raises `RuntimeError` in a Twisted program that runs another reactor.
    """
    if "twisted.internet.reactor" not in sys.modules:
        asyncioreactor.install(asyncio.get_running_loop())
        from twisted.internet import reactor as installed

        # The loop runs already; this only tells the reactor so. Signals belong to the program.
        installed.startRunning(installSignalHandlers=False)  # type: ignore[attr-defined]
    from twisted.internet import reactor

    if not isinstance(reactor, asyncioreactor.AsyncioSelectorReactor):
        raise RuntimeError(
            "aiortc needs asyncio: call twisted.internet.asyncioreactor.install() before anything "
            f"imports the reactor, which is now {type(reactor).__name__}"
        )
    loop = _running_loop()
    if loop is not None and reactor._asyncioEventloop.is_closed():
        # A second asyncio.run() in one process: Twisted has one reactor, which moves to the new loop.
        reactor._asyncioEventloop = loop
    return reactor


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _loop() -> asyncio.AbstractEventLoop:
    # Twisted calls services before the loop runs, though it is there by then.
    return _running_loop() or the_reactor()._asyncioEventloop

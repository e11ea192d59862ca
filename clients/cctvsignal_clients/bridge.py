"""One result for two worlds: awaited in a Twisted coroutine or in an asyncio task.

aiortc speaks asyncio and Autobahn speaks Twisted; both run on one event loop, that of Twisted's
`AsyncioSelectorReactor`. The clients work in asyncio tasks inside and give out `Result`s.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Final, ParamSpec, TypeVar

from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

P = ParamSpec("P")
T = TypeVar("T")

REPORT_SECONDS: Final = 10.0
"""How often at most the traceback of one kind of failure is logged."""

log = Logger()

_tasks: set[asyncio.Task[Any]] = set()
"""asyncio itself keeps only weak references to tasks."""
_reported: dict[tuple[str, type[BaseException]], tuple[float, int]] = {}
"""What failed and how: when that was last logged, and how often it has happened since."""


class Result(Deferred[T]):
    """The outcome of an asyncio task: a Deferred, which an asyncio task can await, too.

    Cancelling it cancels the task, which still tidies up.
    """

    def __init__(self, task: asyncio.Task[T]) -> None:
        super().__init__(self._cancel_task)
        self._task = task
        self._awaited_by_asyncio = False
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
        self._awaited_by_asyncio = True
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
            # It was cancelled, and its owner has been told so: no one hears of an error while it tidied up,
            # except an asyncio task that still waits for it.
            if not task.cancelled() and (error := task.exception()) and not self._awaited_by_asyncio:
                report(task.get_name(), error)
        elif task.cancelled():
            self.cancel()
        elif error := task.exception():
            self.errback(Failure(error))
        else:
            self.callback(task.result())


def start(work: Coroutine[Any, Any, T]) -> Result[T]:
    """Run an asyncio coroutine as a task and give out its result."""
    return Result(_run(work, _name(work)))


def background(work: Coroutine[Any, Any, None], what: str | None = None) -> asyncio.Task[None]:
    """Run an asyncio coroutine whose result nobody waits for.

    If it fails, that is logged at once, whoever holds the task; its cancellation is not. `what` says what
    it was doing, by default the name of the coroutine.
    """
    task = _run(work, what or _name(work))
    task.add_done_callback(_report_task)
    return task


def listener(handler: Callable[P, object]) -> Callable[P, None]:
    """A handler for the events of aiortc's objects: what it raises is logged.

    They would raise it in the middle of their own work, which then stops for the whole connection.
    """

    @functools.wraps(handler)
    def hear(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            handler(*args, **kwargs)
        except Exception as error:
            report(_name(handler), error)

    return hear


def report(what: str, error: BaseException) -> None:
    """Log what failed unexpectedly, with its traceback; what repeats itself, every `REPORT_SECONDS`."""
    now, kind = time.monotonic(), (what, type(error))
    last, unseen = _reported.get(kind, (float("-inf"), 0))
    if now - last < REPORT_SECONDS:
        _reported[kind] = (last, unseen + 1)
        return
    _reported[kind] = (now, 0)
    again = f" ({unseen} more times since it was last logged)" if unseen else ""
    log.failure("{what} failed{again}", Failure(error), what=what, again=again)


def _report_task(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        report(task.get_name(), error)


def _name(work: object) -> str:
    return str(getattr(work, "__qualname__", work))


def _run(work: Coroutine[Any, Any, T], what: str) -> asyncio.Task[T]:
    task = _loop().create_task(work, name=what)
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

"""What the process does with signals: SIGHUP reads files again, a second SIGTERM ends it at once."""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads, IReactorTime
from twisted.logger import Logger

IGNORED: Final = ("SIGUSR1", "SIGUSR2")
STOPPING: Final = ("SIGTERM", "SIGINT", "SIGBREAK")

log = Logger()


class Signals(Service):
    """Handles the signals of this process while it runs.

    `reload` is called for SIGHUP; it returns what was read again and what was not, for people. A handler of
    SIGUSR1 that is there already stays: twistd rotates its log file by it.
    """

    def __init__(self, reactor: Any, reload: Callable[[], tuple[list[str], list[str]]]) -> None:
        assert IReactorCore.providedBy(reactor)
        assert IReactorFromThreads.providedBy(reactor)
        assert IReactorTime.providedBy(reactor)
        self._reactor = reactor
        self._reload = reload

    def startService(self) -> None:
        super().startService()
        # Python lets the main thread only do this.
        if threading.current_thread() is not threading.main_thread():
            return
        self._handle("SIGHUP", self._hang_up)
        for name in IGNORED:
            number = getattr(signal, name, None)
            if number is not None and not signal.getsignal(number):
                self._handle(name, self._ignore)
        # Twisted sets its own handlers when the reactor starts, after it has called who waits for that.
        self._reactor.callWhenRunning(self._reactor.callLater, 0, self._end_at_the_second)

    def _handle(self, name: str, handle: Callable[[int], None]) -> None:
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, lambda number, frame: self._reactor.callFromThread(handle, number))

    def _hang_up(self, number: int) -> None:
        taken, kept = self._reload()
        log_file = _log_file_of_twistd()
        if log_file is not None:
            log_file.reopen()
            taken.append(str(log_file.path))
        log.info("SIGHUP: read again: {taken}", taken=", ".join(taken) or "nothing, no file is in use")
        if kept:
            log.error("SIGHUP: left as it was before: {kept}", kept=", ".join(kept))

    def _ignore(self, number: int) -> None:
        log.info("{name} is ignored: SIGHUP reads files again", name=signal.Signals(number).name)

    def _end_at_the_second(self) -> None:
        """The first signal is for Twisted, which stops the reactor; it cannot stop a second time."""
        for name in STOPPING:
            number = getattr(signal, name, None)
            before = None if number is None else signal.getsignal(number)
            if number is not None and callable(before) and before is not signal.default_int_handler:
                signal.signal(number, _first(before))


def _first(stop: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        for name in STOPPING:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), _end)
        stop(number, frame)

    return handle


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # The first process of a container is not ended by a signal that it does not handle.
    os._exit(128 + number)


def _log_file_of_twistd() -> Any:
    """The log file that twistd writes to, if there is one: only the handler of SIGUSR1 knows it."""
    handler = signal.getsignal(getattr(signal, "SIGUSR1", signal.SIGINT))
    if not inspect.isfunction(handler) or not handler.__module__.startswith("twisted."):
        return None
    found = inspect.getclosurevars(handler).nonlocals.get("logFile")
    return found if hasattr(found, "reopen") else None

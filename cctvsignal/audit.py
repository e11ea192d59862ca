"""The audit log: who connected, was a camera, asked for which one, with what outcome, and when it ended."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

from twisted.logger import Logger

from .registry import Client

log = Logger()


class AuditLog:
    """One JSON object a line, in a file that may be moved away while it is written; raises `OSError`."""

    def __init__(self, path: Path) -> None:
        self._handler = _Handler(path, encoding="utf-8", errors="backslashreplace")

    def __call__(self, event: str, client: Client, facts: dict[str, object]) -> None:
        """Write down what a client did."""
        self._write(
            event, client=client.id, address=client.address, subject=client.identity.subject, **facts
        )

    def refused(self, address: str, reason: str) -> None:
        """Write down that somebody was not let in."""
        self._write("refused", address=address, reason=reason)

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._handler.close()

    def _write(self, event: str, **facts: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        known = {name: value for name, value in facts.items() if value is not None and value != ""}
        line = json.dumps({"time": now, "event": event, **known})
        self._handler.emit(logging.LogRecord("audit", logging.INFO, "", 0, line, None, None))


def say(event: str, client: Client, facts: dict[str, object]) -> None:
    """Say what a client did in the log, for whoever wants to see everything."""
    log.debug("{client} {event}: {facts}", client=client.id, event=event, facts=facts)


class _Handler(WatchedFileHandler):
    """Says once, not for each line, that the file cannot be written."""

    _failed = False

    def emit(self, record: logging.LogRecord) -> None:
        failed, self._failed = self._failed, False
        try:
            super().emit(record)
        except OSError:
            self._failed = True
        if failed and not self._failed:
            log.info("the audit log is written again")
        elif self._failed and not failed:
            log.error(
                "the audit log {path} cannot be written; what happens now is missing",
                path=self.baseFilename,
            )

    def handleError(self, record: logging.LogRecord) -> None:
        self._failed = True

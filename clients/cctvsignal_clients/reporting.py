"""What the commands print: lines and a live status for people, or one JSON object a line for machines."""

from __future__ import annotations

import json
import logging
import shutil
import time
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal, TextIO, TypeAlias

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer

from .redaction import conceal, scrub

LogFormat: TypeAlias = Literal["text", "json"]
CLEAR_LINE: Final = "\r\x1b[2K"
STATUS_EVERY_SECONDS: Final = 60.0
"""How often machines get a status; a terminal always shows the latest."""
LEVELS: Final = {
    "cctvsignal": LogLevel.info,
    "cctvsignal_clients": LogLevel.info,
    "cctvsignal_iot": LogLevel.info,
    # It warns of each connection that it drops; what there is to say of that, the clients say.
    "autobahn": LogLevel.error,
}
"""From which level on a package's logs are reported, if not from warnings on."""
CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


class Reporter:
    """Prints to `stream`; a status line only if that is a terminal, or as JSON now and then.

    `urls` are those that the command was given. What is printed has no credentials of URLs in it, whoever
    wrote it.
    """

    def __init__(self, stream: TextIO, log_format: LogFormat, urls: Iterable[str] = ()) -> None:
        self._stream = stream
        self._urls = tuple(urls)
        self._json = log_format == "json"
        self._live = stream.isatty() and not self._json
        self._status = ""
        self._status_at = float("-inf")
        self._cpu = (time.monotonic(), time.process_time())

    def say(self, event: str, text: str, **fields: object) -> None:
        """Report an event: `text` for people, its name and `fields` for machines."""
        text = conceal(text, self._urls)
        if self._json:
            clean = {
                name: conceal(each, self._urls) if isinstance(each, str) else each
                for name, each in fields.items()
            }
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self._write(json.dumps({"time": now, "event": event, "message": text, **clean}) + "\n")
        else:
            # What others named may have control characters in it.
            line = text.translate(CONTROL) + "\n"
            self._write((CLEAR_LINE if self._status else "") + line + self._status)

    def log(self, text: str, level: str) -> None:
        """Report what was logged, perhaps by a library that knows nothing of passwords."""
        self.say("log", scrub(text, self._urls), level=level)

    def status(self, text: str, **fields: object) -> None:
        """Show how things are at this moment."""
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._status = text.translate(CONTROL)[:width]
            self._write(CLEAR_LINE + self._status)
        elif self._json and time.monotonic() - self._status_at >= STATUS_EVERY_SECONDS:
            self._status_at = time.monotonic()
            self.say("status", text, **fields)

    def cpu_percent(self) -> float:
        """Processor time of this process since the last call, of one core."""
        before, self._cpu = self._cpu, (time.monotonic(), time.process_time())
        elapsed = self._cpu[0] - before[0]
        return 100 * (self._cpu[1] - before[1]) / elapsed if elapsed else 0.0

    def take_logs(self) -> None:
        """Report what the libraries log from now on: see `LEVELS`."""
        globalLogBeginner.beginLoggingTo([_Observer(self)], redirectStandardIO=False)
        handler = _Handler(self)
        handler.setLevel(logging.WARNING)
        logging.getLogger().addHandler(handler)

    def close(self) -> None:
        """Leave the terminal as it should be."""
        if self._status:
            self._write("\n")
            self._status = ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@implementer(ILogObserver)
class _Observer:
    """Brings what is logged through Twisted to a reporter."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def __call__(self, event: LogEvent) -> None:
        package = str(event.get("log_namespace")).partition(".")[0]
        level = event["log_level"]
        if level >= LEVELS.get(package, LogLevel.warn) and (text := formatEvent(event)):
            self._reporter.log(text, level.name)
        if "log_failure" in event:
            for line in event["log_failure"].getTraceback().splitlines():
                self._reporter.log(line, level.name)


class _Handler(logging.Handler):
    """Brings the logs of aiortc and asyncio, which use the standard library's, to a reporter."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        self._reporter.log(record.getMessage(), level)
        if record.exc_info is not None and record.exc_info[0] is not None:
            # Of a callback of asyncio's, such as a timer, this is all that there is.
            for line in "".join(traceback.format_exception(*record.exc_info)).splitlines():
                self._reporter.log(line, level)

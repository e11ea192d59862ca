"""What a log line looks like: one line for people, or one JSON object for machines."""

from __future__ import annotations

import atexit
import json
import time
from datetime import UTC, datetime
from typing import Final, Literal, Protocol, TextIO, TypeAlias

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    formatEventAsClassicLogText,
)
from zope.interface import implementer

from .line_writer import Descriptor, LineWriter

LogFormat: TypeAlias = Literal["text", "json"]
LOG_FORMATS: Final = ("text", "json")
LOG_LEVELS: Final = tuple(level.name for level in LogLevel.iterconstants())

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\t")}
_OWN_FIELDS: Final = ("time", "level", "namespace", "message")


class Stream(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


class _InBackground:
    """Stands for a stream that may block whoever writes to it, such as a pipe that nobody reads."""

    def __init__(self, stream: TextIO, descriptor: int, log_format: LogFormat) -> None:
        self._encoding = stream.encoding or "utf-8"
        self._line = _json_line if log_format == "json" else _text_line
        self._writer = LineWriter(
            Descriptor(descriptor),
            self._dropped,
            recovered=lambda lost: self._writer.write(self._dropped(lost)),
        )
        # At the end of the process, whichever way it comes there.
        atexit.register(self._writer.close)

    def write(self, text: str) -> None:
        self._writer.write(self._encoded(text))

    def flush(self) -> None:
        """The thread does so after each line."""

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._encoding, "backslashreplace")

    def _dropped(self, count: int) -> bytes:
        line = self._line(
            {
                "log_time": time.time(),
                "log_level": LogLevel.warn,
                "log_namespace": __name__,
                "log_format": "{dropped} lines of the log were dropped: nobody took them in time",
                "dropped": count,
            }
        )
        return self._encoded(f"{line}\n")


def in_background(stream: TextIO, log_format: LogFormat) -> Stream:
    """A stream in the place of this one that never blocks: what it does not take in time is dropped."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return stream
    return _InBackground(stream, descriptor, log_format)


@implementer(ILogObserver)
class LineObserver:
    """Writes one line for each event; only tracebacks may have more."""

    def __init__(self, stream: Stream, log_format: LogFormat) -> None:
        self._stream = stream
        self._line = _json_line if log_format == "json" else _text_line

    def __call__(self, event: LogEvent) -> None:
        line = self._line(event)
        if line is not None:
            self._stream.write(line + "\n")
            self._stream.flush()


def make_observer(stream: Stream, log_format: LogFormat, level: str) -> ILogObserver:
    """An observer that writes events of `level` and above to `stream`."""
    predicate = LogLevelFilterPredicate(LogLevel.lookupByName(level))
    return FilteringLogObserver(LineObserver(stream, log_format), [predicate])


def _time(event: LogEvent) -> str:
    return datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def _text_line(event: LogEvent) -> str | None:
    if "log_failure" in event:
        return formatEventAsClassicLogText(event, formatTime=lambda _: _time(event)).rstrip()  # type: ignore[union-attr]
    message = formatEvent(event).translate(_CONTROL)
    if not message:
        return None
    return f"{_time(event)} {event['log_level'].name:5} {message}"


def _json_line(event: LogEvent) -> str | None:
    record: dict[str, object] = {
        "time": _time(event),
        "level": event["log_level"].name,
        "namespace": event.get("log_namespace"),
        "message": formatEvent(event),
    }
    for name, value in event.items():
        if not name.startswith("log_") and name not in _OWN_FIELDS and isinstance(value, str | int | float):
            record[name] = value
    if "log_failure" in event:
        record["traceback"] = event["log_failure"].getTraceback()
    return json.dumps(record)

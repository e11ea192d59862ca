"""What a log line looks like: one line for people, or one JSON object for machines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final, Literal, TextIO, TypeAlias

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

LogFormat: TypeAlias = Literal["text", "json"]
LOG_FORMATS: Final = ("text", "json")
LOG_LEVELS: Final = tuple(level.name for level in LogLevel.iterconstants())

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\t")}
_OWN_FIELDS: Final = ("time", "level", "namespace", "message")


@implementer(ILogObserver)
class LineObserver:
    """Writes one line for each event; only tracebacks may have more."""

    def __init__(self, stream: TextIO, log_format: LogFormat) -> None:
        self._stream = stream
        self._line = _json_line if log_format == "json" else _text_line

    def __call__(self, event: LogEvent) -> None:
        line = self._line(event)
        if line is not None:
            self._stream.write(line + "\n")
            self._stream.flush()


def make_observer(stream: TextIO, log_format: LogFormat, level: str) -> ILogObserver:
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

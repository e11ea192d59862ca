"""What a log line looks like."""

from __future__ import annotations

import io
import json

import pytest
from twisted.logger import Logger
from twisted.python.failure import Failure

from cctvsignal.logs import make_observer


def log(log_format: str, level: str = "info") -> tuple[Logger, io.StringIO]:
    stream = io.StringIO()
    observer = make_observer(stream, log_format, level)  # type: ignore[arg-type]
    return Logger(namespace="test", observer=observer), stream


def test_text_is_time_level_and_message() -> None:
    logger, stream = log("text")
    logger.info("{camera} is here", camera="cam-1")
    time, level, message = stream.getvalue().split(maxsplit=2)
    assert time.endswith("Z")
    assert (level, message) == ("info", "cam-1 is here\n")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_stays_one_line_whatever_is_in_it(log_format: str) -> None:
    logger, stream = log(log_format)
    logger.info("{name}", name="a\r\nb\x1b[2Jc\x9bd")
    assert stream.getvalue().count("\n") == 1
    assert not set("\r\x1b\x9b") & set(stream.getvalue())


def test_json_has_the_fields_of_the_event() -> None:
    logger, stream = log("json")
    logger.warn("{camera} is gone", camera="cam-1", viewers=2, message="not the message")
    record = json.loads(stream.getvalue())
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "warn",
        "namespace": "test",
        "message": "cam-1 is gone",
        "camera": "cam-1",
        "viewers": 2,
    }


def test_lower_levels_are_left_out() -> None:
    logger, stream = log("text", "warn")
    logger.info("not this")
    logger.error("this")
    assert "not this" not in stream.getvalue()
    assert "error this" in stream.getvalue()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_failure_has_its_traceback(log_format: str) -> None:
    logger, stream = log(log_format)
    logger.failure("it broke", Failure(RuntimeError("because")))
    assert "it broke" in stream.getvalue()
    assert "RuntimeError: because" in stream.getvalue()


def test_an_event_without_text_is_no_line_for_people() -> None:
    logger, stream = log("text")
    logger.info("")
    assert stream.getvalue() == ""

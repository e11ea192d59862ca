"""Log lines that strangers cause."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, formatEvent

from cctvsignal.rate_limited_log import QUIET_SECONDS, RateLimitedLog


def test_a_kind_is_worth_a_line_a_minute_with_the_number_of_the_others() -> None:
    events: list[LogEvent] = []
    clock, log = Clock(), Logger(observer=events.append)  # type: ignore[arg-type]
    limited = RateLimitedLog(clock)
    for number in range(100):
        limited.say("a", log.warn, "{number} came", number=number)
        limited.say("b", log.error, "something else")
    assert [formatEvent(event) for event in events] == ["0 came", "something else"]
    clock.advance(QUIET_SECONDS)
    limited.say("a", log.warn, "{number} came", number=100)
    limited.tick()
    assert [formatEvent(event) for event in events[2:]] == [
        "100 came (99 more since the last line)",
        "b: 99 more since the last line",
    ]
    clock.advance(QUIET_SECONDS - 1)
    limited.tick()
    assert len(events) == 4
    # A kind that has been quiet begins anew.
    clock.advance(1)
    limited.tick()
    limited.say("b", log.error, "something else")
    assert formatEvent(events[-1]) == "something else"
    limited.say("b", log.error, "something else")
    limited.tick(at_the_end=True)
    assert formatEvent(events[-1]) == "b: 1 more since the last line"
    assert len(events) == 6

"""One timer for many: who is called, when, and that nothing is left of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from cctvsignal.timers import Deadlines

SECONDS = 10.0


class Watched(Deadlines[str]):
    """Deadlines that remember whom they have called, and when."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.clock = Clock()
        self.called: list[tuple[str, float]] = []
        super().__init__(self.clock, seconds, self.remember)

    def remember(self, key: str) -> None:
        self.called.append((key, self.clock.seconds()))


@pytest.fixture
def deadlines() -> Watched:
    return Watched()


def test_each_is_called_when_its_own_time_is_over(deadlines: Watched) -> None:
    for key in "abc":
        deadlines.start(key)
        deadlines.clock.advance(1)
    assert len(deadlines.clock.getDelayedCalls()) == 1
    deadlines.clock.pump([1] * 20)
    assert deadlines.called == [("a", 10), ("b", 11), ("c", 12)]
    assert not deadlines.clock.getDelayedCalls()


def test_who_is_stopped_is_not_called_and_the_next_one_is_in_time(deadlines: Watched) -> None:
    deadlines.start("a")
    deadlines.clock.advance(3)
    deadlines.start("b")
    deadlines.stop("a")
    deadlines.clock.pump([1] * 20)
    assert deadlines.called == [("b", 13)]


def test_no_timer_is_left_when_nothing_waits(deadlines: Watched) -> None:
    for key in "ab":
        deadlines.start(key)
    for key in "ba":
        assert deadlines.clock.getDelayedCalls()
        deadlines.stop(key)
    assert not deadlines.clock.getDelayedCalls()
    deadlines.stop("nobody")
    deadlines.start("c")
    deadlines.clock.advance(SECONDS)
    assert deadlines.called == [("c", 10)]


def test_a_second_start_begins_afresh(deadlines: Watched) -> None:
    deadlines.start("a")
    deadlines.start("b")
    deadlines.clock.advance(9)
    deadlines.start("a")
    deadlines.clock.pump([1] * 20)
    assert deadlines.called == [("b", 10), ("a", 19)]


def test_a_late_clock_calls_all_that_are_due(deadlines: Watched) -> None:
    for key in "abc":
        deadlines.start(key)
        deadlines.clock.advance(1)
    deadlines.clock.advance(8.5)
    assert [key for key, _ in deadlines.called] == ["a", "b"]
    deadlines.clock.advance(100)
    assert [key for key, _ in deadlines.called] == ["a", "b", "c"]


class Meddling(Watched):
    """Who is called stops the others, or starts again."""

    stops: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()

    def remember(self, key: str) -> None:
        super().remember(key)
        stops, self.stops = self.stops, ()
        starts, self.starts = self.starts, ()
        for other in stops:
            self.stop(other)
        for other in starts:
            self.start(other)


@pytest.mark.parametrize(
    ("stops", "starts", "called"),
    [
        (("b",), (), [("a", 10), ("c", 10)]),
        (("b", "c"), (), [("a", 10)]),
        ((), ("a",), [("a", 10), ("b", 10), ("c", 10), ("a", 20)]),
        (("b", "c"), ("d",), [("a", 10), ("d", 20)]),
        ((), ("b",), [("a", 10), ("c", 10), ("b", 20)]),
    ],
)
def test_a_call_may_stop_and_start_others(
    stops: tuple[str, ...], starts: tuple[str, ...], called: list[tuple[str, float]]
) -> None:
    deadlines = Meddling()
    for key in "abc":
        deadlines.start(key)
    deadlines.stops, deadlines.starts = stops, starts
    deadlines.clock.pump([10, 5, 5, 10])
    assert deadlines.called == called
    assert not deadlines.clock.getDelayedCalls()


def test_a_call_that_fails_takes_no_other_along() -> None:
    called = []

    def call(key: str) -> None:
        called.append(key)
        if key == "a":
            raise ValueError(key)

    clock = Clock()
    deadlines = Deadlines(clock, SECONDS, call)
    for key in "abc":
        deadlines.start(key)
    with pytest.raises(ValueError, match="a"):
        clock.advance(SECONDS)
    clock.advance(0)
    assert called == ["a", "b", "c"]


STEPS = st.lists(st.tuples(st.sampled_from(["start", "stop"]), st.sampled_from("abc"), st.integers(0, 8)))


@given(STEPS)
def test_it_does_what_a_timer_for_each_would(steps: list[tuple[str, str, int]]) -> None:
    one = Watched()
    expected: list[tuple[str, float]] = []
    due: dict[str, float] = {}
    for what, key, seconds in steps:
        due.pop(key, None)
        if what == "start":
            one.start(key)
            due[key] = one.clock.seconds() + SECONDS
        else:
            one.stop(key)
        one.clock.advance(seconds)
        over = [key for key, at in due.items() if at <= one.clock.seconds()]
        expected += [(key, one.clock.seconds()) for key in over]
        for key in over:
            del due[key]
        assert one.called == expected
        assert len(one.clock.getDelayedCalls()) == bool(due)

"""Token buckets, and what a connection may use up, against a clock that only the test moves."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cctvsignal.limits import PATIENCE, UNLIMITED, Bucket, Buckets, Limits, Meter, Rate
from cctvsignal.messages import AnyClientMessage, decode

NOW = 1_800_000_000.0
"""Seconds since the epoch: sums of them have no more digits than those of a real clock."""


def message(kind: str, **fields: object) -> AnyClientMessage:
    return decode(json.dumps({"type": kind, **fields}).encode())


PING = message("ping")
CANDIDATE = message("iceCandidate", target="t", candidate=None)
OFFER = message("offer", target="t", sdp={})
JOIN, LEAVE, AUTH = message("join"), message("leave"), message("auth", token="t")


def meter(limits: Limits, joins: Buckets | None = None) -> Meter:
    return Meter(limits, joins or Buckets())


def passed(meter: Meter, message: AnyClientMessage | None, most: int, now: float = NOW) -> int:
    """How many of so many messages at once are let through."""
    return sum(not meter.message(message, 10, "me", "here", now) for _ in range(most))


def test_a_burst_passes_at_once_and_then_as_many_as_the_rate_says() -> None:
    bucket, rate = Bucket(), Rate(5, 20)
    assert [bucket.take(rate, 1, NOW) for _ in range(20)] == [0.0] * 20
    assert bucket.take(rate, 1, NOW) > 0
    for second in range(1, 4):
        # A millisecond more: sums of fractions of seconds are not exact.
        assert sum(not bucket.take(rate, 1, NOW + second + 0.001) for _ in range(20)) == 5


@pytest.mark.parametrize(
    ("after", "wait"), [(0.0, 0.2), (0.05, 0.15), (0.15, 0.05), (0.199, 0.001), (0.2, 0.0), (9.0, 0.0)]
)
def test_the_time_to_wait_is_right_to_the_millisecond(after: float, wait: float) -> None:
    bucket, rate = Bucket(), Rate(5, 20)
    bucket.take(rate, 20, NOW)
    assert bucket.take(rate, 1, NOW + after) == pytest.approx(wait, abs=1e-4)


def test_what_is_refused_costs_nothing() -> None:
    bucket, rate = Bucket(), Rate(5, 20)
    bucket.take(rate, 20, NOW)
    waits = {bucket.take(rate, 1, NOW) for _ in range(100)}
    assert len(waits) == 1
    assert bucket.take(rate, 1, NOW + waits.pop()) == 0


def test_a_rate_of_0_is_no_limit() -> None:
    bucket = Bucket()
    assert not any(bucket.take(UNLIMITED, 1e9, NOW) for _ in range(1000))
    assert passed(meter(Limits()), JOIN, 1000) == 1000
    assert not any(meter(Limits()).control_frame(NOW) for _ in range(1000))


def test_a_bucket_is_full_when_all_is_there_again() -> None:
    bucket = Bucket()
    assert bucket.is_full(NOW)
    bucket.take(Rate(5, 20), 20, NOW)
    assert not bucket.is_full(NOW + 3.9)
    assert bucket.is_full(NOW + 4.1)


def test_a_clock_that_is_set_back_costs_no_more_than_one_burst() -> None:
    bucket, rate = Bucket(), Rate(5, 20)
    bucket.take(rate, 20, NOW)
    an_hour_before = NOW - 3600
    assert bucket.take(rate, 1, an_hour_before) <= 4
    assert bucket.take(rate, 1, an_hour_before + 4) == 0


rates = st.builds(Rate, st.floats(0.01, 10_000), st.integers(1, 5000).map(float))
schedules = st.lists(
    st.tuples(st.floats(0, 5) | st.sampled_from([0.0, 0.0, 0.001, 100.0]), st.floats(0.1, 1)), max_size=40
)


@given(rates, schedules)
def test_no_schedule_gets_more_than_the_burst_and_the_rate(
    rate: Rate, schedule: list[tuple[float, float]]
) -> None:
    bucket, now = Bucket(), NOW
    taken: list[tuple[float, float]] = []
    for gap, share in schedule:
        now += gap
        amount = max(1.0, share * rate.burst)
        wait = bucket.take(rate, amount, now)
        if wait:
            # Whoever waits as long as it is told needs not ask a third time.
            assert copy.copy(bucket).take(rate, amount, now + wait) == 0
        else:
            taken.append((now, amount))
    for start, (since, _) in enumerate(taken):
        total = 0.0
        for until, amount in taken[start:]:
            total += amount
            assert total <= rate.burst + rate.per_second * (until - since + 1e-5) + 1e-6


def test_keys_have_a_bucket_each() -> None:
    buckets, rate = Buckets(), Rate(1, 2)
    for key in ("one", "other"):
        assert [buckets.take(key, rate, NOW) for _ in range(3)] == [0, 0, pytest.approx(1)]


def test_full_buckets_are_forgotten_and_no_other() -> None:
    buckets, rate = Buckets(), Rate(1, 10)
    for _ in range(10):
        buckets.take("busy", rate, NOW + 1000)
    for number in range(5000):
        buckets.take(f"idle {number}", rate, NOW + number / 5)
    assert len(buckets._buckets) < 2100
    assert buckets.take("busy", rate, NOW + 1000) > 0


def test_candidates_are_counted_apart_from_other_messages() -> None:
    limits = Limits(messages=Rate(1, 10), candidates=Rate(1, 30))
    one = meter(limits)
    assert passed(one, CANDIDATE, 100) == 30
    assert passed(one, OFFER, 100) == 10
    assert passed(one, CANDIDATE, 100, NOW + 1) == 1


def test_what_is_no_message_counts_as_one() -> None:
    one = meter(Limits(messages=Rate(1, 10)))
    assert passed(one, None, 5) == 5
    assert passed(one, PING, 100) == 5


def test_pings_and_pongs_count_as_messages() -> None:
    one = meter(Limits(messages=Rate(1, 10)))
    assert [one.control_frame(NOW) for _ in range(11)] == [False] * 10 + [True]
    assert one.message(PING, 10, "me", "here", NOW) > 0


def test_bytes_are_counted_for_every_message() -> None:
    one = meter(Limits(message_bytes=Rate(100, 1000)))
    assert one.message(CANDIDATE, 600, "me", "here", NOW) == 0
    assert one.message(OFFER, 600, "me", "here", NOW) == pytest.approx(2)
    assert one.message(None, 400, "me", "here", NOW) == 0
    assert one.message(OFFER, 600, "me", "here", NOW + 6) == 0


def test_joins_are_shared_by_all_connections_of_one_identity() -> None:
    limits, joins = Limits(joins=Rate(1, 3)), Buckets()
    one, other = meter(limits, joins), meter(limits, joins)
    assert one.message(JOIN, 10, "me", "here", NOW) == 0
    assert other.message(LEAVE, 10, "me", "here", NOW) == 0
    assert one.message(AUTH, 10, "me", "here", NOW) == 0
    assert other.message(JOIN, 10, "me", "here", NOW) == pytest.approx(1)
    assert other.message(JOIN, 10, "somebody else", "here", NOW) == 0
    assert other.message(JOIN, 10, "me", "elsewhere", NOW) == 0
    # Nothing else is a join.
    assert other.message(OFFER, 10, "me", "here", NOW) == 0


def test_the_messages_of_one_connection_are_not_those_of_another() -> None:
    limits, joins = Limits(messages=Rate(1, 3)), Buckets()
    assert passed(meter(limits, joins), PING, 10) == 3
    assert passed(meter(limits, joins), PING, 10) == 3


def test_patience_ends_after_30_refused_messages_in_a_row() -> None:
    one = meter(Limits(messages=Rate(1, 1), candidates=Rate(1, 2)))
    assert passed(one, PING, 1 + PATIENCE) == 1
    assert not one.is_out_of_patience
    # One that is let through begins the row anew.
    assert passed(one, CANDIDATE, 1) == 1
    assert passed(one, PING, PATIENCE) == 0
    assert not one.is_out_of_patience
    assert passed(one, PING, 1) == 0
    assert one.is_out_of_patience


small_rates = st.just(UNLIMITED) | st.builds(
    Rate, st.sampled_from([0.5, 1.0, 2.0, 10.0]), st.integers(1, 4)
)
byte_rates = st.just(UNLIMITED) | st.builds(Rate, st.sampled_from([10.0, 100.0]), st.just(100.0))


@given(
    small_rates,
    small_rates,
    byte_rates,
    st.lists(st.tuples(st.sampled_from([JOIN, PING, CANDIDATE]), st.integers(1, 100)), max_size=10),
)
def test_whoever_waits_as_long_as_it_is_told_is_let_through(
    messages: Rate, joins: Rate, message_bytes: Rate, sent: list[tuple[AnyClientMessage, int]]
) -> None:
    one, now = meter(Limits(messages, messages, message_bytes, joins)), NOW
    for message, size in sent:
        wait = one.message(message, size, "me", "here", now)
        if wait:
            now += wait
            assert one.message(message, size, "me", "here", now) == 0

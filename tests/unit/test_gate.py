"""How many connections are let in, against a clock that only the test moves."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from cctvsignal.gate import BUSY_SECONDS, Gate, TooMany
from cctvsignal.limits import Limits, Rate


def enter(gate: Gate, connection: object, address: str | None = None) -> bool:
    """Whether a connection is let in; one that is not is over at once."""
    try:
        gate.enter(connection)
        if address is not None:
            gate.comes_from(connection, address)
    except TooMany:
        gate.leave(connection)
        return False
    return True


def test_without_limits_everybody_comes_in() -> None:
    gate = Gate(Clock(), Limits())
    assert all(enter(gate, number, "192.0.2.1") for number in range(5000))


@pytest.mark.parametrize(
    ("limit", "capacity", "most"), [(3, 0, 3), (0, 3, 3), (3, 5, 3), (5, 3, 3), (1, 1, 1)]
)
def test_there_are_no_more_than_the_limit_and_than_the_process_can_have(
    limit: int, capacity: int, most: int
) -> None:
    gate = Gate(Clock(), Limits(connections=limit), capacity)
    assert sum(enter(gate, number) for number in range(10)) == most
    with pytest.raises(TooMany, match="all the connections") as caught:
        gate.enter("one more")
    assert caught.value.retry_after == BUSY_SECONDS
    gate.leave(0)
    assert enter(gate, "another")
    assert not enter(gate, "one more")


def test_each_address_has_its_own_number() -> None:
    gate = Gate(Clock(), Limits(connections_per_address=2))
    for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
        assert [enter(gate, (address, number), address) for number in range(3)] == [True, True, False]
    gate.leave(("192.0.2.1", 0))
    assert not enter(gate, "x", "192.0.2.2")
    assert enter(gate, "y", "192.0.2.1")


def test_an_ipv6_network_of_one_customer_is_one_address_and_mapped_ipv4_is_ipv4() -> None:
    gate = Gate(Clock(), Limits(connections_per_address=1))
    assert enter(gate, "a", "2001:db8:0:1::1")
    assert not enter(gate, "b", "2001:db8:0:1:ffff::2")
    assert enter(gate, "c", "2001:db8:0:2::1")
    assert enter(gate, "d", "::ffff:192.0.2.1")
    assert not enter(gate, "e", "192.0.2.1")
    assert enter(gate, "f", "192.0.2.2")


def test_the_text_says_whose_connections_are_too_many() -> None:
    gate = Gate(Clock(), Limits(connections_per_address=1))
    enter(gate, "a", "2001:db8:0:1::1")
    gate.enter("b")
    with pytest.raises(TooMany, match="2001:db8:0:1::/64") as caught:
        gate.comes_from("b", "2001:db8:0:1::2")
    assert caught.value.retry_after == BUSY_SECONDS


def test_new_connections_of_an_address_come_no_faster_than_the_rate() -> None:
    clock = Clock()
    gate = Gate(clock, Limits(connects=Rate(2, 4)))
    for number in range(4):
        assert enter(gate, number, "192.0.2.1")
        # That they are over again changes nothing.
        gate.leave(number)
    gate.enter("fifth")
    with pytest.raises(TooMany, match="too fast") as caught:
        gate.comes_from("fifth", "192.0.2.1")
    assert caught.value.retry_after == pytest.approx(0.5)
    gate.leave("fifth")
    assert enter(gate, "somebody else", "192.0.2.2")
    clock.advance(caught.value.retry_after)
    assert enter(gate, "sixth", "192.0.2.1")
    assert not enter(gate, "seventh", "192.0.2.1")


def test_a_connection_that_was_refused_takes_up_no_place_of_its_address() -> None:
    gate = Gate(Clock(), Limits(connections_per_address=1, connects=Rate(1, 100)))
    assert enter(gate, "first", "192.0.2.1")
    assert not any(enter(gate, number, "192.0.2.1") for number in range(10))
    gate.leave("first")
    assert enter(gate, "next", "192.0.2.1")


def test_a_connection_leaves_only_once_and_only_if_it_has_entered() -> None:
    gate = Gate(Clock(), Limits(connections_per_address=2))
    enter(gate, "a", "192.0.2.1")
    enter(gate, "b", "192.0.2.1")
    gate.leave("a")
    gate.leave("a")
    gate.leave("never seen")
    assert enter(gate, "c", "192.0.2.1")
    assert not enter(gate, "d", "192.0.2.1")


def test_nothing_is_kept_of_those_that_are_gone() -> None:
    gate = Gate(Clock(), Limits(connections=10, connections_per_address=10))
    for number in range(100):
        assert enter(gate, number, f"192.0.2.{number}")
        gate.leave(number)
    assert (len(gate._open), len(gate._of)) == (0, 0)

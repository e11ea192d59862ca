"""Section 2.3: what a client's messages with a `requestId` were answered."""

from __future__ import annotations

from twisted.internet.task import Clock

from cctvsignal.repetition import (
    ANSWERS_KEPT,
    BYTES_EACH,
    BYTES_KEPT,
    BYTES_KEPT_IN_ALL,
    REPEAT_SECONDS,
    SWEEP_SECONDS,
    Kept,
    Repetitions,
)


class OneClient:
    """What is kept for one client, at any time of a clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.of_all = Repetitions(self.clock)

    def at(self, now: float) -> Repetitions:
        self.clock.advance(now - self.clock.seconds())
        return self.of_all

    def answered(self, request_id: str, frame: bytes) -> None:
        self.of_all.answered("client", request_id, frame)


def keep(repetitions: OneClient, request_id: str, content: bytes, now: float) -> None:
    kept = repetitions.at(now)
    assert kept.before("client", request_id) is None
    kept.keep("client", request_id, content)


def again(repetitions: OneClient, request_id: str, now: float) -> Kept:
    kept = repetitions.at(now).before("client", request_id)
    assert kept is not None
    return kept


def test_a_new_message_is_kept_with_its_answers_in_order() -> None:
    repetitions = OneClient()
    keep(repetitions, "1", b"content", 5.0)
    repetitions.answered("1", b"first")
    repetitions.answered("1", b"second")
    assert again(repetitions, "1", 5.0).answers == [b"first", b"second"]


def test_a_message_without_an_answer_yet_is_known_too() -> None:
    repetitions = OneClient()
    keep(repetitions, "1", b"content", 0.0)
    kept = again(repetitions, "1", 1.0)
    assert kept.answers == []
    repetitions.answered("1", b"late")
    assert kept.answers == [b"late"]


def test_content_is_the_same_or_not() -> None:
    repetitions = OneClient()
    keep(repetitions, "1", b"content", 0.0)
    kept = again(repetitions, "1", 0.0)
    assert kept.has_content(b"content")
    assert not kept.has_content(b"content ")


def test_ids_do_not_mix() -> None:
    repetitions = OneClient()
    keep(repetitions, "1", b"one", 0.0)
    keep(repetitions, "2", b"two", 0.0)
    repetitions.answered("2", b"answer")
    assert again(repetitions, "1", 0.0).answers == []
    assert again(repetitions, "2", 0.0).has_content(b"two")


def test_a_message_is_known_for_60_seconds_after_it_came_however_often_it_is_repeated() -> None:
    repetitions = OneClient()
    keep(repetitions, "1", b"content", 100.0)
    for later in (0.0, 20.0, 40.0, REPEAT_SECONDS - 0.001):
        again(repetitions, "1", 100.0 + later)
    keep(repetitions, "1", b"other", 100.0 + REPEAT_SECONDS + 0.001)


def test_one_that_is_too_old_does_not_take_newer_ones_with_it() -> None:
    repetitions = OneClient()
    keep(repetitions, "old", b"", 0.0)
    keep(repetitions, "new", b"", 30.0)
    keep(repetitions, "old", b"", 61.0)
    again(repetitions, "new", 61.0)
    again(repetitions, "old", 61.0)


def test_an_answer_to_a_message_that_was_given_up_is_dropped() -> None:
    repetitions = OneClient()
    repetitions.answered("1", b"answer")
    keep(repetitions, "1", b"content", 0.0)


def test_the_oldest_gives_way_when_there_are_too_many() -> None:
    repetitions = OneClient()
    for number in range(ANSWERS_KEPT + 1):
        keep(repetitions, str(number), b"", float(number) / 100)
    keep(repetitions, "0", b"", 3.0)


def test_a_repetition_makes_nothing_give_way() -> None:
    repetitions = OneClient()
    for number in range(ANSWERS_KEPT):
        keep(repetitions, str(number), b"", 0.0)
    for _ in range(2):
        for number in reversed(range(ANSWERS_KEPT)):
            again(repetitions, str(number), 1.0)


def test_long_answers_push_out_the_oldest_ones() -> None:
    repetitions = OneClient()
    for number in range(4):
        keep(repetitions, str(number), b"content", 0.0)
        repetitions.answered(str(number), b"x" * (BYTES_KEPT // 3))
    keep(repetitions, "0", b"content", 1.0)
    assert all(again(repetitions, str(number), 1.0).answers for number in (1, 2, 3))


def test_an_answer_that_is_too_long_is_not_kept() -> None:
    repetitions = OneClient()
    keep(repetitions, "1", b"content", 0.0)
    repetitions.answered("1", b"x" * (BYTES_KEPT + 1))
    keep(repetitions, "1", b"content", 0.0)


def test_what_is_kept_goes_by_itself_from_a_client_that_is_idle() -> None:
    repetitions = OneClient()
    keep(repetitions, "1", b"content", 0.0)
    repetitions.answered("1", b"x" * 1000)
    assert repetitions.of_all.size == 1000 + BYTES_EACH
    assert repetitions.at(REPEAT_SECONDS + SWEEP_SECONDS).size == 0
    assert not repetitions.clock.getDelayedCalls()


def test_nothing_is_left_of_a_client_that_is_gone() -> None:
    repetitions = OneClient()
    for number in range(3):
        keep(repetitions, str(number), b"content", 0.0)
        repetitions.answered(str(number), b"answer")
    repetitions.of_all.forget("client")
    assert repetitions.of_all.size == 0
    assert not repetitions.clock.getDelayedCalls()


def test_all_clients_together_are_bounded_and_the_oldest_of_all_gives_way() -> None:
    of_all = Repetitions(Clock())
    clients = BYTES_KEPT_IN_ALL // BYTES_KEPT + 2
    for client in range(clients):
        of_all.keep(client, "1", b"content")
        of_all.answered(client, "1", b"x" * BYTES_KEPT)
        assert of_all.size <= BYTES_KEPT_IN_ALL
    assert of_all.before(0, "1") is None
    assert of_all.before(clients - 1, "1") is not None

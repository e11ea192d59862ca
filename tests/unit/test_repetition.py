"""Section 2.3: what a client's messages with a `requestId` were answered."""

from __future__ import annotations

from cctvsignal.repetition import ANSWERS_KEPT, BYTES_KEPT, REPEAT_SECONDS, Kept, Repetitions


def keep(repetitions: Repetitions, request_id: str, content: bytes, now: float) -> None:
    assert repetitions.before(request_id, content, now) is None


def again(repetitions: Repetitions, request_id: str, now: float) -> Kept:
    kept = repetitions.before(request_id, b"does not matter", now)
    assert kept is not None
    return kept


def test_a_new_message_is_kept_with_its_answers_in_order() -> None:
    repetitions = Repetitions()
    keep(repetitions, "1", b"content", 5.0)
    repetitions.answered("1", b"first")
    repetitions.answered("1", b"second")
    assert again(repetitions, "1", 5.0).answers == [b"first", b"second"]


def test_a_message_without_an_answer_yet_is_known_too() -> None:
    repetitions = Repetitions()
    keep(repetitions, "1", b"content", 0.0)
    kept = again(repetitions, "1", 1.0)
    assert kept.answers == []
    repetitions.answered("1", b"late")
    assert kept.answers == [b"late"]


def test_content_is_the_same_or_not() -> None:
    repetitions = Repetitions()
    keep(repetitions, "1", b"content", 0.0)
    kept = again(repetitions, "1", 0.0)
    assert kept.has_content(b"content")
    assert not kept.has_content(b"content ")


def test_ids_do_not_mix() -> None:
    repetitions = Repetitions()
    keep(repetitions, "1", b"one", 0.0)
    keep(repetitions, "2", b"two", 0.0)
    repetitions.answered("2", b"answer")
    assert again(repetitions, "1", 0.0).answers == []
    assert again(repetitions, "2", 0.0).has_content(b"two")


def test_a_message_is_known_for_60_seconds_after_it_came_however_often_it_is_repeated() -> None:
    repetitions = Repetitions()
    keep(repetitions, "1", b"content", 100.0)
    for later in (0.0, 20.0, 40.0, REPEAT_SECONDS - 0.001):
        again(repetitions, "1", 100.0 + later)
    keep(repetitions, "1", b"other", 100.0 + REPEAT_SECONDS + 0.001)


def test_one_that_is_too_old_does_not_take_newer_ones_with_it() -> None:
    repetitions = Repetitions()
    keep(repetitions, "old", b"", 0.0)
    keep(repetitions, "new", b"", 30.0)
    keep(repetitions, "old", b"", 61.0)
    again(repetitions, "new", 61.0)
    again(repetitions, "old", 61.0)


def test_an_answer_to_a_message_that_was_given_up_is_dropped() -> None:
    repetitions = Repetitions()
    repetitions.answered("1", b"answer")
    keep(repetitions, "1", b"content", 0.0)


def test_the_oldest_gives_way_when_there_are_too_many() -> None:
    repetitions = Repetitions()
    for number in range(ANSWERS_KEPT + 1):
        keep(repetitions, str(number), b"", float(number) / 100)
    keep(repetitions, "0", b"", 3.0)


def test_a_repetition_makes_nothing_give_way() -> None:
    repetitions = Repetitions()
    for number in range(ANSWERS_KEPT):
        keep(repetitions, str(number), b"", 0.0)
    for _ in range(2):
        for number in reversed(range(ANSWERS_KEPT)):
            again(repetitions, str(number), 1.0)


def test_long_answers_push_out_the_oldest_ones() -> None:
    repetitions = Repetitions()
    for number in range(4):
        keep(repetitions, str(number), b"content", 0.0)
        repetitions.answered(str(number), b"x" * (BYTES_KEPT // 3))
    keep(repetitions, "0", b"content", 1.0)
    assert all(again(repetitions, str(number), 1.0).answers for number in (1, 2, 3))


def test_an_answer_that_is_too_long_is_not_kept() -> None:
    repetitions = Repetitions()
    keep(repetitions, "1", b"content", 0.0)
    repetitions.answered("1", b"x" * (BYTES_KEPT + 1))
    keep(repetitions, "1", b"content", 0.0)

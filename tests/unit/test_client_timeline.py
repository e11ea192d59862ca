"""One line of time from stamps that nobody should trust."""

from __future__ import annotations

from cctvsignal_clients.packets import AUDIO_CLOCK, VIDEO_CLOCK
from cctvsignal_clients.timeline import DRIFT, JUMP_SECONDS, REORDER_SECONDS, Timeline
from hypothesis import given
from hypothesis import strategies as st

FRAME = VIDEO_CLOCK // 25


def placed(line: Timeline, stamps: list[int], begin: float = 100.0, rate: float = 25.0) -> list[int]:
    """Where these stamps are, which come at this rate."""
    return [line.place(stamp, begin + number / rate) for number, stamp in enumerate(stamps)]


def test_plausible_stamps_stay_as_they_are() -> None:
    stamps = [7000 + number * FRAME + number % 3 for number in range(200)]
    line = Timeline(VIDEO_CLOCK, REORDER_SECONDS)
    assert placed(line, stamps) == stamps
    assert line.jumps == 0


def test_a_wrap_of_32_bits_is_no_jump() -> None:
    begin = 2**32 - 50 * FRAME
    stamps = [(begin + number * FRAME) % 2**32 for number in range(100)]
    line = Timeline(VIDEO_CLOCK, REORDER_SECONDS)
    assert placed(line, stamps) == [begin + number * FRAME for number in range(100)]
    assert line.jumps == 0


def test_what_aiortc_takes_for_a_wrap_is_a_step_back() -> None:
    # Pictures that come in the order of decoding (B pictures), with 2^32 added at each step back.
    stamps = [0, 2 * FRAME, FRAME + 2**32, 4 * FRAME + 2**32, 3 * FRAME + 2 * 2**32, 6 * FRAME + 2 * 2**32]
    line = Timeline(VIDEO_CLOCK, REORDER_SECONDS)
    times = placed(line, stamps)
    assert times == [0, 2 * FRAME, 2 * FRAME + 1, 4 * FRAME, 4 * FRAME + 1, 6 * FRAME]
    assert line.jumps == 0


def test_stamps_that_begin_anew_go_on_at_the_time_of_arrival() -> None:
    stamps = [*range(0, 50 * 960, 960), *range(0, 50 * 960, 960), *range(0, 50 * 960, 960)]
    line = Timeline(AUDIO_CLOCK, 0.0)
    assert placed(line, stamps, rate=50) == list(range(0, 150 * 960, 960))
    assert line.jumps == 2


def test_the_true_gap_is_in_the_line_whatever_stamps_say() -> None:
    for stamp in (0, 50 * FRAME, 3600 * VIDEO_CLOCK, 20 * 3600 * VIDEO_CLOCK):
        line = Timeline(VIDEO_CLOCK, REORDER_SECONDS)
        last = placed(line, [number * FRAME for number in range(50)])[-1]
        after = line.place(stamp, 100 + 49 / 25 + 120)
        assert after - last == 120 * VIDEO_CLOCK
        assert line.place(stamp + FRAME, 100 + 50 / 25 + 120) == after + FRAME


def test_a_group_of_pictures_that_comes_in_one_burst_is_believed() -> None:
    line = Timeline(VIDEO_CLOCK, REORDER_SECONDS)
    stamps = [number * FRAME for number in range(200)]
    assert [line.place(stamp, 5.0) for stamp in stamps] == stamps


@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.floats(0, 60)), max_size=80))
def test_no_stamps_at_all_leave_the_true_time_far_behind(packets: list[tuple[int, float]]) -> None:
    line, now = Timeline(VIDEO_CLOCK, REORDER_SECONDS), 0.0
    first: int | None = None
    last: int | None = None
    for number, (stamp, pause) in enumerate(packets):
        now += pause if number else 0.0
        at = line.place(stamp, now)
        first = at if first is None else first
        assert last is None or at > last
        last = at
        slack = (JUMP_SECONDS + DRIFT * now) * VIDEO_CLOCK + len(packets) + 1
        assert abs(at - first - now * VIDEO_CLOCK) <= slack

"""Packets on their way to many viewers, and what their receivers report: the rules, without a clock."""

from __future__ import annotations

import pytest
from cctvsignal_clients import bridge
from cctvsignal_clients.packets import (
    GROUP_BYTES,
    METER_SECONDS,
    QUEUE_PACKETS,
    RESTART_SECONDS,
    GroupOfPictures,
    Meter,
    Packet,
    PacketFeed,
    PacketReader,
)
from cctvsignal_clients.queues import GROUP_PACKETS
from cctvsignal_clients.rates import (
    FIRST_REST_SECONDS,
    LONGEST_REST_SECONDS,
    WINDOW_SECONDS,
    SharedBitrate,
    ViewerRate,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.live import deadline


def picture(number: int, size: int = 10) -> Packet:
    """The packet with this number; each tenth is a keyframe."""
    return Packet(bytes([number % 256]) * size, number * 6000, keyframe=number % 10 == 0)


async def drain(reader: PacketReader) -> list[int]:
    """The numbers of all packets that wait for a reader."""
    numbers = []
    while reader._waiting:
        numbers.append((await bridge.start(reader.next())).data[0])
    return numbers


@deadline()
async def test_a_reader_begins_with_a_keyframe_and_asks_for_it() -> None:
    feed, asked = PacketFeed(), []
    feed.on_keyframe_wanted = lambda: asked.append(1)
    early = feed.read()
    for number in range(5, 13):
        feed.put(picture(number), number / 15)
    late = feed.read()
    for number in range(13, 22):
        feed.put(picture(number), number / 15)
    assert await drain(early) == list(range(10, 22))
    assert await drain(late) == [20, 21]
    assert len(asked) == 2
    early.need_keyframe()
    assert len(asked) == 3


@deadline()
async def test_who_comes_right_after_a_keyframe_begins_with_it() -> None:
    feed, asked = PacketFeed(group=GroupOfPictures()), []
    feed.on_keyframe_wanted = lambda: asked.append(1)
    for number in range(10, 13):
        feed.put(picture(number), number / 15)
    assert await drain(feed.read()) == [10, 11, 12]
    assert not asked
    for number in range(13, 18):
        feed.put(picture(number), number / 15)
    assert await drain(feed.read()) == []
    assert asked


@deadline()
async def test_a_reader_that_is_slow_loses_packets_and_the_others_none() -> None:
    feed, asked = PacketFeed(), []
    slow, fast = feed.read(), feed.read()
    feed.on_keyframe_wanted = lambda: asked.append(1)
    seen = []
    for number in range(QUEUE_PACKETS + 5):
        feed.put(picture(number), number / 15)
        seen += await drain(fast)
    assert seen == list(range(QUEUE_PACKETS + 5))
    # 100 is a keyframe: it goes on there.
    assert await drain(slow) == list(range(100, QUEUE_PACKETS + 5))
    assert asked == [1]


@deadline()
async def test_a_viewer_with_keyframes_only_goes_on_at_a_keyframe() -> None:
    feed = PacketFeed()
    reader = feed.read()
    for number in range(30):
        reader.keyframes_only = 3 <= number < 25
        feed.put(picture(number), 0)
    # 25 to 29 build on what it did not get.
    assert await drain(reader) == [0, 1, 2, 10, 20]
    asked: list[int] = []
    feed.on_keyframe_wanted = lambda: asked.append(1)
    reader.keyframes_only = True
    reader.need_keyframe()
    assert not asked
    reader.keyframes_only = False
    feed.put(picture(30), 0)
    feed.put(picture(31), 0)
    assert await drain(reader) == [30, 31]


@deadline()
async def test_where_nobody_makes_keyframes_a_reader_gets_the_present_group_at_once() -> None:
    feed = PacketFeed(group=GroupOfPictures())
    feed.keyframes_on_demand = False
    for number in range(18):
        feed.put(picture(number), 100)
    reader = feed.read()
    packets = [await bridge.start(reader.next()) for _ in range(8)]
    assert [packet.data[0] for packet in packets] == list(range(10, 18))
    stamps = [packet.pts for packet in packets]
    assert stamps == sorted(set(stamps))
    # As if it had happened just now, so that nobody shows it at its old speed, and not all in one burst.
    assert stamps[-1] == 17 * 6000
    assert stamps[-1] - stamps[0] < 6000
    assert all(packet.pause > 0 for packet in packets)
    feed.put(picture(18), 100)
    assert (await bridge.start(reader.next())).pts == 18 * 6000
    # Again when it could not follow, though not over and over.
    reader.need_keyframe()
    assert await drain(reader) == []
    feed.put(picture(19), 100 + RESTART_SECONDS)
    await drain(reader)
    reader.need_keyframe()
    assert await drain(reader) == list(range(10, 20))


@deadline()
async def test_a_reader_that_runs_is_never_sent_back_in_time() -> None:
    feed = PacketFeed(group=GroupOfPictures())
    feed.keyframes_on_demand = False
    for number in range(15):
        feed.put(picture(number), 100 + number / 15)
    reader = feed.read()
    packets = [await bridge.start(reader.next()) for _ in range(5)]
    for number in range(15, 18):
        feed.put(picture(number), 100 + number / 15)
    packets += [await bridge.start(reader.next()) for _ in range(3)]
    feed.put(picture(18), 100 + RESTART_SECONDS + 1)
    packets.append(await bridge.start(reader.next()))
    reader.need_keyframe()
    feed.put(picture(19), 100 + RESTART_SECONDS + 1 + 1 / 15)
    packets += [await bridge.start(reader.next()) for _ in range(10)]
    assert [packet.data[0] for packet in packets] == [*range(10, 19), *range(10, 20)]
    stamps = [packet.pts for packet in packets]
    assert stamps == sorted(set(stamps))
    # And not ahead of the pictures that come now.
    assert stamps[-1] == 19 * 6000


@deadline()
async def test_a_reader_that_records_goes_on_where_it_was() -> None:
    feed = PacketFeed(group=GroupOfPictures(as_it_was=True))
    feed.keyframes_on_demand = False
    reader = feed.read()
    for number in range(3):
        feed.put(Packet(bytes([number]), number * 6000, keyframe=number == 0), number / 15)
    assert await drain(reader) == [0, 1, 2]
    for number in range(3, 3 + QUEUE_PACKETS + 5):
        feed.put(Packet(bytes([number]), number * 6000, keyframe=False), number / 15)
    # It was too slow, and has lost nothing all the same.
    assert await drain(reader) == list(range(3, 3 + QUEUE_PACKETS + 5))


@deadline()
async def test_a_long_group_is_not_taken_for_a_slow_reader() -> None:
    feed = PacketFeed(group=GroupOfPictures())
    feed.keyframes_on_demand = False
    for number in range(QUEUE_PACKETS * 2):
        feed.put(Packet(b"x", number, keyframe=number == 0), 0)
    reader = feed.read()
    feed.put(Packet(b"y", 1000, keyframe=False), 0)
    assert len(await drain(reader)) == QUEUE_PACKETS * 2 + 1


def test_a_group_is_bounded() -> None:
    group = GroupOfPictures(as_it_was=True)
    group.add(Packet(b"delta", 0, keyframe=False))
    assert group.packets() == []
    for number in range(GROUP_PACKETS + 1):
        group.add(Packet(b"x", number, keyframe=number == 0))
    assert group.packets() == []
    keyframe = Packet(bytes(GROUP_BYTES), 1)
    group.add(keyframe)
    assert group.packets() == [keyframe]
    group.add(Packet(b"x", 2, keyframe=False))
    assert group.packets() == []


@deadline()
async def test_readers_are_told_of_and_ended() -> None:
    feed, counts = PacketFeed(), []
    feed.on_readers = lambda: counts.append(len(feed.readers))
    first, second = feed.read(), feed.read()
    first.close()
    first.close()
    assert counts == [1, 2, 1]
    feed.end()
    for reader in (first, second):
        with pytest.raises(StopAsyncIteration):
            await bridge.start(reader.next())


def test_a_meter_forgets() -> None:
    meter = Meter()
    for tenth in range(100):
        meter.add(1000, tenth / 10)
    assert 9.5 <= meter.per_second(9.95) <= 10.5
    assert meter.bits_per_second(9.95) == 8000 * meter.per_second(9.95)
    assert meter.bits_per_second(10 + METER_SECONDS) == 0


FLOOR, SENT = 100_000, 400_000


def report(viewer: ViewerRate, bitrate: float, *times: float, floor: float | None = FLOOR) -> None:
    for now in times:
        viewer.estimate(bitrate, SENT, floor, now)


def fall_to(viewer: ViewerRate, bitrate: float, now: float, floor: float | None = FLOOR) -> float:
    """Estimates that fall to this one, until what was before has been forgotten; the time by then."""
    report(viewer, SENT * 2, now, floor=floor)
    for step in range(20):
        now += WINDOW_SECONDS / 10
        # Never quite the same: it goes on falling a little.
        report(viewer, bitrate * (2 - step / 40) if step < 10 else bitrate * 0.96**step, now, floor=floor)
        if viewer.keyframes_only(now):
            break
    return now


def test_an_estimate_counts_only_while_it_is_below_what_is_sent() -> None:
    viewer = ViewerRate()
    report(viewer, SENT, 0)
    # A single bad one, from a receiver that was busy, is none.
    report(viewer, SENT / 2, 1)
    assert viewer.limit is None
    report(viewer, SENT / 2.2, 1 + WINDOW_SECONDS)
    assert viewer.limit == SENT / 2
    report(viewer, SENT * 2, 2 + WINDOW_SECONDS)
    assert viewer.limit is None


def test_an_estimate_that_climbs_from_far_below_is_no_limit() -> None:
    viewer = ViewerRate()
    for second in range(60):
        report(viewer, FLOOR / 2 * 1.05**second, second)
        assert viewer.limit is None
        assert not viewer.keyframes_only(second)


def test_an_estimate_counts_where_packets_are_lost_though_it_climbs() -> None:
    viewer = ViewerRate()
    report(viewer, SENT / 3, 0)
    viewer.lost(0.05, 0.5)
    report(viewer, SENT / 2.9, 1)
    assert viewer.limit is None
    viewer.lost(0.3, 1.5)
    report(viewer, SENT / 2.8, 2)
    assert viewer.limit == SENT / 2.8
    # For a while, and not for ever.
    report(viewer, SENT / 2.7, 2 + WINDOW_SECONDS)
    assert viewer.limit is None


def test_a_viewer_that_cannot_take_the_floor_gets_keyframes_only_and_is_tried_again() -> None:
    viewer = ViewerRate()
    begin = fall_to(viewer, FLOOR / 2, 10)
    assert viewer.keyframes_only(begin)
    # It holds back nobody meanwhile, whatever it reports of the little that it gets.
    report(viewer, FLOOR / 10, begin + 1)
    viewer.lost(1, begin + 1)
    assert viewer.limit is None
    assert viewer.keyframes_only(begin + FIRST_REST_SECONDS - 0.1)
    assert not viewer.keyframes_only(begin + FIRST_REST_SECONDS)
    # A try that fails makes the next one later.
    again = fall_to(viewer, FLOOR / 2, begin + FIRST_REST_SECONDS)
    assert viewer.keyframes_only(again + 2 * FIRST_REST_SECONDS - 0.1)
    assert not viewer.keyframes_only(again + 2 * FIRST_REST_SECONDS)


def test_one_bad_moment_costs_nobody_the_picture() -> None:
    viewer = ViewerRate()
    report(viewer, FLOOR / 2, 0)
    viewer.lost(0.5, 0.5)
    for tenth in range(6, 60):
        report(viewer, FLOOR / 2, tenth / 10)
        assert not viewer.keyframes_only(tenth / 10)
        if tenth > 25:
            assert viewer.limit is None


def test_a_path_below_what_nobody_can_lower_gets_keyframes_only() -> None:
    viewer = ViewerRate()
    assert viewer.keyframes_only(fall_to(viewer, SENT / 3, 0, floor=None))


def test_no_rest_is_longer_than_the_longest() -> None:
    viewer, now = ViewerRate(), 0.0
    for _ in range(10):
        now = fall_to(viewer, 1, now)
        assert viewer.keyframes_only(now)
        now += LONGEST_REST_SECONDS
        assert not viewer.keyframes_only(now)


@given(st.lists(st.tuples(st.floats(0, 5), st.one_of(st.none(), st.floats(1, 10_000_000))), max_size=50))
def test_the_bitrate_stays_between_its_bounds(steps: list[tuple[float, float | None]]) -> None:
    shared, now = SharedBitrate(FLOOR, SENT), 0.0
    for pause, limit in steps:
        now += pause
        before = shared.target
        target = shared.update([limit, None], now)
        assert FLOOR <= target <= SENT
        if limit is not None:
            assert target <= max(before, FLOOR)
            assert target <= max(limit, FLOOR)
        else:
            assert target >= before


def test_the_bitrate_follows_the_slowest_down_and_climbs_back() -> None:
    shared = SharedBitrate(FLOOR, SENT)
    shared.update([None], 0)
    assert shared.update([300_000, 200_000, None], 1) == 200_000
    assert 200_000 < shared.update([None, None], 2) < 250_000
    assert shared.update([None], 60) == SENT

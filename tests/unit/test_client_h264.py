"""What must be known of H.264 to pass it on, tried on what libx264 makes."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest
from cctvsignal_clients.h264 import (
    DELIMITER,
    PICTURE_PARAMETERS,
    SEQUENCE_PARAMETERS,
    SLICE_IDR,
    START_CODE,
    SUPPLEMENTAL_INFORMATION,
    ParameterSets,
    begins_group,
    is_b_slice,
    is_recovery_point,
    kind,
    nal_units,
)
from cctvsignal_clients.sources.pattern import draw
from hypothesis import given
from hypothesis import strategies as st

from tests.h264_streams import (
    DELIMITER_UNIT,
    I_PICTURES,
    INTRA_REFRESH,
    SCENE_FRAMES,
    Picture,
    decoded_counters,
    groups,
    only,
    pictures,
    record,
    scenes,
    to_bytes,
    with_ids,
    without,
)
from tests.unit.test_client_frames import NOON


def encode(frames: int, **options: str) -> list[bytes]:
    """So many pictures as byte streams, the first one with the parameter sets."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 640, 480, "yuv420p"
    encoder.time_base = Fraction(1, 15)
    encoder.options = {"preset": "ultrafast", **options}
    packets = []
    for number in range(frames):
        frame = draw(number, NOON)
        frame.pts, frame.time_base = number, Fraction(1, 15)
        packets += encoder.encode(frame)
    return [bytes(packet) for packet in [*packets, *encoder.encode(None)]]


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_b_slices_are_told_from_others(profile: str) -> None:
    with_b = {} if profile == "baseline" else {"bf": "2", "b-adapt": "0"}
    pictures = encode(12, profile=profile, **with_b)
    found = [any(is_b_slice(unit) for unit in nal_units(picture)) for picture in pictures]
    assert found[0] is False
    assert any(found) == (profile != "baseline")


def test_keyframes_get_the_parameter_sets_that_they_lack() -> None:
    first, *others = encode(3, profile="baseline")
    units = {kind(unit): unit for unit in nal_units(first)}
    assert {SEQUENCE_PARAMETERS, PICTURE_PARAMETERS, SLICE_IDR} <= set(units)
    bare = START_CODE + units[SLICE_IDR]
    extradata = b"".join(START_CODE + units[each] for each in (SEQUENCE_PARAMETERS, PICTURE_PARAMETERS))
    for sets in (ParameterSets(extradata), ParameterSets(b"")):
        # Learned from what came before, if they were not told at first.
        assert sets.complete(first) == (first, True, False)
        assert sets.complete(bare) == (extradata + bare, True, False)
        assert sets.complete(others[0]) == (others[0], False, False)


ID_SEI = b"\x06\x05\x10" + bytes(range(1, 17)) + b"\x80"
"""Something for applications that comes between parameter sets and slices."""
BOTH = {SEQUENCE_PARAMETERS, PICTURE_PARAMETERS}


def with_sets(stream: list[Picture], ids: list[tuple[int, int]]) -> tuple[list[bytes], list[Picture]]:
    """The parameter sets of a stream whose groups use those of `ids` in turn, and its pictures alone."""
    sets = {}
    for number in ids:
        for unit in only(BOTH, stream[0]):
            changed = with_ids(unit, *number)
            sets[kind(unit), number[kind(unit) == PICTURE_PARAMETERS]] = changed
    changed_groups = [
        [[with_ids(unit, *ids[at % len(ids)]) for unit in picture] for picture in group]
        for at, group in enumerate(groups(without(BOTH, stream)))
    ]
    units = [sets[key] for key in sorted(sets)]
    return units, [picture for group in changed_groups for picture in group]


@pytest.fixture(scope="module")
def baseline() -> list[Picture]:
    return pictures(24, profile="baseline", g="4")


IDS = {
    "one PPS": [(0, 0)],
    "two PPS": [(0, 0), (0, 1)],
    "three PPS": [(0, 0), (0, 5), (0, 255)],
    "two SPS": [(0, 0), (3, 1)],
    "two SPS, four PPS": [(0, 0), (31, 1), (0, 2), (31, 3)],
}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
@pytest.mark.parametrize("place", ["Annex B", "avcC", "first picture"])
@pytest.mark.parametrize("start_code", [START_CODE, START_CODE[1:]], ids=["long", "short"])
@pytest.mark.parametrize("delimited", [False, True], ids=["bare", "delimited"])
def test_every_group_can_be_decoded_by_itself(
    baseline: list[Picture], ids: list[tuple[int, int]], place: str, start_code: bytes, delimited: bool
) -> None:
    units, stream = with_sets(baseline, ids)
    extradata = {"Annex B": to_bytes(units, start_code), "avcC": record(units)}.get(place, b"")
    if place == "first picture":
        stream[0] = units + stream[0]
    if delimited:
        stream = [[DELIMITER_UNIT, *picture] for picture in stream]
    sets = ParameterSets(extradata)
    found = [sets.complete(to_bytes(picture, start_code)) for picture in stream]
    assert [keyframe for _, keyframe, _ in found] == [number % 4 == 0 for number in range(24)]
    for at in range(0, 24, 4):
        completed = [picture for picture, _, _ in found[at : at + 4]]
        assert list(decoded_counters(completed)) == list(range(at, at + 4))
        kinds = [kind(unit) for unit in nal_units(completed[0])]
        assert not delimited or (kinds[0] == DELIMITER and kinds.count(DELIMITER) == 1)


def test_a_keyframe_that_brings_some_of_its_parameter_sets_gets_the_others(baseline: list[Picture]) -> None:
    ids = [(0, 0), (3, 1), (3, 2)]
    units, stream = with_sets(baseline, ids)
    sets = ParameterSets(to_bytes(units))
    for at, group in enumerate(groups(stream)):
        # Those of the group before: what it has is not what it needs.
        own = [with_ids(unit, *ids[at % 3 - 1]) for unit in only(BOTH, baseline[0])]
        group[0] = [DELIMITER_UNIT, *own[at % 2 :], ID_SEI, *group[0]]
        completed = [sets.complete(to_bytes(picture))[0] for picture in group]
        assert list(decoded_counters(completed)) == list(range(at * 4, at * 4 + 4))


def test_a_changed_sequence_keeps_its_picture_parameters_until_they_are_replaced() -> None:
    small = pictures(4, profile="baseline", g="4", **{"x264-params": "level=22"})
    large = pictures(4, profile="baseline", g="4", **{"x264-params": "level=40"})
    (old,), (new,) = (only({SEQUENCE_PARAMETERS}, stream[0]) for stream in (small, large))
    (pps,) = only({PICTURE_PARAMETERS}, small[0])
    other = with_ids(pps, 0, 1)
    sets = ParameterSets(to_bytes([old, pps, other]))
    first = without(BOTH, small)[0]
    assert sets.complete(to_bytes([new, *first]))[0] == to_bytes([new, pps, other, new, *first])
    assert sets.complete(to_bytes(first))[0] == to_bytes([new, pps, other, *first])
    changed = pps[:-1] + bytes([pps[-1] ^ 0x40])
    sets.complete(to_bytes([changed]))
    assert sets.complete(to_bytes(first))[0] == to_bytes([new, changed, other, *first])


def test_a_complete_keyframe_stays_as_it_is(baseline: list[Picture]) -> None:
    units, stream = with_sets(baseline, [(0, 0), (0, 1)])
    whole = to_bytes([DELIMITER_UNIT, *units, ID_SEI, *stream[0]], START_CODE[1:])
    assert ParameterSets(to_bytes(units)).complete(whole) == (whole, True, False)


def test_recovery_points_and_i_pictures_begin_a_group() -> None:
    refreshed = pictures(50, **INTRA_REFRESH)
    assert [number for number, picture in enumerate(refreshed) if begins_group(picture)] == [0, 20, 40]
    assert not any(begins_group(picture) for picture in without({SUPPLEMENTAL_INFORMATION}, refreshed)[1:])
    (message,) = [unit for unit in refreshed[20] if kind(unit) == SUPPLEMENTAL_INFORMATION]
    # Several messages in one NAL unit, one of them longer than a byte of size can say.
    long = b"\x06\x05\xff\x05" + b"\x11" * 260 + message[1:]
    assert is_recovery_point(message)
    assert is_recovery_point(ID_SEI[:-1] + message[1:])
    assert is_recovery_point(long)
    assert not is_recovery_point(ID_SEI)
    assert not is_recovery_point(long[:200])
    changing = pictures(40, scenes, **I_PICTURES)
    assert [number for number, picture in enumerate(changing) if begins_group(picture)] == [
        *range(0, 40, SCENE_FRAMES)
    ]


@given(
    st.lists(st.binary(min_size=1, max_size=20).filter(lambda unit: not unit.endswith(b"\0")), max_size=5)
)
def test_units_come_out_as_they_went_in(units: list[bytes]) -> None:
    units = [unit.replace(b"\0\0", b"\0\1") for unit in units]
    stream = b"".join(START_CODE[number % 2 :] + unit for number, unit in enumerate(units))
    assert list(nal_units(stream)) == units


@given(st.binary(max_size=60))
def test_no_bytes_are_too_odd(stream: bytes) -> None:
    for unit in nal_units(stream):
        is_b_slice(unit)
        is_recovery_point(unit)
    begins_group(list(nal_units(stream)))
    ParameterSets(stream).complete(stream)

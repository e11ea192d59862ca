"""What must be known of H.264 to pass it on, tried on what libx264 makes."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest
from cctvsignal_clients.h264 import (
    PICTURE_PARAMETERS,
    SEQUENCE_PARAMETERS,
    SLICE_IDR,
    START_CODE,
    ParameterSets,
    is_b_slice,
    kind,
    nal_units,
)
from cctvsignal_clients.sources.pattern import draw
from hypothesis import given
from hypothesis import strategies as st

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
    ParameterSets(stream).complete(stream)

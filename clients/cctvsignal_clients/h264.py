"""The little that must be known of H.264 to pass it on: its NAL units (ITU-T H.264, 7.3 and 7.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

START_CODE: Final = b"\x00\x00\x00\x01"
SLICE: Final = 1
SLICE_IDR: Final = 5
SEQUENCE_PARAMETERS: Final = 7
PICTURE_PARAMETERS: Final = 8
B_SLICES: Final = frozenset({1, 6})
"""Values of slice_type (section 7.4.3): this slice is B, and all of the picture are."""


def nal_units(stream: bytes) -> Iterator[bytes]:
    """The NAL units of a byte stream (Annex B), without their start codes."""
    at = stream.find(b"\x00\x00\x01")
    while at >= 0:
        begin = at + 3
        at = stream.find(b"\x00\x00\x01", begin)
        # What comes before a start code of four bytes is a zero byte that belongs to it.
        yield (stream[begin:] if at < 0 else stream[begin:at]).rstrip(b"\x00")


def kind(unit: bytes) -> int:
    """The nal_unit_type."""
    return unit[0] & 0x1F if unit else 0


def is_b_slice(unit: bytes) -> bool:
    """Whether this NAL unit is a slice of a B picture, which browsers show badly in real time."""
    if kind(unit) != SLICE:
        return False
    bits = "".join(f"{byte:08b}" for byte in unit[1:12].replace(b"\x00\x00\x03", b"\x00\x00"))
    at, value = 0, 0
    # first_mb_in_slice and slice_type, both Exp-Golomb coded (section 9.1).
    for _ in range(2):
        zeros = bits.find("1", at) - at
        if zeros < 0 or at + 2 * zeros + 1 > len(bits):
            return False
        value = int(bits[at + zeros : at + 2 * zeros + 1], 2) - 1
        at += 2 * zeros + 1
    return value in B_SLICES


class ParameterSets:
    """Puts the parameter sets before keyframes that come without: who joins there needs them."""

    def __init__(self, extradata: bytes) -> None:
        self._sets: dict[int, bytes] = {}
        self._learn(list(nal_units(extradata)))

    def complete(self, picture: bytes) -> tuple[bytes, bool, bool]:
        """A picture (Annex B) with what it needs, whether it is a keyframe, and whether it has B slices."""
        units = list(nal_units(picture))
        self._learn(units)
        kinds = {kind(unit) for unit in units}
        keyframe = SLICE_IDR in kinds
        if keyframe and not kinds >= {SEQUENCE_PARAMETERS, PICTURE_PARAMETERS}:
            picture = self.as_stream() + picture
        return picture, keyframe, any(is_b_slice(unit) for unit in units)

    def as_stream(self) -> bytes:
        """The parameter sets themselves, as a byte stream."""
        return b"".join(START_CODE + self._sets[number] for number in sorted(self._sets))

    def _learn(self, units: list[bytes]) -> None:
        for unit in units:
            if kind(unit) in (SEQUENCE_PARAMETERS, PICTURE_PARAMETERS):
                self._sets[kind(unit)] = unit

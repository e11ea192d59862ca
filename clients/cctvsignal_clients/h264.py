"""The little that must be known of H.264 to pass it on: its NAL units (ITU-T H.264, 7.3 and 7.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

START_CODE: Final = b"\x00\x00\x00\x01"
SLICE: Final = 1
SLICE_IDR: Final = 5
SUPPLEMENTAL_INFORMATION: Final = 6
SEQUENCE_PARAMETERS: Final = 7
PICTURE_PARAMETERS: Final = 8
DELIMITER: Final = 9
B_SLICES: Final = frozenset({1, 6})
"""Values of slice_type (section 7.4.3): this slice is B, and all of the picture are."""
I_SLICES: Final = frozenset({2, 7})
RECOVERY_POINT: Final = 6
"""The payloadType of a recovery point (section D.1.8)."""
HEADER_BYTES: Final = 32
"""More than the numbers take that are read at the beginning of a NAL unit."""
ID_AT_BIT: Final = {SEQUENCE_PARAMETERS: 24, PICTURE_PARAMETERS: 0}
"""Where a parameter set has its id: after profile and level (7.3.2.1.1), or at once (7.3.2.2)."""
MOST_ID: Final = {SEQUENCE_PARAMETERS: 31, PICTURE_PARAMETERS: 255}


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


def slice_type(unit: bytes) -> int | None:
    """The slice_type of a coded slice; None for a NAL unit of another kind."""
    if kind(unit) not in (SLICE, SLICE_IDR):
        return None
    # It comes after first_mb_in_slice.
    numbers = _exp_golomb(unit, 0, 2)
    return numbers[1] if numbers else None


def is_b_slice(unit: bytes) -> bool:
    """Whether this NAL unit is a slice of a B picture, which browsers show badly in real time."""
    return slice_type(unit) in B_SLICES


def is_recovery_point(unit: bytes) -> bool:
    """Whether this NAL unit says that a decoder may begin at its picture (a recovery point SEI message)."""
    if kind(unit) != SUPPLEMENTAL_INFORMATION:
        return False
    payload, at = _payload(unit), 0
    # What is left at the end is at least the byte of the rbsp_trailing_bits.
    while at < len(payload) - 1:
        numbers = []
        for _ in range(2):  # payloadType and payloadSize, each in bytes of 255 and a last one (7.3.2.3.1).
            number = 0
            while at < len(payload) and payload[at] == 0xFF:
                number, at = number + 0xFF, at + 1
            if at == len(payload):
                return False
            numbers.append(number + payload[at])
            at += 1
        if numbers[0] == RECOVERY_POINT:
            return True
        at += numbers[1]
    return False


def begins_group(units: Sequence[bytes]) -> bool:
    """Whether a decoder can begin at the picture of these NAL units, if perhaps with damaged pictures.

    That is an IDR picture, a recovery point, or a picture of I slices only. Receivers of WebRTC wait for
    the first of these.
    """
    kinds = {kind(unit) for unit in units}
    if SLICE_IDR in kinds or any(is_recovery_point(unit) for unit in units):
        return True
    slices = [slice_type(unit) for unit in units if kind(unit) == SLICE]
    return bool(slices) and all(each in I_SLICES for each in slices)


class ParameterSets:
    """Puts the parameter sets before keyframes that lack any: who joins there needs them.

    A stream may use several of each kind in turn, told apart by their ids. `extradata` is what a container
    or an SDP says of the stream: a byte stream (Annex B) or an AVCDecoderConfigurationRecord.
    """

    def __init__(self, extradata: bytes) -> None:
        self._sets: dict[tuple[int, int], bytes] = {}
        is_stream = extradata.startswith((START_CODE, START_CODE[1:]))
        self._learn(nal_units(extradata) if is_stream else _units_of_record(extradata))

    def complete(self, picture: bytes) -> tuple[bytes, bool, bool]:
        """A picture (Annex B) with what it needs, whether it is a keyframe, and whether it has B slices.

        A keyframe is an IDR picture.
        """
        units = list(nal_units(picture))
        own = self._learn(units)
        keyframe = any(kind(unit) == SLICE_IDR for unit in units)
        if keyframe and own != self._sets.keys():
            at = _after_delimiter(picture)
            picture = picture[:at] + self.as_stream() + picture[at:]
        return picture, keyframe, any(is_b_slice(unit) for unit in units)

    def as_stream(self) -> bytes:
        """The parameter sets themselves, as a byte stream; those of sequences come first."""
        return b"".join(START_CODE + self._sets[key] for key in sorted(self._sets))

    def _learn(self, units: Iterator[bytes] | Sequence[bytes]) -> set[tuple[int, int]]:
        """Remember the parameter sets among these; which there were."""
        found = set()
        for unit in units:
            number = kind(unit)
            ids = _exp_golomb(unit, ID_AT_BIT[number], 1) if number in ID_AT_BIT else None
            if ids and ids[0] <= MOST_ID[number]:
                self._sets[number, ids[0]] = unit
                found.add((number, ids[0]))
        return found


def _payload(unit: bytes) -> bytes:
    """What is in a NAL unit after its first byte, without emulation prevention (section 7.4.1)."""
    return unit[1:].replace(b"\x00\x00\x03", b"\x00\x00")


def _exp_golomb(unit: bytes, at: int, many: int) -> list[int] | None:
    """So many unsigned Exp-Golomb numbers (section 9.1) from a bit of a NAL unit's payload on.

    None where they are cut off.
    """
    bits = "".join(f"{byte:08b}" for byte in _payload(unit[:HEADER_BYTES]))
    numbers = []
    for _ in range(many):
        zeros = bits.find("1", at) - at
        if zeros < 0 or at + 2 * zeros + 1 > len(bits):
            return None
        numbers.append(int(bits[at + zeros : at + 2 * zeros + 1], 2) - 1)
        at += 2 * zeros + 1
    return numbers


def _after_delimiter(picture: bytes) -> int:
    """Where an access unit may have parameter sets: behind its delimiter, if it has one (7.4.1.2.3)."""
    begin = picture.find(START_CODE[1:]) + 3
    if kind(picture[begin : begin + 1]) != DELIMITER:
        return 0
    end = picture.find(START_CODE[1:], begin)
    return end - 1 if picture[end - 1] == 0 else end


def _units_of_record(record: bytes) -> Iterator[bytes]:
    """The parameter sets of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 5.3.3.1.2)."""
    at = 5
    for mask in (0x1F, 0xFF):  # How many of sequences, how many of pictures.
        if at >= len(record):
            return
        many = record[at] & mask
        at += 1
        for _ in range(many):
            size = int.from_bytes(record[at : at + 2], "big")
            yield record[at + 2 : at + 2 + size].rstrip(b"\x00")
            at += 2 + size

"""The JSON in which peers send descriptions and candidates: as W3C names it, and as others write it."""

from __future__ import annotations

from typing import Final

import msgspec
from aiortc import RTCIceCandidate
from aiortc.sdp import candidate_from_sdp

from .sdp import Reading
from .sdp_sections import MAX_DESCRIPTION_BYTES, DescriptionTooLarge, readable_candidate

MAX_CANDIDATE_BYTES: Final = 2048
"""Of one candidate as JSON; Chromium's have about 200."""


class Description(msgspec.Struct):
    """The `sdp` of an offer or an answer: W3C's RTCSessionDescriptionInit.

    The message around it says which of the two it is; not every peer repeats that in `type`.
    """

    type: str = ""
    sdp: str = ""


class Candidate(msgspec.Struct, rename="camel"):
    """The `candidate` of an iceCandidate: W3C's RTCIceCandidateInit.

    Peers write numbers as texts and texts as numbers, which browsers convert.
    """

    candidate: str | None = ""
    sdp_mid: str | int | None = None
    sdp_m_line_index: str | int | float | None = msgspec.field(default=None, name="sdpMLineIndex")

    @property
    def place(self) -> tuple[str | None, int | None]:
        """The name and the number of its media section, so far as they are known."""
        mid, index = self.sdp_mid, self.sdp_m_line_index
        try:
            return None if mid is None else str(mid), None if index is None else int(index)
        except (ValueError, OverflowError):
            return None if mid is None else str(mid), None


def description_of(encoded: msgspec.Raw) -> Description:
    """The description in a message. Raises `DescriptionTooLarge`, `msgspec.DecodeError`."""
    if len(encoded) > MAX_DESCRIPTION_BYTES:
        raise DescriptionTooLarge(f"it is longer than {MAX_DESCRIPTION_BYTES} bytes")
    return msgspec.json.decode(encoded, type=Description)


def candidate_for(reading: Reading, encoded: msgspec.Raw) -> RTCIceCandidate | None:
    """The candidate in a message, for a section of what the peer has described; None is the end of them.

    Raises `ValueError` for one that cannot be used, or that names no section, and `msgspec.DecodeError`.
    """
    given = msgspec.json.decode(encoded, type=Candidate | None)
    if given is None or not given.candidate:
        return None
    line, mid = readable_candidate(given.candidate), reading.mid_for(*given.place)
    if line is None or mid is None:
        raise ValueError("a candidate of another kind, or of another section")
    candidate = candidate_from_sdp(line)
    candidate.sdpMid = mid
    return candidate

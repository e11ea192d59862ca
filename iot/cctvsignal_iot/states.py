"""How a device does, in words, and when to try again. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class DeviceState(StrEnum):
    """What is the matter with a device; the value is what viewers and metrics see."""

    IDLE = "idle"
    CONNECTING = "connecting"
    STREAMING = "streaming"
    BUSY = "busy"
    RECONNECTING = "reconnecting"
    STALLED = "stalled"
    DAMAGED_PICTURES = "damagedPictures"
    DOWN = "down"
    UNAUTHORIZED = "unauthorized"
    BAD_STREAM = "badStream"


SENTENCES: Final = {
    DeviceState.IDLE: "Nobody watches, so the device is left alone.",
    DeviceState.CONNECTING: "Connecting to the device.",
    DeviceState.STREAMING: "Pictures are coming.",
    DeviceState.BUSY: "Another client holds the device's only stream; close it, or watch single pictures.",
    DeviceState.RECONNECTING: (
        "The device still holds its last connection to the bridge. It usually lets go within 10 seconds;"
        " if not, reset it."
    ),
    DeviceState.STALLED: "The device sends no picture: is its Wi-Fi weak, or does it hang?",
    DeviceState.DAMAGED_PICTURES: (
        "The device sends only damaged pictures: choose a lower picture size, or a higher quality number."
    ),
    DeviceState.DOWN: "The device cannot be reached: is it powered, and is its address right?",
    DeviceState.UNAUTHORIZED: "The device refuses the user name, password or secret that the bridge has.",
    DeviceState.BAD_STREAM: "What the device sends is not an MJPEG stream: is this the right address?",
}
"""What to tell people."""


@dataclass
class Tally:
    """What happened so far, for metrics."""

    pictures: int = 0
    damaged: int = 0
    bytes: int = 0
    connections: int = 0
    dropped: int = 0
    """Pictures that were whole, and older than the next one by the time they could be decoded."""
    states: dict[DeviceState, int] = field(default_factory=dict)


LEAST_PAUSE: Final = 1.0
MOST_PAUSE: Final = 30.0
PART_OF_OUTAGE: Final = 0.25
UNAUTHORIZED_PAUSE: Final = 30.0
"""A password is mended by people, and some devices count wrong ones."""


def pause(state: DeviceState, outage: float, fraction: float) -> float:
    """Seconds until the next try, after the device has been away for `outage` seconds.

    A part of the time that it was away, so that whatever is mended is seen soon after, and at most 30 s.
    `fraction` (from 0 to 1) is the jitter. A device that waits for another client to end is never left.
    """
    if state is DeviceState.UNAUTHORIZED:
        return UNAUTHORIZED_PAUSE
    most = min(MOST_PAUSE, max(LEAST_PAUSE, outage * PART_OF_OUTAGE))
    return most * (0.5 + 0.5 * fraction)

"""What goes wrong with an ESP32-CAM, and how faults are written down. No I/O."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Final

FRAME_FAULTS: Final = {
    "truncated": "the JPEG is cut in the middle; Content-Length says the size that is left",
    "missingEoi": "the JPEG lacks its end (FFD9)",
    "strayBytes": "the JPEG begins twice, and the end of an older one follows it",
    "garbage": "random bytes in place of a JPEG",
    "wrongLength": "Content-Length is too small, then too large, in turns",
    "reset": "the connection is reset in the middle of a frame",
}
"""These hit the next frame, or all frames for so many seconds."""
STATE_FAULTS: Final = {
    "stall": "the stream stays open and sends nothing (10 seconds); the pages still answer",
    "trickle": "the stream sends 1 kB a second (10 seconds)",
    "reboot": "everything is closed and refused (8 seconds); all settings are as after a boot",
    "hang": "connections are accepted, nothing is answered, until the next command or for so many seconds",
}
FAULTS: Final = {**FRAME_FAULTS, **STATE_FAULTS}
"""All faults, and what happens on the wire."""
DEFAULT_SECONDS: Final = {"stall": 10.0, "trickle": 10.0, "reboot": 8.0}

_NUMBER: Final = r"\d+(?:\.\d+)?"
_SCHEDULED: Final = re.compile(rf"(\w+)(?::({_NUMBER}))?@({_NUMBER})(?:\+({_NUMBER}))?")


@dataclass(frozen=True)
class Scheduled:
    """A fault that comes by itself. All times are in seconds."""

    name: str
    start: float
    seconds: float | None = None
    every: float | None = None


@dataclass(frozen=True)
class Spoilt:
    """A frame after a fault."""

    body: bytes
    length: int
    """What its header says."""
    breaks: bool = False
    """Whether the connection is reset in the middle of it."""


def check(name: str) -> None:
    """Raises `ValueError` for a name that no fault has."""
    if name not in FAULTS:
        raise ValueError(f"there is no fault {name!r}: use one of {', '.join(FAULTS)}")


def parse_fault(text: str) -> Scheduled:
    """A fault of a schedule: NAME[:SECONDS]@START[+INTERVAL]. Raises `ValueError` for anything else."""
    match = _SCHEDULED.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no fault: write it as stall@30, reboot:8@60 or truncated@10+5")
    check(match[1])
    seconds, every = (float(number) if number else None for number in (match[2], match[4]))
    if every == 0:
        raise ValueError(f"{text!r} comes every 0 seconds: leave the interval out, or make it longer")
    return Scheduled(match[1], float(match[3]), seconds, every)


def parse_command(line: str) -> tuple[str, float | None]:
    """A fault on command: NAME [SECONDS]. Raises `ValueError` for anything else."""
    name, *rest = line.split()
    check(name)
    if len(rest) > 1 or (rest and not re.fullmatch(_NUMBER, rest[0])):
        raise ValueError(f"{' '.join(rest)!r} is no number of seconds")
    return name, float(rest[0]) if rest else None


class FrameFaults:
    """The faults that wait for frames."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._waiting: list[tuple[str, float | None]] = []
        self._too_small = False

    def add(self, name: str, until: float | None) -> None:
        """A fault of the next frame, or of all frames until a time."""
        self._waiting.append((name, until))

    def apply(self, jpeg: bytes, now: float) -> Spoilt:
        """The frame as it is to be sent now."""
        self._waiting = [fault for fault in self._waiting if fault[1] is None or fault[1] > now]
        if not self._waiting:
            return Spoilt(jpeg, len(jpeg))
        name, until = self._waiting[0]
        if until is None:
            del self._waiting[0]
        return self._spoil(name, jpeg)

    def _spoil(self, name: str, jpeg: bytes) -> Spoilt:
        if name == "wrongLength":
            self._too_small = not self._too_small
            return Spoilt(jpeg, len(jpeg) // 2 if self._too_small else len(jpeg) + 1000)
        if name == "truncated":
            jpeg = jpeg[: len(jpeg) // 2]
        elif name == "missingEoi":
            jpeg = jpeg.removesuffix(b"\xff\xd9")
        elif name == "strayBytes":
            jpeg = b"\xff\xd8" + jpeg + jpeg[-100:]
        elif name == "garbage":
            jpeg = self._random.randbytes(len(jpeg))
        return Spoilt(jpeg, len(jpeg), breaks=name == "reset")

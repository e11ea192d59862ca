"""The camera driver: frames come by a clock, whoever asks gets one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from .picture import Lens
from .sensor import Sensor, sensor_rate


@dataclass(frozen=True)
class Shot:
    """A frame in its buffer."""

    jpeg: bytes
    stamp: float
    """Seconds since boot."""


class Camera:
    """Counts frames whether anybody looks or not, and encodes the few that are taken.

    With PSRAM there are two buffers, and the newest frame is handed out. Without, there is one: what it was
    filled with stays until somebody takes it.
    """

    def __init__(
        self, clock: IReactorTime, sensor: Sensor, *, fps: float | None, psram: bool, seed: int
    ) -> None:
        self._clock = clock
        self._sensor = sensor
        self._fps = fps
        self._newest_first = psram
        self._lens = Lens(seed)
        self._boot = clock.seconds()
        self._counter = -1
        self._buffer: tuple[int, float, datetime] | None = None
        self._waiting: deque[Callable[[Shot], None]] = deque()
        self._loop = LoopingCall.withCount(self._tick)
        self._loop.clock = clock

    @property
    def rate(self) -> float:
        """Frames per second, which the size of the pictures limits."""
        limit = sensor_rate(self._sensor.size)
        return min(self._fps, limit) if self._fps else limit

    def start(self) -> None:
        """Boot."""
        self._boot = self._clock.seconds()
        self._buffer = None
        self.set_rate()

    def set_rate(self) -> None:
        """Go on at the rate of the size that is set now."""
        if self._loop.running:
            self._loop.stop()
        self._loop.start(1 / self.rate)

    def stop(self) -> None:
        """Until the next `start` there are no frames."""
        self._waiting.clear()
        if self._loop.running:
            self._loop.stop()

    def get(self, show: Callable[[Shot], None]) -> None:
        """Hand over the next frame, once; whoever has waited longest comes first."""
        self._waiting.append(show)
        self._hand_over()

    def cancel(self, show: Callable[[Shot], None]) -> None:
        """Do not hand over what `get` has asked for."""
        if show in self._waiting:
            self._waiting.remove(show)

    def _tick(self, frames: int) -> None:
        self._counter += max(1, frames)
        if self._buffer is None or self._newest_first:
            self._buffer = self._counter, self._clock.seconds() - self._boot, datetime.now(UTC)
        self._hand_over()

    def _hand_over(self) -> None:
        if self._buffer is None or not self._waiting:
            return
        (counter, stamp, now), self._buffer = self._buffer, None
        jpeg = self._lens.jpeg(counter, now, self._sensor.size, self._sensor.settings)
        if len(jpeg) <= self._sensor.buffer_bytes:
            self._waiting.popleft()(Shot(jpeg, stamp))

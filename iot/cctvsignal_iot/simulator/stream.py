"""A viewer's stream: frame after frame, as fast as the viewer takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from twisted.internet import tcp
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from .camera import Camera, Shot
from .faults import FrameFaults
from .firmware import Variant, frame, opening

if TYPE_CHECKING:
    from collections.abc import Mapping

SEND_SECONDS: Final = 5.0
"""How long nothing may be taken before the viewer counts as gone (esp_http_server's send time-out)."""
FRAME_SECONDS: Final = 4.0
"""How long the driver waits for a frame."""
RESET_SECONDS: Final = 0.1
"""Between half a frame and the reset: at once, the kernel would throw away what it has not sent."""
_SLICE: Final = 5744
"""lwIP's send buffer, in bytes."""
_TRICKLE_BYTES: Final = 100
_TRICKLE_SECONDS: Final = 0.1


class Host(Protocol):
    """The device as its streams see it."""

    variant: Variant
    clock: IReactorTime
    camera: Camera
    frame_faults: FrameFaults
    frames_sent: int

    @property
    def settings(self) -> Mapping[str, int]:
        """The control values."""

    @property
    def trickles(self) -> bool:
        """Whether streams get 1 kB a second."""


@implementer(IPushProducer)
class Stream:
    """One response that does not end. No frame is asked for until the one before has been taken.

    So a slow viewer gets fewer frames, each of them new, and nothing piles up.
    """

    def __init__(self, transport: tcp.Server, host: Host) -> None:
        self._transport = transport
        self._host = host
        self._rest = b""
        self._in_frame = False
        self._breaks = False
        self._paused = False
        self._silent = False
        self._stopped = False
        self._frames = 0
        self._asked = 0.0
        self._timers: dict[str, IDelayedCall] = {}

    def start(self) -> None:
        """Send the head, and begin to ask for frames."""
        self._transport.registerProducer(self, True)
        self._rest = opening(self._host.variant)
        self._pump()

    def stop(self) -> None:
        """Leave the transport to others."""
        if self._stopped:
            return
        self._stopped = True
        self._host.camera.cancel(self._show)
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._transport.unregisterProducer()

    def silence(self, silent: bool) -> None:
        """Send nothing, or go on."""
        self._silent = silent
        self._pump()

    def pauseProducing(self) -> None:
        """For the transport: its buffer is full."""
        self._paused = True
        self._after(SEND_SECONDS, "send", self._transport.abortConnection)

    def resumeProducing(self) -> None:
        """For the transport: its buffer is empty."""
        self._paused = False
        self._cancel("send")
        self._pump()

    def stopProducing(self) -> None:
        """For the transport: the connection is lost."""
        self.stop()

    def _ask(self) -> None:
        self._asked = self._host.clock.seconds()
        self._after(FRAME_SECONDS, "frame", self._give_up)
        self._host.camera.get(self._show)

    def _show(self, shot: Shot) -> None:
        self._cancel("frame")
        spoilt = self._host.frame_faults.apply(shot.jpeg, self._host.clock.seconds())
        self._rest = frame(self._host.variant, spoilt.body, spoilt.length, shot.stamp)
        if spoilt.breaks:
            self._rest = self._rest[: len(self._rest) // 2]
        self._breaks, self._in_frame = spoilt.breaks, True
        self._pump()

    def _give_up(self) -> None:
        if not self._frames:
            self._transport.write(self._host.variant.farewell.encode())
        self.stop()
        self._transport.loseConnection()

    def _pump(self) -> None:
        while self._rest and not (self._paused or self._silent or self._stopped or "wait" in self._timers):
            size = _TRICKLE_BYTES if self._host.trickles else _SLICE
            data, self._rest = self._rest[:size], self._rest[size:]
            if self._host.trickles:
                self._after(_TRICKLE_SECONDS, "wait", self._pump)
            self._transport.write(data)
        if self._rest or self._paused or self._silent or self._stopped or self._timers:
            return
        if self._breaks:
            self._after(RESET_SECONDS, "reset", self._transport.abortConnection)
            return
        if self._in_frame:
            self._in_frame = False
            self._frames += 1
            self._host.frames_sent += 1
        passed = self._host.clock.seconds() - self._asked
        pause = self._host.settings.get("min_frame_time", 0) / 1000 - passed
        if self._frames and pause > 0:
            self._after(pause, "pause", self._ask)
        else:
            self._ask()

    def _after(self, seconds: float, name: str, act: object) -> None:
        self._cancel(name)

        def run() -> None:
            del self._timers[name]
            assert callable(act)
            act()

        self._timers[name] = self._host.clock.callLater(seconds, run)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

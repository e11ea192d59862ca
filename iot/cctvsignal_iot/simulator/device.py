"""`SimulatedDevice`: an ESP32-CAM on two ports of this machine."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from cctvsignal_clients import bridge
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from . import http, pages
from .camera import Camera
from .faults import DEFAULT_SECONDS, FRAME_FAULTS, FrameFaults, check
from .firmware import VARIANTS
from .sensor import Sensor
from .server import BACKLOG, Connection, Server
from .stream import Stream

_RETRY_SECONDS: Final = 1.0


class SimulatedDevice:
    """An ESP32-CAM that runs a firmware (`VARIANTS`), from `start` to `stop`, on Twisted's asyncio reactor.

    `port` and `stream_port` 0 mean free ones. `fps` lowers the rate that the sensor has for its size.
    `newer_indices` tells whether `framesize` counts as since esp32-camera 2.0.14. With `username`, requests
    need basic authentication; with `secret`, the header X-Camera-Secret. `seed` is that of the noise in the
    pictures and of the fault `garbage`.

    Raises `ValueError` for a variant or a frame size that there is not.
    """

    def __init__(
        self,
        variant: str = "camera-web-server",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        stream_port: int = 0,
        fps: float | None = None,
        frame_size: str = "QVGA",
        newer_indices: bool = True,
        psram: bool = True,
        username: str | None = None,
        password: str | None = None,
        secret: str | None = None,
        seed: int = 0,
    ) -> None:
        if variant not in VARIANTS:
            raise ValueError(f"there is no variant {variant!r}: use one of {', '.join(VARIANTS)}")
        self.variant = VARIANTS[variant]
        self.host = host
        self.port = port
        """Of the pages; the real one once it has started."""
        self.stream_port = stream_port
        self.username, self.password, self.secret = username, password, secret
        self.frames_sent = 0
        """To all viewers of the stream, since `start`."""
        reactor = bridge.the_reactor()
        self._reactor = reactor
        self.clock: IReactorTime = reactor
        self.sensor = Sensor(self.variant, frame_size, newer_indices, psram)
        self.camera = Camera(self.clock, self.sensor, fps=fps, psram=psram, seed=seed)
        self.frame_faults = FrameFaults(seed)
        kind = self.variant
        self.server = Server(self.clock, self._handle, sockets=kind.sockets, purges=kind.purges)
        one_port = len(set(kind.ports)) == 1
        self.stream_server = (
            self.server
            if one_port
            else Server(self.clock, self._handle_stream, sockets=kind.sockets, purges=kind.purges)
        )
        self._timers: dict[str, IDelayedCall] = {}
        self._hanging = False

    @property
    def url(self) -> str:
        """Of the pages."""
        return f"http://{self.host}:{self.port}"

    @property
    def stream_url(self) -> str:
        """Of the stream."""
        query = "?video=1" if self.variant.name == "s60sc" else ""
        return f"http://{self.host}:{self.stream_port}{self.variant.stream_paths[0]}{query}"

    @property
    def connections(self) -> int:
        """The open TCP connections to the stream server."""
        return len(self.stream_server.connections)

    @property
    def settings(self) -> dict[str, int]:
        """The control values."""
        return self.sensor.settings

    @property
    def trickles(self) -> bool:
        """Whether streams get 1 kB a second."""
        return "trickle" in self._timers

    async def start(self) -> None:
        """Listen. Raises `CannotListenError` if a port is taken."""
        self.frames_sent = 0
        self._listen()
        self.camera.start()

    async def stop(self) -> None:
        """Close everything."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await bridge.start(self._close())

    def fault(self, name: str, seconds: float | None = None) -> None:
        """Let something go wrong, now or with the next frame; for so long, or as `FAULTS` has it.

        Raises `ValueError` for a name that no fault has.
        """
        check(name)
        if self._hanging:
            self._cancel("silence")
            self._go_on()
        if name in FRAME_FAULTS:
            self.frame_faults.add(name, None if seconds is None else self.clock.seconds() + seconds)
            return
        seconds = DEFAULT_SECONDS.get(name) if seconds is None else seconds
        if name == "trickle":
            self._after(seconds, "trickle", lambda: None)
        elif name == "reboot":
            bridge.background(self._close())
            self._after(seconds, "reboot", self._boot)
        else:
            self._hanging = name == "hang"
            self.stream_server.freeze(True)
            if self._hanging:
                self.server.freeze(True)
            self._after(seconds, "silence", self._go_on)

    def control(self, variable: str, value: str) -> bool:
        """What `/control` does; False where the firmware says that it failed."""
        done = self.sensor.control(variable, value)
        if done and variable == "framesize":
            self.camera.set_rate()
        return done

    def identity(self) -> bytes:
        """The body of easytarget's `/info`."""
        status = json.loads(self.sensor.status(self.stream_url))
        fields = {name: status[name] for name in ("cam_name", "rotate", "stream_url")}
        return json.dumps(fields, separators=(",", ":")).encode()

    def _handle(self, connection: Connection, request: http.Request) -> None:
        streams = self.stream_server is self.server and request.path in self.variant.stream_paths
        if streams:
            self._handle_stream(connection, request)
        elif answer := pages.refusal(self, request, stream=False):
            connection.reply(answer, close=True)
        else:
            pages.serve(self, connection, request)

    def _handle_stream(self, connection: Connection, request: http.Request) -> None:
        if answer := pages.refusal(self, request, stream=True):
            connection.reply(answer, close=True)
        elif request.path not in self.variant.stream_paths:
            connection.reply(http.failure(http.NOT_FOUND), close=True)
        else:
            if not self.variant.blocks:
                for other in self.stream_server.connections:
                    if other.stream is not None:
                        other.close()
            connection.stream = Stream(connection.transport, self)
            connection.stream.start()
            if not self.variant.blocks:
                self.stream_server.done(connection)

    def _listen(self) -> None:
        self.port = self._listen_on(self.server, self.port)
        if self.stream_server is self.server:
            self.stream_port = self.port
            return
        try:
            self.stream_port = self._listen_on(self.stream_server, self.stream_port)
        except CannotListenError:
            assert self.server.listening is not None
            self.server.listening.stopListening()
            raise

    def _listen_on(self, server: Server, port: int) -> int:
        listening: tcp.Port = self._reactor.listenTCP(port, server, BACKLOG, self.host)
        server.listening = listening
        return int(listening.getHost().port)

    async def _close(self) -> None:
        self.camera.stop()
        for server in {self.server, self.stream_server}:
            port, server.listening = server.listening, None
            server.abort()
            closed = port.stopListening() if port is not None else None
            if isinstance(closed, Deferred):
                await closed.asFuture(asyncio.get_running_loop())

    def _boot(self) -> None:
        try:
            self._listen()
        except CannotListenError as error:
            Logger().warn("Cannot listen after the reboot: {error}", error=error)
            self._after(_RETRY_SECONDS, "reboot", self._boot)
            return
        self.sensor.reset()
        self.camera.start()

    def _go_on(self) -> None:
        self._hanging = False
        for server in {self.server, self.stream_server}:
            server.freeze(False)

    def _after(self, seconds: float | None, name: str, act: object) -> None:
        self._cancel(name)

        def run() -> None:
            del self._timers[name]
            assert callable(act)
            act()

        if seconds is not None:
            self._timers[name] = self.clock.callLater(seconds, run)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

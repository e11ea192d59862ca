"""Simulated devices and their bridge, for tests."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from cctvsignal_clients import Stream, bridge
from cctvsignal_clients.bridge import Result
from cctvsignal_clients.reporting import Reporter
from cctvsignal_clients.sources.pattern import read_counter
from cctvsignal_iot.config import DeviceConfig
from cctvsignal_iot.device_camera import DeviceCamera
from cctvsignal_iot.simulator import SimulatedDevice
from cctvsignal_iot.states import DeviceState
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

POLL_SECONDS = 0.02


@asynccontextmanager
async def simulated(variant: str = "camera-web-server", **options: Any) -> AsyncIterator[SimulatedDevice]:
    """A device that is switched on."""
    device = SimulatedDevice(variant, **{"fps": 15, **options})
    await bridge.start(device.start())
    try:
        yield device
    finally:
        await bridge.start(device.stop())


def config(device: SimulatedDevice, camera_id: str = "porch", **options: Any) -> DeviceConfig:
    """What a bridge is told of a simulated device; its ports are not the usual ones."""
    return DeviceConfig(id=camera_id, url=device.url, **{"stream_port": device.stream_port, **options})


@asynccontextmanager
async def bridged(url: str, room: str, device: DeviceConfig) -> AsyncIterator[DeviceCamera]:
    """A device that is a camera of a room."""
    camera = DeviceCamera(device, url, room=room)
    there: Deferred[str] = Deferred()
    camera.client.once("roomJoined", there.callback)
    running: Result[None] = bridge.start(camera.run(Reporter(io.StringIO(), "json")))
    running.addErrback(lambda failure: None)
    try:
        await there
        yield camera
    finally:
        running.cancel()
        await bridge.start(camera.client._close())


async def until_state(camera: DeviceCamera, *wanted: DeviceState) -> None:
    """Wait until the device is in one of these states."""
    tell = camera.source.on_state
    while camera.source.state not in wanted:
        changed: Deferred[None] = Deferred()

        def on_state(changed: Deferred[None] = changed) -> None:
            tell()
            if not changed.called:
                changed.callback(None)

        camera.source.on_state = on_state
        await changed
    camera.source.on_state = tell


async def until_counter(stream: Stream, wanted: Callable[[int], bool]) -> int:
    """The first number in the pictures of a stream that is as wanted."""
    async for frame in stream.frames():
        if wanted(found := read_counter(frame)):
            return found
    raise AssertionError("the stream has ended")


async def until_true(wanted: Callable[[], bool]) -> None:
    """Wait for something that tells nobody when it happens."""
    while not wanted():
        await deferLater(reactor, POLL_SECONDS)

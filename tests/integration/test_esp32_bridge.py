"""A simulated ESP32-CAM, its bridge, a real server, and viewers in Python."""

from __future__ import annotations

import time
from typing import Any

import pytest
from cctvsignal_clients import ControlRefused, MediaFailed, Stream, ViewerClient, bridge
from cctvsignal_iot import source as device_source
from cctvsignal_iot.config import DeviceConfig
from cctvsignal_iot.device_camera import DeviceCamera
from cctvsignal_iot.simulator import SimulatedDevice
from cctvsignal_iot.states import DeviceState
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from tests.esp32 import (
    POLL_SECONDS,
    bridged,
    config,
    simulated,
    until_counter,
    until_state,
    until_true,
)
from tests.jpegs import counter_of
from tests.live import deadline
from tests.media import MEDIA_SECONDS, counters
from tests.processes import Server

RECOVERY_SECONDS = 5.0
PLACES: dict[str, dict[str, Any]] = {
    "camera-web-server": {},
    "easytarget": {},
    "esphome": {"variant": "esphome"},
    "tasmota": {},
    "s60sc": {"stream_port": None},
}
"""What has to be said of a device whose ports are not the usual ones."""


async def assert_pictures_come(stream: Stream, many: int = 10) -> None:
    """New ones, in the order in which they were taken."""
    found = await counters(stream, many)
    assert found == sorted(set(found))


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("variant", [*PLACES, "plain"])
async def test_pictures_of_every_firmware_reach_a_viewer(shared_server: Server, variant: str) -> None:
    url, room = shared_server.websocket_url, f"esp32-{variant}"
    async with simulated(variant) as device:
        if variant == "plain":
            settings = DeviceConfig(id="porch", url=device.stream_url)
        else:
            settings = config(device, **PLACES[variant])
        async with bridged(url, room, settings) as camera, ViewerClient(url, room=room) as viewer:
            assert device.connections == 0
            await assert_pictures_come(await viewer.request_stream("porch"))
            assert camera.source.variant == variant
            assert camera.source.state is DeviceState.STREAMING
            assert camera.source.tally.damaged == 0


@deadline(MEDIA_SECONDS)
async def test_a_device_has_one_connection_while_somebody_watches(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_source, "LINGER_SECONDS", 0.5)
    url, room = shared_server.websocket_url, "esp32-one"
    async with simulated() as device, bridged(url, room, config(device)) as camera:
        async with ViewerClient(url, room=room) as one, ViewerClient(url, room=room) as two:
            streams = [
                await one.request_stream("porch"),
                await two.request_stream("porch", as_jpeg=True),
            ]
            for stream in streams:
                await assert_pictures_come(stream)
            assert device.connections == 1
        await until_state(camera, DeviceState.IDLE)
        await until_true(lambda: device.connections == 0)
        async with ViewerClient(url, room=room) as back:
            await assert_pictures_come(await back.request_stream("porch"))
        assert camera.source.tally.connections == 2


@deadline(MEDIA_SECONDS)
async def test_a_device_that_is_kept_warm_is_connected_without_viewers(shared_server: Server) -> None:
    url, room = shared_server.websocket_url, "esp32-warm"
    async with simulated() as device, bridged(url, room, config(device, keep_warm=True)) as camera:
        await until_state(camera, DeviceState.STREAMING)
        assert device.connections == 1


@deadline(MEDIA_SECONDS)
async def test_single_pictures_while_nobody_watches(shared_server: Server) -> None:
    url, room = shared_server.websocket_url, "esp32-stills"
    async with simulated() as device, bridged(url, room, config(device, still_every=0.5)) as camera:
        await until_true(lambda: camera.source.tally.pictures >= 3)
        assert camera.source.state is DeviceState.IDLE
        assert device.connections == 0


@deadline(MEDIA_SECONDS)
async def test_jpegs_over_a_data_channel_are_the_devices_own_bytes(shared_server: Server) -> None:
    url, room = shared_server.websocket_url, "esp32-jpeg"
    sent: list[bytes] = []
    async with simulated(frame_size="SVGA") as device:
        settings = config(device, send="jpeg")
        async with bridged(url, room, settings) as camera, ViewerClient(url, room=room) as viewer:
            take = camera.source._take_picture

            def note(jpeg: bytes, size: tuple[int, int]) -> None:
                sent.append(jpeg)
                take(jpeg, size)

            camera.source._take_picture = note  # type: ignore[method-assign]
            stream = await viewer.request_stream("porch", as_jpeg=True)
            received: list[bytes] = []
            async for jpeg in stream.pictures():
                received.append(jpeg)
                if len(received) == 15:
                    break
            assert set(received) <= set(sent)
            found = [counter_of(jpeg) for jpeg in received]
            assert found == sorted(set(found))
            assert (await stream.stats()).codec == "JPEG"
            assert camera.client.stats().codecs == ()
            # And for whoever wants frames, they are decoded.
            await assert_pictures_come(stream)
            assert stream.size == (800, 600)


@deadline(MEDIA_SECONDS)
async def test_who_asks_for_video_of_a_camera_that_has_only_jpegs_is_told(shared_server: Server) -> None:
    url, room = shared_server.websocket_url, "esp32-no-video"
    async with (
        simulated() as device,
        bridged(url, room, config(device, send="jpeg")),
        ViewerClient(url, room=room) as viewer,
    ):
        with pytest.raises(MediaFailed, match="only JPEGs"):
            await viewer.request_stream("porch")
        stream = await viewer.request_stream("porch", as_jpeg=True)
        await assert_pictures_come(stream)


# --- faults


@deadline(2 * MEDIA_SECONDS)
@pytest.mark.parametrize(
    ("fault", "seconds", "seen"),
    [
        ("truncated", 1.0, None),
        ("missingEoi", 1.0, None),
        ("garbage", 1.0, None),
        ("wrongLength", 1.0, None),
        ("strayBytes", 1.0, None),
        ("reset", None, DeviceState.DOWN),
        ("stall", 6.5, DeviceState.STALLED),
        pytest.param("trickle", 6.5, DeviceState.STALLED, marks=pytest.mark.long),
        ("reboot", 3.0, DeviceState.DOWN),
        pytest.param("hang", 8.0, DeviceState.STALLED, marks=pytest.mark.long),
    ],
)
async def test_after_a_fault_there_are_pictures_again_and_nobody_else_notices(
    shared_server: Server, fault: str, seconds: float | None, seen: DeviceState | None
) -> None:
    url, room = shared_server.websocket_url, f"esp32-{fault}"
    async with (
        simulated() as device,
        simulated() as other,
        bridged(url, room, config(device)) as camera,
        bridged(url, room, config(other, "yard")) as undisturbed,
        ViewerClient(url, room=room) as viewer,
    ):
        stream, calm = await viewer.request_stream("porch"), await viewer.request_stream("yard")
        states: list[DeviceState] = []
        await assert_pictures_come(stream)
        await assert_pictures_come(calm)
        camera.source.on_state = _noting(camera, states)
        before = camera.source.tally.pictures
        device.fault(fault, seconds)
        if seen is not None:
            await until_true(lambda: seen in states)
        else:
            await until_true(
                lambda: camera.source.tally.damaged >= 3 or camera.source.tally.pictures > before + 10
            )
        back = time.monotonic() + _still_away(device)
        last = device.camera._counter
        await until_counter(stream, lambda found: last < found <= device.camera._counter)
        assert time.monotonic() - back < RECOVERY_SECONDS
        await assert_pictures_come(stream)
        assert camera.source.state is DeviceState.STREAMING
        # Nothing that came was damaged on the way to the viewer, and the other one knows of nothing.
        await assert_pictures_come(calm)
        assert undisturbed.source.tally.connections == 1
        assert undisturbed.source.tally.damaged == 0
        if fault in ("truncated", "missingEoi", "garbage"):
            assert camera.source.tally.damaged >= 3
            assert camera.source.tally.connections == 1
        if fault in ("wrongLength", "strayBytes"):
            assert camera.source.tally.damaged == 0


def _noting(camera: DeviceCamera, states: list[DeviceState]) -> Any:
    tell = camera.source.on_state

    def note() -> None:
        states.append(camera.source.state)
        tell()

    return note


def _still_away(device: SimulatedDevice) -> float:
    """Seconds until a device is as it should be."""
    ends = [timer.getTime() - device.clock.seconds() for timer in device._timers.values()]
    return max([0.0, *ends])


@deadline(MEDIA_SECONDS)
async def test_while_another_client_holds_the_stream_there_are_single_pictures(
    shared_server: Server,
) -> None:
    url, room = shared_server.websocket_url, "esp32-busy"
    async with (
        simulated() as device,
        bridged(url, room, config(device, "rival", keep_warm=True)) as rival,
        bridged(url, room, config(device)) as camera,
        ViewerClient(url, room=room) as viewer,
    ):
        await until_state(rival, DeviceState.STREAMING)
        stream = await viewer.request_stream("porch")
        await until_state(camera, DeviceState.BUSY)
        await assert_pictures_come(stream, 3)
        assert camera.source.tally.connections == 1
        await bridge.start(rival.source.stop())
        await until_state(camera, DeviceState.STREAMING)
        await assert_pictures_come(stream)


@deadline(MEDIA_SECONDS)
async def test_a_wrong_password_is_named_and_not_hammered(shared_server: Server) -> None:
    url, room = shared_server.websocket_url, "esp32-password"
    async with simulated(username="admin", password="right", secret="s3cret") as device:
        wrong = config(device, username="admin", password="wrong", secret="s3cret")
        right = config(device, "yard", username="admin", password="right", secret="s3cret")
        async with (
            bridged(url, room, wrong) as camera,
            bridged(url, room, right),
            ViewerClient(url, room=room) as viewer,
        ):
            await assert_pictures_come(await viewer.request_stream("yard"))
            stream = await viewer.request_stream("porch")
            await until_state(camera, DeviceState.UNAUTHORIZED)
            # What a viewer sees is a picture that says so.
            async for _ in stream.frames():
                break
            assert camera.source.tally.connections == 1
            assert stream.control.state is not None
            assert stream.control.state.state == "unauthorized"
            assert "password" in stream.control.state.message


class NoCamera(Resource):
    """A web server that is no camera, and a redirect to somewhere else."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        if request.path == b"/away":
            request.redirect(b"http://localhost:%d/stream" % request.getHost().port)
            return b""
        return b"<html>a printer</html>"


@deadline(MEDIA_SECONDS)
async def test_what_is_no_camera_and_what_redirects_elsewhere_is_refused(shared_server: Server) -> None:
    url, room = shared_server.websocket_url, "esp32-printer"
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(NoCamera()))
    base = f"http://127.0.0.1:{port.getHost().port}"
    printer = DeviceConfig(id="printer", url=f"{base}/stream", keep_warm=True)
    away = DeviceConfig(id="away", url=f"{base}/away", keep_warm=True)
    try:
        async with bridged(url, room, printer) as one, bridged(url, room, away) as two:
            await until_state(one, DeviceState.BAD_STREAM)
            await until_state(two, DeviceState.DOWN)
    finally:
        await port.stopListening()


@deadline(MEDIA_SECONDS)
async def test_a_name_that_resolves_elsewhere_is_refused(shared_server: Server) -> None:
    url, room = shared_server.websocket_url, "esp32-name"
    async with simulated() as device:
        place = device.url.replace("127.0.0.1", "localhost")
        options: dict[str, Any] = {"url": place, "stream_port": device.stream_port, "keep_warm": True}
        pinned = DeviceConfig(id="pinned", address="127.0.0.1", **options)
        other = DeviceConfig(id="other", address="192.168.1.40", **options)
        async with bridged(url, room, pinned) as one, bridged(url, room, other) as two:
            await until_state(two, DeviceState.DOWN)
            await until_state(one, DeviceState.STREAMING)


# --- settings


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("newer", [True, False])
async def test_the_picture_size_is_set_whatever_numbers_the_device_has(
    shared_server: Server, newer: bool
) -> None:
    url, room = shared_server.websocket_url, f"esp32-size-{newer}"
    async with (
        simulated(newer_indices=newer) as device,
        bridged(url, room, config(device)),
        ViewerClient(url, room=room) as viewer,
    ):
        stream = await viewer.request_stream("porch")
        await until_true(lambda: bool(stream.control.controls))
        for name, size in (("VGA", (640, 480)), ("SVGA", (800, 600)), ("QVGA", (320, 240))):
            await viewer.set_control("porch", "framesize", name)
            assert device.sensor.size == size
            values = {control.name: control.value for control in stream.control.controls}
            assert values["framesize"] == name
        await assert_pictures_come(stream)


@deadline(MEDIA_SECONDS)
async def test_settings_of_two_viewers_come_one_after_the_other_and_both_see_them(
    shared_server: Server,
) -> None:
    url, room = shared_server.websocket_url, "esp32-settings"
    async with (
        simulated() as device,
        bridged(url, room, config(device, controls=("brightness", "hmirror", "vflip", "framesize"))),
        ViewerClient(url, room=room) as one,
        ViewerClient(url, room=room) as two,
    ):
        streams = [await each.request_stream("porch") for each in (one, two)]
        await until_true(lambda: all(stream.control.controls for stream in streams))
        first = one.set_control("porch", "framesize", "VGA")
        second = two.set_control("porch", "brightness", 2)
        await first
        await second
        await two.set_control("porch", "vflip", True)
        assert device.settings["brightness"] == 2
        assert device.settings["vflip"] == 1

        def both_see_it() -> bool:
            seen = [{each.name: each.value for each in stream.control.controls} for stream in streams]
            wanted = {"brightness": 2, "framesize": "VGA", "vflip": True, "hmirror": False}
            return seen == [wanted, wanted]

        await until_true(both_see_it)
        for name, value, reason in (
            ("brightness", 3, "from -2 to 2"),
            ("quality", 10, "no setting"),
            ("framesize", "UXGAA", "one of"),
            ("hmirror", 1, "true or false"),
        ):
            with pytest.raises(ControlRefused, match=reason):
                await one.set_control("porch", name, value)
        device.fault("hang")
        with pytest.raises(ControlRefused, match="did not answer"):
            await one.set_control("porch", "brightness", 0)


@deadline(MEDIA_SECONDS)
async def test_what_the_room_is_told_of_a_device(shared_server: Server) -> None:
    url, room = shared_server.websocket_url, "esp32-meta"

    async def meta() -> dict[str, Any]:
        async with ViewerClient(url, room=room) as newcomer:
            return dict(newcomer.cameras["porch"].meta or {})

    async with (
        simulated() as device,
        bridged(url, room, config(device, name="Front door")) as camera,
        ViewerClient(url, room=room) as viewer,
    ):
        await assert_pictures_come(await viewer.request_stream("porch"))
        while (told := await meta())["state"] != "streaming":
            assert told["state"] in ("idle", "connecting")
            # Nobody may join as often as the server could answer.
            await deferLater(reactor, POLL_SECONDS)
        assert told["name"] == "Front door"
        assert told["pictures"] == ["video", "jpeg"]
        assert told["controls"] is True
        await bridge.start(camera.set_control("brightness", 1))
        assert device.settings["brightness"] == 1

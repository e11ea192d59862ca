"""What the firmwares serve beside the stream."""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING, Final

from . import http
from .camera import Shot
from .faults import Spoilt
from .picture import bitmap
from .sensor import atoi
from .server import Connection
from .stream import FRAME_SECONDS, RESET_SECONDS

if TYPE_CHECKING:
    from .device import SimulatedDevice

_CORS: Final = "Access-Control-Allow-Origin: *"
_INDEX: Final = gzip.compress(b"<!doctype html><html><title>ESP32 OV2640</title></html>", mtime=0)
_TASMOTA_PICTURE: Final = (
    "HTTP/1.1 200 OK\r\nContent-disposition: inline; filename=cap.jpg\r\nContent-type: image/jpeg\r\n\r\n"
)
_ARGUMENTS: Final = {"/xclk": ("xclk",), "/reg": ("reg", "mask", "val"), "/greg": ("reg", "mask")}


def refusal(device: SimulatedDevice, request: http.Request, *, stream: bool) -> bytes | None:
    """The answer to whoever does not know the password or the secret, or asks with another method."""
    if request.method != "GET":
        return http.failure(http.NOT_ALLOWED)
    if device.secret is not None and request.headers.get("x-camera-secret") != device.secret:
        return http.failure(http.FORBIDDEN)
    if device.username is None or (stream and device.variant.open_stream):
        return None
    pair = f"{device.username}:{device.password or ''}".encode()
    if request.headers.get("authorization") == f"Basic {base64.b64encode(pair).decode()}":
        return None
    return http.failure(http.UNAUTHORIZED, 'WWW-Authenticate: Basic realm="Login Required"')


def serve(device: SimulatedDevice, connection: Connection, request: http.Request) -> None:
    """Answer a request that is not for the stream."""
    pages, path = device.variant.pages, request.path
    if path in pages and path in ("/capture", "/bmp", "/wc.jpg", "/snapshot.jpg"):
        _take(device, connection, path)
    elif path == "/" and "snapshot" in pages:
        _take(device, connection, "snapshot")
    elif path not in pages:
        connection.reply(http.failure(http.NOT_FOUND), close=True)
    elif path == "/control":
        _control(device, connection, request)
    elif path in ("/xclk", "/reg", "/greg", "/pll", "/resolution"):
        _registers(device, connection, request)
    elif path in ("/status", "/info"):
        body = device.sensor.status(device.stream_url) if path == "/status" else device.identity()
        connection.reply(http.response(body, "application/json", (_CORS,)))
    elif path == "/stop":
        for viewer in device.stream_server.connections:
            if viewer.stream is not None:
                viewer.close()
        connection.reply(http.response())
    elif path == "/dump":
        connection.reply(http.response(b"<html><h1>ESP32 Cam Webserver</h1></html>"))
    else:
        connection.reply(http.response(_INDEX, headers=("Content-Encoding: gzip",)))


def _control(device: SimulatedDevice, connection: Connection, request: http.Request) -> None:
    if device.variant.name == "s60sc":
        # Its pages send ?framesize=8, without var and val.
        variable, _, value = request.query.partition("=")
    else:
        variable, value = request.argument("var") or "", request.argument("val") or ""
    if not variable or not value:
        connection.reply(http.failure(http.NOT_FOUND), close=True)
    elif variable == "reboot" and device.variant.name == "easytarget":
        device.fault("reboot")
    elif device.control(variable, value):
        connection.reply(http.response(headers=(_CORS,)))
    else:
        connection.reply(http.failure(http.FAILED))


def _registers(device: SimulatedDevice, connection: Connection, request: http.Request) -> None:
    needed = _ARGUMENTS.get(request.path, ())
    if not request.query or any(request.argument(name) is None for name in needed):
        connection.reply(http.failure(http.NOT_FOUND), close=True)
        return
    if request.path == "/xclk":
        device.settings["xclk"] = atoi(request.argument("xclk") or "")
    body = b"0" if request.path == "/greg" else b""
    connection.reply(http.response(body, headers=(_CORS,)))


def _take(device: SimulatedDevice, connection: Connection, path: str) -> None:
    def show(shot: Shot) -> None:
        patience.cancel()
        spoilt = device.frame_faults.apply(shot.jpeg, device.clock.seconds())
        data = _picture(device, path, spoilt, shot.stamp)
        if spoilt.breaks:
            connection.transport.write(data[: len(data) // 2])
            device.clock.callLater(RESET_SECONDS, connection.transport.abortConnection)
        else:
            connection.reply(data, close=path.endswith(".jpg"))

    def give_up() -> None:
        device.camera.cancel(show)
        connection.reply(http.failure(http.FAILED), close=True)

    def take() -> None:
        if connection in device.server.connections:
            device.camera.get(show)
        else:
            patience.cancel()

    lamp = device.variant.lamp_seconds if path == "/capture" else 0.0
    patience = device.clock.callLater(lamp + FRAME_SECONDS, give_up)
    if lamp:
        device.clock.callLater(lamp, take)
    else:
        take()


def _picture(device: SimulatedDevice, path: str, spoilt: Spoilt, stamp: float) -> bytes:
    if path.endswith(".jpg"):
        return _TASMOTA_PICTURE.encode() + spoilt.body
    kind, name, headers, body = "image/jpeg", "capture.jpg", [], spoilt.body
    if path == "/bmp":
        kind, name, body = "image/x-windows-bmp", "capture.bmp", bitmap(spoilt.body)
    headers.append(f"Content-Disposition: inline; filename={name}")
    if path != "snapshot":
        headers.append(_CORS)
    if "X-Timestamp" in device.variant.part:
        headers.append(f"X-Timestamp: {int(stamp)}.{int(stamp * 1_000_000) % 1_000_000:06}")
    length = len(body) + spoilt.length - len(spoilt.body)
    return http.response(body, kind, tuple(headers), length=length)

"""HTTP at the bridge: how it does, for people and programs, and the heartbeats of devices."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
from collections.abc import Sequence
from typing import Final

import msgspec
from cctvsignal_clients import InvalidOption, bridge
from klein import Klein
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.tcp import Port
from twisted.logger import Logger
from twisted.web.iweb import IRequest
from twisted.web.server import Site

from .device_camera import DeviceCamera
from .metrics import DeviceMetrics

MOST_BODY_BYTES: Final = 1024

log = Logger()


class Heartbeat(msgspec.Struct):
    """What a device says of itself; its address is where it says that from."""

    id: str


class BridgeSite:
    """The pages, as a Klein application."""

    app = Klein()

    def __init__(self, cameras: Sequence[DeviceCamera], heartbeat_secret: str | None) -> None:
        self._cameras = {camera.config.id: camera for camera in cameras}
        self._metrics = DeviceMetrics(cameras)
        self._secret = heartbeat_secret

    @app.route("/health", methods=["GET", "HEAD"])
    def health(self, request: IRequest) -> bytes:
        """The state of each device. It is healthy as long as it answers: a device may be switched off."""
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"cache-control", b"no-store")
        devices = {name: camera.describe() for name, camera in self._cameras.items()}
        return json.dumps({"status": "healthy", "devices": devices}).encode() + b"\n"

    @app.route("/metrics", methods=["GET", "HEAD"])
    def metrics(self, request: IRequest) -> bytes:
        """For Prometheus."""
        request.setHeader(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        return self._metrics.text()

    @app.route("/heartbeat", methods=["POST"])
    def heartbeat(self, request: IRequest) -> bytes:
        """A device says that it is there, and by that, at which address."""
        given = (request.getHeader("authorization") or "").encode()
        if self._secret is None or not hmac.compare_digest(given, f"Bearer {self._secret}".encode()):
            return _refuse(request, 401, "the heartbeat secret is missing or wrong")
        body = request.content.read(MOST_BODY_BYTES + 1)
        try:
            if len(body) > MOST_BODY_BYTES:
                raise msgspec.DecodeError(f"it has over {MOST_BODY_BYTES} bytes")
            device_id = msgspec.json.decode(body, type=Heartbeat).id
        except (msgspec.DecodeError, RecursionError) as error:
            return _refuse(request, 400, f"this is no heartbeat: {error}")
        camera = self._cameras.get(device_id)
        if camera is None:
            return _refuse(request, 404, "this bridge has no device of this id")
        address = request.getClientAddress().host
        if camera.config.address not in (None, address) or not _may_be_device(address):
            return _refuse(request, 403, f"the device may not be at {address}")
        camera.source.moved(address)
        request.setResponseCode(204)
        return b""


class ListeningSite:
    """The pages on a port."""

    def __init__(self, port: Port) -> None:
        self._port = port
        host = port.getHost()
        self.url = f"http://{host.host}:{host.port}"

    async def close(self) -> None:
        """Take no more connections."""
        closed: Deferred[None] = maybeDeferred(self._port.stopListening)
        await closed.asFuture(asyncio.get_running_loop())


def listen(where: str, cameras: Sequence[DeviceCamera], heartbeat_secret: str | None) -> ListeningSite:
    """Serve the pages at [HOST:]PORT. Raises `InvalidOption`."""
    host, _, port = where.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise InvalidOption(f"{where!r} is no place to listen at: write it as 8090 or 127.0.0.1:8090.")
    site = Site(BridgeSite(cameras, heartbeat_secret).app.resource(), timeout=30)
    site.noisy = False
    try:
        return ListeningSite(bridge.the_reactor().listenTCP(int(port), site, interface=host.strip("[]")))
    except CannotListenError as error:
        raise InvalidOption(f"cannot listen at {where}: {error.socketError}.") from None


def _may_be_device(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_private


def _refuse(request: IRequest, code: int, message: str) -> bytes:
    request.setResponseCode(code)
    request.setHeader(b"content-type", b"application/json")
    return json.dumps({"error": message}).encode() + b"\n"

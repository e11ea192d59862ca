"""The settings of a device: read from its /status, set through its /control, and seen to have worked."""

from __future__ import annotations

from typing import Final

from cctvsignal_clients import ControlRefused
from cctvsignal_clients.control import Control, Value
from twisted.logger import Logger

from .firmware import INDICES, SIZES, controls_of, request_of
from .http import DeviceError, Missing
from .source import DeviceSource

SIZE_SECONDS: Final = 3.0
"""So long a sensor takes at most to send pictures of another size."""

log = Logger()


class DeviceSettings:
    """Reads and changes what the device's configuration allows."""

    def __init__(self, source: DeviceSource) -> None:
        self._source = source
        self._set: dict[str, Value] = {}
        """What was set and the device does not tell."""
        self._indices = list(INDICES)
        """The meanings that `framesize` may have; the first was right the last time."""

    def controls(self) -> tuple[Control, ...]:
        """The settings as they are, as far as is known; none before the device was reached."""
        source = self._source
        if source.status is None or source.place is None or source.place.control is None:
            return ()
        return tuple(controls_of(source.status, source.config.controls, source.size, self._set))

    async def apply(self, control: Control, value: Value) -> None:
        """Change a setting. Raises `ControlRefused`; then it may or may not have been changed."""
        try:
            if control.name == "framesize":
                await self._set_size(str(value))
            else:
                await self._send(control.name, int(value))
                self._set[control.name] = value
            await self._read()
        except DeviceError as error:
            raise ControlRefused(f"{control.label} was not changed: {error}") from None

    async def _read(self) -> None:
        place = self._source.place
        if place is not None and place.status is not None:
            self._source.status = await self._source.http.status(place.status)

    async def _send(self, name: str, value: int) -> None:
        place = self._source.place
        if place is None or place.control is None:
            raise Missing("this device has no settings")
        await self._source.http.get(place.control, request_of(place.variant, name, value))

    async def _set_size(self, name: str) -> None:
        """What index a size has depends on the version of the camera's driver: only the picture tells."""
        wanted, before = SIZES[name], self._source.size
        for indices in list(self._indices):
            await self._send("framesize", indices[name])
            if await self._source.wait_for_size(wanted, SIZE_SECONDS):
                self._indices.remove(indices)
                self._indices.insert(0, indices)
                return
        width, height = self._source.size
        if self._source.size != before:
            log.warn("{device} has another size than asked for", device=self._source.config.id)
        raise ControlRefused(f"the device does not send {name}, but {width} × {height}")

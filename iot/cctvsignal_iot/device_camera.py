"""A device as a camera of a room: its pictures, its state and its settings."""

from __future__ import annotations

import asyncio
from typing import Final, Unpack

from aiortc import RTCDataChannel
from cctvsignal_clients import CameraClient, ClientError, EncoderSettings, bridge
from cctvsignal_clients.commands import following, watch_connection
from cctvsignal_clients.control import LABEL as CONTROL
from cctvsignal_clients.control import Control, ControlPanel, State, Value
from cctvsignal_clients.pictures import LABEL as JPEG
from cctvsignal_clients.pictures import PictureSender
from cctvsignal_clients.reporting import Reporter
from cctvsignal_clients.signaling import DEFAULT_SERVER, ClientOptions
from twisted.logger import Logger

from .config import DeviceConfig
from .settings import DeviceSettings
from .source import DeviceSource
from .states import SENTENCES, DeviceState

META_SECONDS: Final = 2.0
"""A device that comes and goes does not keep the whole room busy."""

log = Logger()


class DeviceCamera:
    """One device, from `start` to `stop`. `options` are those of `CameraClient`."""

    def __init__(
        self, config: DeviceConfig, server: str = DEFAULT_SERVER, **options: Unpack[ClientOptions]
    ) -> None:
        self.config = config
        self.source = DeviceSource(config)
        self.source.on_state = self._state_changed
        self.source.on_size = self._show_controls
        self._settings = DeviceSettings(self.source)
        self.panel = ControlPanel(self._apply)
        accepts = {} if config.send == "video" else {JPEG: self._take_pictures_channel}
        options["meta"] = self._meta()
        self._token = options.get("token")
        self.client = CameraClient(
            server,
            camera_id=config.id,
            max_viewers=config.max_viewers,
            device_key=config.device_key,
            encoding=EncoderSettings(
                bitrate=None if config.bitrate is None else config.bitrate * 1000, fps=config.fps
            ),
            channels={CONTROL: self.panel.take},
            accepts=accepts,
            sends_video=config.send != "jpeg",
            **options,
        )
        self._changed = asyncio.Event()

    async def run(self, reporter: Reporter) -> None:
        """Be a camera until cancelled. Raises `ClientError` when the server lets it in no more."""
        refused = watch_connection(self.client, reporter, self._token)
        self._state_changed()
        telling = bridge.background(self._tell())
        try:
            await self.client.start_streaming(self.source)
            await self.client.register()
            text = f"Camera {self.config.id} is in room {self.client.room}."
            reporter.say("registered", text, camera=self.config.id, room=self.client.room)
            async with following(self._token, self.client):
                await refused
        finally:
            telling.cancel()
            await self.client.close()

    def describe(self) -> dict[str, object]:
        """How the device does, for people and programs."""
        source = self.source
        return {
            "state": source.state.value,
            "since": source.since.isoformat(timespec="seconds"),
            "message": SENTENCES[source.state],
            "firmware": source.variant,
            "viewers": len(self.client.viewers),
            "connected": self.client.connected,
        }

    async def set_control(self, name: str, value: Value) -> None:
        """Change a setting, as a viewer would. Raises `ControlRefused`."""
        await self.panel.set(name, value)

    # --- inside

    async def _apply(self, control: Control, value: Value) -> None:
        try:
            await self._settings.apply(control, value)
        finally:
            self._show_controls()

    def _take_pictures_channel(self, channel: RTCDataChannel) -> None:
        sender = PictureSender(channel)
        channel.on("close", bridge.listener(lambda: self.source.discard(sender)))
        self.source.add(sender)

    def _meta(self) -> dict[str, object]:
        pictures = {"both": ["video", "jpeg"], "video": ["video"], "jpeg": ["jpeg"]}[self.config.send]
        source = self.source
        meta: dict[str, object] = {
            "kind": "esp32-cam",
            "state": source.state.value,
            "stateSince": source.since.isoformat(timespec="seconds"),
            "pictures": pictures,
            "controls": bool(self.config.controls),
        }
        return meta if self.config.name is None else {"name": self.config.name, **meta}

    def _state_changed(self) -> None:
        state, since = self.source.state, self.source.since.isoformat(timespec="seconds")
        self.panel.say(State(state.value, SENTENCES[state], since))
        if state is DeviceState.STREAMING:
            self._show_controls()
        self._changed.set()

    def _show_controls(self) -> None:
        self.panel.show(self._settings.controls())

    async def _tell(self) -> None:
        """Keep what the room knows of it up to date."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.client.update_meta(self._meta())
            except ClientError as error:
                log.info("{camera} could not say how it does: {error}", camera=self.config.id, error=error)
            await asyncio.sleep(META_SECONDS)

"""The bridge: all its devices as cameras, and what it tells of them."""

from __future__ import annotations

import asyncio
from typing import Final

from cctvsignal_clients import ClientError, ConnectionFailed, InvalidOption
from cctvsignal_clients.commands import token_option
from cctvsignal_clients.errors import patience
from cctvsignal_clients.reporting import Reporter
from cctvsignal_clients.retry import REPLACED_SECONDS, STAYS_AWAY_AFTER, Backoff
from cctvsignal_clients.signaling import ClientOptions
from twisted.logger import Logger

from .config import BridgeConfig
from .device_camera import DeviceCamera

STATUS_SECONDS: Final = 1.0

log = Logger()


class Bridge:
    """Brings the devices of a configuration into a room. Raises `InvalidOption`."""

    def __init__(self, config: BridgeConfig, reporter: Reporter) -> None:
        self._config = config
        self._reporter = reporter
        options = ClientOptions(ca_file=config.ca_file)
        if config.room is not None:
            options["room"] = config.room
        server = {} if config.server is None else {"server": config.server}
        self.cameras = []
        for device in config.device:
            options["token"] = token_option(config.token, config.token_file)
            self.cameras.append(DeviceCamera(device, **server, **options))

    async def run(self) -> None:
        """Until it is cancelled. Raises `InvalidOption`, or `OSError` if it cannot listen."""
        site = None
        if self._config.listen is not None:
            # Klein imports the reactor, which has to be asyncio's by then.
            from .site import listen

            site = listen(self._config.listen, self.cameras, self._config.heartbeat_secret)
            self._reporter.say("listening", f"Health and metrics are at {site.url}.", url=site.url)
        tasks = [asyncio.ensure_future(self._keep(camera)) for camera in self.cameras]
        tasks.append(asyncio.ensure_future(self._show_status()))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if site is not None:
                await site.close()

    async def _keep(self, camera: DeviceCamera) -> None:
        """Have the camera in its room, whatever the server says: a bridge runs where nobody sees it."""
        attempt, name = 0, camera.config.id
        while True:
            try:
                await camera.run(self._reporter)
            except InvalidOption:
                raise
            except ClientError as error:
                away = not isinstance(error, ConnectionFailed) or error.close_code in STAYS_AWAY_AFTER
                seconds = (REPLACED_SECONDS if away else Backoff().seconds(attempt)) + patience(error)
                attempt += 1
                text = f"{name} is not in the room, trying again in {seconds:.0f} s: {error}"
                self._reporter.say("refused", text, camera=name, error=str(error))
                await asyncio.sleep(seconds)

    async def _show_status(self) -> None:
        while True:
            states = [f"{camera.config.id} {camera.source.state.value}" for camera in self.cameras]
            viewers = sum(len(camera.client.viewers) for camera in self.cameras)
            cpu = self._reporter.cpu_percent()
            self._reporter.status(
                f"{', '.join(states)}; viewers: {viewers}; CPU {cpu:.0f} %",
                devices={camera.config.id: camera.source.state.value for camera in self.cameras},
                viewers=viewers,
                cpu=round(cpu, 1),
            )
            await asyncio.sleep(STATUS_SECONDS)

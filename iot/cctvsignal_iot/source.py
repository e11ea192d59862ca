"""A device as a source of pictures: connected while they are wanted, and named by state when it is not."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from cctvsignal_clients import Source, bridge
from cctvsignal_clients.jpeg import NotJpeg, clean
from cctvsignal_clients.mjpeg import BadStream, MjpegParser
from cctvsignal_clients.pictures import JpegDecoder, PictureSender, encode_jpeg
from cctvsignal_clients.sources.drawing import no_signal
from twisted.logger import Logger

from .config import DeviceConfig
from .firmware import Place, places, variant_of
from .http import Denied, DeviceError, DeviceHTTP, Missing, NoAnswer, RefusedAddress, Stream, Unreachable
from .states import DeviceState, Tally, pause
from .stream_finder import StreamFinder

STALL_SECONDS: Final = 5.0
"""So long a device may send no picture."""
PLACEHOLDER_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 3.0
"""So long without a picture, and viewers are told why."""
LINGER_SECONDS: Final = 5.0
"""Whoever looks away for a moment does not cost the device a new connection."""
LIKELY_RATE: Final = 15.0

log = Logger()


class DeviceSource(Source):
    """The pictures of one device. `on_state` is called when `state` has changed."""

    def __init__(self, config: DeviceConfig) -> None:
        super().__init__()
        self.config = config
        self.rate = config.fps or LIKELY_RATE
        self.state = DeviceState.IDLE
        self.since = datetime.now(UTC)
        self.on_state: Callable[[], None] = lambda: None
        self.on_size: Callable[[], None] = lambda: None
        self.http = DeviceHTTP(config)
        self.place: Place | None = None
        """Where the stream was found."""
        self.variant: str | None = None
        """The firmware that was found, or the kind of stream."""
        self.status: dict[str, Any] | None = None
        """What the device said of its settings."""
        self.size = (0, 0)
        self.tally = Tally()
        self._senders: set[PictureSender] = set()
        self._latest: bytes | None = None
        self._newest: bytes | None = None
        """To be decoded."""
        self._last_whole = self._last_damaged = self._last_good = float("-inf")
        """When there was a picture that is whole in form, one that is damaged, one that can be decoded."""
        self._away_since: float | None = None
        self._wanted = asyncio.Event()
        self._finder = StreamFinder(config, self.http, self.tally, self._wanted, self._take, self._explain)
        self._unwanted: asyncio.TimerHandle | None = None
        self._fresh = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._look_again = asyncio.Event()
        self.frames.on_readers = self._look_who_watches

    async def start(self) -> None:
        self._look_who_watches()
        self._tasks = [bridge.background(work) for work in (self._run(), self._decode(), self._hold())]

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._unwanted is not None:
            self._unwanted.cancel()

    def add(self, sender: PictureSender) -> None:
        """Send the JPEGs to one more viewer."""
        self._senders.add(sender)
        if self._latest is not None:
            sender.send(self._latest)
        self._look_who_watches()

    def discard(self, sender: PictureSender) -> None:
        """Send them to this viewer no more."""
        self._senders.discard(sender)
        self._look_who_watches()

    def moved(self, address: str) -> None:
        """The device has proved that it is at this address now."""
        self.http.moved(address)
        self._look_again.set()

    async def wait_for_size(self, size: tuple[int, int], seconds: float) -> bool:
        """Whether pictures of this size come, by the stream or singly, within so many seconds."""
        if (
            self.state is not DeviceState.STREAMING
            and self.place is not None
            and self.place.capture is not None
        ):
            self._take(await self.http.get(self.place.capture))
            return self.size == size
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.size != size:
                    self._fresh.clear()
                    await self._fresh.wait()
        return self.size == size

    # --- who watches

    @property
    def _is_watched(self) -> bool:
        return self.config.keep_warm or self.frames.readers > 0 or bool(self._senders)

    def _look_who_watches(self) -> None:
        if self._unwanted is not None:
            self._unwanted.cancel()
            self._unwanted = None
        if self._is_watched:
            self._wanted.set()
        elif self._wanted.is_set():
            loop = asyncio.get_running_loop()
            self._unwanted = loop.call_later(LINGER_SECONDS, self._wanted.clear)

    # --- the connection

    async def _run(self) -> None:
        while True:
            await self._until_wanted()
            try:
                await self._watch()
                problem: DeviceState | None = None
            except Denied as error:
                problem = self._explain(DeviceState.UNAUTHORIZED, error)
            except (Unreachable, RefusedAddress) as error:
                problem = self._explain(DeviceState.DOWN, error)
            except NoAnswer as error:
                problem = self._explain(DeviceState.STALLED, error)
            except (Missing, BadStream) as error:
                self.place = None  # Another firmware may be on it by now.
                problem = self._explain(DeviceState.BAD_STREAM, error)
            if problem is not None:
                await self._pause(problem)

    async def _until_wanted(self) -> None:
        if self._wanted.is_set():
            return
        self._away_since = None
        self._become(DeviceState.IDLE)
        while not self._wanted.is_set():
            try:
                await asyncio.wait_for(self._wanted.wait(), self.config.still_every)
            except TimeoutError:
                await self._take_still()

    async def _take_still(self) -> None:
        place = self.place or next(places(self.config.url, self.config.variant, self.config.stream_port))
        if place.capture is None:
            return
        try:
            self._take(await self.http.get(place.capture))
        except DeviceError as error:
            log.info("no single picture of {device}: {error}", device=self.config.id, error=str(error))

    async def _pause(self, problem: DeviceState) -> None:
        now = time.monotonic()
        self._away_since = self._away_since or now
        seconds = pause(problem, now - self._away_since, random.random())
        self._look_again.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._look_again.wait(), seconds)

    async def _watch(self) -> None:
        """Show the stream until nobody wants it; raises why it ended otherwise."""
        if self._away_since is None:
            self._become(DeviceState.CONNECTING)
        stream = await self._open()
        if stream is None:
            return
        parser = MjpegParser(stream.boundary)

        def take(data: bytes) -> None:
            self.tally.bytes += len(data)
            damaged = parser.counts.damaged
            for jpeg in parser.feed(data):
                self._take_from_stream(jpeg, parser.size)
            if parser.counts.damaged > damaged:
                self._was_damaged(parser.counts.damaged - damaged)

        try:
            stream.read(take)
            await self._until_over(stream)
        finally:
            if stream.is_open:
                self._finder.hung_up()
            stream.close()

    async def _until_over(self, stream: Stream) -> None:
        begun = time.monotonic()
        while self._wanted.is_set():
            now = time.monotonic()
            silent = now - max(begun, self._last_whole, self._last_damaged)
            if silent >= STALL_SECONDS:
                raise NoAnswer("no picture came any more")
            if self._all_damaged and now - max(begun, self._last_good) >= STALL_SECONDS:
                self._explain(DeviceState.DAMAGED_PICTURES, BadStream("none of its pictures is whole"))
            await asyncio.wait((stream.ended,), timeout=min(0.5, STALL_SECONDS - silent))
            if stream.ended.done():
                stream.ended.result()
                raise Unreachable("the device ended its stream")

    async def _open(self) -> Stream | None:
        """The stream, and where it is; None when nobody wants it any more."""
        found = await self._finder.open(self.place)
        if found is None:
            return None
        stream, place = found
        if place is not self.place:
            await self._found(place)
        return stream

    async def _found(self, place: Place) -> None:
        self.place = place
        if place.status is not None:
            with suppress(DeviceError):
                self.status = await self.http.status(place.status)
        self.variant = variant_of(place, self.status)
        log.info("{device} is a {variant}", device=self.config.id, variant=self.variant)

    # --- pictures

    def _take(self, jpeg: bytes) -> None:
        """A picture that came singly."""
        self.tally.bytes += len(jpeg)
        try:
            self._take_picture(*clean(jpeg))
        except NotJpeg:
            self._was_damaged()

    def _take_from_stream(self, jpeg: bytes, size: tuple[int, int]) -> None:
        self._away_since = None
        self._take_picture(jpeg, size)
        if self.state is not DeviceState.DAMAGED_PICTURES:
            self._become(DeviceState.STREAMING)

    def _take_picture(self, jpeg: bytes, size: tuple[int, int]) -> None:
        self.tally.pictures += 1
        self._last_whole = time.monotonic()
        if not self.frames.readers:
            self._was_good()  # Else, its decoder knows better.
        self._latest = jpeg
        for sender in self._senders:
            sender.send(jpeg)
        if self.frames.readers:
            if self._newest is not None:
                self.tally.dropped += 1
            self._newest = jpeg
        self._fresh.set()
        if size != self.size:
            self.size = size
            self.on_size()

    async def _decode(self) -> None:
        """The newest picture at any time: what came before it while one was decoded is left out."""
        decoder = JpegDecoder()
        while True:
            jpeg, self._newest = self._newest, None
            if jpeg is None:
                self._fresh.clear()
                await self._fresh.wait()
                continue
            frame = await asyncio.to_thread(decoder.decode, jpeg)
            if frame is not None:
                self._was_good()
                self.show(frame)
            else:
                self._was_damaged()

    @property
    def _all_damaged(self) -> bool:
        """Whether there was no good picture after the last damaged one."""
        return self._last_damaged > self._last_good

    def _was_damaged(self, many: int = 1) -> None:
        self.tally.damaged += many
        self._last_damaged = time.monotonic()

    def _was_good(self) -> None:
        self._last_good = time.monotonic()
        if self.state is DeviceState.DAMAGED_PICTURES:
            self._become(DeviceState.STREAMING)

    async def _hold(self) -> None:
        """Say what is the matter, in place of pictures."""
        while True:
            await asyncio.sleep(PLACEHOLDER_SECONDS)
            silent = time.monotonic() - (self._last_good if self._all_damaged else self._last_whole)
            if silent < SILENT_SECONDS or not self._is_watched:
                continue
            size = self.size if all(self.size) else (640, 480)
            away = (datetime.now(UTC) - self.since).total_seconds()
            picture = no_signal(int(away), size, self.state.name.replace("_", " "))
            if self._senders:
                jpeg = encode_jpeg(picture)
                for sender in self._senders:
                    sender.send(jpeg)
            if self.placeholders.readers:
                self._stamp(picture)
                self.placeholders.put(picture)

    # --- states

    def _explain(self, state: DeviceState, error: Exception) -> DeviceState:
        if state is not self.state:
            log.warn(
                "{device} is {state}: {error}", device=self.config.id, state=state.value, error=str(error)
            )
        self._become(state)
        return state

    def _become(self, state: DeviceState) -> None:
        if state is not self.state:
            if state is DeviceState.STREAMING:
                log.info("{device} is streaming", device=self.config.id)
            self.state, self.since = state, datetime.now(UTC)
            self.tally.states[state] = self.tally.states.get(state, 0) + 1
            self.on_state()

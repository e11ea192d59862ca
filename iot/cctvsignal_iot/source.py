"""A device as a source of pictures: connected while they are wanted, and named by state when it is not."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cctvsignal_clients import Source, bridge
from cctvsignal_clients.pictures import JpegDecoder, PictureSender, encode_jpeg
from cctvsignal_clients.redaction import shown
from cctvsignal_clients.sources.drawing import no_signal
from twisted.logger import Logger

from .config import DeviceConfig
from .firmware import Place, places, variant_of
from .http import (
    Denied,
    DeviceError,
    DeviceHTTP,
    Missing,
    NoAnswer,
    NobodyListens,
    RefusedAddress,
    Stream,
    Unreachable,
)
from .jpeg import NotJpeg, size_of
from .mjpeg import BadStream, Counts, MjpegParser
from .states import DeviceState, pause

STALL_SECONDS: Final = 5.0
"""So long a device may send no picture."""
BUSY_SECONDS: Final = 2.0
"""So long a device may say nothing at all before somebody else is taken to hold its stream."""
BUSY_GIVE_UP_SECONDS: Final = 60.0
"""A place in a queue that a device has forgotten is worth nothing."""
POLL_SECONDS: Final = 0.5
PLACEHOLDER_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 3.0
"""So long without a picture, and viewers are told why."""
LINGER_SECONDS: Final = 5.0
"""Whoever looks away for a moment does not cost the device a new connection."""
LIKELY_RATE: Final = 15.0
MULTIPART: Final = "multipart/x-mixed-replace"

log = Logger()


@dataclass
class Tally:
    """What happened so far, for metrics."""

    pictures: int = 0
    damaged: int = 0
    bytes: int = 0
    connections: int = 0
    dropped: int = 0
    """Pictures that were whole, and older than the next one by the time they could be decoded."""
    states: dict[DeviceState, int] = field(default_factory=dict)


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
        self._last_picture = float("-inf")
        self._away_since: float | None = None
        self._wanted = asyncio.Event()
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
        counted = Counts()

        def take(data: bytes) -> None:
            nonlocal counted
            self.tally.bytes += len(data)
            for jpeg in parser.feed(data):
                self._take_from_stream(jpeg, parser.size)
            self.tally.damaged += parser.counts.damaged - counted.damaged
            counted = Counts(**vars(parser.counts))

        try:
            stream.read(take)
            await self._until_over(stream)
        finally:
            stream.close()

    async def _until_over(self, stream: Stream) -> None:
        begun = time.monotonic()
        while self._wanted.is_set():
            silent = time.monotonic() - max(begun, self._last_picture)
            if silent >= STALL_SECONDS:
                raise NoAnswer("no picture came any more")
            await asyncio.wait((stream.ended,), timeout=min(0.5, STALL_SECONDS - silent))
            if stream.ended.done():
                stream.ended.result()
                raise Unreachable("the device ended its stream")

    async def _open(self) -> Stream | None:
        """The stream, at the first place that has one; None when nobody wants it any more."""
        config, problem = self.config, DeviceError()
        known = self.place
        for place in (known,) if known else places(config.url, config.variant, config.stream_port):
            try:
                stream = await self._open_at(place)
            except (Missing, NobodyListens) as error:
                problem = error
                continue
            if stream is None:
                return None
            if stream.content_type != MULTIPART:
                stream.close()
                problem = Missing(
                    f"{shown(place.stream)} is {stream.content_type or 'of no kind'}, no {MULTIPART}"
                )
                continue
            if known is None:
                await self._found(place)
            return stream
        raise problem

    async def _open_at(self, place: Place) -> Stream | None:
        connected = asyncio.Event()
        self.tally.connections += 1
        opening = asyncio.ensure_future(self.http.open(place.stream, connected.set))
        try:
            done, _ = await asyncio.wait((opening,), timeout=BUSY_SECONDS)
            if not done and not connected.is_set():
                await asyncio.wait((opening,))  # It has a deadline of its own.
            give_up = time.monotonic() + BUSY_GIVE_UP_SECONDS
            while not opening.done():
                # The place in its queue is kept: the moment that the other client goes, this one is next.
                if not self._wanted.is_set():
                    return None
                if time.monotonic() >= give_up:
                    raise NoAnswer("another client has held the stream for long")
                await self._poll(place, opening)
            return opening.result()
        finally:
            if not opening.done():
                opening.cancel()

    async def _poll(self, place: Place, opening: asyncio.Future[Stream]) -> None:
        """Single pictures, while another client holds the stream."""
        if place.capture is None:
            self._explain(DeviceState.BUSY, NoAnswer("it took the connection and says nothing"))
            await asyncio.wait((opening,), timeout=STALL_SECONDS)
            return
        fetching = asyncio.ensure_future(self.http.get(place.capture))
        await asyncio.wait((opening, fetching), return_when=asyncio.FIRST_COMPLETED)
        if not fetching.done():
            fetching.cancel()
            return
        self._take(fetching.result())
        self._explain(DeviceState.BUSY, NoAnswer("another client holds the stream"))
        await asyncio.wait((opening,), timeout=POLL_SECONDS)

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
        try:
            size = size_of(jpeg)
        except NotJpeg:
            self.tally.damaged += 1
            return
        self.tally.bytes += len(jpeg)
        self._take_picture(jpeg, size)

    def _take_from_stream(self, jpeg: bytes, size: tuple[int, int]) -> None:
        self._away_since = None
        self._become(DeviceState.STREAMING)
        self._take_picture(jpeg, size)

    def _take_picture(self, jpeg: bytes, size: tuple[int, int]) -> None:
        self.tally.pictures += 1
        self._last_picture = time.monotonic()
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
                self.show(frame)
            else:
                self.tally.damaged += 1

    async def _hold(self) -> None:
        """Say what is the matter, in place of pictures."""
        while True:
            await asyncio.sleep(PLACEHOLDER_SECONDS)
            silent = time.monotonic() - self._last_picture
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

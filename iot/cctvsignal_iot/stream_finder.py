"""Opens the stream of a device: at the first place that has one, and when whoever holds it has let go."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from cctvsignal_clients.redaction import shown

from .config import DeviceConfig
from .firmware import Place, places
from .http import DeviceError, DeviceHTTP, Missing, NoAnswer, NobodyListens, Stream
from .states import DeviceState, Tally

BUSY_SECONDS: Final = 2.0
"""If a device says nothing at all for so long, something holds its stream."""
BUSY_GIVE_UP_SECONDS: Final = 60.0
"""A place in a queue that a device has forgotten is worth nothing."""
OWN_SECONDS: Final = 60.0
"""A device whose sends fail (within 5 s) has closed a stream that the bridge hung up so long ago."""
SILENT_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.5
MULTIPART: Final = "multipart/"
UNTYPED: Final = ("", "application/octet-stream")
"""What a stream may say it is where there is only one place to look."""


class StreamFinder:
    """Looks for the stream of one device while it is `wanted`.

    `take` is called with single pictures while the device is busy, `explain` with the state and its reason.
    """

    def __init__(
        self,
        config: DeviceConfig,
        http: DeviceHTTP,
        tally: Tally,
        wanted: asyncio.Event,
        take: Callable[[bytes], None],
        explain: Callable[[DeviceState, Exception], object],
    ) -> None:
        self._config = config
        self._http = http
        self._tally = tally
        self._wanted = wanted
        self._take = take
        self._explain = explain
        self._hung_up = -math.inf

    def hung_up(self) -> None:
        """The bridge has closed a stream. The device may not notice until its sends fail."""
        self._hung_up = time.monotonic()

    async def open(self, known: Place | None) -> tuple[Stream, Place] | None:
        """The stream, at the first place that has one; None when nobody wants it any more.

        Raises a kind of `DeviceError`.
        """
        config, problem = self._config, DeviceError()
        candidates = [known] if known else list(places(config.url, config.variant, config.stream_port))
        for place in candidates:
            try:
                stream = await self._open_at(place)
            except (Missing, NobodyListens) as error:
                if isinstance(error, NobodyListens):
                    self._hung_up = -math.inf  # It holds nothing: it has been restarted.
                problem = error
                continue
            if stream is None:
                return None
            kind = stream.content_type
            if kind.startswith(MULTIPART) or (len(candidates) == 1 and kind in UNTYPED):
                self._hung_up = -math.inf
                return stream, place
            stream.close()
            problem = Missing(
                f"{shown(place.stream)} is {kind or 'of no type'}, not {MULTIPART}x-mixed-replace"
            )
        raise problem

    async def _open_at(self, place: Place) -> Stream | None:
        connected = asyncio.Event()
        self._tally.connections += 1
        opening = asyncio.ensure_future(self._http.open(place.stream, connected.set))
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
                    raise NoAnswer(f"the stream has been held for {BUSY_GIVE_UP_SECONDS:.0f} seconds")
                await self._poll(place, opening)
            return opening.result()
        finally:
            if not opening.done():
                opening.cancel()

    async def _poll(self, place: Place, opening: asyncio.Future[Stream]) -> None:
        """Single pictures, while something holds the stream."""
        if place.capture is None:
            self._say_who_holds_it(is_alive=False)
            await asyncio.wait((opening,), timeout=SILENT_SECONDS)
            return
        fetching = asyncio.ensure_future(self._http.get(place.capture))
        await asyncio.wait((opening, fetching), return_when=asyncio.FIRST_COMPLETED)
        if not fetching.done():
            fetching.cancel()
            return
        self._take(fetching.result())
        self._say_who_holds_it(is_alive=True)
        await asyncio.wait((opening,), timeout=POLL_SECONDS)

    def _say_who_holds_it(self, *, is_alive: bool) -> None:
        # A device that answers otherwise notices by then that the bridge has gone.
        since = time.monotonic() - self._hung_up
        if since < (OWN_SECONDS if is_alive else math.inf):
            reason = NoAnswer("it still holds the bridge's last connection")
            self._explain(DeviceState.RECONNECTING, reason)
        else:
            self._explain(DeviceState.BUSY, NoAnswer("another client holds the stream"))

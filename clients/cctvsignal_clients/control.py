"""Settings of a camera that viewers may change, over a data channel `control`.

One JSON object a message. The camera says `state` and `controls` when the channel opens and whenever they
change; a viewer says `set` and gets `done` or `refused`, with the same `id`: see docs/esp32.md.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from aiortc import RTCDataChannel
from twisted.logger import Logger

from . import bridge
from .errors import ControlRefused, RequestTimeout

LABEL: Final = "control"
MOST_BYTES: Final = 4096
MOST_WAITING: Final = 16
"""So many requests may wait at the camera, of all viewers together."""
ANSWER_SECONDS: Final = 15.0

Value: TypeAlias = int | bool | str

log = Logger()


class Choice(msgspec.Struct, frozen=True):
    """One of the values that a setting can have, and what to call it."""

    value: Value
    label: str


class Control(msgspec.Struct, frozen=True, omit_defaults=True):
    """A setting: a `number` from `least` to `most`, a `switch`, or a `choice`; `value` None is unknown."""

    name: str
    label: str
    kind: Literal["number", "switch", "choice"]
    value: Value | None = None
    least: int = 0
    most: int = 0
    choices: tuple[Choice, ...] = ()

    def problem(self, value: Value) -> str | None:
        """What is wrong with a value for this setting, if anything is."""
        if self.kind == "switch":
            return None if isinstance(value, bool) else f"{self.name} is true or false"
        if self.kind == "choice":
            known = [choice.value for choice in self.choices]
            return None if value in known else f"{self.name} is one of {', '.join(map(str, known))}"
        if type(value) is int and self.least <= value <= self.most:
            return None
        return f"{self.name} is a whole number from {self.least} to {self.most}"


class State(msgspec.Struct, tag="state", frozen=True):
    """How the camera does, in a word for programs and a sentence for people."""

    state: str
    message: str
    since: str
    """ISO 8601, UTC."""


class Controls(msgspec.Struct, tag="controls", frozen=True):
    """All settings, as they are."""

    controls: tuple[Control, ...]


class Done(msgspec.Struct, tag="done", frozen=True):
    """The setting has the value that was asked for."""

    id: str


class Refused(msgspec.Struct, tag="refused", frozen=True):
    """The setting is as it was."""

    id: str
    message: str


class Set(msgspec.Struct, tag="set", frozen=True):
    """A viewer wants a setting to have a value."""

    id: str
    name: str
    value: Value


FromCamera: TypeAlias = State | Controls | Done | Refused
Apply: TypeAlias = Callable[[Control, Value], Awaitable[None]]

_from_camera = msgspec.json.Decoder(FromCamera)
_set = msgspec.json.Decoder(Set)


class ControlPanel:
    """The camera's side. `apply` changes a setting, or raises `ControlRefused`; one request at a time."""

    def __init__(self, apply: Apply) -> None:
        self._apply = apply
        self._channels: list[RTCDataChannel] = []
        self._turn = asyncio.Lock()
        self._waiting = 0
        self.controls: tuple[Control, ...] = ()
        self.state: State | None = None

    def take(self, channel: RTCDataChannel) -> None:
        """A viewer's channel; for `CameraClient`."""

        def greet() -> None:
            self._channels.append(channel)
            if self.state is not None:
                _send(channel, self.state)
            _send(channel, Controls(self.controls))

        def forget() -> None:
            if channel in self._channels:
                self._channels.remove(channel)

        channel.on("close", bridge.listener(forget))
        channel.on("message", bridge.listener(lambda text: self._hear(channel, text)))
        if channel.readyState == "open":
            greet()
        else:
            channel.on("open", bridge.listener(greet))

    def show(self, controls: Sequence[Control]) -> None:
        """These are the settings now."""
        if self.controls != tuple(controls):
            self.controls = tuple(controls)
            self._tell(Controls(self.controls))

    def say(self, state: State) -> None:
        """This is how the camera does now."""
        self.state = state
        self._tell(state)

    async def set(self, name: str, value: Value) -> None:
        """Change a setting, when it is its turn. Raises `ControlRefused`."""
        if self._waiting >= MOST_WAITING:
            raise ControlRefused("too many requests are waiting already: try again later")
        self._waiting += 1
        try:
            async with self._turn:
                control = next((each for each in self.controls if each.name == name), None)
                if control is None:
                    raise ControlRefused(f"there is no setting {name!r}")
                if problem := control.problem(value):
                    raise ControlRefused(problem)
                await self._apply(control, value)
        finally:
            self._waiting -= 1

    def _hear(self, channel: RTCDataChannel, text: str | bytes) -> None:
        try:
            if len(text) > MOST_BYTES:
                raise msgspec.DecodeError("it is too long")
            wish = _set.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            _send(channel, Refused("", f"this is no message of the control channel: {error}"))
            return
        bridge.background(self._answer(channel, wish))

    async def _answer(self, channel: RTCDataChannel, wish: Set) -> None:
        try:
            await self.set(wish.name, wish.value)
            answer: FromCamera = Done(wish.id)
        except ControlRefused as refusal:
            answer = Refused(wish.id, str(refusal))
        except Exception:
            log.failure("setting {name} failed", name=wish.name)
            answer = Refused(wish.id, "the camera could not do it; its log says why")
        _send(channel, answer)

    def _tell(self, message: FromCamera) -> None:
        for channel in self._channels:
            _send(channel, message)


class RemoteControl:
    """The viewer's side: what the camera says of itself, and what can be changed."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.controls: tuple[Control, ...] = ()
        self.on_change: Callable[[], None] = lambda: None
        """Called when either of them has changed."""
        self._channel: RTCDataChannel | None = None
        self._answers: dict[str, asyncio.Future[Done | Refused]] = {}

    def take(self, channel: RTCDataChannel) -> None:
        """The channel of a new session."""
        self._channel = channel
        channel.on("message", bridge.listener(self._hear))

    async def set(self, name: str, value: Value) -> None:
        """Change a setting; raises `ControlRefused`, `RequestTimeout`."""
        if self._channel is None or self._channel.readyState != "open":
            raise ControlRefused("this camera has no settings that can be changed, or is away")
        wish = Set(uuid.uuid4().hex, name, value)
        answer = self._answers[wish.id] = asyncio.get_running_loop().create_future()
        try:
            _send(self._channel, wish)
            answered = await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            raise RequestTimeout(f"The camera did not answer within {ANSWER_SECONDS:.0f} s.") from None
        finally:
            del self._answers[wish.id]
        if isinstance(answered, Refused):
            raise ControlRefused(answered.message)

    def _hear(self, text: str | bytes) -> None:
        try:
            message = _from_camera.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return  # Of a later version.
        if isinstance(message, State):
            self.state = message
            self.on_change()
        elif isinstance(message, Controls):
            self.controls = message.controls
            self.on_change()
        elif (answer := self._answers.get(message.id)) and not answer.done():
            answer.set_result(message)


def _send(channel: RTCDataChannel, message: FromCamera | Set) -> None:
    if channel.readyState == "open":
        channel.send(msgspec.json.encode(message).decode())

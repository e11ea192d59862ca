"""JPEGs and settings over data channels, without a network."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from aiortc import RTCDataChannel
from cctvsignal_clients import ControlRefused, bridge
from cctvsignal_clients.control import Choice, Control, ControlPanel, RemoteControl, State, Value
from cctvsignal_clients.pictures import (
    MOST_PIECES,
    PIECE_BYTES,
    WHOLE_BYTES,
    Joiner,
    JpegDecoder,
    PictureSender,
    encode_jpeg,
    messages_of,
)
from cctvsignal_clients.sources.pattern import draw, read_counter
from hypothesis import given
from hypothesis import strategies as st
from pyee.asyncio import AsyncIOEventEmitter
from twisted.internet.defer import DeferredList

from tests.live import deadline


class Channel(AsyncIOEventEmitter):
    """One end of a data channel; what is sent comes out at `other`, if there is one."""

    def __init__(self, ready: str = "open") -> None:
        super().__init__()
        self.readyState = ready
        self.bufferedAmount = 0
        self.sent: list[Any] = []
        self.other: Channel | None = None

    def send(self, message: Any) -> None:
        self.sent.append(message)
        if self.other is not None:
            self.other.emit("message", message)


def end(channel: Channel) -> RTCDataChannel:
    return cast(RTCDataChannel, channel)


# --- pictures

SOI = b"\xff\xd8"


@given(st.integers(0, MOST_PIECES * PIECE_BYTES - 2))
def test_a_picture_of_any_length_arrives_as_it_was(length: int) -> None:
    picture, joiner = SOI + bytes(length), Joiner()
    arrived = [joiner.take(message) for message in messages_of(picture)]
    assert arrived[-1] == picture
    assert arrived[:-1] == [None] * (len(arrived) - 1)


def test_the_pieces_are_those_of_esp_webrtc() -> None:
    picture = SOI + bytes(WHOLE_BYTES)
    messages = list(messages_of(picture))
    assert [message[0] for message in messages] == [0, 1, 2, 3, 4, 5, 0x80 | 6]
    assert [int.from_bytes(message[1:5], "big") for message in messages] == [10_000] * 6 + [2]
    assert b"".join(message[5:] for message in messages) == picture
    assert list(messages_of(picture[:-2])) == [picture[:-2]]


def test_a_picture_of_too_many_pieces_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        list(messages_of(bytes(MOST_PIECES * PIECE_BYTES + 1)))


@given(st.data())
def test_pieces_that_are_missing_never_make_a_picture(data: st.DataObject) -> None:
    one, two = (SOI + bytes([number]) * (WHOLE_BYTES + 9000) for number in (1, 2))
    messages = [*messages_of(one), *messages_of(two)]
    lost = data.draw(st.integers(0, len(messages) // 2 - 1))
    joiner = Joiner()
    arrived = [joiner.take(message) for number, message in enumerate(messages) if number != lost]
    assert [picture for picture in arrived if picture is not None] == [two]


@given(st.lists(st.binary(max_size=30)))
def test_any_messages_do_no_harm(messages: list[bytes]) -> None:
    joiner = Joiner()
    for message in messages:
        joiner.take(message)


def test_only_the_latest_picture_waits() -> None:
    channel = Channel("connecting")
    sender = PictureSender(end(channel))
    for number in range(3):
        sender.send(SOI + bytes([number]))
    assert channel.sent == []
    channel.readyState = "open"
    channel.emit("open")
    assert channel.sent == [SOI + b"\2"]
    channel.bufferedAmount = 10
    for number in range(3, 6):
        sender.send(SOI + bytes([number]))
    channel.bufferedAmount = 0
    channel.emit("bufferedamountlow")
    assert channel.sent == [SOI + b"\2", SOI + b"\5"]


def test_a_frame_survives_as_jpeg() -> None:
    decoded = JpegDecoder().decode(encode_jpeg(draw(77, datetime.now(UTC))))
    assert decoded is not None
    assert read_counter(decoded) == 77


def test_what_is_no_jpeg_gives_no_frame() -> None:
    decoder = JpegDecoder()
    assert decoder.decode(b"\xff\xd8nothing\xff\xd9") is None
    assert decoder.decode(encode_jpeg(draw(1, datetime.now(UTC)))) is not None


# --- settings

BRIGHTNESS = Control("brightness", "Brightness", "number", 0, -2, 2)
SIZE = Control("size", "Size", "choice", "small", choices=(Choice("small", "S"), Choice("large", "L")))
FLIP = Control("flip", "Flip", "switch", False)


class Camera:
    """What is behind a panel: it changes settings one at a time, and notes when."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Value]] = []
        self.running = 0
        self.panel = ControlPanel(self.apply)
        self.panel.show((BRIGHTNESS, SIZE, FLIP))

    async def apply(self, control: Control, value: Value) -> None:
        assert not self.running
        self.running += 1
        await asyncio.sleep(0)
        self.running -= 1
        if value == -2:
            raise ControlRefused("the sensor does not want to")
        if value == -1:
            raise OSError("a bug")
        self.done.append((control.name, value))
        self.panel.show([Control("flip", "Flip", "switch", True)] if control is FLIP else [control])

    def viewer(self) -> RemoteControl:
        ours, theirs = Channel(), Channel()
        ours.other, theirs.other = theirs, ours
        remote = RemoteControl()
        remote.take(end(theirs))
        self.panel.take(end(ours))
        return remote


@deadline()
async def test_settings_are_told_changed_and_told_again() -> None:
    camera = Camera()
    one, two = camera.viewer(), camera.viewer()
    assert [len(each.controls) for each in (one, two)] == [3, 3]
    changes: list[str] = []
    two.on_change = lambda: changes.append("two")
    first, second = bridge.start(one.set("size", "large")), bridge.start(two.set("size", "small"))
    await first
    await second
    assert camera.done == [("size", "large"), ("size", "small")]
    assert one.controls == two.controls == (SIZE,)
    assert changes
    camera.panel.say(State("busy", "Somebody else watches.", "2026-01-01T00:00:00+00:00"))
    assert one.state is not None
    assert one.state.state == "busy"
    assert camera.viewer().state == one.state


@deadline()
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("zoom", 1, "no setting 'zoom'"),
        ("brightness", 3, "from -2 to 2"),
        ("brightness", True, "from -2 to 2"),
        ("size", "huge", "one of small, large"),
        ("flip", 1, "true or false"),
        ("brightness", -2, "the sensor does not want to"),
        ("brightness", -1, "its log says why"),
    ],
)
async def test_a_refusal_says_why(name: str, value: Value, reason: str) -> None:
    viewer = Camera().viewer()
    with pytest.raises(ControlRefused, match=reason):
        await bridge.start(viewer.set(name, value))


@deadline()
async def test_without_a_channel_there_is_nothing_to_set() -> None:
    with pytest.raises(ControlRefused, match="no settings"):
        await bridge.start(RemoteControl().set("size", "large"))


@deadline()
async def test_too_many_requests_are_refused_at_once() -> None:
    camera = Camera()
    viewer = camera.viewer()
    asked = [bridge.start(viewer.set("size", "large")) for _ in range(40)]
    answers = await DeferredList(asked, consumeErrors=True)
    refusals = [str(failure) for done, failure in answers if not done]
    assert 0 < len(refusals) < 40
    assert all("too many" in refusal for refusal in refusals)
    await bridge.start(viewer.set("size", "large"))


@pytest.mark.parametrize(
    "text", ["", "{}", b"\0\1", '{"type":"set"}', '{"type":"reboot"}', "[" * 3000, "x" * 5000]
)
def test_what_is_no_request_is_answered_once(text: str | bytes) -> None:
    camera, channel = Camera(), Channel()
    camera.panel.take(end(channel))
    before = len(channel.sent)
    channel.emit("message", text)
    (answer,) = map(json.loads, channel.sent[before:])
    assert answer["type"] == "refused"


def test_a_viewer_ignores_what_it_does_not_know() -> None:
    remote, channel = RemoteControl(), Channel()
    remote.take(end(channel))
    for text in ('{"type":"weather"}', "no json", '{"type":"done","id":"of nobody"}'):
        channel.emit("message", text)
    assert remote.controls == ()

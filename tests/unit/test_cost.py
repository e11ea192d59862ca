"""How many calls a relayed message costs: a guard that no noise of a machine moves.

It counts what the interpreter calls, in Python and in C, from the bytes that came to the bytes that are
sent. To raise a ceiling is a decision: the commit that does it says what the calls are worth.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from types import FrameType

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from cctvsignal.access import ANYONE
from cctvsignal.entrance import Visitor
from cctvsignal.websocket import SignalingFactory, SignalingProtocol
from tests.assembled import assembled
from tests.unit.wire import frame

MESSAGES = 100
CANDIDATE = {"candidate": "candidate:1 1 udp 2122260223 192.0.2.1 46154 typ host", "sdpMid": "0"}
SDP = "v=0\r\n" + "a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1\r\n" * 40
LIMITS = ["--limit-candidates=100000/100000", "--limit-messages=100000/100000", "--limit-bytes=0"]
"""More than the messages here, which are counted all the same."""


class Call:
    """Two clients in one room, and what one sends to the other."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.factory: SignalingFactory = assembled(self.clock, "--ping-interval=0", *LIMITS).websocket
        self.viewer = self.join()
        self.camera = self.join(deviceType="camera", cameraId="porch")
        self.target = next(iter(self.factory.hub._registry.rooms["hall"].members))

    def join(self, **role: str) -> SignalingProtocol:
        """A connection that has joined the room."""
        connection = self.factory.open(StringTransport(), Visitor("192.0.2.1", ANYONE))
        self.send(connection, {"type": "join", "room": "hall", **role})
        return connection

    def send(self, connection: SignalingProtocol, message: dict[str, object], times: int = 1) -> None:
        """The same message so many times in one turn of the reactor."""
        connection.dataReceived(frame(json.dumps(message).encode()) * times)
        self.clock.advance(0)

    def received(self) -> bytes:
        """What the viewer got since it was asked for the last time."""
        transport = self.viewer.transport
        assert isinstance(transport, StringTransport)
        data = transport.value()
        transport.clear()
        return data


def calls(work: Callable[[], None]) -> int:
    """How many calls `work` makes."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


@pytest.mark.parametrize(
    ("message", "ceiling"),
    [
        # As measured with Python 3.11 to 3.13: 41.01 and 51.78, of which what is no whole number is done
        # once for several messages.
        ({"type": "iceCandidate", "candidate": CANDIDATE}, 41.5),
        ({"type": "offer", "sdp": {"type": "offer", "sdp": SDP}}, 52),
    ],
    ids=["a candidate", "an offer"],
)
def test_a_relayed_message_makes_no_more_calls_than_it_did(
    message: dict[str, object], ceiling: float
) -> None:
    call = Call()
    message = {**message, "target": call.target}
    call.received()
    # What is made once is made now.
    call.send(call.camera, message)
    length = len(call.received())
    assert length > len(json.dumps(message)) - 100
    alone = calls(lambda: call.send(call.camera, message))
    many = calls(lambda: call.send(call.camera, message, 1 + MESSAGES))
    assert len(call.received()) == (2 + MESSAGES) * length
    assert (many - alone) / MESSAGES <= ceiling

"""Whatever bytes a stranger sends, the server survives, logs no traceback, and nobody else notices.

Plain sockets, not a WebSocket library: no library would send most of this.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.processes import Server, server

SECONDS: Final = 6.0
"""Each test stops trying after this long, even on a slow machine."""
PATIENCE: Final = 10.0
"""How long the server may take for any single answer."""
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(
    payload: bytes,
    opcode: int = TEXT,
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
    wide: bool = False,
) -> bytes:
    """One WebSocket frame of a client; `length` is what it says to have, `wide` says so in more bytes."""
    length = len(payload) if length is None else length
    mask_bit = 0x80 if masked else 0
    if length > 0xFFFF or (wide and length > 125):
        head = struct.pack("!BQ", mask_bit | 127, length)
    elif length > 125 or wide:
        head = struct.pack("!BH", mask_bit | 126, length)
    else:
        head = bytes([mask_bit | length])
    key = os.urandom(4)
    body = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)) if masked else payload
    return bytes([fin << 7 | rsv << 4 | opcode]) + head + (key if masked else b"") + body


class Connection:
    """A TCP connection, and what came over it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.received = b""

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        # The server may have had enough of it already.
        with suppress(ConnectionError):
            self.socket.sendall(data)

    def upgrade(self) -> None:
        """Make it a WebSocket."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.send(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self.received:
            assert self._more(), self.received
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101 "), head

    def _more(self) -> bool:
        data = self.socket.recv(65536)
        self.received += data
        return data != b""

    def next_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame of the server."""
        while (found := self._parsed()) is None:
            assert self._more(), "the connection is over"
        return found

    def _parsed(self) -> tuple[int, bytes] | None:
        data = self.received
        if len(data) < 2 or len(data) < (start := {126: 4, 127: 10}.get(data[1], 2)):
            return None
        length = data[1] if start == 2 else int.from_bytes(data[2:start], "big")
        if len(data) < start + length:
            return None
        self.received = data[start + length :]
        return data[0] & 0x0F, data[start : start + length]

    def next_message(self) -> object:
        """The next message of the server; its pings are answered."""
        while True:
            opcode, payload = self.next_frame()
            if opcode == PING:
                self.send(frame(payload, PONG))
            else:
                assert opcode == TEXT, (opcode, payload)
                return json.loads(payload)

    def say(self, message: object) -> None:
        self.send(frame(json.dumps(message).encode()))

    def rest(self) -> bytes:
        """Send no more; all that the server still says before it hangs up, as it must."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
            while self._more():
                pass
        except TimeoutError:
            raise
        except OSError:
            pass  # It has hung up already, and maybe not politely.
        return self.received


class Neighbour:
    """A client in a room that nobody else knows."""

    def __init__(self, port: int) -> None:
        self.connection = Connection(port)
        self.connection.upgrade()
        assert isinstance(welcome := self.connection.next_message(), dict)
        assert welcome["type"] == "welcome"
        room = str(uuid.uuid4())
        self.connection.say({"type": "join", "room": room, "deviceType": "camera", "cameraId": "cam-1"})
        assert self.connection.next_message() == {"type": "joined", "room": room}
        self.pings = 0

    def notices_nothing(self) -> None:
        self.pings += 1
        self.connection.say({"type": "ping", "data": str(self.pings)})
        assert self.connection.next_message() == {"type": "pong", "data": str(self.pings)}


class Target:
    """The server, and somebody who uses it in peace."""

    def __init__(self, running: Server) -> None:
        self.running = running
        self.neighbour = Neighbour(running.port)
        self.end = time.monotonic()

    def begin(self) -> None:
        self.end = time.monotonic() + SECONDS

    @property
    def had_enough(self) -> bool:
        return time.monotonic() > self.end

    def throw(self, data: bytes, *, upgrade: bool) -> bytes:
        """A stranger connects and sends this; returns what the stranger is told."""
        with closing(Connection(self.running.port)) as stranger:
            if upgrade:
                stranger.upgrade()
            stranger.send(data)
            rest = stranger.rest()
        self.neighbour.notices_nothing()
        assert self.running.process.poll() is None, self.running.output
        return rest


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    # Whoever throws so much would soon be told to wait.
    with server("--no-limits") as running:
        target = Target(running)
        yield target
        target.neighbour.connection.close()
        running.stop()
        # All lines are in when none is left to wait for.
        with pytest.raises(AssertionError, match="it ended without a line"):
            running.wait_for_line("Traceback|Unhandled|[Cc]ritical")


few = settings(suppress_health_check=list(HealthCheck))

HEADERS = st.sampled_from(
    [
        b"Host: x",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Version: 99",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Key: ",
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99",
        b"Sec-WebSocket-Protocol: \xff,,",
        b"Content-Length: -1",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Transfer-Encoding: chunked",
        b"Origin: null",
        b"Origin: http://[",
        b"no colon",
        b": nothing",
        b"\xff: \xff",
    ]
)
REQUESTS = st.builds(
    lambda line, headers, body: b"\r\n".join([line, *headers, b"", body]),
    st.sampled_from(
        [
            b"GET / HTTP/1.1",
            b"GET /ws HTTP/1.1",
            b"GET /ws?%ff=%zz HTTP/1.1",
            b"GET /../../etc/passwd HTTP/1.1",
            b"GET /health HTTP/1.0",
            b"POST / HTTP/1.1",
            b"GET http://[/ HTTP/1.1",
            b"GET / HTTP/9.9",
            b"PRI * HTTP/2.0",
            b"OPTIONS * HTTP/1.1",
            b"GET /%00%0a HTTP/1.1",
            b"GET /\xff HTTP/1.1",
        ]
    )
    | st.binary(max_size=30),
    st.lists(HEADERS | st.binary(max_size=40), max_size=7),
    st.binary(max_size=30),
)


@few
@given(st.binary(max_size=300) | REQUESTS)
@example(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
def test_any_bytes_instead_of_a_handshake(target: Target, data: bytes) -> None:
    if not target.had_enough:
        target.throw(data, upgrade=False)


JSON_MESSAGES = st.builds(
    lambda kind, fields: json.dumps({"type": kind, **fields}).encode(),
    st.sampled_from(["join", "offer", "answer", "iceCandidate", "requestStream", "bye", "leave", "ping"]),
    st.dictionaries(
        st.sampled_from(
            ["room", "deviceType", "cameraId", "target", "sdp", "candidate", "requestId", "ack"]
        ),
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["camera", "x"]),
        max_size=5,
    ),
)
PAYLOADS = st.binary(max_size=140) | JSON_MESSAGES | st.text(max_size=60).map(lambda text: text.encode())
FRAMES = st.builds(
    frame,
    PAYLOADS,
    st.sampled_from([TEXT, TEXT, TEXT, 0, BINARY, CLOSE, PING, PONG]) | st.integers(0, 15),
    fin=st.sampled_from([True, True, True, False]),
    rsv=st.sampled_from([0, 0, 0, 0, 0, 1, 2, 4, 7]),
    masked=st.sampled_from([True, True, True, True, False]),
    length=st.sampled_from([None] * 6 + [0, 1, 126, 65536, 65537, 2**31, 2**63 - 1, 2**63, 2**64 - 1]),
    wide=st.booleans(),
)


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """Frames that are right, wrong or cut, one after the other."""
    data = b"".join(draw(st.lists(FRAMES, min_size=1, max_size=8)))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=6)) + data[at + draw(st.integers(0, 4)) :]
    return data


@few
@given(conversations() | st.binary(max_size=200))
@example(frame(b"", CLOSE) + frame(b'{"type":"join"}'))
@example(frame(struct.pack("!H", 1005), CLOSE))
@example(frame(b"\x03", CLOSE))
@example(frame(struct.pack("!H", 1000) + b"\xff", CLOSE))
@example(frame(b"x" * 126, PING))
@example(frame(b"", PING, fin=False))
@example(frame(b'{"type":"join","room":"\xed\xa0\x80"}'))
def test_any_frames_after_the_handshake(target: Target, data: bytes) -> None:
    if not target.had_enough:
        target.throw(data, upgrade=True)


LARGE: Final = {
    "zeros for a handshake": (False, b"\0" * 100_000),
    "10,000 headers": (False, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000),
    "a header of 100,000 bytes": (False, b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000),
    "100 empty fragments": (True, frame(b"", fin=False) + frame(b"", 0, fin=False) * 100),
    "60,000 open arrays": (True, frame(b"[" * 60_000)),
    "300 joins": (True, b"".join(frame(b'{"type":"join","requestId":"%d"}' % n) for n in range(300))),
    "200 pings": (True, frame(b"x" * 125, PING) * 200),
    "200 pongs that nobody asked for": (True, frame(b"x", PONG) * 200),
    "1,000 messages that are none": (True, frame(b"?") * 1000),
}


@pytest.mark.parametrize(("upgrade", "data"), LARGE.values(), ids=LARGE.keys())
def test_much_at_once(target: Target, upgrade: bool, data: bytes) -> None:
    target.throw(data, upgrade=upgrade)


@pytest.fixture(autouse=True)
def _in_good_time(target: Target) -> None:
    target.begin()


@pytest.mark.parametrize("data", [b"", b"GET / HT", frame(b'{"type":"ping"}')[:5]])
def test_a_stranger_that_goes_without_a_word(target: Target, data: bytes) -> None:
    for upgrade in (False, True):
        with closing(Connection(target.running.port)) as stranger:
            if upgrade:
                stranger.upgrade()
            stranger.send(data)
            # Not even a proper end: the server gets a reset.
            stranger.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        target.neighbour.notices_nothing()


def test_what_a_stranger_says_is_not_said_to_others(target: Target) -> None:
    said = b"".join(frame(b'{"type":"join","room":"%d"}' % n) for n in range(50))
    told = target.throw(said + frame(b"\xff"), upgrade=True)
    assert told.count(b'"joined"') == 50
    assert struct.pack("!H", 1007) in told[-130:]

"""The half of `tests.fuzz_messages` that speaks to a live server, in frames that no library sends.

One stranger after the other makes an honest handshake and then sends what it likes, while an observer sits
in a room of its own. After every stranger the observer is answered, and has heard nothing else.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Final

from cctvsignal.messages import decode_server
from tests.integration.test_arbitrary_bytes import (
    BINARY,
    CLOSE,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Connection,
)
from tests.processes import Server, server

CONTINUATION: Final = 0
OBSERVER: Final = "00000000-0000-4000-8000-000000000000"
"""Stands in messages for the client id of the observer."""
CAMERA_ID: Final = "cam-1"
"""The camera id of the observer: in another room it is anybody's."""
WARM_UP: Final = 0.5
"""The part of the time after which the memory of the server is measured for the first time.

What is over is kept for some seconds, until its timers and the collection of garbage have passed by.
"""
MOST_GROWTH: Final = 30 * 1024
"""By how much the memory may have grown at the end, in KiB."""
LENGTHS: Final = (0, 1, 125, 126, 127, 65535, 65536, 65537, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
"""What frames say to have without having it."""
CLOSE_CODES: Final = (0, 999, 1000, 1001, 1004, 1005, 1006, 1011, 1015, 1016, 2999, 3000, 4409, 5000, 65535)

Payload = Callable[[Random], bytes]
"""Makes the payload of a text frame."""


class Found(Exception):
    """Something is wrong; `data` is the input that shows it."""

    def __init__(self, what: str, data: bytes) -> None:
        super().__init__(what)
        self.data = data


def damaged(source: Random, data: bytes) -> bytes:
    """The same with one to three faults: turned bits, other bytes, more or fewer of them."""
    for _ in range(source.randint(1, 3)):
        at = source.randint(0, len(data))
        end = at + source.choice((1, 1, 2, 4, source.randint(0, 64)))
        kind = source.randrange(5)
        if kind == 0 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << source.randrange(8)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + source.randbytes(source.randint(1, 4)) + data[end:]
        elif kind == 2:
            data = data[:at] + data[end:]
        elif kind == 3:
            data = data[:end] + data[at:]
        else:
            data = data[:at] if source.random() < 0.3 else data[:at] + source.randbytes(1) + data[at:]
    return data


# --- frames -----------------------------------------------------------------------------------------


def frame(
    source: Random,
    payload: bytes,
    opcode: int = TEXT,
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
    wide: int = 0,
) -> bytes:
    """One frame of a client, with a mask that the seed repeats.

    `length` is what it says to have, `wide` (1 or 2) says so in more bytes than are needed.
    """
    length = len(payload) if length is None else length
    mask_bit = 0x80 if masked else 0
    if length > 0xFFFF or wide == 2:
        head = struct.pack("!BQ", mask_bit | 127, length)
    elif length > 125 or wide == 1:
        head = struct.pack("!BH", mask_bit | 126, length)
    else:
        head = bytes([mask_bit | length])
    first = bytes([fin << 7 | rsv << 4 | opcode])
    if not masked:
        return first + head + payload
    key = source.randbytes(4)
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    body = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return first + head + key + body.to_bytes(len(payload), "big")


def any_frame(source: Random, payload: Payload) -> list[bytes]:
    """A frame with a fault, or with none."""
    body = payload(source) if source.random() < 0.7 else source.randbytes(source.randint(0, 140))
    return [
        frame(
            source,
            body,
            source.choice((TEXT, TEXT, CONTINUATION, BINARY, CLOSE, PING, PONG, source.randrange(16))),
            fin=source.random() < 0.8,
            rsv=source.choice((0, 0, 0, 0, 0, source.randrange(8))),
            masked=source.random() < 0.9,
            length=source.choice(LENGTHS) if source.random() < 0.15 else None,
            wide=source.choice((0, 0, 0, 1, 2)),
        )
    ]


def control(source: Random, _payload: Payload) -> list[bytes]:
    """A control frame, often longer than one may be, or in fragments."""
    opcode = source.choice((CLOSE, PING, PONG))
    length = source.choice((0, 1, 2, 125, 126, 1000, 65536))
    body = source.randbytes(length)
    if opcode == CLOSE and source.random() < 0.7:
        body = struct.pack("!H", source.choice(CLOSE_CODES)) + body[:123]
    return [frame(source, body, opcode, fin=source.random() < 0.9)]


def fragments(source: Random, payload: Payload) -> list[bytes]:
    """A message in pieces, maybe with something between them and with a piece too many or too few."""
    body, count = payload(source), source.choice((2, 3, 5, 64, 65, 80))
    cuts = sorted(source.randint(0, len(body)) for _ in range(count - 1))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    frames = []
    for number, piece in enumerate(pieces):
        opcode = CONTINUATION if number else TEXT
        frames.append(frame(source, piece, opcode, fin=number == count - 1))
        if source.random() < 0.05:
            frames += control(source, payload)
    if source.random() < 0.2:
        del frames[source.randrange(len(frames))]
    return frames


def large(source: Random, payload: Payload) -> list[bytes]:
    """A message about as long as one may be."""
    body = payload(source)
    size = source.choice((65535, 65536, 65537, 70_000))
    return [frame(source, body + source.choice((b" ", b"[", b'"', b"\xff")) * (size - len(body)))]


def messages(source: Random, payload: Payload) -> list[bytes]:
    """Some text messages without a fault in their frames."""
    return [frame(source, payload(source)) for _ in range(source.randint(1, 12))]


KINDS: Final = (any_frame, any_frame, control, fragments, messages, messages, large)


def conversation(source: Random, payload: Payload) -> tuple[bytes, int]:
    """All that one stranger sends, and about how many frames that is."""
    if source.random() < 0.1:
        return source.randbytes(source.randint(0, 400)), 1
    frames = [each for _ in range(source.randint(1, 5)) for each in source.choice(KINDS)(source, payload)]
    data = b"".join(frames)
    return (damaged(source, data) if source.random() < 0.4 else data), len(frames)


# --- the server, and who uses it --------------------------------------------------------------------


def check_answers(data: bytes) -> None:
    """Assert that these are frames as a server may send them; the last one may be cut."""
    for opcode, payload in _frames(data):
        if opcode == TEXT:
            decode_server(payload)
        elif opcode == CLOSE and payload:
            code = int.from_bytes(payload[:2], "big")
            assert 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999, code
            payload[2:].decode()
        else:
            assert opcode in (CLOSE, PING, PONG), opcode


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 2:
        assert data[0] & 0xF0 == 0x80, f"a fragment, or reserved bits: {data[:20]!r}"
        assert data[1] < 0x80, f"a mask: {data[:20]!r}"
        start = {126: 4, 127: 10}.get(data[1], 2)
        length = data[1] if start == 2 else int.from_bytes(data[2:start], "big")
        if len(data) < start + length:
            return
        yield data[0] & 0x0F, data[start : start + length]
        data = data[start + length :]


class Observer:
    """A camera in a room that nobody else knows, though everybody knows its ids."""

    def __init__(self, port: int) -> None:
        self.connection = Connection(port)
        self.connection.upgrade()
        welcome = self.connection.next_message()
        assert isinstance(welcome, dict)
        self.id = str(welcome["clientId"])
        room = str(uuid.uuid4())
        self.connection.say({"type": "join", "room": room, "deviceType": "camera", "cameraId": CAMERA_ID})
        joined = self.connection.next_message()
        assert isinstance(joined, dict)
        assert (joined["type"], joined["room"]) == ("joined", room), joined
        self.pings = 0

    def notices_nothing(self) -> None:
        """Assert that the answer to a ping is the next thing that comes."""
        self.pings += 1
        self.connection.say({"type": "ping", "data": str(self.pings)})
        answer = self.connection.next_message()
        assert answer == {"type": "pong", "data": str(self.pings)}, answer


def visit(source: Random, port: int, data: bytes) -> None:
    """One stranger comes, sends this in a few pieces, and goes: politely, or with a reset."""
    with closing(Connection(port)) as stranger:
        stranger.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stranger.upgrade()
        cuts = sorted(source.randint(0, len(data)) for _ in range(source.choice((0, 0, 1, 3))))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            stranger.send(data[start:end])
        if source.random() < 0.1:
            stranger.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            check_answers(stranger.rest())


def resident_kib(process: int) -> int | None:
    """The memory that a process has in use, in KiB; None where the system does not tell."""
    status = Path(f"/proc/{process}/status")
    found = re.search(r"^VmRSS:\s*(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    return int(found.group(1)) if found else None


def connections(running: Server) -> int:
    """How many there are, as the server counts them."""
    with urllib.request.urlopen(f"{running.url}/health", timeout=PATIENCE) as response:
        return int(json.load(response)["connections"])


def check_health(running: Server, observer: Observer) -> None:
    """Assert that the observer is the only one that is left, as soon as all have been seen to go."""
    end = time.monotonic() + PATIENCE
    # A reset is not answered: it has been noticed at the latest some round trips later.
    while (found := connections(running)) != 1 and time.monotonic() < end:
        observer.notices_nothing()
    assert found == 1, f"{found} connections are left"


def check_log(running: Server, start: int = 0) -> int:
    """Assert that the log has nothing unexpected from this line on; how many lines it has by now."""
    end = len(running.lines)
    wrong = re.search("Traceback|Unhandled", text := "\n".join(running.lines[start:end]))
    assert wrong is None, f"in the log:\n{text[wrong.start() :][:4000]}"
    return end


def arguments() -> list[str]:
    """What the server is started with: strangers come faster than a server may allow."""
    command = [sys.executable, "-m", "cctvsignal", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return ["--no-limits"] if "--no-limits" in text else []


def run(seconds: float, source: Random, payload: Payload) -> str:
    """Try frames for so long; what was done, in a sentence. Raises `Found`."""
    data, visits, sent, read, before = b"", 0, 0, 0, None
    try:
        with server(*arguments()) as running:
            observer = Observer(running.port)
            start = time.monotonic()
            while (elapsed := time.monotonic() - start) < seconds:
                if before is None and elapsed >= WARM_UP * seconds:
                    before = resident_kib(running.process.pid)
                data, frames = conversation(source, payload)
                data = data.replace(OBSERVER.encode(), observer.id.encode())
                visit(source, running.port, data)
                observer.notices_nothing()
                assert running.process.poll() is None, f"the server is gone:\n{running.output[-4000:]}"
                read = check_log(running, read)
                visits, sent = visits + 1, sent + frames
            check_health(running, observer)
            after = resident_kib(running.process.pid)
            observer.connection.close()
        check_log(running)
    except Exception as error:
        raise Found(f"after {visits} strangers: {error}", data) from error
    memory = "its memory was not measured"
    if before is not None and after is not None:
        memory = f"its memory grew by {after - before} KiB"
        if after - before > MOST_GROWTH:
            raise Found(f"after {visits} strangers, {memory} of {before}", data)
    return f"{sent} frames of {visits} strangers to a live server: {memory}"

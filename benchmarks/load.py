"""The load generator: raw sockets on one epoll loop, with frames that are made beforehand.

It parses nothing but frame headers, so that it has time left when the server has none; how much it has
left is measured in every run.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import socket
import time
from collections import deque
from dataclasses import dataclass, field

TIMEOUT_SECONDS = 60.0


def masked_text_frame(payload: bytes) -> bytes:
    """A client's text frame (RFC 6455, section 5.2)."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return b"\x81" + size + mask + masked


@dataclass(eq=False)
class Connection:
    """One WebSocket connection, already open."""

    socket: socket.socket
    id: str = ""
    received: bytearray = field(default_factory=bytearray)
    unread: deque[bytes] = field(default_factory=deque)
    """Payloads that nobody has waited for yet."""
    sent_at: deque[float] = field(default_factory=deque)
    """When the messages that are under way to the other side were sent, oldest first."""

    def frames(self) -> list[bytes]:
        """Take the payloads of all complete frames out of what was received."""
        payloads = []
        buffer = self.received
        at = 0
        while len(buffer) - at >= 2:
            length, header = buffer[at + 1], 2
            if length == 126:
                if len(buffer) - at < 4:
                    break
                length, header = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
            if len(buffer) - at < header + length:
                break
            if buffer[at] == 0x81:  # Pings of the server count as nothing.
                payloads.append(bytes(buffer[at + header : at + header + length]))
            at += header + length
        del buffer[:at]
        return payloads

    def wait_for(self, kind: str) -> dict[str, str]:
        """Block until a message of this type comes, and return it."""
        while True:
            while self.unread:
                message = json.loads(self.unread.popleft())
                if message["type"] == kind:
                    return message  # type: ignore[no-any-return]
            data = self.socket.recv(65536)
            if not data:
                raise SystemExit("the server closed a connection")
            self.received += data
            self.unread.extend(self.frames())


def start_connecting(port: int) -> Connection:
    """Open a TCP connection and send the upgrade request; the answer is yet to come."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
    )
    return Connection(connection)


def finish_connecting(connection: Connection) -> None:
    """Take the answer to the upgrade request and the welcome."""
    while b"\r\n\r\n" not in connection.received:
        data = connection.socket.recv(65536)
        if not data:
            raise SystemExit("the server closed a connection in the handshake")
        connection.received += data
    head, _, rest = bytes(connection.received).partition(b"\r\n\r\n")
    if b" 101 " not in head:
        raise SystemExit(f"no upgrade: {head!r}")
    connection.received = bytearray(rest)
    connection.unread.extend(connection.frames())
    connection.id = connection.wait_for("welcome")["clientId"]


def connect(port: int) -> Connection:
    """A connection that has had its welcome."""
    connection = start_connecting(port)
    finish_connecting(connection)
    return connection


def join_message(room: str, camera_id: str | None) -> bytes:
    """The frame of a `join`."""
    message = {"type": "join", "room": room, "deviceType": "camera" if camera_id else "viewer"}
    if camera_id:
        message["cameraId"] = camera_id
    return masked_text_frame(json.dumps(message).encode())


def payload_for(kind: str, target: str) -> bytes:
    """An `iceCandidate` of 250 bytes or an `offer` of 2,500 bytes for `target`."""
    if kind == "iceCandidate":
        text = "candidate:842163049 1 udp 1677729535 192.0.2.17 46154 typ srflx raddr 0.0.0.0 rport 0"
        message: dict[str, object] = {"candidate": text, "sdpMid": "0", "sdpMLineIndex": 0}
        whole, field_name, size = {"type": kind, "target": target, "candidate": message}, "candidate", 250
    else:
        message = {"type": "offer", "sdp": "v=0\r\n"}
        whole, field_name, size = {"type": kind, "target": target, "sdp": message}, "sdp", 2500
    line = " " if kind == "iceCandidate" else "a=rtpmap:96 VP8/90000\r\n"
    while len(json.dumps(whole)) + len(json.dumps(line)) - 2 <= size:
        message[field_name] = f"{message[field_name]}{line}"
    message[field_name] = f"{message[field_name]}{'x' * (size - len(json.dumps(whole)))}"
    return json.dumps(whole).encode()


@dataclass(frozen=True)
class RelayResult:
    """What a relay run has measured. Times are in seconds."""

    messages_per_second: float
    p50: float
    p99: float
    generator_load: float
    """How much of its core the load generator used, from 0 to 1."""


def relay(port: int, pairs: int, kind: str, in_flight: int, seconds: float) -> RelayResult:
    """Pairs of a camera and a viewer, one room each; both sides keep `in_flight` messages on their way."""
    selector = selectors.DefaultSelector()
    peers: dict[Connection, tuple[Connection, bytes]] = {}
    for number in range(pairs):
        camera, viewer = connect(port), connect(port)
        for connection, camera_id in ((camera, "cam"), (viewer, None)):
            connection.socket.sendall(join_message(f"bench-{number}", camera_id))
            connection.wait_for("joined")
        viewer.wait_for("cameraAvailable")
        camera.wait_for("clientJoined")
        for sender, receiver in ((camera, viewer), (viewer, camera)):
            peers[sender] = (receiver, masked_text_frame(payload_for(kind, receiver.id)))
    for connection in peers:
        connection.socket.setblocking(False)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    clock = time.perf_counter
    for sender, (receiver, frame) in peers.items():
        for _ in range(in_flight):
            receiver.sent_at.append(clock())
            sender.socket.send(frame)
    warm_up = seconds / 5
    latencies: list[float] = []
    begin = clock()
    counting = False
    cpu = time.process_time()
    while (now := clock()) < begin + seconds:
        if not counting and now > begin + warm_up:
            counting, latencies, started, cpu = True, [], now, time.process_time()
        for key, _ in selector.select(1.0):
            receiver = key.data
            receiver.received += receiver.socket.recv(262144)
            arrived = len(receiver.frames())
            now = clock()
            for _ in range(arrived):
                latencies.append(now - receiver.sent_at.popleft())
            # Whoever receives sends as many on; so each side always has the same number under way.
            other, frame = peers[receiver]
            for _ in range(arrived):
                other.sent_at.append(now)
            if arrived:
                receiver.socket.send(frame * arrived)
    elapsed = clock() - started
    load = (time.process_time() - cpu) / elapsed
    for connection in peers:
        connection.socket.close()
    latencies.sort()
    return RelayResult(
        len(latencies) / elapsed,
        latencies[len(latencies) // 2],
        latencies[len(latencies) * 99 // 100],
        load,
    )


def connect_and_join(port: int, count: int, at_once: int) -> tuple[float, list[Connection]]:
    """Connections that join a room of two, `at_once` under way at a time: how many a second, and them."""
    connections: list[Connection] = []
    begin = time.perf_counter()
    while len(connections) < count:
        batch = [start_connecting(port) for _ in range(min(at_once, count - len(connections)))]
        for connection in batch:
            finish_connecting(connection)
            connection.socket.sendall(join_message(f"idle-{len(connections) // 2}", None))
            connections.append(connection)
        for connection in batch:
            connection.wait_for("joined")
    return count / (time.perf_counter() - begin), connections

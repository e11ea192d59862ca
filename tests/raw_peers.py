"""Peers on bare aiortc, which know nothing of this project: for what our clients make of them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from aiortc import RTCConfiguration, RTCDtlsTransport, RTCPeerConnection, RTCSessionDescription
from cctvsignal_clients import bridge
from OpenSSL import SSL

from tests.live import LiveClient

Change = Callable[[RTCPeerConnection], None]


_open: list[RTCPeerConnection] = []


def _new_connection() -> RTCPeerConnection:
    _open.append(RTCPeerConnection(RTCConfiguration(iceServers=[])))
    return _open[-1]


async def close_all() -> None:
    """Close all peers; for the end of a test, however it ended."""
    while _open:
        await closed(_open.pop())


def unchanged(connection: RTCPeerConnection) -> None:
    """A peer as it is."""


def other_ciphers(connection: RTCPeerConnection) -> None:
    """A peer whose DTLS has no cipher in common with anybody who has its kind of certificate."""
    (certificate,) = connection._RTCPeerConnection__certificates  # type: ignore[attr-defined]
    make = certificate._create_ssl_context

    def make_other(**options: Any) -> SSL.Context:
        context = make(**options)
        context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
        return context  # type: ignore[no-any-return]

    certificate._create_ssl_context = make_other


def mute_dtls(connection: RTCPeerConnection) -> None:
    """A peer that never says anything in DTLS."""

    async def drop() -> None:
        pass

    for transceiver in connection.getTransceivers():
        transceiver.receiver.transport._write_ssl = drop  # type: ignore[method-assign]


def mute_ice(connection: RTCPeerConnection) -> None:
    """A peer that neither checks candidates of others nor answers their checks."""

    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    for transceiver in connection.getTransceivers():
        ice = transceiver.receiver.transport.transport
        ice._connection.connect = forever  # type: ignore[method-assign]
        for protocol in ice._connection._protocols:
            protocol.transport.close()


def wrong_fingerprint(sdp: str) -> str:
    """An SDP that names the fingerprint of another certificate."""
    return re.sub(r"^(a=fingerprint:\S+ ).{5}", r"\g<1>00:11", sdp, flags=re.MULTILINE)


def unreachable(sdp: str) -> str:
    """An SDP whose candidates are where no one is (RFC 5737)."""
    return re.sub(r"^(a=candidate:\S+ \d \S+ \d+ )\S+", r"\g<1>192.0.2.1", sdp, flags=re.MULTILINE)


def as_it_is(sdp: str) -> str:
    """An SDP as aiortc makes it."""
    return sdp


async def next_of(client: LiveClient, kind: str) -> dict[str, Any]:
    """The next message of this type; those before it are left out."""
    while (message := await client.next())["type"] != kind:
        pass
    return message


def answering(
    client: LiveClient,
    change: Change = unchanged,
    change_sdp: Callable[[str], str] = as_it_is,
) -> Any:
    """Answer the next offer that comes to `client`; awaited, it is the peer connection."""

    async def answer(offer: dict[str, Any]) -> tuple[RTCPeerConnection, str]:
        connection = _new_connection()
        await connection.setRemoteDescription(RTCSessionDescription(**offer))
        await connection.setLocalDescription(await connection.createAnswer())
        change(connection)
        return connection, connection.localDescription.sdp

    async def take() -> RTCPeerConnection:
        offer = await next_of(client, "offer")
        connection, sdp = await bridge.start(answer(offer["sdp"]))
        sdp = change_sdp(sdp)
        client.send({"type": "answer", "target": offer["sender"], "sdp": {"type": "answer", "sdp": sdp}})
        return connection

    return take()


def offering(
    client: LiveClient,
    change: Change = unchanged,
    change_sdp: Callable[[str], str] = as_it_is,
) -> Any:
    """Make an offer, of video that never comes, to the next viewer that asks `client`, which is a camera.

    Awaited, it is the peer connection, which has had the viewer's answer if there was one.
    """

    async def offer() -> tuple[RTCPeerConnection, str]:
        connection = _new_connection()
        connection.addTransceiver("video", direction="sendonly")
        await connection.setLocalDescription(await connection.createOffer())
        change(connection)
        return connection, connection.localDescription.sdp

    async def serve() -> RTCPeerConnection:
        viewer = (await next_of(client, "viewerRequest"))["viewerId"]
        connection, sdp = await bridge.start(offer())
        sdp = change_sdp(sdp)
        client.send({"type": "offer", "target": viewer, "sdp": {"type": "offer", "sdp": sdp}})
        while (message := await client.next())["type"] not in ("answer", "bye"):
            pass
        if message["type"] == "answer":
            await bridge.start(connection.setRemoteDescription(RTCSessionDescription(**message["sdp"])))
        else:
            client.frames.put(_again(message))
        return connection

    return serve()


def _again(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


async def closed(connection: RTCPeerConnection) -> None:
    """Close it, without a word to the server."""
    await bridge.start(connection.close())


async def until_state(transport: RTCDtlsTransport, state: str) -> None:
    """Wait until the DTLS of a transport is so far."""

    async def wait() -> None:
        changed = asyncio.Event()
        transport.on("statechange", changed.set)
        while transport.state != state:
            changed.clear()
            await changed.wait()
        transport.remove_listener("statechange", changed.set)

    await bridge.start(wait())

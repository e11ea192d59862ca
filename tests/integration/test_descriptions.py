"""Sessions with peers whose descriptions aiortc itself would not take, and with hostile ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from cctvsignal_clients import LimitExceeded, ViewerClient, WebRTCCCTVClient, bridge, camera
from cctvsignal_clients.peer import PeerSession
from msgspec import Raw

from tests.live import deadline, join
from tests.media import MEDIA_SECONDS, counters, event, streaming_camera
from tests.processes import Server, server
from tests.videos import write_video

Mangle = Callable[[str], str]
FRAMES: Final = 10
REASON: Final = "it has 200 media sections, and at most 32 are taken"


def change_descriptions(client: WebRTCCCTVClient, sent: Mangle, received: Mangle) -> None:
    """Have a client send and receive descriptions of another stack."""
    make = client._new_session  # type: ignore[attr-defined]

    def text_of(change: Mangle, encoded: Raw) -> Raw:
        description = json.loads(bytes(encoded))
        description["sdp"] = change(description["sdp"])
        return Raw(json.dumps(description).encode())

    def new_session(*arguments: Any) -> PeerSession:
        session: PeerSession = make(*arguments)
        take, describe = session._set_remote_description, session._local_description

        async def taken(sdp: Raw) -> None:
            await take(text_of(received, sdp))

        session._set_remote_description = taken  # type: ignore[method-assign]
        session._local_description = lambda: text_of(sent, describe())  # type: ignore[method-assign]
        return session

    client._new_session = new_session  # type: ignore[attr-defined]


def same(sdp: str) -> str:
    return sdp


def only_h264(parameters: str) -> Mangle:
    """Offers nothing but one payload type of H.264, with these parameters or none."""

    def mangle(sdp: str) -> str:
        sdp = re.sub(r"(m=video \d+ \S+) .*\r\n", r"\1 99\r\n", sdp)
        sdp = re.sub(r"a=(?:rtpmap|fmtp|rtcp-fb):(?!99 ).*\r\n", "", sdp)
        assert "a=fmtp:99 " in sdp
        return re.sub(r"a=fmtp:99 .*\r\n", f"a=fmtp:99 {parameters}\r\n" if parameters else "", sdp)

    return mangle


def bare(sdp: str) -> str:
    """As a small device writes it: only what it cannot do without, and the transport in the session."""
    sdp = re.sub(
        r"a=(?:mid|group|msid|extmap|rtcp-mux|ssrc|sendonly|recvonly|sendrecv|rtcp:).*\r\n", "", sdp
    )
    head, mark, section = sdp.partition("m=")
    transport = re.findall(r"a=(?:ice-ufrag|ice-pwd|fingerprint|setup):.*\r\n", section)
    for line in transport:
        section = section.replace(line, "", 1)
    return (head + "".join(transport) + mark + section).replace("\r\n", "\n").rstrip("\n")


def with_rejected_sound(sdp: str) -> str:
    """Has a rejected section before the pictures."""
    head, mark, section = sdp.partition("m=")
    return f"{head}m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:sound\r\na=inactive\r\n{mark}{section}"


def without_rejected_sound(sdp: str) -> str:
    """The answer to that for who has not offered it."""
    first, sound, pictures = re.split(r"^(?=m=)", sdp, flags=re.MULTILINE)
    assert sound.startswith("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\n")
    assert "a=mid:sound\r\n" in sound
    return first + pictures


OFFERS: Final[dict[str, tuple[Mangle, Mangle]]] = {
    "Main profile": (only_h264("packetization-mode=1;profile-level-id=4d0033"), same),
    "spaces": (only_h264("profile-level-id=42e01f; packetization-mode=1"), same),
    "packetization-mode 0": (only_h264("profile-level-id=42e01f"), same),
    "no parameters": (only_h264(""), same),
    "a small device": (bare, same),
    "rejected sound": (with_rejected_sound, without_rejected_sound),
}


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("name", OFFERS)
async def test_pictures_come_from_cameras_that_describe_themselves_otherwise(
    shared_server: Server, name: str
) -> None:
    room = f"offers-{name}"
    async with (
        streaming_camera(shared_server.websocket_url, room) as sender,
        ViewerClient(shared_server.websocket_url, room=room) as viewer,
    ):
        change_descriptions(sender, *OFFERS[name])
        stream = await viewer.request_stream("cam-1")
        assert len(await counters(stream, FRAMES)) == FRAMES


@deadline(MEDIA_SECONDS)
async def test_pictures_go_to_viewers_that_describe_themselves_otherwise(shared_server: Server) -> None:
    async with (
        streaming_camera(shared_server.websocket_url, "answers") as sender,
        ViewerClient(shared_server.websocket_url, room="answers") as viewer,
    ):
        change_descriptions(viewer, lambda sdp: bare(only_h264("profile-level-id=640c1f")(sdp)), same)
        stream = await viewer.request_stream("cam-1")
        assert len(await counters(stream, FRAMES)) == FRAMES
        assert sender.stats().codecs == ("H264",)


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("profile", ["main", "high"])
async def test_other_profiles_are_decoded(shared_server: Server, tmp_path: Path, profile: str) -> None:
    path, room = tmp_path / "video.mp4", f"profile-{profile}"
    write_video(path, 45, 15, profile=profile, bf="0", g="15")
    declared = {"main": "4d001f", "high": "64001f"}[profile]
    async with (
        streaming_camera(shared_server.websocket_url, room, f"file:{path}") as sender,
        ViewerClient(shared_server.websocket_url, room=room) as viewer,
    ):
        change_descriptions(sender, only_h264(f"packetization-mode=1;profile-level-id={declared}"), same)
        stream = await viewer.request_stream("cam-1")
        assert len(await counters(stream, FRAMES)) == FRAMES


@deadline(MEDIA_SECONDS)
async def test_a_camera_answers_with_what_it_sends(shared_server: Server) -> None:
    """The viewer prefers VP8, and a camera that has only H.264 must not send that as VP8."""
    async with streaming_camera(shared_server.websocket_url, "asked", codecs=["H264"]) as sender:
        peer = await join(shared_server.websocket_url, "asked")
        offer = {"type": "offer", "sdp": await bridge.start(_offer())}
        peer.send({"type": "offer", "target": sender.client_id, "sdp": offer})
        while (message := await peer.next())["type"] != "answer":
            pass
        first = re.search(r"^m=video \d+ \S+ (\d+)", message["sdp"]["sdp"], re.MULTILINE)
        assert first is not None
        assert f"a=rtpmap:{first[1]} H264/90000" in message["sdp"]["sdp"]
        assert "VP8" not in message["sdp"]["sdp"]
        await peer.leave()


async def _offer() -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", "recvonly")
    offer = (await connection.createOffer()).sdp
    await connection.close()
    return offer


def hostile() -> dict[str, str]:
    """An offer under 64 KiB whose answer would be much longer than any server takes."""
    transport = "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 00:11\r\na=setup:actpass\r\n"
    section = "m=video 9 UDP/TLS/RTP/SAVPF 97\r\na=rtcp-mux\r\na=rtpmap:97 VP8/90000\r\n"
    return {
        "type": "offer",
        "sdp": f"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{transport}{section * 200}",
    }


@deadline(MEDIA_SECONDS)
async def test_a_camera_ends_the_session_of_a_hostile_viewer_and_serves_the_others(
    shared_server: Server,
) -> None:
    url = shared_server.websocket_url
    async with (
        streaming_camera(url, "hostile-viewer") as sender,
        ViewerClient(url, room="hostile-viewer") as viewer,
    ):
        stream = await viewer.request_stream("cam-1")
        peer = await join(url, "hostile-viewer")
        peer.send({"type": "offer", "target": sender.client_id, "sdp": hostile()})
        while (message := await peer.next())["type"] != "bye":
            pass
        assert message["reason"] == "limitExceeded"
        assert len(await counters(stream, FRAMES)) == FRAMES
        assert sender.connected
        assert sender.viewers == [viewer.client_id]
        await peer.leave()


@deadline(MEDIA_SECONDS)
async def test_a_viewer_ends_the_session_of_a_hostile_camera_and_stays(shared_server: Server) -> None:
    url = shared_server.websocket_url
    peer = await join(url, "hostile-camera", "cam-1")
    async with ViewerClient(url, room="hostile-camera") as viewer:
        asked = viewer.request_stream("cam-1")
        while (message := await peer.next())["type"] != "viewerRequest":
            pass
        peer.send({"type": "offer", "target": message["viewerId"], "sdp": hostile()})
        with pytest.raises(LimitExceeded, match=re.escape(REASON)):
            await asked
        while (message := await peer.next())["type"] != "bye":
            pass
        assert message["reason"] == "limitExceeded"
        assert viewer.connected
    await peer.leave()


@deadline(MEDIA_SECONDS)
async def test_a_description_that_the_server_would_close_for_ends_its_session_alone() -> None:
    with server("--max-message-bytes=1024") as small:
        async with streaming_camera(small.websocket_url, "small") as sender:
            peer = await join(small.websocket_url, "small")
            peer.send({"type": "requestStream", "cameraId": "cam-1"})
            while (message := await peer.next())["type"] != "bye":
                pass
            assert message["reason"] == "limitExceeded"
            assert sender.connected
            await peer.leave()


@deadline(MEDIA_SECONDS)
async def test_sessions_that_are_never_connected_are_bounded(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "MAX_CONNECTING", 2)
    url = shared_server.websocket_url
    async with streaming_camera(url, "connecting") as sender:
        peers = [await join(url, "connecting") for _ in range(3)]
        for peer in peers:
            gone = event(sender, "viewersChanged") if peer is not peers[2] else None
            peer.send({"type": "requestStream", "cameraId": "cam-1"})
            if gone is not None:
                await gone
        while (message := await peers[2].next())["type"] != "bye":
            pass
        assert message["reason"] == "too many viewers are connecting at once: try again"
        assert sender.viewers == [peers[0].id, peers[1].id]
        for peer in peers:
            await peer.leave()

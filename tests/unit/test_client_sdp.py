"""What other stacks write into descriptions, as aiortc is to read it, and what they are answered.

Each case is put to a real peer connection of aiortc, which opens nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import CODECS as CODECS_OF_AIORTC
from cctvsignal_clients import aiortc_compat, bridge, sdp_sections
from cctvsignal_clients.sdp import Reading, read
from cctvsignal_clients.sdp_sections import (
    MAX_CANDIDATES,
    MAX_DESCRIPTION_BYTES,
    MAX_MEDIA_SECTIONS,
    NoCommonCodec,
    UnusableDescription,
)

from tests.live import deadline

TRANSPORT = (
    "a=ice-ufrag:user\r\na=ice-pwd:passwordpasswordpassword\r\n"
    "a=fingerprint:sha-256 0A:1B:2C:3D\r\na=setup:{setup}\r\n"
)
HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 102 103\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n"
    "a=rtpmap:102 H264/90000\r\n"
    "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
    "a=rtcp-fb:102 nack pli\r\na=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n"
    "a=candidate:1 1 udp 2122260223 192.0.2.1 40000 typ host\r\n"
)
FMTP = re.compile(r"a=fmtp:102 .*\r\n")

Mangle = Callable[[str], str]


def swapped(old: str, new: str) -> Mangle:
    """Has one text in place of another, which must be there."""

    def mangle(sdp: str) -> str:
        assert old in sdp
        return sdp.replace(old, new)

    return mangle


def without(pattern: str) -> Mangle:
    """Has no lines like this."""

    def mangle(sdp: str) -> str:
        changed = re.sub(rf"^{pattern}.*\r\n", "", sdp, flags=re.MULTILINE)
        assert changed != sdp
        return changed

    return mangle


def with_fmtp(text: str) -> Mangle:
    """Has other parameters of H.264, or none."""
    line = f"a=fmtp:102 {text}\r\n" if text else ""
    return lambda sdp: FMTP.sub(line, sdp)


def in_session(*names: str) -> Mangle:
    """Has these attributes before the first section."""

    def mangle(sdp: str) -> str:
        head, mark, section = sdp.partition("m=video")
        for name in names:
            lines = re.findall(rf"^a={name}:.*\r\n", section, re.MULTILINE)
            assert lines
            head += "".join(lines)
            section = section.replace("".join(lines), "")
        return head + mark + section

    return mangle


QUIRKS: dict[str, Mangle] = {
    "nothing": lambda sdp: sdp,
    "Main profile": with_fmtp("packetization-mode=1;profile-level-id=4d0033"),
    "High profile": with_fmtp("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"),
    "constrained High profile": with_fmtp("packetization-mode=1;profile-level-id=640C1F"),
    "a level of tomorrow": with_fmtp("packetization-mode=1;profile-level-id=42e0ff"),
    "packetization-mode 0": with_fmtp("packetization-mode=0;profile-level-id=42e01f"),
    "no packetization-mode": with_fmtp("profile-level-id=42e01f"),
    "no fmtp": with_fmtp(""),
    "fmtp without parameters": swapped("a=rtcp-mux", "a=rtcp-mux\r\na=fmtp:103"),
    "spaces in fmtp": with_fmtp("profile-level-id=42e01f; packetization-mode=1;"),
    "sprop-parameter-sets": with_fmtp("packetization-mode=1;sprop-parameter-sets=Z0IAKeKQ,aM4xsg==;x"),
    "fmtp for nothing": swapped("a=rtpmap:103", "a=fmtp:77 apt=76\r\na=rtpmap:103"),
    "a codec name in lower case": swapped("H264/90000", "h264/90000"),
    "no direction": without("a=sendrecv"),
    "a direction of the session": lambda sdp: swapped("a=group", "a=sendrecv\r\na=group")(
        without("a=sendrecv")(sdp)
    ),
    "no mid": without("a=mid"),
    "no mid and no group": lambda sdp: without("a=mid")(without("a=group")(sdp)),
    "no group": without("a=group"),
    "a group of others": swapped("BUNDLE 0", "BUNDLE 0 sound"),
    "bare line feeds": swapped("\r\n", "\n"),
    "no last line end": lambda sdp: sdp.rstrip("\r\n"),
    "blank lines": swapped("\r\na=rtcp-mux", "\r\n\r\na=rtcp-mux"),
    "no rtcp-mux": without("a=rtcp-mux"),
    "setup of the session": in_session("setup"),
    "fingerprint of the session": in_session("fingerprint"),
    "ICE of the session": in_session("ice-ufrag", "ice-pwd"),
    "no setup": without("a=setup"),
    "setup actpass": swapped("a=setup:active", "a=setup:actpass"),
    "a fingerprint in lower case": swapped("sha-256 0A:1B:2C:3D", "SHA-256 0a:1b:2c:3d"),
    "an old fingerprint beside it": swapped("a=fingerprint", "a=fingerprint:sha-1 00:11\r\na=fingerprint"),
    "IPv6": swapped("c=IN IP4 0.0.0.0", "c=IN IP6 ::"),
    "a name for an address": swapped("c=IN IP4 0.0.0.0", "c=IN IP4 a.example\r\na=rtcp:9 IN IP4 a.example"),
    "a multicast address": swapped("c=IN IP4 0.0.0.0", "c=IN IP4 233.252.0.1/127"),
    "attributes nobody knows": swapped("a=rtcp-mux", "a=x-vendor\r\na=y:z\r\na=rtcp-mux\r\nb=AS:4000"),
    "an extension with attributes": swapped("a=rtcp-mux", "a=extmap:4/sendonly urn:x short\r\na=rtcp-mux"),
    "ssrc without an attribute": swapped("a=rtcp-mux", "a=ssrc:5\r\na=ssrc:6 label\r\na=rtcp-mux"),
    "two ports": swapped("m=video 9 ", "m=video 9/2 "),
    "an old protocol": swapped("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"),
    "a format without a codec": swapped("SAVPF 102 103", "SAVPF 102 103 35 200 74 x"),
    "odd candidates": swapped(
        "a=candidate",
        "a=candidate:1\r\na=candidate:2 2 UDP 1 192.0.2.1 9 typ host\r\n"
        "a=candidate:3 1 tcp 1 192.0.2.1 9 typ host tcptype active\r\n"
        "a=candidate:4 1 udp 1 192.0.2.1 99999 typ host\r\na=candidate",
    ),
}  # fmt: skip


async def _negotiated(offer: str) -> tuple[Reading, str]:
    """How an offer is read, and the answer."""
    reading = read(offer)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    await connection.setRemoteDescription(RTCSessionDescription(reading.text, "offer"))
    answer = reading.answer((await connection.createAnswer()).sdp)
    await connection.close()
    return reading, answer


async def _offered(channel: bool = False, audio: bool = False) -> tuple[RTCPeerConnection, str]:
    """A peer connection that has made an offer; nothing is gathered."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", "sendonly")
    if audio:
        connection.addTransceiver("audio", "sendonly")
    if channel:
        connection.createDataChannel("control")
    await connection.setLocalDescription(await connection.createOffer())
    return connection, connection.localDescription.sdp


async def _answered(answer: str, **options: bool) -> RTCPeerConnection:
    connection, offer = await _offered(**options)
    try:
        reading = read(answer, offer)
        await connection.setRemoteDescription(RTCSessionDescription(reading.text, "answer"))
        assert connection.signalingState == "stable"
        return connection
    finally:
        await connection.close()


def codecs_of(connection: RTCPeerConnection) -> list[tuple[str, int | None]]:
    return [(codec.name, codec.payloadType) for codec in connection.getTransceivers()[0]._codecs]


@deadline()
@pytest.mark.parametrize("name", QUIRKS)
async def test_an_offer_is_taken_and_answered_in_its_own_terms(name: str) -> None:
    offer = QUIRKS[name](
        HEAD + VIDEO + TRANSPORT.format(setup="actpass" if name != "setup actpass" else "active")
    )
    if name == "setup actpass":
        offer = offer.replace("setup:active", "setup:actpass")
    reading, answer = await bridge.start(_negotiated(offer))
    assert reading.taken == ["0"]
    lines = answer.split("\r\n")
    media = next(line for line in lines if line.startswith("m="))
    offered = re.search(r"^m=video \S+ (\S+)", offer, re.MULTILINE)
    assert offered is not None
    assert re.fullmatch(rf"m=video \d+ {offered[1]} 102 103", media)
    assert "a=mid:0" in lines
    assert ("a=group:BUNDLE 0" in lines) is ("a=group:BUNDLE" in offer)
    # Whoever may begin does: then it does not matter what certificate it has.
    assert "a=setup:passive" in lines
    asked = sdp_sections.parse(offer)[1][0].parameters.get("102", {})
    given = sdp_sections.parse(answer)[1][0].parameters.get("102", {})
    known = ("level-asymmetry-allowed", "packetization-mode", "profile-level-id")
    assert given == {key: asked[key] for key in known if key in asked}
    assert "192.0.2.1 40000" in reading.text


@deadline()
@pytest.mark.parametrize("name", QUIRKS)
async def test_an_answer_is_taken(name: str) -> None:
    made = HEAD + VIDEO.replace("sendrecv", "recvonly") + TRANSPORT.format(setup="active")
    answer = QUIRKS[name](made.replace("recvonly", "sendrecv")).replace("sendrecv", "recvonly")
    connection = await bridge.start(_answered(answer))
    direction = connection.getTransceivers()[0].currentDirection
    assert direction == ("sendonly" if "recvonly" in answer else "sendrecv")
    assert codecs_of(connection)[0] == ("H264", 102)


SECTIONS = {
    "rejected sound": "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:x\r\n",
    "rejected pictures": "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:x\r\na=rtpmap:96 VP8/90000\r\n",
    "rejected data": "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:x\r\n",
    "rejected without a name": "m=audio 0 RTP/AVP 0\r\n",
    "text": "m=text 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:x\r\na=rtpmap:98 t140/1000\r\n",
    "unknown pictures": "m=video 9 UDP/TLS/RTP/SAVPF 45\r\na=mid:x\r\na=rtpmap:45 AV1/90000\r\n",
    "a file transfer": "m=message 9 TCP/TLS/MSRP *\r\na=mid:x\r\n",
}


@deadline()
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", SECTIONS)
async def test_a_section_that_is_not_taken_is_answered_as_rejected_in_its_place(
    name: str, first: bool
) -> None:
    extra = SECTIONS[name]
    if not name.startswith("rejected"):
        extra += TRANSPORT.format(setup="actpass")
    video = VIDEO + TRANSPORT.format(setup="actpass")
    head = HEAD.replace("BUNDLE 0", "BUNDLE x 0" if first else "BUNDLE 0 x")
    offer = head + (extra + video if first else video + extra)
    reading, answer = await bridge.start(_negotiated(offer))
    assert reading.taken == ["0"]
    media = re.findall(r"^m=(\w+) (\d+) (\S+)", answer, re.MULTILINE)
    asked = re.findall(r"^m=(\w+) (?:\d+) (\S+)", offer, re.MULTILINE)
    assert [(kind, protocol) for kind, _, protocol in media] == asked
    assert [port == "0" for _, port, _ in media] == ([True, False] if first else [False, True])
    assert "a=group:BUNDLE 0\r\n" in answer
    # Browsers name the place by number: it is that of the offer.
    assert reading.mid_for(None, 1 if first else 0) == "0"


@deadline()
async def test_offers_of_libwebrtc_have_payload_types_below_64() -> None:
    assert {39, 40} <= aiortc_compat.PAYLOAD_TYPES
    offer = HEAD + (VIDEO + TRANSPORT.format(setup="actpass")).replace("102", "39").replace("103", "40")
    _, answer = await bridge.start(_negotiated(offer))
    assert re.search(r"^m=video \d+ UDP/TLS/RTP/SAVPF 39 40\r$", answer, re.MULTILINE)


@deadline()
async def test_static_payload_types_need_no_rtpmap() -> None:
    audio = "m=audio 9 UDP/TLS/RTP/SAVPF 0 8\r\na=mid:0\r\n" + TRANSPORT.format(setup="actpass")
    _, answer = await bridge.start(_negotiated(HEAD + audio))
    assert re.search(r"^m=audio \d+ UDP/TLS/RTP/SAVPF 0 8\r$", answer, re.MULTILINE)


@deadline()
async def test_a_peer_that_insists_on_being_the_server_is_answered_as_client() -> None:
    _, answer = await bridge.start(_negotiated(HEAD + VIDEO + TRANSPORT.format(setup="passive")))
    assert "a=setup:active\r\n" in answer


@deadline()
async def test_sections_that_share_a_transport_need_not_describe_it() -> None:
    audio = "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:1\r\na=bundle-only\r\n"
    offer = HEAD.replace("BUNDLE 0", "BUNDLE 0 1") + VIDEO + TRANSPORT.format(setup="actpass") + audio
    reading, answer = await bridge.start(_negotiated(offer))
    assert reading.taken == ["0", "1"]
    assert re.search(r"^m=audio [1-9]", answer, re.MULTILINE)


REJECTIONS = {
    "audio": "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:1\r\n",
    "channel": "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n",
}


@deadline()
@pytest.mark.parametrize("what", REJECTIONS)
async def test_an_answer_may_reject_a_section(what: str) -> None:
    video = VIDEO.replace("sendrecv", "recvonly") + TRANSPORT.format(setup="active")
    connection = await bridge.start(_answered(HEAD + video + REJECTIONS[what], **{what: True}))
    assert connection.getTransceivers()[0].currentDirection == "sendonly"
    if what == "audio":
        assert connection.getTransceivers()[1].currentDirection == "inactive"


@deadline()
async def test_an_answer_may_reject_the_pictures_and_take_the_sound() -> None:
    rejected = "m=video 0 UDP/TLS/RTP/SAVPF 97\r\na=mid:0\r\n"
    audio = "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtpmap:96 opus/48000/2\r\na=recvonly\r\n"
    answer = HEAD.replace("BUNDLE 0", "BUNDLE 1") + rejected + audio + TRANSPORT.format(setup="active")
    connection = await bridge.start(_answered(answer, audio=True))
    directions = [each.currentDirection for each in connection.getTransceivers()]
    assert directions == ["inactive", "sendonly"]


GOOD = HEAD + VIDEO + TRANSPORT.format(setup="actpass")
IMPOSSIBLE: dict[str, tuple[str, str]] = {
    "only codecs of others": (GOOD.replace("H264", "VP9"), r"no codec in common \(VP9, rtx\)"),
    "no codec": (without("a=rtpmap")(GOOD), r"no codec in common \(it has none\)"),
    "SDES instead of DTLS": (without("a=fingerprint")(GOOD), "no DTLS fingerprint"),
    "only an old hash": (GOOD.replace("sha-256", "sha-1"), "no DTLS fingerprint"),
    "no ICE": (without("a=ice-pwd")(GOOD), "no ICE user name and password"),
    "all rejected": (GOOD.replace("m=video 9", "m=video 0"), "video section 0: it is rejected"),
    "no section": (HEAD, "no media section"),
    "nothing": ("", "no media section"),
    "a broken m-line": (GOOD.replace("m=video 9", "m=video x"), "media section 0 makes no sense"),
    "too many sections": (
        HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 97\r\n" * (MAX_MEDIA_SECTIONS + 1),
        f"{MAX_MEDIA_SECTIONS + 1} media sections",
    ),
    "too many candidates": (
        GOOD + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n" * MAX_CANDIDATES,
        f"{MAX_CANDIDATES + 1} candidates",
    ),
    "too long": (GOOD + "a=x\r\n" * (MAX_DESCRIPTION_BYTES // 5), "longer than 65536 bytes"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_stays_impossible_says_why(name: str) -> None:
    offer, reason = IMPOSSIBLE[name]
    with pytest.raises(UnusableDescription, match=reason) as raised:
        read(offer)
    assert isinstance(raised.value, NoCommonCodec) is ("codec" in reason)
    assert "password" not in str(raised.value).replace("user name and password", "")


def test_answers_that_are_none_to_the_offer_say_why() -> None:
    offer = HEAD + VIDEO + TRANSPORT.format(setup="actpass")
    answer = HEAD + VIDEO + TRANSPORT.format(setup="active")
    for wrong, reason in (
        (answer + VIDEO, "not those of the offer"),
        (answer.replace("m=video", "m=audio"), "not those of the offer"),
        (answer.replace("m=video 9", "m=video 0"), "all that was offered is rejected"),
        (answer.replace("H264", "VP8"), r"no codec in common \(VP8, rtx\)"),
    ):
        with pytest.raises(UnusableDescription, match=reason):
            read(wrong, offer)


def test_codecs_are_those_of_aiortc() -> None:
    known = {
        kind: {f"{codec.name}/{codec.clockRate}".lower() for codec in codecs if codec.name != "rtx"}
        for kind, codecs in CODECS_OF_AIORTC.items()
    }
    assert known == sdp_sections.CODECS


@deadline()
async def test_the_answer_to_as_many_sections_as_are_taken_fits_into_a_message() -> None:
    async def largest() -> tuple[int, int]:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for number in range(MAX_MEDIA_SECTIONS - 1):
            connection.addTransceiver("audio" if number % 2 else "video")
        connection.createDataChannel("control")
        offer = (await connection.createOffer()).sdp
        _, answer = await _negotiated(offer)
        await connection.close()
        return answer.count("\r\nm="), len(answer)

    sections, size = await bridge.start(largest())
    assert sections == MAX_MEDIA_SECTIONS
    assert size < 0.9 * MAX_DESCRIPTION_BYTES


@deadline()
async def test_mangled_descriptions_raise_nothing_else() -> None:
    """Every line of a description doubled, cut short or left out, in an offer and in an answer."""

    async def all_of_them() -> int:
        audio = (
            "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtpmap:96 opus/48000/2\r\na=ssrc:1 cname:x\r\n"
        )
        offer = GOOD + audio + TRANSPORT.format(setup="actpass") + REJECTIONS["channel"]
        lines = offer.splitlines(keepends=True)
        taken = 0
        for number, line in enumerate(lines):
            for other in (
                "",
                line + line,
                line[: len(line) // 2] + "\r\n",
                line[:2] + "\r\n",
                line[:-2] + " \u0663:\r\n",
            ):
                mangled = "".join([*lines[:number], other, *lines[number + 1 :]])
                try:
                    await _negotiated(mangled)
                    taken += 1
                except UnusableDescription:
                    pass
                with suppress(UnusableDescription):
                    read(mangled, offer)
        return taken

    assert await bridge.start(all_of_them()) > 100

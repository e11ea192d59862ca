"""Why two peers do not get media from each other, as far as this side can see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from aiortc import RTCDtlsTransport, RTCPeerConnection, RTCRtpReceiver
from OpenSSL import SSL

from .aiortc_compat import dtls_role, has_srtp_profile
from .errors import DTLSFailed, ICEFailed, MediaFailed, NoAnswer, NoCommonCodec

NO_CODECS: Final = ("rtx", "red", "ulpfec", "flexfec-03")
"""Names in SDP that stand for repetition and redundancy."""


def transports(connection: RTCPeerConnection) -> list[RTCDtlsTransport]:
    """The transports of a connection: one, unless the other side knows no BUNDLE."""
    used = [transceiver.receiver.transport for transceiver in connection.getTransceivers()]
    if connection.sctp is not None:
        used.append(connection.sctp.transport)
    return list(dict.fromkeys(used))


def why_not_connected(
    connection: RTCPeerConnection,
    advice: str,
    *,
    lead: str = "Signaling worked",
    seconds: float | None = None,
    cause: BaseException | None = None,
) -> MediaFailed:
    """What a connection lacks that should be connected by now.

    Args:
        connection: a peer connection that has made or taken an offer.
        advice: what to do where there is no media path.
        lead: how the text begins.
        seconds: how long was waited, if that is why it is given up.
        cause: what was raised, if anything was.
    """
    within = "" if seconds is None else f" within {seconds:g} s"
    if connection.remoteDescription is None:
        return NoAnswer(f"The other side sent no answer to the offer{within}: does it run?")
    used = transports(connection)
    for transport in used:
        if transport.state == "failed":
            return DTLSFailed(_dtls(transport, lead, *_cause(transport, cause)))
    for transport in used:
        # DTLS begins when ICE has found a path.
        if transport.state == "connecting":
            problem = f"the other side did not complete the handshake{within}"
            hint = "check the roles (a=setup) in the SDP, and whether something on the path drops DTLS"
            return DTLSFailed(_dtls(transport, lead, problem, hint))
    return ICEFailed(f"{lead}, but no media path between the two was found{within}: {advice}")


def no_common_codec(sdp: str, *, is_answer: bool = False) -> NoCommonCodec:
    """The error for an offer that has no codec of this side, or an answer that takes none of them."""
    known = RTCRtpReceiver.getCapabilities("video")
    ours = _names(codec.mimeType.partition("/")[2] for codec in (known.codecs if known else ()))
    if is_answer and _rejects_all_media(sdp):
        return NoCommonCodec(f"No common codec: the other side takes none of those offered ({ours}).")
    video = re.search(r"^m=video.*?(?=^m=|\Z)", sdp, re.MULTILINE | re.DOTALL)
    theirs = _names(re.findall(r"^a=rtpmap:\d+ ([\w.-]{1,32})/", video[0] if video else sdp, re.MULTILINE))
    text = f"No common codec: the other side has {theirs or 'none that is named'}, this side has {ours}"
    return NoCommonCodec(f"{text}. Have the camera send H.264 or VP8.")


def _rejects_all_media(answer: str) -> bool:
    """Whether an answer has sections for sound or video, and rejects all (port 0: RFC 3264, section 6)."""
    ports = re.findall(r"^m=(?:audio|video) (\d+)", answer, re.MULTILINE)
    return bool(ports) and all(int(port) == 0 for port in ports)


def _dtls(transport: RTCDtlsTransport, lead: str, problem: str, hint: str) -> str:
    role = f"this side is the DTLS {dtls_role(transport)}"
    why = f"{problem} ({role})"
    return (
        f"{lead}, and there is a media path, but DTLS failed: {why}. A TURN server does not help: {hint}."
    )


def _cause(transport: RTCDtlsTransport, cause: BaseException | None) -> tuple[str, str]:
    """What went wrong in a DTLS handshake, and what to do."""
    if isinstance(cause, SSL.Error):
        reasons = [str(entry[-1]) for entry in cause.args[0]] if cause.args else []
        said = f"OpenSSL says {', '.join(reasons) or 'nothing more'}"
        return said, "check that the two have a cipher and a kind of certificate in common"
    if isinstance(cause, ConnectionError):
        return "the connection was lost in the middle of the handshake", "try again"
    if not has_srtp_profile(transport):
        return "the two have no SRTP profile in common", "check which ones the other side has"
    return (
        "the certificate of the other side does not match the fingerprint in its SDP",
        "check that nothing changes the SDP on its way",
    )


def _names(names: Iterable[str]) -> str:
    found = dict.fromkeys(names)
    return ", ".join(name for name in list(found)[:10] if name.lower() not in NO_CODECS)

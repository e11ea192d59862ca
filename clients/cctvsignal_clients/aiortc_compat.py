"""Where aiortc and aioice are not enough: what reaches behind their public names, in one place.

Importing this module changes a constant of aiortc and two functions of aioice, for the whole process. The
private names are checked at that time, so that a later version that has moved one is reported at once and
not in the middle of a session.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Sequence
from importlib.metadata import version
from typing import Any, Final

import aioice.candidate
import aioice.ice
import aioice.stun
import aiortc.rtp
from aiortc import (
    RTCCertificate,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
)
from OpenSSL import SSL

MAX_REMOTE_CANDIDATES: Final = 512
"""So many of one peer are kept: those it names, and those that its requests come from."""
CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA:"
    b"ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA"
)
"""aiortc's own, and the same for servers with an RSA certificate."""
PAYLOAD_TYPES: Final = frozenset((*range(35, 64), *range(96, 128)))
"""Those without a meaning of their own that are not taken for RTCP (RFC 5761, section 4; RFC 3551)."""

NAMES: Final[tuple[tuple[Any, tuple[str, ...]], ...]] = (
    (RTCCertificate, ("_create_ssl_context",)),
    (RTCPeerConnection, ("_RTCPeerConnection__certificates",)),
    (RTCDtlsTransport, ("_role", "_ssl")),
    (RTCRtpTransceiver, ("_codecs", "_preferred_codecs")),
    (RTCRtpReceiver, ("_RTCRtpReceiver__decoder_queue",)),
    (RTCRtpSender, ("_handle_rtcp_packet", "_ssrc")),
    (aiortc.rtp, ("DYNAMIC_PAYLOAD_TYPES",)),
    (
        aioice.ice.Connection,
        (
            *(
                "request_received",
                "sort_check_list",
                "_remote_candidates_expected",
                "_pair_remote_candidate",
            ),
            *("_check_list_maybe_fail", "_closing", "_early_checks_done", "_local_candidates"),
            *("_nominated", "_protocols", "_remote_candidates"),
        ),
    ),
    (aioice.candidate.Candidate, ("_network_host",)),
    (aioice.stun, ("parse_message",)),
)
"""What this package uses of both libraries without their promise, by what it belongs to."""


def check(names: Sequence[tuple[Any, Sequence[str]]] = NAMES) -> None:
    """Raise `ImportError` where one of these names is not what it was."""
    missing = [
        f"{owner.__name__}.{name}"
        for owner, wanted in names
        for name in wanted
        # Those of objects are set when one is made.
        if not hasattr(owner, name) and name not in owner.__init__.__code__.co_names
    ]
    if missing:
        installed = " and ".join(f"{each} {version(each)}" for each in ("aiortc", "aioice"))
        raise ImportError(
            f"cctvsignal_clients does not work with {installed}: there is no {', '.join(missing)}. "
            "Install the versions that cctvsignal[clients] asks for."
        )


class Certificate(RTCCertificate):
    """One whose DTLS connections also take servers that have an RSA certificate."""

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(CIPHERS)
        return context


def use_own_certificate(connection: RTCPeerConnection) -> None:
    """Have a new peer connection use a `Certificate`; to be called before it has any transport."""
    name = "_RTCPeerConnection__certificates"
    setattr(connection, name, [Certificate(each._key, each._cert) for each in getattr(connection, name)])


def choose_codecs(transceiver: RTCRtpTransceiver, last: Container[int]) -> bool:
    """Keep those negotiated codecs that were set as preferences, these payload types behind the others.

    aiortc itself looks at preferences that were set before the offer came, and at no others. Where nothing
    would be left nothing is changed, and the result is False.
    """
    preferred = {codec.mimeType.lower() for codec in transceiver._preferred_codecs}
    codecs = [codec for codec in transceiver._codecs if codec.mimeType.lower() in preferred]
    if codecs:
        transceiver._codecs = sorted(codecs, key=lambda codec: codec.payloadType in last)
    return bool(codecs)


def dtls_role(transport: RTCDtlsTransport) -> str:
    """`client` or `server`; `auto` while that is not agreed on (RFC 8842, section 5)."""
    return transport._role


def has_srtp_profile(transport: RTCDtlsTransport) -> bool:
    """Whether a finished DTLS handshake has agreed on how to encrypt media (RFC 5764, section 4.1)."""
    return transport._ssl is not None and bool(transport._ssl.get_selected_srtp_profile())


def _guard_stun() -> None:
    """Have aioice answer, or drop, every datagram of a stranger without an exception."""
    parse = aioice.stun.parse_message
    receive = aioice.ice.Connection.request_received

    def parse_message(data: bytes) -> aioice.stun.Message:
        try:
            return parse(data)
        except (struct.error, IndexError) as error:
            # An attribute that is too short or too long; callers know ValueError.
            raise ValueError(f"a STUN attribute makes no sense: {error}") from None

    def request_received(
        self: aioice.ice.Connection,
        message: aioice.stun.Message,
        addr: tuple[str, int],
        protocol: aioice.ice.StunProtocol,
    ) -> None:
        # FFmpeg's WHIP muxer sends none. RFC 8445, section 7.1.1, has this formula for it.
        component = protocol.local_candidate.component
        message.attributes.setdefault("PRIORITY", aioice.candidate.candidate_priority(component, "prflx"))
        known = self._remote_candidates
        if len(known) < MAX_REMOTE_CANDIDATES or addr in (
            (each._network_host, each.port) for each in known
        ):
            receive(self, message, addr, protocol)

    aioice.stun.parse_message = parse_message
    aioice.ice.Connection.request_received = request_received  # type: ignore[method-assign]


check()
aiortc.rtp.DYNAMIC_PAYLOAD_TYPES = PAYLOAD_TYPES  # type: ignore[assignment]
_guard_stun()

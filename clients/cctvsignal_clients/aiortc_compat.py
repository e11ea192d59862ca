"""What is used of aiortc's private parts."""

from __future__ import annotations

from aiortc import RTCDtlsTransport


def dtls_role(transport: RTCDtlsTransport) -> str:
    """`client` or `server`; `auto` while that is not agreed on (RFC 8842, section 5)."""
    return transport._role


def has_srtp_profile(transport: RTCDtlsTransport) -> bool:
    """Whether a finished DTLS handshake has agreed on how to encrypt media (RFC 5764, section 4.1)."""
    return transport._ssl is not None and bool(transport._ssl.get_selected_srtp_profile())

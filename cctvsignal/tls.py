"""TLS with a certificate that may be replaced while the server runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from .watched import WatchedFiles


@implementer(IOpenSSLServerConnectionCreator)
class ReloadedCertificate:
    """New connections get the certificate that is in the files; raises `OSError` or `ValueError`.

    TLS 1.2 and newer, with the cipher suites that Twisted recommends.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self.files = WatchedFiles([certificate, key], lambda: _context(certificate, key))
        """The certificate and its key."""

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> Any:
        """What Twisted calls for each connection."""
        return SSL.Connection(self.files.get(), None)


def _context(certificate: Path, key: Path) -> SSL.Context:
    context: SSL.Context = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2).getContext()
    # Otherwise OpenSSL would ask for a password on the terminal.
    context.set_passwd_cb(lambda *_: b"")
    # In this order: a key that comes second is refused without a word of which certificate it does not fit.
    uses = ((key, context.use_privatekey_file), (certificate, context.use_certificate_chain_file))
    for path, use in uses:
        try:
            use(str(path))
        except SSL.Error:
            text = "it must be PEM, the certificate with all that signed it, the key without a password"
            raise ValueError(f"{path} cannot be used for TLS: {text}") from None
    try:
        context.check_privatekey()
    except SSL.Error:
        raise ValueError(f"{certificate} and {key} do not belong together") from None
    return context

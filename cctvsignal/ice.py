"""The STUN and TURN servers that clients are told of, and their credentials."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .messages import IceServer

MAX_CREDENTIAL_SECONDS: Final = 3600
MIN_SECRET_LENGTH: Final = 16
RENEW_AFTER: Final = 0.75
"""After so much of their life credentials are replaced: who has just got some has time for a session."""
_URL: Final = re.compile(
    r"(stuns?|turns?):(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?(\?transport=(?:udp|tcp))?", re.IGNORECASE
)


def check_url(url: str, *schemes: str) -> str:
    """The URL of a STUN (RFC 7064) or TURN server (RFC 7065); raises `ValueError` for what is none."""
    match = _URL.fullmatch(url)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in schemes or (match[4] and scheme.startswith("stun")):
        raise ValueError(f"a URL such as {schemes[0]}:example.com:3478")
    return url


def check_secret(text: str) -> str:
    """A secret that is worth its name; raises `ValueError`."""
    if len(text) < MIN_SECRET_LENGTH:
        raise ValueError(f"a secret has at least {MIN_SECRET_LENGTH} characters")
    return text


@dataclass(frozen=True)
class IceOffer:
    """`secret` is what the TURN servers share with this one (coturn's `static-auth-secret`); without one,
    `username` and `credential` are for everybody. `seconds` is how long a credential lasts.
    """

    stun: Sequence[str] = ()
    turn: Sequence[str] = ()
    secret: str | None = None
    username: str | None = None
    credential: str | None = None
    seconds: int = MAX_CREDENTIAL_SECONDS

    @property
    def relays(self) -> bool:
        """Whether there is a TURN server among them."""
        return bool(self.turn)

    def public(self) -> list[IceServer]:
        """Those that anybody may know."""
        return [IceServer(list(self.stun))] if self.stun else []

    def servers(self, subject: str, now: float) -> tuple[list[IceServer], float | None]:
        """All of them, with credentials, and after how many seconds to ask anew (None: never).

        `now` is in seconds since the epoch.
        """
        if not self.turn:
            return self.public(), None
        if self.secret is None:
            return [*self.public(), IceServer(list(self.turn), self.username, self.credential)], None
        username = f"{int(now + self.seconds)}:{_sound(subject)}"
        relay = IceServer(list(self.turn), username, sign(self.secret, username))
        return [*self.public(), relay], self.seconds * RENEW_AFTER


def sign(secret: str, username: str) -> str:
    """The password of this user (draft-uberti-behave-turn-rest-00, section 2.2)."""
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _sound(subject: str) -> str:
    # A user name of TURN is cut at the first colon by coturn, and has at most 508 bytes (RFC 8489, 14.3).
    return re.sub(r"[^\w.@+-]", "_", subject, flags=re.ASCII)[:128]

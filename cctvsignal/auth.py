"""Tokens (docs/protocol.md, section 3): what one says, and whether that is to be believed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import jwt
import msgspec
from msgspec import Meta, Struct

from .access import Identity, Role, Unauthorized
from .keys import Key, choose
from .policy import Outcome

MAX_TOKEN_LENGTH: Final = 8192
MAX_NAME_LENGTH: Final = 256
LAST_SECOND: Final = 253402300799
"""The end of the year 9999: no token is for longer."""

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Names = Annotated[list[Name], Meta(max_length=1000)]
Seconds = Annotated[float, Meta(ge=0, le=LAST_SECOND)]


class Claims(Struct):
    """What a token, or the owner's own service, says of somebody. `exp` is in seconds since the epoch."""

    sub: Name
    exp: Seconds
    role: Role = "viewer"
    rooms: Names | None = None
    cameras: Names | None = None
    jti: Name | None = None
    nbf: Seconds | None = None


def identity(claims: Mapping[str, Any], leeway: float) -> Identity:
    """Whom these claims describe; raises `Unauthorized` for claims that have no sense."""
    try:
        checked = msgspec.convert(claims, Claims)
        # Half of a surrogate pair is a character to Python, and to nobody else.
        msgspec.json.encode(checked)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        # What a token says may be cut or be no text at all, and may be long.
        said = str(error).encode("utf-8", "replace")[:MAX_NAME_LENGTH].decode("utf-8", "ignore")
        raise Unauthorized(f"The claims of the token are wrong: {said}.") from None
    # An admin is for all rooms unless its token says otherwise; nobody else is.
    rooms = checked.rooms if checked.rooms is not None else ["*"] if checked.role == "admin" else []
    cameras = None if checked.cameras is None else tuple(checked.cameras)
    return Identity(checked.sub, checked.role, tuple(rooms), cameras, checked.exp + leeway, checked.jti)


class TokenAuthenticator:
    """Believes JSON Web Tokens (RFC 7519) that are signed with one of these keys.

    `keys` and `revoked` are asked each time. `leeway` is in seconds: by so much clocks may differ.
    """

    def __init__(
        self,
        keys: Callable[[], Sequence[Key]],
        revoked: Callable[[], Revocations],
        *,
        audience: str | None = None,
        issuer: str | None = None,
        leeway: float = 60.0,
    ) -> None:
        self._keys = keys
        self._revoked = revoked
        self._audience = audience
        self._issuer = issuer
        self._leeway = leeway

    def __call__(self, token: str, done: Callable[[Outcome], None]) -> None:
        """Find out whose token this is."""
        try:
            found: Outcome = self.identify(token)
        except Unauthorized as error:
            found = error
        done(found)

    def identify(self, token: str) -> Identity:
        """Whose token this is; raises `Unauthorized`."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthorized("The token is too long.")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError):
            raise Unauthorized("The token is no JSON Web Token.") from None
        if "crit" in header:
            raise Unauthorized("The token asks for extensions (crit) that this server does not have.")
        found = identity(self._claims(token, header), self._leeway)
        if self._revoked().concerns(found):
            raise Unauthorized("The token was revoked.")
        return found

    def _claims(self, token: str, header: dict[str, Any]) -> dict[str, Any]:
        required = ["exp", "sub", *(["iss"] if self._issuer else []), *(["aud"] if self._audience else [])]
        for key in choose(self._keys(), header):
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.material,
                    algorithms=[key.algorithm],
                    audience=self._audience,
                    issuer=self._issuer,
                    leeway=self._leeway,
                    options={"require": required, "verify_aud": self._audience is not None},
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise Unauthorized("The token has expired.") from None
            except jwt.ImmatureSignatureError:
                text = f"The token is not valid yet; this server's clock says {_now()}."
                raise Unauthorized(text) from None
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
                raise Unauthorized(f"The token is not good here: {_reason(error)}.") from None
            return claims
        raise Unauthorized("The token is not signed with a key of this server.")


class Revocations:
    """Whose tokens are good no more: subjects and token ids."""

    def __init__(
        self, subjects: frozenset[str] = frozenset(), token_ids: frozenset[str] = frozenset()
    ) -> None:
        self._subjects = subjects
        self._token_ids = token_ids

    @classmethod
    def read(cls, path: Path) -> Revocations:
        """From a file with `sub NAME` or `jti ID` in each line; raises `OSError` or `ValueError`."""
        found: dict[str, set[str]] = {"sub": set(), "jti": set()}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            match = re.fullmatch(r"(sub|jti)[\s:]+(.+)", text)
            if match is None:
                raise ValueError(f"line {number} is neither `sub NAME` nor `jti ID`")
            found[match[1]].add(match[2])
        return cls(frozenset(found["sub"]), frozenset(found["jti"]))

    def concerns(self, identity: Identity) -> bool:
        """Whether the token of this identity was revoked."""
        return identity.subject in self._subjects or identity.token_id in self._token_ids


def mint(
    key: Key,
    *,
    subject: str,
    role: str,
    rooms: Sequence[str],
    cameras: Sequence[str] | None,
    seconds: float,
    audience: str | None = None,
    issuer: str | None = None,
    token_id: str | None = None,
) -> str:
    """A new token that is good for so many seconds."""
    now = int(time.time())
    claims = {
        "sub": subject,
        "iat": now,
        "exp": int(now + seconds),
        "role": role,
        "rooms": list(rooms),
        "cameras": None if cameras is None else list(cameras),
        "aud": audience,
        "iss": issuer,
        "jti": token_id,
    }
    headers = {"kid": key.key_id} if key.key_id else None
    payload = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(payload, key.material, algorithm=key.algorithm, headers=headers)


ROLES: Final = get_args(Role)


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())

"""Tokens (docs/protocol.md, section 3): what one says, and whether that is to be believed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import jwt
import msgspec
from msgspec import Meta, Struct

from .access import Identity, Role, Unauthorized
from .keys import Key, NoKeyId, choose
from .policy import Outcome

MAX_TOKEN_LENGTH: Final = 8192
MAX_NAME_LENGTH: Final = 256
LAST_SECOND: Final = 253402300799
"""The end of the year 9999: no token is for longer."""

_SIGNATURE_ONLY: Final[Any] = {
    "verify_signature": True,
    **{f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")},
}
"""For PyJWT: claims are for `ClaimRules`, which judges those of other sources, too."""
_LINE: Final = re.compile(r"[ \t]*(sub|jti)(?::[ \t]?|[ \t])(.+)", re.DOTALL)

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Names = Annotated[list[Name], Meta(max_length=1000)]
Seconds = Annotated[float, Meta(le=LAST_SECOND)]


class Claims(Struct):
    """What a token, or the owner's own service, says of somebody (RFC 7519, section 4.1).

    Times are in seconds since the epoch. `aud` and `iss` count only where the owner has configured them.
    """

    sub: Name
    exp: Seconds
    role: Role = "viewer"
    rooms: Names | None = None
    cameras: Names | None = None
    jti: Name | None = None
    nbf: Seconds | None = None
    iat: Seconds | None = None
    aud: Any = None
    iss: Any = None


class MalformedClaims(Unauthorized):
    """Claims that make no sense, whatever the time and the server."""


@dataclass(frozen=True)
class ClaimRules:
    """What claims must say, wherever they come from: a token's signature or the owner's own service.

    `leeway` is by how many seconds clocks may differ. `grace` is how many seconds longer than `exp` an
    identity is good: as long as the leeway for tokens, which the server has to judge by its own clock.
    """

    audience: str | None = None
    issuer: str | None = None
    leeway: float = 60.0
    grace: float = 60.0

    def identity(self, claims: Mapping[str, Any], now: float) -> Identity:
        """Whom these claims describe at this time, in seconds since the epoch; raises `Unauthorized`."""
        checked = _checked(claims)
        expires = checked.exp + self.grace
        # Also for what is not a number, which compares as false.
        if not expires > now:
            raise Unauthorized("The token has expired.")
        for begins in (checked.nbf, checked.iat):
            if begins is not None and not begins <= now + self.leeway:
                raise Unauthorized(f"The token is not valid yet; this server's clock says {_utc(now)}.")
        if self.audience is not None and not _is_for(self.audience, checked.aud):
            raise Unauthorized("The token is for another audience: its aud does not name this server.")
        if self.issuer is not None and checked.iss != self.issuer:
            raise Unauthorized("The token is from another issuer: its iss is not the one that counts here.")
        # An admin is for all rooms unless its token says otherwise; nobody else is.
        rooms = checked.rooms if checked.rooms is not None else ["*"] if checked.role == "admin" else []
        cameras = None if checked.cameras is None else tuple(checked.cameras)
        return Identity(checked.sub, checked.role, tuple(rooms), cameras, expires, checked.jti)


def _checked(claims: Mapping[str, Any]) -> Claims:
    """Raises `MalformedClaims`."""
    try:
        checked = msgspec.convert(claims, Claims)
        # Half of a surrogate pair is a character to Python, and to nobody else.
        msgspec.json.encode(checked)
    except (msgspec.ValidationError, UnicodeEncodeError, RecursionError, TypeError) as error:
        # What a token says may be cut or be no text at all, and may be long.
        said = str(error).encode("utf-8", "replace")[:MAX_NAME_LENGTH].decode("utf-8", "ignore")
        raise MalformedClaims(f"The claims of the token are wrong: {said}.") from None
    return checked


def _is_for(audience: str, aud: object) -> bool:
    """Whether a claim `aud`, a string or a list of strings, names this audience."""
    if isinstance(aud, list):
        return audience in aud and all(isinstance(each, str) for each in aud)
    return aud == audience


class TokenAuthenticator:
    """Believes JSON Web Tokens (RFC 7519) that are signed with one of these keys.

    `keys` and `revoked` are asked each time. `now` is wall time, in seconds since the epoch.
    """

    def __init__(
        self,
        keys: Callable[[], Sequence[Key]],
        revoked: Callable[[], Revocations],
        rules: ClaimRules = ClaimRules(),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._revoked = revoked
        self._rules = rules
        self._now = now

    def __call__(self, token: str, address: str, done: Callable[[Outcome], None]) -> None:
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
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthorized("The token is no JSON Web Token.") from None
        if "crit" in header:
            raise Unauthorized("The token asks for extensions (crit) that this server does not have.")
        found = self._rules.identity(self._claims(token, header), self._now())
        if self._revoked().concerns(found):
            raise Unauthorized("The token was revoked.")
        return found

    def _claims(self, token: str, header: dict[str, Any]) -> dict[str, Any]:
        """What a token says whose signature is good; no claim has been looked at."""
        try:
            keys = choose(self._keys(), header)
        except NoKeyId as error:
            raise Unauthorized(str(error)) from None
        for key in keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token, key.material, algorithms=[key.algorithm], options=_SIGNATURE_ONLY
                )
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
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
        """From a file with `sub NAME` or `jti ID` in each line; raises `OSError` or `ValueError`.

        The name is all of the line after one space (or after a colon and one space), as it is: subjects may
        begin or end with spaces. A name with a line break is written as JSON, `{"sub": "..."}`. Empty lines
        and lines that begin with `#` do not count.
        """
        found: dict[str, set[str]] = {"sub": set(), "jti": set()}
        # Not `splitlines`, nor universal newlines: names may have what these take for the end of a line.
        for number, line in enumerate(path.read_bytes().decode("utf-8-sig").split("\n"), 1):
            text = line.removesuffix("\r")
            if not text.strip() or text.lstrip().startswith("#"):
                continue
            try:
                kind, name = _revoked(text)
            except (ValueError, RecursionError):
                raise ValueError(f"line {number} is neither `sub NAME` nor `jti ID`") from None
            found[kind].add(name)
        return cls(frozenset(found["sub"]), frozenset(found["jti"]))

    @classmethod
    def read_if_there(cls, path: Path) -> Revocations:
        """As `read`; a file that is absent is an empty list."""
        try:
            return cls.read(path)
        except FileNotFoundError:
            return cls()

    def padded(self) -> int:
        """How many names begin or end with white space, which may be a slip."""
        return sum(name != name.strip() for name in self._subjects | self._token_ids)

    def concerns(self, identity: Identity) -> bool:
        """Whether the token of this identity was revoked."""
        return identity.subject in self._subjects or identity.token_id in self._token_ids


def _revoked(line: str) -> tuple[str, str]:
    """`sub` or `jti`, and the name, of one line; raises `ValueError`."""
    if line.startswith("{"):
        entry = json.loads(line)
        [(kind, name)] = entry.items()
        if kind not in ("sub", "jti") or not isinstance(name, str):
            raise ValueError
        return kind, name
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError
    return match[1], match[2]


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


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))

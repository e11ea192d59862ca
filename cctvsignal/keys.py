"""The keys that tokens are signed with: read from secrets, JWK sets (RFC 7517) and PEM files."""

from __future__ import annotations

import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

MIN_SECRET_BYTES: Final = 32
"""A secret for HS256 is at least as long as the hash (RFC 7518, section 3.2)."""
MIN_RSA_BITS: Final = 2048
MAX_FILE_BYTES: Final = 1024 * 1024
MAX_KEYS: Final = 1000
"""Keys in one set, of which each new token may need a look at all names."""
MAX_KEY_ID: Final = 256
MAX_UNNAMED: Final = 16
"""With more keys than this, each has a name (kid), and so has the key of each token: a token without one is
tried with every key, which costs a verification each."""
_PRIVATE: Final = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_SECRET: Final = re.compile(r"(?:([A-Za-z0-9_.-]{1,64}):)?(\S+)")


@dataclass(frozen=True)
class Key:
    """One key. The algorithm belongs to the key, whatever a token says of itself."""

    algorithm: str
    material: Any
    """As PyJWT wants it."""
    key_id: str | None = None


class NoKeyId(Exception):
    """A token without a `kid`, for a server that has too many keys to try them all."""


def from_secrets(text: str) -> list[Key]:
    """Secrets for HS256, separated by spaces, each as `secret` or `kid:secret`; raises `ValueError`."""
    keys = []
    for word in text.split():
        match = _SECRET.fullmatch(word)
        assert match is not None
        keys.append(_secret_key(match[2].encode(), match[1]))
    if not keys:
        raise ValueError("there is no secret")
    check_names(keys)
    return keys


def from_file(path: Path) -> list[Key]:
    """The keys in a JWK set or a PEM file; raises `OSError` or `ValueError`."""
    return _from_data(_read(path))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"it has more than {MAX_FILE_BYTES} bytes")
    return data


def _from_data(data: bytes) -> list[Key]:
    if b"-----BEGIN" in data:
        return [_from_pem(data)]
    try:
        found = json.loads(data)
    except RecursionError:
        raise ValueError("it nests too deeply for a JWK set") from None
    except ValueError:
        raise ValueError("it is neither a JWK set nor a PEM file") from None
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError('a JWK set is an object with a list "keys" that is not empty')
    if len(entries) > MAX_KEYS:
        raise ValueError(f"it has {len(entries)} keys, and at most {MAX_KEYS} are supported")
    keys = [_numbered(number, entry) for number, entry in enumerate(entries, 1)]
    check_names(keys)
    return keys


def check_names(keys: Sequence[Key]) -> None:
    """Raises `ValueError` for more than `MAX_UNNAMED` keys without a `kid`, or with the same one."""
    unnamed = [number for number, key in enumerate(keys, 1) if key.key_id is None]
    if len(keys) > MAX_UNNAMED and unnamed:
        text = f"key {unnamed[0]} of {len(keys)} has no kid"
        raise ValueError(f"{text}: with more than {MAX_UNNAMED} keys, each needs one")
    [(key_id, most)] = Counter(key.key_id for key in keys).most_common(1) or [(None, 0)]
    if most > MAX_UNNAMED:
        raise ValueError(f"{most} keys have the kid {_shown(key_id)}: at most {MAX_UNNAMED} may share one")


def choose(keys: Sequence[Key], header: dict[str, Any]) -> Iterable[Key]:
    """The keys that a token with this header may be signed with: those of its `kid`, if it has one.

    Raises `NoKeyId` for a token without one where there are too many keys to try.
    """
    key_id = header.get("kid")
    if key_id is None and len(keys) > MAX_UNNAMED:
        raise NoKeyId("The token does not say which key it is signed with (kid), of many.")
    return [
        key
        for key in keys
        if key.algorithm == header.get("alg") and (key_id is None or key.key_id == key_id)
    ]


def new_key_set(before: Path | None) -> str:
    """A JWK set with a new secret first, and with those of another set after it; raises as `from_file`."""
    key = {"kty": "oct", "alg": "HS256", "kid": secrets.token_hex(4), "k": secrets.token_urlsafe(32)}
    older = []
    if before is not None:
        data = _read(before)
        _from_data(data)
        older = json.loads(data)["keys"]
    return json.dumps({"keys": [key, *older]}, indent=2)


def private_key(path: Path) -> Key:
    """The first key of a file, to sign with; raises `OSError` or `ValueError`."""
    data = _read(path)
    if b"PRIVATE KEY-----" not in data:
        key = _from_data(data)[0]
        if isinstance(key.material, bytes | _PRIVATE):
            return key
        raise ValueError("this is a public key: tokens are signed with the private one")
    try:
        material = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"this private key cannot be read: {error}") from None
    return Key(_algorithm(material), material)


def _secret_key(secret: bytes, key_id: str | None) -> Key:
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"a secret has at least {MIN_SECRET_BYTES} bytes: make one by cctvsignal keygen")
    return Key("HS256", secret, key_id)


def _from_pem(data: bytes) -> Key:
    if b"PRIVATE KEY-----" in data:
        raise ValueError("this is a private key: the server needs the public one only")
    try:
        material = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"this public key cannot be read: {error}") from None
    return Key(_algorithm(material), material)


def _numbered(number: int, entry: Any) -> Key:
    """The key of this entry; whatever is wrong with it is said with its place, and without its content."""
    try:
        return _from_jwk(entry)
    except ValueError as error:
        key_id = entry.get("kid") if isinstance(entry, dict) else None
        name = f" (kid {_shown(key_id)})" if isinstance(key_id, str) else ""
        raise ValueError(f"key {number}{name}: {error}") from None


def _from_jwk(entry: Any) -> Key:
    if not isinstance(entry, dict):
        raise ValueError("a key of a JWK set is an object")
    key_id = entry.get("kid")
    if key_id is not None and not (isinstance(key_id, str) and 0 < len(key_id) <= MAX_KEY_ID):
        raise ValueError(f"a kid is a string of 1 to {MAX_KEY_ID} characters")
    named = {name: value for name, value in entry.items() if name != "alg"}
    try:
        material = jwt.PyJWK(named).key
    except Exception:  # It may raise anything, and its texts have the key in them.
        kind = entry.get("kty")
        kinds = ("RSA", "EC", "OKP", "oct")
        what = f"as a key of type {kind}" if kind in kinds else f"kty is one of {', '.join(kinds)}"
        raise ValueError(f"it cannot be used: {what}") from None
    key = (
        _secret_key(material, key_id)
        if isinstance(material, bytes)
        else Key(_algorithm(material), material, key_id)
    )
    algorithm = entry.get("alg", key.algorithm)
    if algorithm != key.algorithm:
        raise ValueError(f"its alg is {_shown(algorithm)}; only {key.algorithm} is supported with it")
    return key


def _shown(text: object) -> str:
    """A name for an error message: short, and in one line."""
    return repr(str(text)[:64])


def _algorithm(material: Any) -> str:
    if isinstance(material, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        if material.key_size < MIN_RSA_BITS:
            raise ValueError(f"an RSA key has at least {MIN_RSA_BITS} bits")
        return "RS256"
    if isinstance(material, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        if isinstance(material.curve, ec.SECP256R1):
            return "ES256"
    elif isinstance(material, ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey):
        return "EdDSA"
    raise ValueError("a key is for RS256, ES256 (P-256), EdDSA (Ed25519) or HS256")

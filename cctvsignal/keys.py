"""The keys that tokens are signed with: read from secrets, JWK sets (RFC 7517) and PEM files."""

from __future__ import annotations

import json
import re
import secrets
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
_PRIVATE: Final = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_SECRET: Final = re.compile(r"(?:([A-Za-z0-9_.-]{1,64}):)?(\S+)")


@dataclass(frozen=True)
class Key:
    """One key. The algorithm belongs to the key, whatever a token says of itself."""

    algorithm: str
    material: Any
    """As PyJWT wants it."""
    key_id: str | None = None


def from_secrets(text: str) -> list[Key]:
    """Secrets for HS256, separated by spaces, each as `secret` or `kid:secret`; raises `ValueError`."""
    keys = []
    for word in text.split():
        match = _SECRET.fullmatch(word)
        assert match is not None
        keys.append(_secret_key(match[2].encode(), match[1]))
    if not keys:
        raise ValueError("there is no secret")
    return keys


def from_file(path: Path) -> list[Key]:
    """The keys in a JWK set or a PEM file; raises `OSError` or `ValueError`."""
    data = path.read_bytes()
    if b"-----BEGIN" in data:
        return [_from_pem(data)]
    try:
        found = json.loads(data)
    except ValueError:
        raise ValueError("it is neither a JWK set nor a PEM file") from None
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError('a JWK set is an object with a list "keys" that is not empty')
    return [_from_jwk(entry) for entry in entries]


def choose(keys: Sequence[Key], header: dict[str, Any]) -> Iterable[Key]:
    """The keys that a token with this header may be signed with: those of its `kid`, if it has one."""
    key_id = header.get("kid")
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
        from_file(before)
        older = json.loads(before.read_bytes())["keys"]
    return json.dumps({"keys": [key, *older]}, indent=2)


def private_key(path: Path) -> Key:
    """The first key of a file, to sign with; raises `OSError` or `ValueError`."""
    data = path.read_bytes()
    if b"PRIVATE KEY-----" not in data:
        key = from_file(path)[0]
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


def _from_jwk(entry: Any) -> Key:
    if not isinstance(entry, dict):
        raise ValueError("a key of a JWK set is an object")
    key_id = entry.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        raise ValueError("a kid is a string")
    named = {name: value for name, value in entry.items() if name != "alg"}
    try:
        material = jwt.PyJWK(named).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"the key {key_id} cannot be used: {error}") from None
    key = (
        _secret_key(material, key_id)
        if isinstance(material, bytes)
        else Key(_algorithm(material), material, key_id)
    )
    if entry.get("alg", key.algorithm) != key.algorithm:
        raise ValueError(
            f"the key {key_id} is for {entry['alg']}; only {key.algorithm} is supported with it"
        )
    return key


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

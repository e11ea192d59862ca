"""Keys, tokens good and bad, and clients that bring them, for tests of who may do what."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import jwt
from autobahn.twisted.websocket import WebSocketClientFactory
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from tests.live import DEADLINE_SECONDS, LiveClient

SECRET: Final = "an-old-secret-of-at-least-32-bytes"
NEW_SECRET: Final = "a-new-secret-of-at-least-32-bytes!"
AUDIENCE: Final = "cameras"
ISSUER: Final = "the-owner"
LONG: Final = 36_000.0
"""So many seconds a token is good: it may be made long before the test that uses it."""
BEGINNING: Final = "eyJ"
"""What every JSON Web Token begins with."""

PRIVATE_KEYS: Final[dict[str, Any]] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
"""One for each algorithm with two keys."""


def public_pem(algorithm: str) -> str:
    """The public key that belongs to the private one."""
    key = PRIVATE_KEYS[algorithm].public_key()
    pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def private_pem(algorithm: str) -> str:
    """The private key."""
    pem: bytes = PRIVATE_KEYS[algorithm].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode()


def public_jwk(algorithm: str, key_id: str) -> dict[str, Any]:
    """The public key as an entry of a JWK set."""
    key = PRIVATE_KEYS[algorithm].public_key()
    return {**jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True), "kid": key_id}


def secret_jwk(secret: str, key_id: str) -> dict[str, Any]:
    """A secret for HS256 as an entry of a JWK set."""
    return {"kty": "oct", "alg": "HS256", "kid": key_id, "k": _text(secret.encode()).decode()}


def key_set(*entries: dict[str, Any]) -> str:
    """A JWK set."""
    return json.dumps({"keys": entries})


def replace(path: Path, content: str | bytes) -> None:
    """Put another file in the place of one that a server may be reading."""
    new = path.with_name(path.name + ".replacement")
    new.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(new, path)


def claims(**more: Any) -> dict[str, Any]:
    """Sound claims, changed; None takes one away."""
    found = {
        "sub": "vera",
        "exp": int(time.time() + LONG),
        "role": "viewer",
        "rooms": ["*"],
        "aud": AUDIENCE,
        "iss": ISSUER,
        **more,
    }
    return {name: value for name, value in found.items() if value is not None}


def token(
    key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **more: Any
) -> str:
    """A token with these claims, signed with this key."""
    return jwt.encode(claims(**more), key, algorithm, headers)


def signed(payload: dict[str, Any], header: dict[str, Any] | None = None, secret: str = SECRET) -> str:
    """A token as no library would make it, signed by HMAC whatever its header says."""
    first = {"typ": "JWT", "alg": "HS256", **(header or {})}
    content = _text(json.dumps(first).encode()) + b"." + _text(json.dumps(payload).encode())
    return (content + b"." + _text(hmac.digest(secret.encode(), content, hashlib.sha256))).decode()


def _text(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def bearer(text: str) -> dict[str, str]:
    """The header that brings a token."""
    return {"Authorization": f"Bearer {text}"}


def in_query(url: str, text: str) -> str:
    """A URL that brings a token."""
    return f"{url}/?token={quote(text)}"


async def come(
    url: str, headers: dict[str, str] | None = None, authority: Path | None = None
) -> LiveClient:
    """A client with these headers whose opening handshake is done; `authority` is a CA file for wss."""
    factory = WebSocketClientFactory(url, headers=headers)
    factory.setProtocolOptions(
        openHandshakeTimeout=DEADLINE_SECONDS, closeHandshakeTimeout=DEADLINE_SECONDS, failByDrop=False
    )
    factory.protocol = LiveClient
    factory.noisy = False
    endpoint: IStreamClientEndpoint = HostnameEndpoint(reactor, factory.host, factory.port)
    if authority is not None:
        trusted = trustRootFromCertificates([Certificate.loadPEM(authority.read_bytes())])
        endpoint = wrapClientTLS(optionsForClientTLS(factory.host, trusted), endpoint)
    client = await endpoint.connect(factory)
    assert isinstance(client, LiveClient)
    await client.opened
    return client


async def admitted(url: str, text: str) -> LiveClient:
    """A client whose token is good, after its welcome."""
    client = await come(url, bearer(text))
    welcome = await client.next()
    assert (welcome["type"], welcome["authenticated"]) == ("welcome", True)
    client.id = welcome["clientId"]
    return client


async def refused(url: str, text: str) -> str:
    """Why a client with this token is closed with 4401, before any welcome."""
    client = await come(url, bearer(text))
    assert await client.closed == 4401
    assert not client.frames.pending
    assert text not in str(client.remoteCloseReason)
    return str(client.remoteCloseReason)


async def join_as(url: str, text: str, room: str, camera_id: str | None = None) -> LiveClient:
    """A client that is in a room by this token, as a camera where an id is given."""
    client = await admitted(url, text)
    assert await client.ask(joining(room, camera_id)) == {"type": "joined", "room": room}
    return client


def joining(room: str, camera_id: str | None = None, **more: Any) -> dict[str, Any]:
    """The message to join a room by, as a camera where an id is given."""
    role = {"deviceType": "camera", "cameraId": camera_id} if camera_id else {"deviceType": "viewer"}
    return {"type": "join", "room": room, **role, **more}


NOT_OURS: Final = "is not signed with a key of this server"
_PUBLIC: Final = public_pem("RS256")
BAD_TOKENS: Final = {
    "none": (jwt.encode(claims(), "", "none"), NOT_OURS),
    "None": (signed(claims(), {"alg": "None"}), NOT_OURS),
    "no-signature": (token().rpartition(".")[0] + ".", NOT_OURS),
    "public-key-as-secret": (signed(claims(), secret=_PUBLIC), NOT_OURS),
    "public-key-stripped": (signed(claims(), secret=_PUBLIC.strip()), NOT_OURS),
    "public-key-renamed": (signed(claims(), {"alg": "RS256"}, _PUBLIC), NOT_OURS),
    "another-hash": (token(SECRET * 2, "HS512"), NOT_OURS),
    "another-secret": (token("not-the-secret-of-this-server-at-all"), NOT_OURS),
    "crit": (signed(claims(), {"crit": ["exp"]}), "crit|no JSON Web Token"),
    "crit-b64": (signed(claims(), {"crit": ["b64"], "b64": False}), "crit|no JSON Web Token"),
    "unknown-kid": (token(headers={"kid": "unknown"}), NOT_OURS),
    "kid-of-another-key": (token(headers={"kid": "new"}), NOT_OURS),
    "kid-is-a-path": (signed(claims(), {"kid": "../../dev/null"}, ""), NOT_OURS),
    "kid-is-a-number": (signed(claims(), {"kid": 5}), "no JSON Web Token"),
    "key-in-the-token": (
        token(PRIVATE_KEYS["ES256"], "ES256", {"jwk": public_jwk("ES256", "mine")}),
        NOT_OURS,
    ),
    "expired": (token(exp=int(time.time()) - 1), "has expired"),
    "not-yet": (token(nbf=int(time.time() + LONG)), "not valid yet; .* clock says 20"),
    "issued-in-future": (token(iat=int(time.time() + LONG)), "not valid yet"),
    "wrong-aud": (token(aud="others"), "[Aa]udience"),
    "no-aud": (token(aud=None), "aud"),
    "wrong-iss": (token(iss="others"), "[Ii]ssuer"),
    "no-iss": (token(iss=None), "iss"),
    "exp-text": (signed(claims(exp="9999999999")), "exp"),
    "exp-huge": (signed(claims(exp=1e308)), "exp|good here"),
    "exp-negative": (signed(claims(exp=-1)), "has expired"),
    "exp-infinite": (signed(claims(exp=float("inf"))), "good here|exp"),
    "exp-absent": (signed(claims(exp=None)), "exp"),
    "rooms-text": (signed(claims(rooms="*")), "rooms"),
    "rooms-numbers": (signed(claims(rooms=[5])), "rooms"),
    "cameras-text": (signed(claims(cameras="porch")), "cameras"),
    "sub-number": (signed(claims(sub=5)), "[Ss]ub"),
    "sub-absent": (signed(claims(sub=None)), "sub"),
    "role-unknown": (token(role="owner"), "role"),
    "role-of-other-letters": (token(role="é" * 200), "claims"),
    "role-of-other-letters-by-one": (token(role="x" + "é" * 200), "claims"),
    "role-of-half-a-letter": (signed(claims(role="\ud800")), "claims"),
    "role-list": (token(role=["admin"]), "role"),
    "claims-list": (signed([5]), "good here|payload"),  # type: ignore[arg-type]
    "nonsense": ("nonsense", "no JSON Web Token"),
    "dots": ("..", "no JSON Web Token"),
}
"""By what is wrong with them; and what a server says that has both secrets, as `old` and `new`."""

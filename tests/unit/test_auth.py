"""What tokens are believed, and why others are not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from cctvsignal.access import Identity, Unauthorized
from cctvsignal.auth import ClaimRules, Revocations, TokenAuthenticator, mint
from cctvsignal.keys import Key, choose, from_file, from_secrets, new_key_set, private_key
from cctvsignal.policy import Outcome

SECRET = "an-old-secret-of-at-least-32-bytes"
NEW = "a-new-secret-of-at-least-32-bytes!"
KEYS = from_secrets(SECRET)


def claims(**more: Any) -> dict[str, Any]:
    """Sound claims, changed; None takes one away."""
    found = {"sub": "vera", "exp": time.time() + 100, "role": "viewer", "rooms": ["hall"], **more}
    return {name: value for name, value in found.items() if value is not None}


def token(key: str = SECRET, headers: dict[str, Any] | None = None, **more: Any) -> str:
    return jwt.encode(claims(**more), key, "HS256", headers)


def signed(payload: bytes, header: bytes = b'{"alg":"HS256","typ":"JWT"}', key: str = SECRET) -> str:
    """A token as no library would make it."""

    def text(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    content = text(header) + b"." + text(payload)
    return (content + b"." + text(hmac.digest(key.encode(), content, hashlib.sha256))).decode()


def authenticator(keys: list[Key] = KEYS, **options: Any) -> TokenAuthenticator:
    return TokenAuthenticator(lambda: keys, options.pop("revoked", Revocations), ClaimRules(**options))


def why_not(text: str, **options: Any) -> str:
    with pytest.raises(Unauthorized) as caught:
        authenticator(**options).identify(text)
    assert text not in str(caught.value)
    return str(caught.value)


def test_a_token_says_who_somebody_is() -> None:
    expires = int(time.time()) + 100
    found = authenticator().identify(token(exp=expires, cameras=["porch-*"], jti="7"))
    assert found == Identity("vera", "viewer", ("hall",), ("porch-*",), expires + 60, "7")


def test_what_a_token_leaves_out_is_little_but_for_admins() -> None:
    found = authenticator().identify(token(role=None, rooms=None))
    assert (found.role, found.rooms, found.cameras) == ("viewer", (), None)
    assert authenticator().identify(token(role="admin", rooms=None)).rooms == ("*",)
    assert authenticator().identify(token(role="admin", rooms=["hall"])).rooms == ("hall",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"sub": ["vera"]},
        {"sub": "x" * 257},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": 1e308},
        {"exp": True},
        {"exp": [9999999999]},
        {"exp": {}},
        {"exp": -1},
        {"nbf": "soon"},
        {"nbf": 1e308},
        {"role": "owner"},
        {"role": "\ud800"},
        {"sub": "\ud800"},
        {"rooms": ["\udfff"]},
        {"role": ["viewer"]},
        {"rooms": "*"},
        {"rooms": [5]},
        {"rooms": {"hall": 1}},
        {"rooms": ["hall"] * 1001},
        {"cameras": "porch"},
        {"cameras": [["porch"]]},
        {"jti": 7},
    ],
    ids=str,
)
def test_claims_of_the_wrong_kind_let_nobody_in(wrong: dict[str, Any]) -> None:
    why_not(signed(json.dumps(claims(**wrong)).encode()))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"sub":"v","exp":NaN}',
        b'{"sub":"v","exp":Infinity}',
        b"\xff",
        b"[" * 9000,
    ],
)
def test_a_payload_that_is_no_object_lets_nobody_in(payload: bytes) -> None:
    why_not(signed(payload))


def test_times_are_kept_with_a_leeway() -> None:
    now = time.time()
    authenticator().identify(token(exp=now - 50))
    assert "expired" in why_not(token(exp=now - 70))
    assert "expired" in why_not(token(exp=now - 5), leeway=0, grace=0)
    authenticator().identify(token(nbf=now + 50))
    assert "clock says 20" in why_not(token(nbf=now + 70))
    authenticator().identify(token(iat=now - 1000))


def test_audience_and_issuer_count_where_they_are_configured() -> None:
    authenticator().identify(token(aud="others", iss="others"))
    ours: dict[str, Any] = {"audience": "cameras", "issuer": "me"}
    for good in ("cameras", ["others", "cameras"]):
        authenticator(**ours).identify(token(aud=good, iss="me"))
    for wrong in (
        {"aud": "others", "iss": "me"},
        {"aud": "cameras", "iss": "others"},
        {"aud": "cameras"},
        {"iss": "me"},
        {"aud": ["cameras", 5], "iss": "me"},
        {"aud": {"cameras": 1}, "iss": "me"},
        {"aud": "cameras", "iss": ["me"]},
    ):
        why_not(signed(json.dumps(claims(**wrong)).encode()), **ours)


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none"}',
        b'{"alg":"None"}',
        b'{"alg":"HS512"}',
        b'{"alg":"RS256"}',
        b'{"alg":"hs256"}',
        b'{"typ":"JWT"}',
        b'{"alg":["HS256"]}',
        b'{"alg":"HS256","crit":["exp"]}',
        b'{"alg":"HS256","crit":["b64"],"b64":false}',
        b'{"alg":"HS256","crit":[]}',
        b'{"alg":"HS256","kid":"unknown"}',
        b'{"alg":"HS256","kid":5}',
        b'{"alg":"HS256","kid":""}',
        b"[]",
        b"{",
        b"",
    ],
)
def test_headers_that_a_server_must_not_follow(header: bytes) -> None:
    why_not(signed(json.dumps(claims()).encode(), header))


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a.b.c", "x" * 9000, "\ud800", "é.é.é", token()[:-2], token() + "x", token() + ".x"],
)
def test_what_is_no_token_lets_nobody_in(text: str) -> None:
    with pytest.raises(Unauthorized):
        authenticator().identify(text)


def test_a_token_without_a_signature_lets_nobody_in() -> None:
    why_not(jwt.encode(claims(), "", "none"))
    why_not(token().rpartition(".")[0] + ".")


def test_secrets_are_rotated_by_their_ids() -> None:
    both = from_secrets(f"new:{NEW} old:{SECRET}")
    for key, headers in ((NEW, {"kid": "new"}), (SECRET, {"kid": "old"}), (NEW, None), (SECRET, None)):
        authenticator(both).identify(token(key, headers))
    why_not(token(NEW, {"kid": "old"}), keys=both)
    why_not(token("another-secret-of-at-least-32-bytes"), keys=both)


@pytest.mark.parametrize("secrets", ["", " ", "x" * 31, f"{SECRET} short", "kid:" + "x" * 31])
def test_secrets_that_are_too_short_are_refused(secrets: str) -> None:
    with pytest.raises(ValueError):
        from_secrets(secrets)


# --- keys of all kinds

PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
KINDS = pytest.mark.parametrize("algorithm", PRIVATE)


def pem(algorithm: str) -> bytes:
    key: bytes = (
        PRIVATE[algorithm].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return key


def private_pem(algorithm: str) -> bytes:
    key: bytes = PRIVATE[algorithm].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key


def write(path: Path, data: bytes | object) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


def jwk(algorithm: str, **more: Any) -> dict[str, Any]:
    key = PRIVATE[algorithm].public_key()
    return {**jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True), **more}


@KINDS
def test_public_keys_come_from_pem_files_and_jwk_sets(algorithm: str, tmp_path: Path) -> None:
    good = jwt.encode(claims(), private_pem(algorithm), algorithm)
    for data in (
        pem(algorithm),
        {"keys": [jwk(algorithm, kid="1", alg=algorithm)]},
        {"keys": [jwk(algorithm)]},
    ):
        keys = from_file(write(tmp_path / "keys", data))
        assert [key.algorithm for key in keys] == [algorithm]
        assert authenticator(keys).identify(good).subject == "vera"
    named = jwt.encode(claims(), private_pem(algorithm), algorithm, {"kid": "1"})
    authenticator(from_file(write(tmp_path / "keys", {"keys": [jwk(algorithm, kid="1")]}))).identify(named)
    why_not(named, keys=from_file(write(tmp_path / "keys", {"keys": [jwk(algorithm, kid="2")]})))


@KINDS
def test_a_public_key_is_no_secret(algorithm: str, tmp_path: Path) -> None:
    keys = from_file(write(tmp_path / "keys", pem(algorithm)))
    for text in (pem(algorithm).decode(), pem(algorithm).decode().strip()):
        forged = signed(json.dumps(claims()).encode(), key=text)
        why_not(forged, keys=keys)
        renamed = f'{{"alg":"{algorithm}"}}'.encode()
        why_not(signed(json.dumps(claims()).encode(), renamed, text), keys=keys)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        {"keys": []},
        {"keys": {}},
        {"keys": [5]},
        {"keys": [{}]},
        {"keys": [{"kty": "oct"}]},
        {"keys": [{"kty": "oct", "k": "c2hvcnQ"}]},
        {"keys": [{"kty": "oct", "k": "A" * 43, "kid": 5}]},
        {"keys": [{"kty": "oct", "k": "A" * 43, "alg": "HS512"}]},
        {"keys": [jwk("RS256", alg="HS256")]},
        {"keys": [jwk("RS256", alg="RS512")]},
        {"keys": [{**jwk("ES256"), "crv": "P-521"}]},
        [],
        private_pem("RS256"),
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        rsa.generate_private_key(65537, 1024)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        ec.generate_private_key(ec.SECP384R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=lambda data: str(data)[:40],
)
def test_files_that_are_no_keys_are_refused_with_a_reason(data: bytes | object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\w{2,}"):
        from_file(write(tmp_path / "keys", data))


def test_a_new_key_is_put_before_the_old_ones(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(new_key_set(None))
    [old] = from_file(path)
    path.write_text(new_key_set(path))
    assert [key.key_id for key in from_file(path)[1:]] == [old.key_id]
    assert private_key(path) == from_file(path)[0]
    assert list(choose(from_file(path), {"alg": "HS256", "kid": old.key_id})) == [old]


@KINDS
def test_tokens_are_made_with_private_keys_of_all_kinds(algorithm: str, tmp_path: Path) -> None:
    key = private_key(write(tmp_path / "private", private_pem(algorithm)))
    text = mint(key, subject="vera", role="viewer", rooms=["hall"], cameras=None, seconds=100)
    keys = from_file(write(tmp_path / "public", pem(algorithm)))
    assert authenticator(keys).identify(text).rooms == ("hall",)


@pytest.mark.parametrize(
    "data", [pem("RS256"), {"keys": [jwk("EdDSA")]}, b"nonsense"], ids=["pem", "jwk", "none"]
)
def test_nobody_signs_with_a_public_key(data: bytes | object, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        private_key(write(tmp_path / "key", data))


# --- revocation


def test_revoked_tokens_let_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    path.write_text("# gone\nsub mallory\n\n jti: 7\nsub two words\n")
    revoked = Revocations.read(path)
    check = authenticator(revoked=lambda: revoked)
    check.identify(token(jti="8"))
    wrongs: list[dict[str, Any]] = [{"sub": "mallory"}, {"jti": "7"}, {"sub": "two words"}]
    for wrong in wrongs:
        with pytest.raises(Unauthorized, match="revoked"):
            check.identify(token(**wrong))


@pytest.mark.parametrize("line", ["mallory", "sub", "subject mallory", "exp 5"])
def test_a_list_of_revoked_tokens_has_two_kinds_of_lines(line: str, tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    path.write_text(f"sub vera\n{line}\n")
    with pytest.raises(ValueError, match="line 2"):
        Revocations.read(path)


def test_the_outcome_is_handed_over() -> None:
    outcomes: list[Outcome] = []
    authenticator()(token(), "192.0.2.1", outcomes.append)
    authenticator()("nonsense", "192.0.2.1", outcomes.append)
    assert isinstance(outcomes[0], Identity)
    assert isinstance(outcomes[1], Unauthorized)


# --- files of keys that are too much


def secret(number: int, **more: Any) -> dict[str, Any]:
    text = base64.urlsafe_b64encode(f"secret number {number:05} of at least 32 bytes".encode())
    return {"kty": "oct", "k": text.decode().rstrip("="), **more}


CANARY = base64.urlsafe_b64encode(b"CANARY of at least 32 bytes, not to be seen").decode().rstrip("=")
BAD_SETS = {
    "nests 100,000 deep": (b'{"keys":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nests too deeply"),
    "an entry nests": (b'{"keys":[{"kty":"oct","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}", "nests"),
    "too long": (b" " * (1024 * 1024) + b'{"keys":[]}', "more than 1048576 bytes"),
    "too many": ({"keys": [secret(n, kid=f"{n}") for n in range(1001)]}, "has 1001 keys, and at most 1000"),
    "17, one without a name": (
        {"keys": [*(secret(n, kid=f"{n}") for n in range(16)), secret(16)]},
        "key 17 of 17 has no kid",
    ),
    "17 of one name": ({"keys": [secret(n, kid="x") for n in range(17)]}, "17 keys have the kid 'x'"),
    "a kind that there is not": (
        {"keys": [secret(0), {"kty": "none", "k": CANARY}]},
        "key 2: .*kty is one of",
    ),
    "no point of the curve": (
        {"keys": [{"kty": "EC", "crv": "P-256", "kid": "e", "x": CANARY, "y": CANARY}]},
        r"key 1 \(kid 'e'\): it cannot be used: as a key of type EC",
    ),
    "numbers for texts": ({"keys": [{"kty": "RSA", "n": 5, "e": [CANARY]}]}, "key 1: .*type RSA"),
    "a strange alg": ({"keys": [{"kty": "oct", "k": CANARY, "alg": 5}]}, "key 1: its alg is '5'"),
    "a long kid": ({"keys": [{"kty": "oct", "k": CANARY, "kid": "k" * 1000}]}, "key 1 .*a kid is"),
}


@pytest.mark.parametrize("data", BAD_SETS)
def test_a_set_of_keys_that_is_too_much_is_refused_without_a_word_of_its_keys(
    data: str, tmp_path: Path
) -> None:
    content, why = BAD_SETS[data]
    with pytest.raises(ValueError, match=why) as caught:
        from_file(write(tmp_path / "keys", content))
    assert CANARY not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    with pytest.raises(ValueError, match="more than"):
        from_file(Path("/dev/zero"))


def test_with_many_keys_a_token_says_which_one_it_is_signed_with(tmp_path: Path) -> None:
    entries = [secret(number, kid=f"{number}") for number in range(17)]
    secrets = [base64.urlsafe_b64decode(entry["k"] + "==").decode() for entry in entries]
    few, many = (from_file(write(tmp_path / "keys", {"keys": entries[:count]})) for count in (16, 17))
    authenticator(few).identify(token(secrets[15]))
    authenticator(many).identify(token(secrets[16], {"kid": "16"}))
    assert "kid" in why_not(token(secrets[16]), keys=many)
    # So a bad token costs one verification, however many keys there are.
    assert len(list(choose(many, {"alg": "HS256", "kid": "3"}))) == 1
    assert "not signed" in why_not(token(NEW, {"kid": "3"}), keys=many)


def test_17_secrets_need_names() -> None:
    texts = [f"secret-number-{number:05}-of-at-least-32-bytes" for number in range(17)]
    assert len(from_secrets(" ".join(texts[:16]))) == 16
    assert len(from_secrets(" ".join(f"{n}:{text}" for n, text in enumerate(texts)))) == 17
    with pytest.raises(ValueError, match="kid"):
        from_secrets(" ".join(texts))


# --- exact names of those who are revoked


@pytest.mark.parametrize(
    "subject",
    [
        "vera ",
        " vera",
        "vera\t",
        "vera: ",
        ": vera",
        " ",
        "a\u2028b",
        "a\x85b",
        "a\rb",
        "#vera",
        "sub vera",
    ],
    ids=repr,
)
def test_a_subject_is_revoked_exactly_as_it_is_written(subject: str, tmp_path: Path) -> None:
    for end in ("\n", "\r\n", ""):
        revoked = Revocations.read(write(tmp_path / "revoked", f"jti 7\nsub {subject}{end}".encode()))
        assert revoked.concerns(Identity(subject, "viewer"))
        others = {subject.strip(), subject + " ", " " + subject, "vera"} - {subject}
        assert not any(revoked.concerns(Identity(other, "viewer")) for other in others)


def test_a_subject_with_a_line_break_is_revoked_as_json(tmp_path: Path) -> None:
    revoked = Revocations.read(write(tmp_path / "revoked", b'{"sub": "a\\nb "}\n{"jti":"7"}\n'))
    assert revoked.concerns(Identity("a\nb ", "viewer"))
    assert revoked.concerns(Identity("a", "viewer", token_id="7"))
    for bad in (b"{", b'{"sub":5}', b'{"exp":"a"}', b'{"sub":"a","jti":"b"}', b"{}", b"{" * 9000):
        with pytest.raises(ValueError, match="line 1"):
            Revocations.read(write(tmp_path / "revoked", bad))

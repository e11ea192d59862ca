"""The commands for an owner beside a running server: keys, tokens, and whose the ids of cameras are."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jwt
import pytest

from cctvsignal import commands
from tests.integration.test_starting import CONSOLE_SCRIPT, run
from tests.live import LiveClient, connect, deadline, join
from tests.processes import server
from tests.tokens import (
    NEW_SECRET,
    SECRET,
    admitted,
    bearer,
    come,
    join_as,
    joining,
    private_pem,
    public_jwk,
    public_pem,
    refused,
    token,
)

KEY = "a-device-key-of-the-porch"
OTHER_KEY = "a-device-key-of-somebody"
BY_SECRET = {"CCTVSIGNAL_AUTH_SECRET": f"new:{NEW_SECRET} old:{SECRET}"}


@dataclass(frozen=True)
class Result:
    """How a command has ended, and what it has printed."""

    status: int
    output: str
    error: str


def owner(*arguments: str | Path, environment: dict[str, str] | None = None) -> Result:
    """Run a command of the owner, in this process: each start of Python would take most of a second."""
    output, error = io.StringIO(), io.StringIO()
    with patch.dict(os.environ, environment or {}), redirect_stdout(output), redirect_stderr(error):
        try:
            status = commands.run(list(map(str, arguments)))
        except SystemExit as ended:
            # As Python itself takes it: a text is for people, and the status is 1.
            if not isinstance(ended.code, int):
                print(ended.code, file=error)
            status = ended.code if isinstance(ended.code, int) else 1
    return Result(status, output.getvalue(), error.getvalue())


def printed(*arguments: str | Path, environment: dict[str, str] | None = None) -> str:
    """What a command prints that does what it is asked to."""
    result = owner(*arguments, environment=environment)
    assert (result.status, result.error) == (0, "")
    return result.output.removesuffix("\n")


def error_of(*arguments: str | Path, environment: dict[str, str] | None = None) -> str:
    """The line by which a command says what it cannot do; where a word is wrong, the usage is before it."""
    result = owner(*arguments, environment=environment)
    lines = [line for line in result.error.splitlines() if not line.startswith(("usage:", " "))]
    assert result.status in (1, 2)
    assert result.output == ""
    assert len(lines) == 1, result.error
    assert lines[0].startswith("cctvsignal")
    return lines[0]


def claims_of(text: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(text, options={"verify_signature": False})
    return claims


def test_the_console_script_runs_the_commands_and_has_their_status() -> None:
    key = run(*CONSOLE_SCRIPT, "keygen")
    assert (key.returncode, key.stderr, list(json.loads(key.stdout))) == (0, "", ["keys"])
    impossible = run(*CONSOLE_SCRIPT, "token", "--role=viewer", environment=BY_SECRET)
    assert (impossible.returncode, impossible.stdout) == (1, "")
    assert impossible.stderr.startswith("cctvsignal token: --room is missing")
    assert impossible.stderr.count("\n") == 1
    wrong = run(*CONSOLE_SCRIPT, "cameras", "show")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "invalid choice: 'show'" in wrong.stderr


# --- keygen


def test_a_key_is_printed_where_there_is_no_file_to_write_it_to() -> None:
    first, second = (json.loads(printed("keygen"))["keys"] for _ in range(2))
    assert len(first) == 1
    assert (first[0]["kty"], first[0]["alg"]) == ("oct", "HS256")
    assert first[0]["k"] != second[0]["k"]
    assert first[0]["kid"] != second[0]["kid"]


@deadline(40)
async def test_keys_are_rotated_without_a_token_that_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    assert printed("keygen", path).startswith(f"{path} has a new key.")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with server(f"--auth-keys={path}") as running:
        first = printed("token", "--auth-keys", path, "--role=viewer", "--room=hall")
        await (await admitted(running.websocket_url, first)).leave()
        printed("keygen", path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        variable = {"CCTVSIGNAL_AUTH_KEYS": str(path)}
        second = printed("token", "--role=viewer", "--room=hall", environment=variable)
        key_ids = [key["kid"] for key in json.loads(path.read_text())["keys"]]
        assert [jwt.get_unverified_header(text)["kid"] for text in (second, first)] == key_ids
        for text in (first, second):
            await (await admitted(running.websocket_url, text)).leave()
        for secret in (key["k"] for key in json.loads(path.read_text())["keys"]):
            assert secret not in running.output
    assert "Traceback" not in running.output


def test_a_file_that_holds_no_key_set_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    for content in ("nonsense", public_pem("RS256")):
        path.write_text(content)
        assert "is left as it is" in error_of("keygen", path)
        assert path.read_text() == content
        assert len(list(tmp_path.iterdir())) == 1
    assert "cannot be written: No such file or directory" in error_of(
        "keygen", tmp_path / "no" / "keys.json"
    )
    assert "unrecognized arguments: more" in error_of("keygen", path, "more")


# --- token


@deadline(40)
async def test_a_token_says_what_the_options_say_and_lets_in(tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_text(private_pem("ES256"))
    public.write_text(public_pem("ES256"))
    before = int(time.time())
    options = ["--role=viewer", "--room=hall", "--room=corridor-*", "--camera=porch-*", "--camera=gate"]
    options += ["--ttl=30m", "--subject=vera", "--id=7", "--audience=cameras", "--issuer=me"]
    text = printed("token", "--auth-keys", private, *options)
    claims = claims_of(text)
    assert before <= claims.pop("iat") <= time.time()
    assert before + 1800 <= claims.pop("exp") <= time.time() + 1800
    assert claims == {
        "sub": "vera",
        "role": "viewer",
        "rooms": ["hall", "corridor-*"],
        "cameras": ["porch-*", "gate"],
        "jti": "7",
        "aud": "cameras",
        "iss": "me",
    }
    camera = printed("token", *options, "--role=camera", "--auth-keys", private)
    with server(f"--auth-keys={public}", "--auth-audience=cameras", "--auth-issuer=me") as running:
        url = running.websocket_url
        viewer = await join_as(url, text, "hall")
        gate = await join_as(url, camera, "hall", "gate")
        assert [(await viewer.next())["type"] for _ in range(2)] == ["clientJoined", "cameraAvailable"]
        assert (await gate.ask(joining("hall", "garden")))["code"] == "forbidden"
        for client in (viewer, gate):
            await client.leave()


@deadline(40)
async def test_a_token_of_few_words_is_for_eight_hours_and_all_cameras() -> None:
    for more, rooms in (("--role=viewer", None), ("--role=admin", ["*"])):
        room = [] if rooms else ["--room=hall"]
        text = printed("token", more, *room, environment=BY_SECRET)
        claims = claims_of(text)
        assert claims.pop("exp") - claims.pop("iat") == 8 * 3600
        role = more.partition("=")[2]
        # Each token has a subject of its own, by which it is limited and can be revoked.
        assert re.fullmatch(rf"{role}-[0-9a-f]{{16}}", claims.pop("sub"))
        assert claims == {"role": role, "rooms": rooms or ["hall"]}
        # The first secret signs, and its name is said.
        assert jwt.get_unverified_header(text)["kid"] == "new"
    with server(f"--auth-secret=new:{NEW_SECRET} old:{SECRET}") as running:
        client = await join_as(running.websocket_url, text, "hall", "porch-1")
        await client.leave()


@deadline(40)
async def test_a_token_that_many_share_is_limited_at_each_address_by_itself() -> None:
    shared = printed("token", "--role=camera", "--room=hall", environment=BY_SECRET)
    options = (f"--auth-secret=new:{NEW_SECRET}", "--limit-joins=0.001/2", "--trusted-proxy=127.0.0.1")
    with server(*options) as running:
        answers: list[str] = []
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1"):
            headers = {**bearer(shared), "X-Forwarded-For": address}
            client = await come(running.websocket_url, headers)
            assert (await client.next())["type"] == "welcome"
            answer = await client.ask(joining("hall", f"porch-{len(answers)}"))
            answers.append(answer.get("code", answer["type"]))
            await client.leave()
    assert answers == [*["joined"] * 4, "rateLimited", "joined"]


@pytest.mark.parametrize(("ttl", "seconds"), [("1s", 1), ("2m", 120), ("3h", 10800), ("1d", 86400)])
def test_a_time_has_a_unit(ttl: str, seconds: int) -> None:
    text = printed("token", "--role=admin", f"--ttl={ttl}", environment=BY_SECRET)
    claims = claims_of(text)
    assert claims["exp"] - claims["iat"] == seconds


ADMIN = ["--role=admin"]
WRONG: list[tuple[list[str], str]] = [
    ([], "required: --role"),
    (["--role=owner"], "argument --role: invalid choice: 'owner'"),
    (["--role=viewer"], "--room is missing"),
    ([*ADMIN, "--ttl=8"], "argument --ttl: 8 is no time such as 30m, 8h or 90d"),
    ([*ADMIN, "--ttl=0h"], "0h is no time"),
    ([*ADMIN, "--ttl=-1h"], "-1h is no time"),
    ([*ADMIN, "--auth-keys=/nowhere/keys"], "/nowhere/keys cannot be read: No such file"),
    ([*ADMIN, "stray"], "unrecognized arguments: stray"),
    # No server would take these; in which words that is said does not matter.
    ([*ADMIN, "--ttl=999999w"], ""),
    (["--role=viewer", "--room="], "room"),
    ([*ADMIN, "--camera="], "camera"),
    ([*ADMIN, f"--subject={'x' * 257}"], "sub"),
    ([*ADMIN, f"--id={'x' * 257}"], ""),
]


@pytest.mark.parametrize(("options", "hint"), WRONG, ids=[" ".join(options)[:40] for options, _ in WRONG])
def test_what_makes_no_token_is_said_in_one_line(options: list[str], hint: str) -> None:
    assert hint in error_of("token", *options, environment=BY_SECRET)


def test_where_no_key_signs_it_is_said_which_would(tmp_path: Path) -> None:
    none = {"CCTVSIGNAL_AUTH_SECRET": "", "CCTVSIGNAL_AUTH_KEYS": ""}
    assert "see cctvsignal keygen" in error_of("token", *ADMIN, environment=none)
    short = {**none, "CCTVSIGNAL_AUTH_SECRET": "too-short-a-secret"}
    line = error_of("token", *ADMIN, environment=short)
    assert "a secret has at least 32 bytes" in line
    assert "too-short-a-secret" not in line
    public = tmp_path / "public"
    for content in (public_pem("RS256"), json.dumps({"keys": [public_jwk("EdDSA", "1")]}), "nonsense"):
        public.write_text(content)
        assert str(public) in error_of("token", *ADMIN, "--auth-keys", public)


# --- cameras


async def brings(
    url: str, room: str, camera_id: str, key: str | None, text: str | None = None
) -> LiveClient:
    """A camera that tries to get an id by this key."""
    client = await (connect(url) if text is None else admitted(url, text))
    more = {} if key is None else {"deviceKey": key}
    client.send(joining(room, camera_id, **more))
    return client


async def outcome(url: str, camera_id: str, key: str | None, text: str | None = None) -> str:
    """What comes of it; the camera is gone by then."""
    client = await brings(url, "hall", camera_id, key, text)
    answer = await client.next()
    await client.leave()
    return str(answer.get("code", answer["type"]))


@deadline(60)
async def test_the_first_key_has_an_id_until_the_owner_revokes_it(tmp_path: Path) -> None:
    database = tmp_path / "cameras.db"
    options = [f"--camera-keys={database}"]
    with server(*options) as running:
        url = running.websocket_url
        viewer = await join(url, "hall")
        assert await outcome(url, "porch-1", KEY) == "joined"
        for stranger in (None, OTHER_KEY, KEY + "x", KEY.upper()):
            assert await outcome(url, "porch-1", stranger) == "forbidden"
        assert await outcome(url, "porch-1", KEY) == "joined"
        assert await outcome(url, "porch-1", "short") == "invalidMessage"
        # An id that no key was brought for is for whoever comes first.
        for _ in range(2):
            assert await outcome(url, "garden", None) == "joined"
        elsewhere = await brings(url, "cellar", "porch-1", OTHER_KEY)
        assert (await elsewhere.next())["type"] == "joined"
        await elsewhere.leave()
        # Nobody hears of it, neither the room nor the log.
        while (event := await viewer.next())["type"] != "pong":
            assert KEY not in json.dumps(event)
            if event.get("cameraId") == "garden" and event["type"] == "cameraUnavailable":
                viewer.send({"type": "ping"})
        await viewer.leave()
    # Also when the server was away.
    with server(*options, "--log-level=debug") as running:
        url = running.websocket_url
        for stranger in (None, OTHER_KEY):
            assert await outcome(url, "porch-1", stranger) == "forbidden"
        listed = [re.split(r" {2,}", line) for line in printed("cameras", "list", *options).splitlines()]
        assert [entry[1:] for entry in listed] == [["cellar", "porch-1"], ["hall", "porch-1"]]
        holder = await brings(url, "hall", "porch-1", KEY)
        assert (await holder.next())["type"] == "joined"
        revoking = ["cameras", "revoke", *options, "--room=hall", "porch-1"]
        assert "is for the next device that brings a key" in printed(*revoking)
        # It is there, and stays while it is alive.
        assert await outcome(url, "porch-1", OTHER_KEY) == "cameraIdInUse"
        await holder.leave()
        assert await outcome(url, "porch-1", OTHER_KEY) == "joined"
        assert await outcome(url, "porch-1", KEY) == "forbidden"
        printed(*revoking)
        assert await outcome(url, "porch-1", None) == "joined"
        assert "no device has camera porch-1 of room hall" in error_of(*revoking)
        assert [line.split()[1] for line in printed("cameras", "list", *options).splitlines()] == ["cellar"]
        for secret in (KEY, OTHER_KEY):
            assert secret not in running.output
            assert secret.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert "Traceback" not in running.output


@deadline()
async def test_without_a_database_an_id_is_kept_until_the_server_stops() -> None:
    with server() as running:
        assert await outcome(running.websocket_url, "porch-1", KEY) == "joined"
        for stranger in (None, OTHER_KEY):
            assert await outcome(running.websocket_url, "porch-1", stranger) == "forbidden"
    with server() as running:
        assert await outcome(running.websocket_url, "porch-1", OTHER_KEY) == "joined"


@deadline()
async def test_a_good_token_is_no_device_key() -> None:
    with server(f"--auth-secret={SECRET}") as running:
        url, text = running.websocket_url, token(role="camera")
        assert await outcome(url, "porch-1", KEY, text) == "joined"
        for stranger in (None, OTHER_KEY):
            assert await outcome(url, "porch-1", stranger, text) == "forbidden"
            assert await outcome(url, "porch-1", stranger, token(role="admin")) == "forbidden"
        assert await outcome(url, "porch-1", KEY, token(role="camera", cameras=["gate"])) == "forbidden"
        assert "no JSON Web Token" in await refused(url, KEY)


def test_what_cannot_be_done_with_cameras_is_said_in_one_line(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.db"
    nonsense.write_text("nonsense " * 1000)
    none = {"CCTVSIGNAL_CAMERA_KEYS": ""}
    absent = tmp_path / "absent.db"
    for arguments, hint in (
        (["list"], "name the server's database by --camera-keys"),
        (["list", f"--camera-keys={absent}"], f"there is no {absent}"),
        (["list", f"--camera-keys={nonsense}"], "cannot be used"),
        (["revoke", f"--camera-keys={nonsense}", "--room=hall", "porch-1"], "cannot be used"),
        (["revoke", f"--camera-keys={nonsense}", "porch-1"], "required: --room"),
        (["show"], "invalid choice: 'show'"),
        ([], "required: ACTION"),
    ):
        assert hint in error_of("cameras", *arguments, environment=none)
    assert not absent.exists()


@deadline(60)
async def test_cameras_with_tokens_made_without_a_subject_have_limits_and_revocations_of_their_own(
    tmp_path: Path,
) -> None:
    revoked = tmp_path / "revoked"
    texts = [printed("token", "--role=camera", "--room=hall", environment=BY_SECRET) for _ in range(30)]
    options = (f"--auth-secret=new:{NEW_SECRET}", f"--auth-revoked={revoked}", "--limit-joins=0.001/2")
    with server(*options) as running:
        cameras = [
            await join_as(running.websocket_url, text, "hall", f"cam-{number}")
            for number, text in enumerate(texts)
        ]
        # One of them alone is limited.
        for answer in ("joined", "rateLimited"):
            said = await cameras[0].ask(joining("hall", "cam-0"))
            while said["type"] not in ("joined", "error"):
                said = await cameras[0].next()
            assert said.get("code", said["type"]) == answer
        revoked.write_text(f"sub {claims_of(texts[1])['sub']}\n")
        assert await cameras[1].closed == 4401
        for camera in (cameras[0], *cameras[2:]):
            assert not camera.closed.called
            await camera.leave()

"""Tokens against a live server: which let in, how long for, and what their holders see and may do."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_http import request
from tests.live import LiveClient, connect, deadline
from tests.processes import Server, command, server
from tests.tokens import (
    AUDIENCE,
    BAD_TOKENS,
    BEGINNING,
    ISSUER,
    NEW_SECRET,
    NOT_OURS,
    PRIVATE_KEYS,
    SECRET,
    admitted,
    bearer,
    claims,
    come,
    in_query,
    join_as,
    joining,
    key_set,
    public_jwk,
    public_pem,
    refused,
    replace,
    secret_jwk,
    signed,
    token,
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that believes two secrets and an RSA key, and no clock but its own."""
    key = tmp_path_factory.mktemp("keys") / "public.pem"
    key.write_text(public_pem("RS256"))
    options = [f"--auth-keys={key}", f"--auth-audience={AUDIENCE}", f"--auth-issuer={ISSUER}"]
    secrets = f"--auth-secret=new:{NEW_SECRET} old:{SECRET}"
    with server(secrets, *options, "--auth-leeway=0", "--log-level=debug") as running:
        yield running
    assert "Traceback" not in running.output
    assert "Unhandled" not in running.output
    assert BEGINNING not in running.output


# --- how a token gets there


@deadline()
async def test_a_token_comes_in_the_header_or_in_the_query(guarded: Server) -> None:
    for path in ("", "/ws"):
        client = await come(guarded.websocket_url + path, bearer(token()))
        assert (await client.next())["authenticated"] is True
        await client.silent()
        await client.leave()
    client = await come(in_query(guarded.websocket_url, token()))
    assert (await client.next())["authenticated"] is True
    await client.silent()
    await client.leave()
    # A bad one in the header is not made good by another in the query.
    client = await come(in_query(guarded.websocket_url, token()), bearer("x.y.z"))
    assert await client.closed == 4401


@deadline()
async def test_a_token_comes_in_auth_and_before_it_nothing_else_is_done(guarded: Server) -> None:
    client = await come(guarded.websocket_url)
    assert (await client.next())["authenticated"] is False
    for message in (
        joining("hall"),
        joining("hall", "porch-1"),
        {"type": "leave"},
        {"type": "listCameras"},
        {"type": "requestStream", "cameraId": "porch-1"},
        {"type": "offer", "target": "somebody", "sdp": {}},
        {"type": "answer", "target": "somebody", "sdp": {}},
        {"type": "iceCandidate", "target": "somebody", "candidate": None},
        {"type": "bye", "target": "somebody"},
        {"type": "ping"},
    ):
        answer = await client.ask(message)
        assert (answer["code"], answer["ref"]) == ("unauthorized", message["type"])
    auth = {"type": "auth", "token": token(), "requestId": "1"}
    assert await client.ask(auth) == {"type": "authenticated", "requestId": "1"}
    assert await client.ask(joining("hall")) == {"type": "joined", "room": "hall"}
    await client.leave()


@deadline()
async def test_who_brings_no_good_token_in_time_is_closed_with_4408() -> None:
    with server(f"--auth-secret={SECRET}", "--auth-timeout=1.5") as running:
        silent, wrong = await connect(running.websocket_url), await connect(running.websocket_url)
        wrong.send({"type": "auth", "token": token(NEW_SECRET)})
        in_time = await admitted(running.websocket_url, token())
        assert (await wrong.next())["code"] == "unauthorized"
        assert await silent.closed == 4408
        assert await wrong.closed == 4408
        await in_time.silent()
        await in_time.leave()


# --- which tokens are good


def without_time(text: str) -> str:
    """What the server says, whatever its clock says by then."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "", text)


@deadline()
@pytest.mark.parametrize(("bad", "reason"), BAD_TOKENS.values(), ids=BAD_TOKENS)
async def test_a_bad_token_closes_with_4401_and_says_why(guarded: Server, bad: str, reason: str) -> None:
    why = await refused(guarded.websocket_url, bad)
    assert re.search(reason, why)
    client = await come(in_query(guarded.websocket_url, bad))
    assert await client.closed == 4401
    # Not the same to the letter: the time of day may be in it.
    assert re.search(reason, client.remoteCloseReason or "")
    client = await connect(guarded.websocket_url)
    answer = await client.ask({"type": "auth", "token": bad})
    assert (answer["type"], answer["code"], answer["ref"]) == ("error", "unauthorized", "auth")
    assert without_time(answer["message"]).startswith(without_time(why))
    assert bad not in answer["message"]
    assert (await client.ask({"type": "ping"}))["code"] == "unauthorized"
    await client.leave()


@deadline()
@pytest.mark.parametrize("text", ["", "x" * 9000])
async def test_a_query_with_a_token_of_no_sensible_length_lets_nobody_in(
    guarded: Server, text: str
) -> None:
    client = await come(in_query(guarded.websocket_url, text))
    if text:
        assert await client.closed == 4401
    else:
        # That is no token, but a client that has yet to bring one.
        assert (await client.next())["authenticated"] is False
        await client.leave()


@deadline()
async def test_two_secrets_and_a_public_key_are_good_at_the_same_time(guarded: Server) -> None:
    for text in (
        token(NEW_SECRET, headers={"kid": "new"}),
        token(SECRET, headers={"kid": "old"}),
        token(NEW_SECRET),
        token(SECRET),
        token(PRIVATE_KEYS["RS256"], "RS256"),
        token(aud=["others", AUDIENCE]),
    ):
        await (await admitted(guarded.websocket_url, text)).leave()


@deadline(40)
async def test_keys_of_all_kinds_are_taken_from_a_file_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(public_pem("EdDSA"))
    with server(f"--auth-keys={path}") as running:
        url = running.websocket_url
        for algorithm, key in PRIVATE_KEYS.items():
            replace(path, public_pem(algorithm))
            await (await admitted(url, token(key, algorithm))).leave()
            for header in ({}, {"alg": algorithm}):
                assert NOT_OURS in await refused(url, signed(claims(), header, public_pem(algorithm)))
            replace(path, key_set(public_jwk(algorithm, "1")))
            for headers in (None, {"kid": "1"}):
                await (await admitted(url, token(key, algorithm, headers))).leave()
            assert NOT_OURS in await refused(url, token(key, algorithm, {"kid": "2"}))
            others = {name: other for name, other in PRIVATE_KEYS.items() if name != algorithm}
            for name, other in others.items():
                assert NOT_OURS in await refused(url, token(other, name))
        # Clocks may differ by a minute where nothing else is said.
        now = int(time.time())
        for good in (claims(exp=now - 40), claims(nbf=now + 40), claims(iat=now + 40)):
            await (await admitted(url, token(key, algorithm, **good))).leave()
        assert "expired" in await refused(url, token(key, algorithm, exp=now - 61))
        assert "not valid yet" in await refused(url, token(key, algorithm, nbf=now + 90))
    assert "Traceback" not in running.output


@deadline(40)
async def test_keys_are_rotated_while_the_server_runs(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    old, new = secret_jwk(SECRET, "old"), secret_jwk(NEW_SECRET, "new")
    by_old, by_new = token(SECRET, headers={"kid": "old"}), token(NEW_SECRET, headers={"kid": "new"})
    path.write_text(key_set(old))
    with server(f"--auth-keys={path}") as running:
        url = running.websocket_url
        first = await admitted(url, by_old)
        assert NOT_OURS in await refused(url, by_new)
        replace(path, key_set(new, old))
        for text in (by_old, by_new):
            await (await admitted(url, text)).leave()
        replace(path, key_set(new))
        assert NOT_OURS in await refused(url, by_old)
        await (await admitted(url, by_new)).leave()
        for broken in ('{"keys":', '{"keys":[]}', "-----BEGIN PUBLIC KEY-----\n", None):
            if broken is None:
                path.unlink()
            else:
                replace(path, broken)
            await (await admitted(url, by_new)).leave()
            running.wait_for_line(r"error .*keys\.json cannot be used, what was there before stays: \S")
        replace(path, key_set(old))
        await (await admitted(url, by_old)).leave()
        # Whoever was let in by a key that is gone stays until the token ends.
        await first.silent()
        await first.leave()
    assert "Traceback" not in running.output


# --- until when a token is good


@deadline()
async def test_a_connection_ends_with_its_last_token(guarded: Server) -> None:
    url = guarded.websocket_url
    soon = int(time.time()) + 3
    viewer = await join_as(url, token(), "ends")
    prolonged = await join_as(url, token(exp=soon), "ends")
    # It ends later than the other would have: by then, that one has stayed.
    ends = await join_as(url, token(role="camera"), "ends", "porch-1")
    sooner = {"type": "auth", "token": token(role="camera", exp=soon + 1)}
    assert await ends.ask(sooner) == {"type": "authenticated"}
    other_grants: list[dict[str, Any]] = [
        {"sub": "somebody-else"},
        {"role": "both"},
        {"rooms": ["ends"]},
        {"cameras": ["*"]},
    ]
    while (await prolonged.next())["type"] != "cameraAvailable":
        pass
    for other in other_grants:
        answer = await prolonged.ask({"type": "auth", "token": token(**other)})
        assert (answer["code"], answer["ref"]) == ("forbidden", "auth")
    answer = await prolonged.ask({"type": "auth", "token": "nonsense"})
    assert answer["code"] == "unauthorized"
    assert await prolonged.ask({"type": "auth", "token": token()}) == {"type": "authenticated"}
    assert await ends.closed == 4401
    assert ends.remoteCloseReason == "your token has expired"
    events = [await viewer.next() for _ in range(5)]
    assert [event["type"] for event in events] == [
        "clientJoined",
        "clientJoined",
        "cameraAvailable",
        "cameraUnavailable",
        "clientDisconnected",
    ]
    assert events[-1]["clientId"] == ends.id
    await viewer.silent()
    # Out of the room, it may become whom it likes.
    assert await told(prolonged, "clientDisconnected") == events[-1]
    assert await prolonged.ask({"type": "leave"}) == {"type": "left"}
    auth = {"type": "auth", "token": token(sub="carl", role="camera")}
    assert await prolonged.ask(auth) == {"type": "authenticated"}
    assert (await prolonged.ask(joining("ends", "porch-2")))["type"] == "joined"
    for client in (viewer, prolonged):
        await client.leave()


@deadline(40)
async def test_who_is_revoked_goes_at_once_and_does_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    path.write_text("# nobody so far\n")
    with server(f"--auth-secret={SECRET}", f"--auth-revoked={path}") as running:
        url = running.websocket_url
        stays = await join_as(url, token(jti="1"), "hall")
        by_id = await join_as(url, token(jti="2"), "hall")
        by_subject = await join_as(url, token(sub="mallory"), "hall")
        replace(path, "jti 2\n")
        assert await by_id.closed == 4401
        assert by_id.remoteCloseReason == "your token was revoked"
        assert (await told(stays, "clientDisconnected"))["clientId"] == by_id.id
        assert "revoked" in await refused(url, token(jti="2"))
        replace(path, "jti 2\nsub mallory\n")
        assert await by_subject.closed == 4401
        for bad in (token(jti="2"), token(sub="mallory"), token(sub="mallory", jti="9")):
            assert "revoked" in await refused(url, bad)
        replace(path, "mallory is back\n")
        assert "revoked" in await refused(url, token(sub="mallory"))
        running.wait_for_line("error .*revoked cannot be used, what was there before stays: line 1 is")
        path.unlink()
        assert "revoked" in await refused(url, token(sub="mallory"))
        await told(stays, "clientDisconnected")
        await stays.silent()
        answer = await stays.ask({"type": "auth", "token": token(jti="2")})
        assert answer["code"] == "unauthorized"
        await stays.leave()
    assert "Traceback" not in running.output


@deadline()
async def test_a_list_of_revoked_subjects_may_be_absent_and_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    with server(f"--auth-secret={SECRET}", f"--auth-revoked={path}") as running:
        url = running.websocket_url
        padded, plain = [
            await join_as(url, token(sub=subject), f"room of{subject}.") for subject in ("v ", "v")
        ]
        replace(path, "sub v \n")
        assert await padded.closed == 4401
        await plain.silent()
        assert "revoked" in await refused(url, token(sub="v "))
        await (await admitted(url, token(sub="v"))).leave()
        await plain.leave()
    assert running.output.count("does not exist: it counts as empty until it appears") == 1
    assert "1 names begin or end with white space" in running.output
    assert "Traceback" not in running.output


@deadline()
async def test_a_hostile_file_of_keys_stops_the_start_and_changes_nothing_later(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    deep = '{"keys":' + "[" * 100_000 + "]" * 100_000 + "}"
    path.write_text(deep)
    with command(sys.executable, "-m", "cctvsignal", f"--auth-keys={path}") as failing:
        assert failing.wait() == 1
    assert failing.lines == [
        f"cctvsignal: --auth-keys={path}: it nests too deeply for a JWK set (--help lists all options)"
    ]
    path.write_text(key_set(secret_jwk(SECRET, "a")))
    with server(f"--auth-keys={path}") as running:
        for hostile in (deep, key_set(*[secret_jwk(SECRET, "") | {"kid": None}] * 17)):
            replace(path, hostile)
            await (await admitted(running.websocket_url, token(SECRET))).leave()
            running.wait_for_line(r"error .*keys\.json cannot be used, what was there before stays: ")
    assert "Traceback" not in running.output


@deadline()
async def test_wrong_tokens_of_an_address_are_limited_and_good_ones_are_free() -> None:
    options = ["--trusted-proxy=127.0.0.1", "--limit-tokens=0.01/3"]
    key = public_pem("RS256")
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(key)
        file.flush()
        with server(f"--auth-keys={file.name}", *options) as running:
            url, good = running.websocket_url, token(PRIVATE_KEYS["RS256"], "RS256")
            bad = token(PRIVATE_KEYS["ES256"], "ES256")

            async def code(text: str, address: str) -> int | None:
                client = await come(url, {**bearer(text), "X-Forwarded-For": address})
                return await client.closed

            for _ in range(5):
                await (await admitted(url, good)).leave()
            # Each way takes from the same.
            stranger = await come(url, {"X-Forwarded-For": "192.0.2.1"})
            await stranger.next()
            answer = await stranger.ask({"type": "auth", "token": bad})
            assert answer["code"] == "unauthorized"
            assert await code(bad, "192.0.2.1") == 4401
            headers = {**bearer(bad), "X-Forwarded-For": "192.0.2.1"}
            assert request(running, "/api/ice-servers", headers=headers)[0].status == 401
            response, body = request(running, "/api/ice-servers", headers=headers)
            assert (response.status, "wrong tokens" in json.loads(body)["error"]) == (429, True)
            assert 0 < int(response.headers["Retry-After"]) <= 100
            assert await code(bad, "192.0.2.1") == 1013
            answer = await stranger.ask({"type": "auth", "token": bad})
            assert (answer["code"], 0 < answer["retryAfter"] <= 100) == ("rateLimited", True)
            await stranger.leave()
            # Others hear nothing of it, and of an IPv6 network there is one.
            assert await code(bad, "192.0.2.2") == 4401
            codes = [await code(bad, f"2001:db8::{number}") for number in range(4)]
            assert codes == [4401, 4401, 4401, 1013]
        assert len([line for line in running.lines if "too many wrong tokens" in line]) == 0
    assert "Traceback" not in running.output


# --- who may do what


@deadline()
async def test_what_a_viewer_may_not_view_looks_as_if_it_were_not_there(guarded: Server) -> None:
    url = guarded.websocket_url
    here = token(rooms=["view"], cameras=["porch-*"])
    early = await join_as(url, here, "view")
    garden = await join_as(url, token(role="camera"), "view", "garden")
    porch = await join_as(url, token(role="camera"), "view", "porch-1")
    assert [(await early.next())["type"] for _ in range(2)] == ["clientJoined", "cameraAvailable"]
    await early.silent()
    late = await join_as(url, here, "view")
    assert (await late.next())["cameraId"] == "porch-1"
    assert (await early.next())["clientId"] == late.id
    cameras = (await early.ask({"type": "listCameras"}))["cameras"]
    assert [camera["cameraId"] for camera in cameras] == ["porch-1"]

    async def answers(camera_id: str, client_id: str) -> list[bytes]:
        found = []
        for message in (
            {"type": "requestStream", "cameraId": camera_id},
            {"type": "requestStream", "cameraId": camera_id, "requestId": f"1{camera_id}", "ack": True},
            {"type": "offer", "target": client_id, "sdp": {}},
            {"type": "offer", "target": client_id, "sdp": {}, "requestId": f"2{camera_id}", "ack": True},
            {"type": "answer", "target": client_id, "sdp": {}},
            {"type": "iceCandidate", "target": client_id, "candidate": None},
            {"type": "bye", "target": client_id},
        ):
            early.send(message)
            found.append((await early.next_frame()).replace(camera_id.encode(), b"THAT"))
        return found

    hidden = await answers("garden", garden.id)
    assert hidden == await answers("nobody", "00000000-0000-4000-8000-000000000000")
    assert hidden[0] == b'{"type":"cameraNotFound","cameraId":"THAT"}'
    assert json.loads(hidden[2])["code"] == "peerNotFound"
    # Nor does it reach whoever may not see it.
    assert (await garden.next())["clientId"] == late.id
    assert (await garden.ask({"type": "offer", "target": early.id, "sdp": {}}))["code"] == "peerNotFound"
    assert await garden.ask({"type": "leave"}) == {"type": "left"}
    assert (await garden.ask(joining("view", "garden")))["type"] == "joined"
    await garden.vanish()
    await early.silent()
    for client in (porch, early, late):
        await client.leave()


@deadline()
async def test_a_room_that_is_not_for_somebody_may_as_well_not_exist(guarded: Server) -> None:
    url = guarded.websocket_url
    owner = await join_as(url, token(role="admin", rooms=None), "private", "porch-1")
    stranger = await admitted(url, token(rooms=["hall", "corridor-*"]))
    answers = []
    for room in ("private", "no-room", "corridor", "hall-2", "*"):
        for camera_id in (None, "porch-1"):
            stranger.send(joining(room, camera_id))
            answers.append(await stranger.next_frame())
    assert len(set(answers)) == 1
    assert json.loads(answers[0])["code"] == "forbidden"
    await owner.silent()
    for room in ("hall", "corridor-5"):
        assert await stranger.ask(joining(room)) == {"type": "joined", "room": room}
    assert (await stranger.ask({"type": "offer", "target": owner.id, "sdp": {}}))["code"] == "peerNotFound"
    for client in (owner, stranger):
        await client.leave()


@deadline()
async def test_viewers_are_no_cameras_and_cameras_do_not_watch(guarded: Server) -> None:
    url = guarded.websocket_url
    viewer = await join_as(url, token(), "roles")
    camera = await join_as(url, token(role="camera", cameras=["gate", "yard-*"]), "roles", "gate")
    assert [(await viewer.next())["type"] for _ in range(2)] == ["clientJoined", "cameraAvailable"]
    for client, message in (
        (viewer, joining("roles", "gate")),
        (viewer, joining("roles", "porch-1")),
        (camera, joining("roles", "porch-1")),
        (camera, joining("roles", "gate-2")),
        (camera, joining("roles")),
        (camera, {"type": "requestStream", "cameraId": "gate"}),
        (camera, {"type": "listCameras"}),
    ):
        answer = await client.ask(message)
        assert (answer["code"], answer["ref"]) == ("forbidden", message["type"]), message
    # What was refused has changed nothing.
    await viewer.silent()
    request = {"type": "requestStream", "cameraId": "gate", "requestId": "1", "ack": True}
    assert await viewer.ask(request) == {"type": "ack", "requestId": "1"}
    assert (await camera.next())["viewerId"] == viewer.id
    assert await camera.ask(joining("roles", "yard-3")) == {"type": "joined", "room": "roles"}
    both = await join_as(url, token(role="both"), "roles", "gate")
    assert len((await both.ask({"type": "listCameras"}))["cameras"]) == 2
    for client in (viewer, camera, both):
        await client.leave()


async def told(client: LiveClient, kind: str) -> dict[str, Any]:
    """The next message of this type."""
    while (message := await client.next())["type"] != kind:
        pass
    return message

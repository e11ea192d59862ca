"""What is written down: the audit log, and what never gets into it or into any other log."""

from __future__ import annotations

import json
import re
import resource
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.floods import until
from tests.integration.test_http import request
from tests.live import connect, deadline, join, turn
from tests.processes import Server, server
from tests.tokens import (
    BEGINNING,
    SECRET,
    admitted,
    bearer,
    claims,
    come,
    in_query,
    join_as,
    joining,
    refused,
    signed,
    token,
)

HOSTILE = "\r\n2026-01-01T00:00:00.000Z info  FORGED\x1b[2J\x1b]0;FORGED\x07\x9b31m\x00\u2028"
"""A line that nobody wrote, and orders to a terminal."""
TURN_SECRET = "turn-secret-not-to-be-seen"


def entries(path: Path) -> list[dict[str, Any]]:
    """What an audit log says, without what differs each time."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        assert abs(datetime.now(UTC) - datetime.fromisoformat(entry.pop("time"))) < timedelta(minutes=2)
        found.append(entry)
    return found


async def written(path: Path, count: int) -> None:
    """Wait until an audit log has so many records: they are written in the background."""
    while not path.exists() or len(entries(path)) < count:
        await turn()


@deadline()
async def test_the_audit_log_says_who_did_what_and_with_what_outcome(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with server(f"--auth-secret={SECRET}", f"--audit-log={path}") as running:
        url = running.websocket_url
        camera = await join_as(url, token(sub="carl", role="camera"), "hall", "porch-1")
        viewer = await admitted(url, token(sub="vera", rooms=["hall"]))
        await viewer.ask(joining("cellar"))
        await viewer.ask(joining("hall"))
        await viewer.next()
        await viewer.ask({"type": "requestStream", "cameraId": "garden"})
        viewer.send({"type": "requestStream", "cameraId": "porch-1"})
        assert (await camera.next())["type"] == "clientJoined"
        assert (await camera.next())["type"] == "viewerRequest"
        assert (await camera.ask(joining("hall")))["code"] == "forbidden"
        late = await connect(url)
        await late.ask(joining("hall"))
        await late.ask({"type": "auth", "token": "nonsense"})
        await late.ask({"type": "auth", "token": token(sub="lea")})
        await late.leave()
        assert "no JSON Web Token" in await refused(url, "nonsense")
        status = request(running, "/", headers={"Upgrade": "websocket", "Origin": "https://evil.example"})
        assert status[0].status == 403
        await viewer.leave()
        assert (await camera.next())["type"] == "clientDisconnected"
        await camera.leave()
    found = entries(path)
    assert all(entry["address"] == "127.0.0.1" for entry in found)
    seconds = [entry.pop("seconds") for entry in found if entry["event"] == "disconnected"]
    assert len(seconds) == 3
    assert all(0 <= each < 60 for each in seconds)

    def facts_of(client: str, subject: str) -> list[tuple[Any, ...]]:
        mine = [entry for entry in found if entry.get("client") == client]
        assert {entry.get("subject") for entry in mine} <= {subject, None}
        return [
            tuple(value for name, value in entry.items() if name not in ("client", "address", "subject"))
            for entry in mine
        ]

    assert facts_of(camera.id, "carl") == [
        ("connected", "camera"),
        ("joined", "hall", "porch-1", "joined"),
        ("joined", "hall", "forbidden"),
        ("left", "hall", "porch-1"),
        ("disconnected",),
    ]
    assert facts_of(viewer.id, "vera") == [
        ("connected", "viewer"),
        ("joined", "cellar", "forbidden"),
        ("joined", "hall", "joined"),
        ("requested", "garden", "cameraNotFound"),
        ("requested", "porch-1", "requested"),
        ("left", "hall"),
        ("disconnected",),
    ]
    assert facts_of(late.id, "lea") == [
        ("connected",),
        ("authenticated", "viewer"),
        ("disconnected",),
    ]
    # What it did before it had an identity is only counted.
    assert [entry["count"] for entry in found if entry["event"] == "more"] == [2]
    reasons = [entry["reason"] for entry in found if entry["event"] == "refused"]
    assert len(reasons) == 2
    assert "no JSON Web Token" in reasons[0]
    assert "origin" in reasons[1]


@deadline()
async def test_an_audit_log_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path, old = tmp_path / "audit.log", tmp_path / "audit.log.1"
    with server(f"--audit-log={path}") as running:
        first = await join(running.websocket_url, "hall", "porch-1")
        await written(path, 2)
        path.rename(old)
        second = await join(running.websocket_url, "hall", "porch-2")
        await first.leave()
        for kind in ("cameraUnavailable", "clientDisconnected"):
            assert (await second.next())["type"] == kind
        await written(path, 4)
        assert {entry["client"] for entry in entries(old)} == {first.id}
        assert [entry["event"] for entry in entries(path)] == [
            "connected",
            "joined",
            "left",
            "disconnected",
        ]
        path.unlink()
        await second.leave()
    assert [entry["event"] for entry in entries(path)] == ["left", "disconnected"]
    with server(f"--audit-log={path}") as running:
        await (await connect(running.websocket_url)).leave()
    # It is added to, never written over.
    assert len(entries(path)) == 4
    assert "Traceback" not in running.output


@deadline()
async def test_an_audit_log_on_a_full_disk_hurts_nobody_and_is_said_once() -> None:
    with server("--audit-log=/dev/full") as running:
        viewer = await join(running.websocket_url, "hall")
        for number in range(50):
            camera = await join(running.websocket_url, "hall", f"porch-{number}")
            await camera.leave()
            types = [(await viewer.next())["type"] for _ in range(4)]
            assert types == ["clientJoined", "cameraAvailable", "cameraUnavailable", "clientDisconnected"]
        await viewer.leave()
    assert running.output.count("cannot be written") == 1
    assert "Traceback" not in running.output


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits the files of others")
@deadline()
async def test_a_disk_that_was_full_for_a_while_leaves_no_broken_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with server(f"--audit-log={path}") as running:
        viewer = await join(running.websocket_url, "hall")
        before = len(entries(path))
        _, most = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
        # There is place for the beginning of one more line.
        limit = (path.stat().st_size + 10, most)
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, limit)
        request = {"type": "requestStream", "cameraId": "porch-1"}
        for _ in range(200):
            assert (await viewer.ask(request))["type"] == "cameraNotFound"
        running.wait_for_line("error .*audit.log cannot be written")
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (most, most))
        await viewer.ask({"type": "leave"})
        running.wait_for_line("info .*the audit log is written again")
        await viewer.leave()
    assert running.output.count("cannot be written") == 1
    assert "Traceback" not in running.output
    found = entries(path)
    assert len(found) > before
    assert [entry["event"] for entry in found[-2:]] == ["left", "disconnected"]


@deadline()
async def test_an_audit_log_whose_directory_is_gone_hurts_nobody_and_is_said_once(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    path = directory / "audit.log"
    with server(f"--audit-log={path}") as running:
        viewer = await join(running.websocket_url, "hall")
        directory.rename(tmp_path / "moved")
        camera = await join(running.websocket_url, "hall", "porch-1")
        types = [(await viewer.next())["type"] for _ in range(2)]
        assert types == ["clientJoined", "cameraAvailable"]
        await camera.leave()
        types = [(await viewer.next())["type"] for _ in range(2)]
        assert types == ["cameraUnavailable", "clientDisconnected"]
        running.wait_for_line("error .*cannot be written")
        directory.mkdir()
        await viewer.ask({"type": "leave"})
        running.wait_for_line("the audit log is written again")
        # What the camera did may have waited until then.
        until(lambda: path.exists() and viewer.id in [entry["client"] for entry in entries(path)])
        assert entries(path)[-1]["event"] == "left"
        await viewer.leave()
    assert running.output.count("cannot be written") == 1
    assert "Traceback" not in running.output


@pytest.mark.parametrize("path", ["/nowhere/at/all/audit.log", "/"])
def test_an_audit_log_that_cannot_be_written_stops_the_start(path: str) -> None:
    with (
        pytest.raises(AssertionError, match="this is no file in a directory that exists"),
        server(f"--audit-log={path}"),
    ):
        pass


# --- what never gets into a log


@pytest.fixture(params=["text", "json"])
def told_all(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server that writes down all it can, in one format and the other."""
    audit = tmp_path / "audit.log"
    options = [f"--log-format={request.param}", "--log-level=debug", f"--audit-log={audit}"]
    turn = ["--turn=turn:turn.example:3478", f"--turn-secret={TURN_SECRET}"]
    proxy = "--trusted-proxy=127.0.0.1"
    with server(f"--auth-secret={SECRET}", "--auth-timeout=1", proxy, *turn, *options) as running:
        yield running
    written = audit.read_text(encoding="utf-8")
    assert len(entries(audit)) > 10
    for text in (BEGINNING, SECRET, TURN_SECRET, "CANARY", "Traceback"):
        assert text not in running.output
        assert text not in written
    for line in (*running.lines, *written.split("\n")):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028]", line), line
        assert not line.startswith("2026-01-01")
        assert len(line) < 1000
    for line in running.lines:
        if request.param == "json":
            assert json.loads(line)["level"] in ("debug", "info", "warn", "error")
        else:
            assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info|warn|error) +\S", line)
    assert "FORGED" in running.output


@deadline()
async def test_no_secret_and_no_line_of_somebody_elses_gets_into_a_log(
    told_all: Server, tmp_path: Path
) -> None:
    url = told_all.websocket_url
    credentials: list[str] = []
    # Tokens, good and bad, by all ways.
    bad = token("not-the-secret-of-this-server-at-all")
    for text in (token(), bad):
        for client in (await come(in_query(url, text)), await come(url, bearer(text))):
            client.sendClose(1000)
            await client.closed
        request(told_all, f"/health?token={text}", headers=bearer(text))
        _, body = request(told_all, "/api/ice-servers", headers=bearer(text))
        credentials += [entry["credential"] for entry in json.loads(body).get("iceServers", ())]
        client = await connect(url)
        await client.ask({"type": "auth", "token": text})
        await client.leave()
    late = await connect(url)
    assert (await late.ask({"type": "auth", "token": bad, "requestId": 5}))["code"] == "invalidMessage"
    assert await late.closed == 4408
    # An upgrade that fails half-way.
    for header in ("Sec-WebSocket-Version: 99", "Sec-WebSocket-Key: short", f"Authorization: {bad}"):
        lines = (
            f"GET /?token={bad} HTTP/1.1",
            "Host: a",
            "Upgrade: websocket",
            "Connection: Upgrade",
            header,
        )
        with socket.create_connection(("127.0.0.1", told_all.port), timeout=10) as connection:
            connection.sendall("\r\n".join((*lines, "", "")).encode())
            assert connection.recv(100).split(b" ")[1].startswith(b"4")
    # What is passed on, sound or not.
    camera = await join_as(url, token(role="camera"), "hall", "porch-1")
    viewer = await join_as(url, token(), "hall")
    for message in (
        joining("hall", deviceKey="CANARY-of-a-device-key"),
        {"type": "offer", "target": camera.id, "sdp": {"type": "offer", "sdp": "v=0 CANARY"}},
        {"type": "offer", "target": camera.id, "sdp": "CANARY"},
        {"type": "iceCandidate", "target": camera.id, "candidate": {"candidate": "CANARY"}},
        {"type": "iceCandidate", "target": "CANARY", "candidate": {"candidate": "CANARY"}},
        {"type": "bye", "target": camera.id, "reason": HOSTILE},
        # What looks like an order to the log.
        {"type": HOSTILE},
        {"type": HOSTILE * 500},
        {"type": "ping", "requestId": HOSTILE * 500},
        {"type": "ping", "data": HOSTILE},
        joining(f"hall{HOSTILE}"),
        joining("h" * 60000),
        {"type": "requestStream", "cameraId": HOSTILE},
        {"type": "requestStream", "cameraId": "{log_format}{{0.__class__}} %s %(name)s"},
        b"CANARY" + HOSTILE.encode(),
    ):
        viewer.send(message)
    await viewer.ask({"type": "ping", "data": "all of it is done"})
    viewer.sendClose(1000, HOSTILE[:40])
    await viewer.closed
    await camera.leave()
    # Tokens that are signed, and headers of a proxy.
    for text in (signed(claims(role=HOSTILE * 100)), signed(claims(), {"kid": HOSTILE * 100})):
        await refused(url, text)
    headers = {"X-Forwarded-For": f"192.0.2.1, {'9' * 5000}\x1b[2JFORGED", "User-Agent": "\x1b[2JFORGED"}
    with pytest.raises(ConnectionError):  # Control characters.
        await come(url, headers)
    headers = {"X-Forwarded-For": f"192.0.2.1, {'9' * 5000}FORGED", "User-Agent": "FORGED"}
    client = await come(url, {**headers, **bearer(token(sub=HOSTILE[:60]))})
    await client.next()
    await client.leave()
    request(told_all, "/%1b[2JFORGED", headers={"User-Agent": "\x1b[2JFORGED"})
    [credential] = credentials
    for written in (told_all.output, (tmp_path / "audit.log").read_text(encoding="utf-8")):
        assert credential not in written


# --- how much of it there may be


@deadline()
async def test_strangers_write_one_record_a_connection_and_fill_no_disk(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with server(f"--auth-secret={SECRET}", f"--audit-log={path}") as running:
        for _ in range(20):
            stranger = await connect(running.websocket_url)
            for message in (joining("hall"), {"type": "auth", "token": "nonsense"}, joining("attic")):
                await stranger.ask(message)
            await stranger.leave()
    found = entries(path)
    assert [entry["event"] for entry in found] == ["connected"] * 20 + ["more"]
    assert found[-1]["count"] == 80


@deadline()
async def test_an_audit_log_is_rotated_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.touch(0o600)
    path.chmod(0o600)
    with server(f"--audit-log={path}", "--audit-max-bytes=4096", "--no-limits") as running:
        viewer = await join(running.websocket_url, "hall")
        for number in range(100):
            await viewer.ask({"type": "requestStream", "cameraId": f"porch-{number}"})
        await viewer.leave()
    older = tmp_path / "audit.log.1"
    assert sorted(tmp_path.iterdir()) == [path, older]
    assert all(0 < file.stat().st_size <= 4096 for file in (path, older))
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in (path, older))
    # Whole lines, in order, without a gap.
    found = entries(older) + entries(path)
    assert [entry["event"] for entry in found[-2:]] == ["left", "disconnected"]
    numbers = [int(entry["camera"].partition("-")[2]) for entry in found if entry["event"] == "requested"]
    assert numbers == list(range(numbers[0], 100))
    assert len(numbers) > 20
    assert "Traceback" not in running.output

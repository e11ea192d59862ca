"""A database of device keys that is locked, full, or on a full disk lets nobody in who should not be."""

from __future__ import annotations

import resource
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from cctvsignal.device_keys import MOST, KeyTable
from tests.live import LiveClient, connect, deadline
from tests.processes import Server, command, server
from tests.tokens import come, joining

KEY, THIEF = "the-key-of-the-camera", "the-key-of-a-thief"
SAID = "so that camera is not let in"


@asynccontextmanager
async def keeping(path: Path, *options: str) -> AsyncIterator[tuple[Server, LiveClient]]:
    """A server with this database, in which `known` is pinned, and a client that must not notice."""
    with server(f"--camera-keys={path}", *options) as running:
        assert await outcome(running, "known", KEY) == "joined"
        bystander = await connect(running.websocket_url)
        yield running, bystander
        await bystander.leave()
    assert "Traceback" not in running.output
    assert "Unhandled" not in running.output


async def asks(client: LiveClient, camera_id: str, key: str | None) -> dict[str, Any]:
    more = {} if key is None else {"deviceKey": key}
    return await client.ask(joining("hall", camera_id, **more))


async def outcome(running: Server, camera_id: str, key: str | None, address: str = "") -> str:
    """What comes of a join; the camera is gone by then."""
    client = await come(running.websocket_url, {"X-Forwarded-For": address} if address else None)
    await client.next()
    answer = await asks(client, camera_id, key)
    if answer.get("code") == "serverBusy":
        assert answer["retryAfter"] > 0
    await client.leave()
    return str(answer.get("code", answer["type"]))


def warnings(running: Server) -> int:
    return sum(SAID in line for line in running.lines)


@deadline(40)
async def test_a_locked_database_pins_nothing_and_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "cameras.db"
    async with keeping(path) as (running, bystander):
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = [await connect(running.websocket_url) for _ in range(10)]
            for number, camera in enumerate(waiting):
                camera.send(joining("hall", f"new-{number}", deviceKey=KEY))
            # None of those who wait holds up anybody who does not.
            await bystander.silent()
            for camera in waiting:
                assert (await camera.next())["code"] == "serverBusy"
                await camera.silent()
            assert await outcome(running, "known", KEY) == "joined"
            assert await outcome(running, "known", THIEF) == "forbidden"
            assert warnings(running) == 1
            other.execute("ROLLBACK")
        assert (await asks(waiting[0], "new-0", KEY))["type"] == "joined"
        assert await outcome(running, "new-1", THIEF) == "joined"
        for camera in waiting:
            await camera.leave()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits the files of others")
@deadline(40)
async def test_on_a_full_disk_no_key_is_pinned_and_nobody_is_locked_out_for_it(tmp_path: Path) -> None:
    path = tmp_path / "cameras.db"
    async with keeping(path) as (running, bystander):
        pid = running.process.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, most))
        for key in (KEY, THIEF, KEY):
            assert await outcome(running, "new", key) == "serverBusy"
        assert await outcome(running, "known", KEY) == "joined"
        assert await outcome(running, "known", THIEF) == "forbidden"
        # An id that nobody has pinned needs nothing written.
        assert await outcome(running, "keyless", None) == "joined"
        await bystander.silent()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        assert await outcome(running, "new", KEY) == "joined"
        assert await outcome(running, "new", THIEF) == "forbidden"
        assert warnings(running) == 1


@deadline(60)
async def test_a_table_that_is_full_lets_no_thief_in_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cameras.db"
    KeyTable(path).close()
    with closing(sqlite3.connect(path)) as database:
        rows = ((f"room {number}", "porch", b"hash", "2026-01-01") for number in range(MOST - 1))
        database.executemany("INSERT INTO cameras (room, camera, hash, since) VALUES (?, ?, ?, ?)", rows)
        database.commit()
    async with keeping(path) as (running, bystander):
        for key in (KEY, THIEF):
            assert await outcome(running, "new", key) == "serverBusy"
        assert await outcome(running, "known", KEY) == "joined"
        assert await outcome(running, "keyless", None) == "joined"
        await bystander.silent()
        assert warnings(running) == 1
        revoke = ["cameras", "revoke", f"--camera-keys={path}", "--room=room 7", "porch"]
        with command(sys.executable, "-m", "cctvsignal", *revoke) as revoking:
            assert revoking.wait() == 0
        assert await outcome(running, "new", KEY) == "joined"
        assert await outcome(running, "new", THIEF) == "forbidden"


@deadline(40)
async def test_an_address_pins_no_more_ids_than_it_may_have_connections(tmp_path: Path) -> None:
    options = ["--trusted-proxy=127.0.0.1", "--max-connections-per-address=3"]
    async with keeping(tmp_path / "cameras.db", *options) as (running, _):
        for number in range(5):
            expected = "joined" if number < 3 else "serverBusy"
            assert await outcome(running, f"a{number}", KEY, f"2001:db8::{number}") == expected
        assert await outcome(running, "a0", KEY, "2001:db8::9") == "joined"
        assert await outcome(running, "b", KEY, "2001:db8:0:1::1") == "joined"


@deadline(40)
async def test_of_two_live_cameras_that_pin_one_id_at_once_one_wins(
    tmp_path: Path,
) -> None:
    async with keeping(tmp_path / "cameras.db") as (running, _):
        for number in range(10):
            cameras = [await connect(running.websocket_url) for _ in range(2)]
            for camera, key in zip(cameras, (KEY, THIEF), strict=True):
                camera.send(joining("hall", f"new-{number}", deviceKey=key))
                camera.send({"type": "ping", "data": "after it"})
            answers = []
            for camera in cameras:
                answer = await camera.next()
                answers.append(str(answer.get("code", answer["type"])))
            assert sorted(answers) == ["forbidden", "joined"]
            winner = cameras[answers.index("joined")]
            loser = cameras[answers.index("forbidden")]
            assert (await loser.next())["type"] == "pong"
            assert (await winner.next())["type"] == "pong"
            await loser.leave()
            await winner.leave()
            # Who was told that it has the id, has it.
            assert await outcome(running, f"new-{number}", (THIEF, KEY)[winner is cameras[0]]) == "joined"

"""How a client gets to its server: with a token, over TLS, and back again."""

from __future__ import annotations

from pathlib import Path

import pytest
from cctvsignal_clients import (
    ConnectionFailed,
    Disconnected,
    InvalidOption,
    TLSFailed,
    Unauthorized,
    ViewerClient,
)
from cctvsignal_clients.retry import Backoff
from twisted.internet.defer import DeferredQueue

from tests.certificates import write_certificates
from tests.door import Door, serving
from tests.live import deadline

TOKEN = "s3cret-token"


@deadline()
async def test_a_token_is_sent_in_the_header_and_nowhere_else() -> None:
    door = Door()
    async with serving(door) as url:
        async with ViewerClient(url, token=TOKEN):
            assert await door.came.get() == f"Bearer {TOKEN}"
        async with ViewerClient(url):
            assert await door.came.get() is None


@deadline()
@pytest.mark.parametrize("door", [Door(denies=401), Door(denies=403), Door(closes=4401)])
async def test_who_has_no_valid_token_is_told_so(door: Door) -> None:
    async with serving(door) as url:
        viewer = ViewerClient(url, token=TOKEN)
        with pytest.raises(Unauthorized, match="lets nobody in without a valid token") as caught:
            await viewer.connect()
        assert caught.value.close_code == 4401
        assert TOKEN not in str(caught.value) + repr(caught.value)
        assert not viewer.connected


@deadline()
async def test_who_loses_the_right_to_be_there_stays_away() -> None:
    async with serving(Door(closes_joined=4401)) as url:
        viewer = ViewerClient(url, token=TOKEN)
        lost: DeferredQueue[Disconnected] = DeferredQueue()
        viewer.on("disconnected", lost.put)
        await viewer.connect()
        assert await lost.get() == Disconnected(4401, will_reconnect=False)
        await viewer.close()


@deadline()
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_certificate_of_ones_own_is_trusted_once_its_authority_is_named(
    tmp_path: Path, host: str
) -> None:
    certificates = write_certificates(tmp_path, host)
    door = Door()
    async with serving(door, certificates, host) as url:
        with pytest.raises(TLSFailed, match=r"is not trusted: .*name its CA file"):
            await ViewerClient(url, token=TOKEN).connect()
        async with ViewerClient(url, token=TOKEN, ca_file=certificates.ca) as viewer:
            assert viewer.connected
        assert await door.came.get() == f"Bearer {TOKEN}"
        # Whoever is not trusted did not get to see the token.
        assert not door.came.pending


@deadline()
@pytest.mark.parametrize("names", [["192.0.2.9"], ["other.example"]])
async def test_a_certificate_for_another_host_is_not_trusted(tmp_path: Path, names: list[str]) -> None:
    certificates = write_certificates(tmp_path, *names)
    async with serving(Door(), certificates) as url:
        with pytest.raises(TLSFailed, match=r"127\.0\.0\.1.* certificate is for another host name"):
            await ViewerClient(url, ca_file=certificates.ca).connect()


@deadline()
async def test_another_authority_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_certificates(tmp_path / "other", "127.0.0.1")
    async with serving(Door(), write_certificates(tmp_path, "127.0.0.1")) as url:
        with pytest.raises(TLSFailed, match="is not trusted"):
            await ViewerClient(url, ca_file=other.ca).connect()


@deadline()
async def test_a_ca_file_has_certificates_in_it(tmp_path: Path) -> None:
    door = Door()
    (tmp_path / "empty.pem").write_text("no certificate\n")
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    problems = {"empty": "has no PEM certificate", "broken": "cannot be read", "absent": "cannot be read"}
    async with serving(door, write_certificates(tmp_path, "127.0.0.1")) as url:
        for name, problem in problems.items():
            with pytest.raises(InvalidOption, match=problem) as caught:
                await ViewerClient(url, ca_file=tmp_path / f"{name}.pem").connect()
            assert f"{name}.pem" in str(caught.value)
        assert not door.came.pending


@deadline()
async def test_a_client_does_not_come_back_where_that_is_not_wanted() -> None:
    door = Door(closes_joined=1012)
    async with serving(door) as url:
        viewer = ViewerClient(url, reconnect=None)
        lost: DeferredQueue[Disconnected] = DeferredQueue()
        viewer.on("disconnected", lost.put)
        for _ in range(2):
            # It can be told to, all the same.
            await viewer.connect()
            assert await lost.get() == Disconnected(1012, will_reconnect=False)
            await door.came.get()
        await viewer.close()
        assert not door.came.pending
        assert not lost.pending


@deadline()
async def test_a_client_that_is_let_in_and_closed_in_one_breath_hears_of_it_once() -> None:
    async with serving(Door(closes_joined=1012, hangs_up=True)) as url:
        viewer = ViewerClient(url)
        lost: DeferredQueue[Disconnected] = DeferredQueue()
        viewer.on("disconnected", lost.put)
        with pytest.raises(ConnectionFailed, match=r"closed the connection at once \(close code 1012\)"):
            await viewer.connect()
        assert lost.pending == [Disconnected(1012, will_reconnect=False)]


@deadline()
async def test_a_client_comes_back_as_fast_as_is_wanted() -> None:
    door = Door(closes_joined=1012)
    async with serving(door) as url:
        viewer = ViewerClient(url, token=TOKEN, reconnect=Backoff(first_seconds=0.01, most_seconds=0.02))
        await viewer.connect()
        # With the usual waits, so many attempts would take minutes.
        for _ in range(20):
            assert await door.came.get() == f"Bearer {TOKEN}"
        await viewer.close()

"""What strangers may write into the audit log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from cctvsignal.access import ANYONE, NOBODY, Identity
from cctvsignal.audit import MORE_SECONDS, STRANGERS, AuditLog
from cctvsignal.registry import Client


class NoPeer:
    def send(self, frame: bytes) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def ping(self) -> None: ...


def client(identity: Identity, address: str) -> Client:
    return Client("c", NoPeer(), identity, address)


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_address_of_strangers_has_so_many_records_and_the_others_are_counted(tmp_path: Path) -> None:
    path, clock = tmp_path / "audit.log", Clock()
    audit = AuditLog(path, clock)
    burst = int(STRANGERS.burst)
    for _ in range(burst + 300):
        audit.refused("2001:db8::1", "a wrong token")
    # Others of the same network, and clients of an open server, have the same.
    audit("connected", client(ANYONE, "2001:db8::2"), {})
    audit("connected", client(NOBODY, "2001:db8::2"), {})
    # Neighbours, and those whose token is known, do not.
    audit.refused("192.0.2.1", "a wrong token")
    audit("joined", client(Identity("vera", "viewer"), "2001:db8::2"), {})
    clock.advance(MORE_SECONDS)
    audit.tick()
    audit.refused("2001:db8::1", "a wrong token")
    audit.close()
    found = entries(path)
    assert len(found) == burst + 4
    assert [entry["count"] for entry in found if entry["event"] == "more"] == [302]
    assert found[-1]["event"] == "refused"


def test_a_connection_without_an_identity_is_worth_one_record(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    audit = AuditLog(path, Clock())
    stranger = client(NOBODY, "192.0.2.1")
    for event in ("connected", "joined", "authenticated", "closed", "disconnected"):
        audit(event, stranger, {})
    audit.close()
    assert [entry["event"] for entry in entries(path)] == ["connected", "more"]
    assert entries(path)[-1]["count"] == 4

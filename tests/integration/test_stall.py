"""A server that does nothing for longer than its time-outs: what has come meanwhile counts."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThread

from tests.floods import until
from tests.live import connect, deadline
from tests.processes import command

STALLING = """
import pathlib, sys, time
if sys.platform == "linux":
    # Before the pages are imported, which would bring another reactor.
    import cctvsignal.reactor
    cctvsignal.reactor.install()
    cctvsignal.reactor.install = lambda: None
import cctvsignal.pages
begun, answer = pathlib.Path(sys.argv[1]), cctvsignal.pages.as_json
def stall(request, *rest):
    if b"stall" in request.uri:
        begun.touch()
        time.sleep(5)
    return answer(request, *rest)
cctvsignal.pages.as_json = stall
sys.argv[:2] = ["cctvsignal"]
from cctvsignal.__main__ import main
main()
"""
"""A server that stands still for 5 seconds when it is asked to; a file says when it begins to."""


@deadline(60)
async def test_a_stalled_server_drops_nobody(tmp_path: Path) -> None:
    assert IReactorThreads.providedBy(reactor)
    begun = tmp_path / "begun"
    options = ("--listen=tcp:0:interface=127.0.0.1", "--ping-interval=1", "--ping-timeout=2.5")
    with command(sys.executable, "-c", STALLING, str(begun), *options) as server:
        port = int((await deferToThread(server.wait_for_line, r"http://[\d.]+:(\d+)/")).group(1))
        clients = [await connect(f"ws://127.0.0.1:{port}", answers_pings=False) for _ in range(5)]
        pinged: Deferred[None] = Deferred()

        def on_ping(payload: bytes) -> None:
            if not pinged.called:
                pinged.callback(None)

        for client in clients:
            client.onPing = on_ping  # type: ignore[method-assign]
        await pinged

        def ask() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/health?stall")
            assert connection.getresponse().status == 200
            connection.close()

        asking = deferToThread(ask)
        await deferToThread(until, begun.exists)
        # All answers wait to be read when the server goes on, and by then are too late for its timers.
        for client in clients:
            del client.onPing
            client.answers_pings = True
            client.sendPong()
        await asking
        for client in clients:
            assert await client.ask({"type": "ping", "data": "d"}) == {"type": "pong", "data": "d"}
            await client.leave()

"""A member of the room who meddles in the session of two others."""

from __future__ import annotations

import pytest
from cctvsignal_clients import ViewerClient

from tests.live import deadline, join
from tests.media import MEDIA_SECONDS, counters, streaming_camera
from tests.processes import Server

SDP = "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
CANDIDATE = {"candidate": "candidate:1 1 udp 2130706431 192.0.2.1 9 typ host", "sdpMid": "0"}
MEDDLING = {
    "an answer": {"type": "answer", "sdp": {"type": "answer", "sdp": SDP}},
    "a candidate": {"type": "iceCandidate", "candidate": CANDIDATE},
    "the end of candidates": {"type": "iceCandidate", "candidate": None},
    "a bye": {"type": "bye", "reason": "go away"},
}


@pytest.mark.parametrize("message", MEDDLING.values(), ids=MEDDLING.keys())
@deadline(MEDIA_SECONDS)
async def test_other_members_have_no_say_in_a_session(
    shared_server: Server, message: dict[str, object]
) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "insider") as camera, ViewerClient(url, room="insider") as viewer:
        stream = await viewer.request_stream("cam-1")
        insider = await join(url, "insider")
        for victim in (viewer, camera):
            # It claims to be the other one, too; the server knows better.
            for other in (viewer, camera):
                insider.send({**message, "target": victim.client_id, "sender": other.client_id})
        await insider.leave()
        found = await counters(stream, 20)
        assert found == sorted(set(found))
        assert camera.viewers == [viewer.client_id]

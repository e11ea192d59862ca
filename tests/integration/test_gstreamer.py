"""GStreamer's webrtcbin, which has an RSA certificate, as a camera and as a viewer."""

from __future__ import annotations

import json
from typing import Final

import pytest
from cctvsignal_clients import ViewerClient, bridge

from tests.live import deadline
from tests.media import MEDIA_SECONDS
from tests.processes import REPOSITORY, Server, command, script

PEER: Final = str(REPOSITORY / "tests" / "peers" / "webrtcbin_gst.py")
CODECS: Final = ("vp8", "h264")
FRAMES: Final = 30


async def _watch(url: str, room: str) -> tuple[str, list[tuple[int, int]]]:
    """The codec of a camera, and the sizes of the next pictures that are decoded."""
    async with ViewerClient(url, room=room) as viewer:
        stream = await viewer.request_stream("cam-1")
        sizes = []
        async for frame in stream.frames():
            sizes.append((frame.width, frame.height))
            if len(sizes) == FRAMES:
                break
        return (await stream.stats()).codec, sizes


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize("codec", CODECS)
async def test_gstreamer_as_a_camera(shared_server: Server, codec: str) -> None:
    room = f"gst-camera-{codec}"
    arguments = ["camera", shared_server.websocket_url, room, "cam-1", codec, "0"]
    with command("/usr/bin/python3", PEER, *arguments) as camera:
        camera.wait_for_line("joined")
        used, sizes = await bridge.start(_watch(shared_server.websocket_url, room))
        if codec == "h264":
            assert "profile-level-id=64" in camera.output
    assert used == codec.upper()
    assert sizes == [(320, 240)] * FRAMES


@pytest.mark.parametrize("codec", CODECS)
def test_gstreamer_as_a_viewer(shared_server: Server, codec: str) -> None:
    room, url = f"gst-viewer-{codec}", shared_server.websocket_url
    options = [f"--server={url}", f"--room={room}", "--id=cam-1", "--source=test", f"--codec={codec}"]
    with command(script("cctvsignal-camera"), *options) as camera:
        camera.wait_for_line("Camera cam-1 is in room")
        arguments = ["viewer", url, room, "cam-1", codec, str(FRAMES)]
        with command("/usr/bin/python3", PEER, *arguments) as viewer:
            found = json.loads(viewer.wait_for_line(r"^\{.*\}$", MEDIA_SECONDS).group())
    assert found["codec"] == codec.upper()
    assert (found["width"], found["height"]) == (640, 480)
    assert found["frames"] >= FRAMES

"""A viewer behind a link that is slower than the camera can be: a real one, shaped by the kernel."""

from __future__ import annotations

import pytest
from cctvsignal_clients import ViewerClient
from cctvsignal_clients.encoder import Codec, EncoderSettings
from cctvsignal_clients.sources.pattern import read_counter

from tests.live import deadline
from tests.media import assert_no_loss, counters, streaming_camera, until_viewers
from tests.processes import command, script, server
from tests.slow_network import slow_host, why_not

REASON = why_not()


@deadline(60)
@pytest.mark.skipif(REASON != "", reason=REASON)
@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_a_viewer_on_a_slow_path_gets_keyframes_only_and_others_all(
    codec: Codec,
) -> None:
    encoding = EncoderSettings(bitrate=600_000)
    with slow_host("100kbit") as host, server(address=host.address) as running:
        url = running.websocket_url
        async with (
            streaming_camera(url, "slow", encoding=encoding, codecs=[codec]) as camera,
            ViewerClient(url, room="slow") as client,
        ):
            stream = await client.request_stream("cam-1")
            await counters(stream, 5)
            viewer = [script("cctvsignal-viewer"), f"--server={url}", "--room=slow", "--camera=cam-1"]
            with command(*host.command(*viewer)):
                await until_viewers(camera, lambda viewers: len(viewers) == 2)
                assert camera._broadcast is not None
                tracks = camera._broadcast._tracks
                seen = []
                async for frame in stream.frames():
                    seen.append(read_counter(frame))
                    if any(track.reader and track.reader.keyframes_only for track in tracks):
                        break
                assert_no_loss(seen)
                assert_no_loss(await counters(stream, 45))
                kept, dropped = (track.reader for track in tracks)
                assert kept is not None
                assert not kept.keyframes_only
                assert dropped is not None

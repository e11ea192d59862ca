"""Both codecs of a camera at once: python -m tests.two_codecs PICTURES PIXELS SIZE

Real encoders get the same pictures at the same time. It prints how many they made of each codec that could
be decoded again and were the right ones.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Final

import av
from av.video.reformatter import VideoReformatter
from cctvsignal_clients import EncoderSettings
from cctvsignal_clients.encoder import CODECS, Codec, SharedEncoder
from cctvsignal_clients.packets import VIDEO_CLOCK, PacketFeed, PacketReader
from cctvsignal_clients.sources import TestPattern
from cctvsignal_clients.sources.pattern import draw, read_counter

RATE: Final = 15.0
DRAWN: Final = 16
"""Pictures that are drawn; they come again and again, because drawing takes longer than encoding."""


async def main(pictures: int, pixels: str, size: tuple[int, int] | None) -> None:
    source = TestPattern()
    settings = EncoderSettings(size=size, bitrate=600_000)
    readers: dict[Codec, PacketReader] = {}
    encoders = []
    for codec in CODECS:
        feed = PacketFeed()
        encoder = SharedEncoder(codec, source.frames.read(keep=1), feed, settings, RATE)
        readers[codec] = feed.read()
        encoders.append(asyncio.ensure_future(encoder.run()))
    decoders = {codec: _decoder(codec) for codec in CODECS}
    drawn = [draw(number, datetime.now(UTC)) for number in range(DRAWN)]
    right = dict.fromkeys(CODECS, 0)
    for number in range(pictures):
        # A frame of its own each time, as from a decoder.
        source.show(
            VideoReformatter().reformat(drawn[number % DRAWN], width=644, height=484, format=pixels)
        )
        for codec, reader in readers.items():
            packet = await reader.next()
            for frame in decoders[codec].decode(packet.to_av(VIDEO_CLOCK)):
                right[codec] += read_counter(frame) == number % DRAWN
    for task in encoders:
        task.cancel()
    print("right: " + " ".join(f"{codec}={many}" for codec, many in right.items()), flush=True)


def _decoder(codec: Codec) -> av.VideoCodecContext:
    decoder = av.CodecContext.create("h264" if codec == "H264" else "libvpx", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    return decoder


if __name__ == "__main__":
    width, _, height = sys.argv[3].partition("x")
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], (int(width), int(height)) if height else None))

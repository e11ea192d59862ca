"""The encoders themselves: what they make can be decoded, and keyframes come when they are wanted."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest
from cctvsignal_clients.encoder import CODECS, Codec, VideoEncoder
from cctvsignal_clients.packets import VIDEO_CLOCK, Packet
from cctvsignal_clients.sources.drawing import no_signal
from cctvsignal_clients.sources.pattern import read_counter

from tests.unit.test_client_frames import picture

BITRATE = 500_000


def numbered(number: int) -> av.VideoFrame:
    """A test picture with its time."""
    frame = picture(number)
    frame.pts, frame.time_base = number * 6000, Fraction(1, VIDEO_CLOCK)
    return frame


def decode(codec: Codec, packets: list[Packet]) -> list[av.VideoFrame]:
    """The pictures in packets."""
    decoder = av.CodecContext.create("h264" if codec == "H264" else "libvpx", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    frames = [frame for packet in packets for frame in decoder.decode(packet.to_av(VIDEO_CLOCK))]
    return [*frames, *decoder.decode(None)]


@pytest.mark.parametrize("codec", CODECS)
def test_each_picture_comes_out_at_once_and_keyframes_when_they_are_wanted(codec: Codec) -> None:
    encoder = VideoEncoder(codec, None, 15)
    packets = []
    for number in range(30):
        (packet,) = encoder.encode(numbered(number), number in (10, 20), BITRATE)
        assert packet.pts == number * 6000
        packets.append(packet)
    assert [number for number, packet in enumerate(packets) if packet.keyframe] == [0, 10, 20]
    assert [read_counter(frame) for frame in decode(codec, packets)] == list(range(30))
    # Whoever begins in the middle needs nothing from before.
    assert [read_counter(frame) for frame in decode(codec, packets[20:])] == list(range(20, 30))


@pytest.mark.parametrize("codec", CODECS)
def test_another_size_or_bitrate_is_a_new_beginning(codec: Codec) -> None:
    encoder = VideoEncoder(codec, None, 15)
    packets = [
        *encoder.encode(numbered(1), False, BITRATE),
        *encoder.encode(numbered(2).reformat(width=321, height=241), False, BITRATE),
        *encoder.encode(numbered(3).reformat(width=321, height=241), False, BITRATE),
        *encoder.encode(numbered(4).reformat(width=321, height=241), False, BITRATE // 2),
    ]
    assert [packet.keyframe for packet in packets] == [True, True, False, True]
    sizes = [(frame.width, frame.height) for frame in decode(codec, packets)]
    assert sizes == [(640, 480), (320, 240), (320, 240), (320, 240)]


@pytest.mark.parametrize("codec", CODECS)
def test_a_given_size_is_kept_whatever_comes(codec: Codec) -> None:
    encoder = VideoEncoder(codec, (160, 120), 15)
    packets = encoder.encode(numbered(5), False, BITRATE)
    (frame,) = decode(codec, packets)
    assert (frame.width, frame.height) == (160, 120)
    assert read_counter(frame) == 5


@pytest.mark.parametrize("size", [(640, 480), (1921, 1081), (64, 48)])
def test_there_is_a_picture_for_no_signal_of_any_size(size: tuple[int, int]) -> None:
    first, later = (no_signal(seconds, size) for seconds in (3, 3725))
    assert (first.width, first.height) == (size[0] - size[0] % 2, size[1] - size[1] % 2)
    assert bytes(first.planes[0]) != bytes(later.planes[0])

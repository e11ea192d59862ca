"""The encoders themselves: what they make can be decoded, and keyframes come when they are wanted."""

from __future__ import annotations

import sys
from fractions import Fraction

import av
import pytest
from av.video.frame import PictureType
from cctvsignal_clients.encoder import CODECS, Codec, VideoEncoder
from cctvsignal_clients.packets import VIDEO_CLOCK, Packet
from cctvsignal_clients.pictures import JpegDecoder, encode_jpeg
from cctvsignal_clients.sources.drawing import no_signal
from cctvsignal_clients.sources.pattern import read_counter

from tests.processes import command
from tests.unit.test_client_frames import picture

BITRATE = 500_000
AT_ONCE = 150
"""Pictures after which what two encoders must not share has crashed every time that it was tried."""


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


@pytest.mark.parametrize(
    ("pixels", "size"),
    [("yuv420p", "320x240"), ("yuvj422p", "same"), ("yuvj420p", "same"), ("yuv420p", "same")],
)
def test_two_codecs_encode_the_same_pictures_at_once(pixels: str, size: str) -> None:
    # In a process of its own: the fault that this is about ends the process.
    with command(sys.executable, "-m", "tests.two_codecs", str(AT_ONCE), pixels, size) as process:
        process.wait_for_line(f"right: H264={AT_ONCE} VP8={AT_ONCE}")
        assert process.wait() == 0


@pytest.mark.parametrize("codec", CODECS)
def test_encoding_leaves_nothing_on_a_frame_that_others_have(codec: Codec) -> None:
    frame = numbered(7)
    frame.pict_type, frame.time_base = PictureType.P, Fraction(1, 1000)
    VideoEncoder(codec, None, 15).encode(frame, True, BITRATE)
    assert (frame.pict_type, frame.pts, frame.time_base) == (PictureType.P, 42000, Fraction(1, 1000))


@pytest.mark.parametrize("codec", CODECS)
def test_what_came_as_jpeg_is_as_bright_as_it_was(codec: Codec) -> None:
    original = numbered(3)
    jpeg = JpegDecoder().decode(encode_jpeg(original))
    assert jpeg is not None
    jpeg.pts, jpeg.time_base = 0, Fraction(1, VIDEO_CLOCK)
    (frame,) = decode(codec, VideoEncoder(codec, None, 15).encode(jpeg, True, 4 * BITRATE))
    before, after = (bytes(each.planes[0]) for each in (original, frame))
    # White is 235 there; as JPEG has it, it would be 255.
    assert max(after) == pytest.approx(max(before), abs=8)
    assert min(after) == pytest.approx(min(before), abs=8)

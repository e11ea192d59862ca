"""H.264 as real cameras send it and libx264 does not: other ids, other places of parameter sets, no IDR."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
from cctvsignal_clients.h264 import (
    PICTURE_PARAMETERS,
    SEQUENCE_PARAMETERS,
    SLICE,
    SLICE_IDR,
    START_CODE,
    kind,
    nal_units,
)
from cctvsignal_clients.sources.pattern import draw, read_counter

from tests.unit.test_client_frames import NOON

Picture: TypeAlias = list[bytes]
"""The NAL units of one picture."""
INTRA_REFRESH = {"x264-params": "intra-refresh=1:keyint=20:bframes=0"}
"""No IDR picture after the first one: columns of the picture are refreshed in turn."""
SCENE_FRAMES = 15
I_PICTURES = {"x264-params": "keyint=infinite:min-keyint=1000:bframes=0:scenecut=400"}
"""With `scenes`: pictures of I slices that are neither IDR pictures nor recovery points."""
SUPPLEMENTAL_INFORMATION = 6
DELIMITER_UNIT = b"\x09\xf0"


def pictures(
    frames: int,
    change: Callable[[int, av.VideoFrame], av.VideoFrame] = lambda number, frame: frame,
    /,
    **options: str,
) -> list[Picture]:
    """So many pictures with their number in them, each perhaps changed; `options` are those of libx264."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 640, 480, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
    encoder.options = {"preset": "veryfast", **options}
    packets = []
    for number in range(frames):
        frame = change(number, draw(number, NOON))
        frame.pts, frame.time_base = number, Fraction(1, 30)
        packets += encoder.encode(frame)
    return [list(nal_units(bytes(packet))) for packet in [*packets, *encoder.encode(None)]]


def scenes(number: int, frame: av.VideoFrame) -> av.VideoFrame:
    """Another picture above the number, every `SCENE_FRAMES`."""
    plane = frame.planes[0]
    size = 440 * plane.line_size
    columns = random.Random(number // SCENE_FRAMES).randbytes(size // 40)
    plane.update(bytes(value for value in columns for _ in range(40)) + bytes(plane)[size:])
    return frame


def with_ids(unit: bytes, sps: int, pps: int) -> bytes:
    """A parameter set or slice with other ids of parameter sets; only without CABAC, which aligns bytes."""
    places: dict[int, list[int | None]] = {
        SEQUENCE_PARAMETERS: [sps],
        PICTURE_PARAMETERS: [pps, sps],
        SLICE: [None, None, pps],
        SLICE_IDR: [None, None, pps],
    }
    numbers = places.get(kind(unit))
    if not numbers:
        return unit
    bits = "".join(f"{byte:08b}" for byte in unit[1:].replace(b"\0\0\3", b"\0\0"))
    bits = bits[: bits.rindex("1")]  # Without rbsp_stop_one_bit and what follows.
    at = 24 if kind(unit) == SEQUENCE_PARAMETERS else 0
    head = bits[:at]
    for number in numbers:
        zeros = bits.index("1", at) - at
        end = at + 2 * zeros + 1
        code = f"{number + 1:b}" if number is not None else ""
        head += bits[at:end] if number is None else "0" * (len(code) - 1) + code
        at = end
    bits = head + bits[at:] + "1"
    bits += "0" * (-len(bits) % 8)
    payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return unit[:1] + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)


def groups(stream: Iterable[Picture]) -> list[list[Picture]]:
    """The pictures from each IDR picture on."""
    found: list[list[Picture]] = []
    for picture in stream:
        if any(kind(unit) == SLICE_IDR for unit in picture):
            found.append([])
        found[-1].append(picture)
    return found


def joined_late(stream: Sequence[Picture]) -> list[Picture]:
    """The pictures from the second one on, with the parameter sets of the first one."""
    sets = only({SEQUENCE_PARAMETERS, PICTURE_PARAMETERS}, stream[0])
    return [[*sets, *stream[1]], *stream[2:]]


def without(numbers: set[int], stream: Iterable[Picture]) -> list[Picture]:
    """The pictures without NAL units of these types."""
    return [[unit for unit in picture if kind(unit) not in numbers] for picture in stream]


def only(numbers: set[int], picture: Picture) -> Picture:
    """The NAL units of these types."""
    return [unit for unit in picture if kind(unit) in numbers]


def to_bytes(units: Iterable[bytes], start_code: bytes = START_CODE) -> bytes:
    """A byte stream."""
    return b"".join(start_code + unit for unit in units)


def record(units: Iterable[bytes]) -> bytes:
    """An AVCDecoderConfigurationRecord with these parameter sets (ISO/IEC 14496-15, 5.3.3.1.2)."""
    units = list(units)
    sets = [
        [unit for unit in units if kind(unit) == each] for each in (SEQUENCE_PARAMETERS, PICTURE_PARAMETERS)
    ]
    made = b"\1" + sets[0][0][1:4] + b"\xff"
    for mark, some in zip((0xE0, 0), sets, strict=True):
        made += bytes([mark | len(some)]) + b"".join(len(unit).to_bytes(2, "big") + unit for unit in some)
    return made


def write_stream(path: Path, stream: Iterable[Picture]) -> None:
    """Write a file of H.264 and nothing else."""
    path.write_bytes(b"".join(to_bytes(picture) for picture in stream))


def write_mp4(path: Path, stream: Iterable[Picture], rate: int) -> None:
    """Write an MP4 file, which has its parameter sets apart."""
    raw = path.with_suffix(".h264")
    write_stream(raw, stream)
    with av.open(str(raw)) as source, av.open(str(path), "w") as file:
        video = file.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(each for each in source.demux(video=0) if each.size):
            packet.stream, packet.time_base = video, Fraction(1, rate)
            packet.pts = packet.dts = number
            packet.duration = 1
            file.mux(packet)


def decoded_counters(stream: Iterable[bytes]) -> Iterator[int]:
    """The numbers in pictures as a new decoder shows them; raises `av.FFmpegError` for a damaged one."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.options = {"err_detect": "explode"}
    for picture in [*stream, None]:
        for frame in decoder.decode(None if picture is None else av.Packet(picture)):
            yield read_counter(frame)

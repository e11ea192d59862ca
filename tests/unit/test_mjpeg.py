"""The MJPEG parser, fed in any pieces, with anything that cameras send."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest
from cctvsignal_iot.jpeg import NotJpeg, Walk, size_of
from cctvsignal_iot.mjpeg import (
    MOST_HEADER_BYTES,
    MOST_PART_BYTES,
    BadStream,
    HeadersTooLong,
    MjpegParser,
    PartTooLong,
)
from hypothesis import given
from hypothesis import strategies as st

BOUNDARY = "123456789000000000000987654321"
DELIMITER = f"--{BOUNDARY}".encode()


def jpeg(number: int, scan: bytes = b"", size: tuple[int, int] = (320, 240)) -> bytes:
    """A small JPEG in form: quantisation table, frame header, scan; its number is in a comment."""
    width, height = size
    comment = b"\xff\xfe\x00\x06" + number.to_bytes(4, "big")
    table = b"\xff\xdb\x00\x43\x00" + bytes(range(1, 65))
    frame = (
        b"\xff\xc0\x00\x0b\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x01\x01\x11\x00"
    )
    header = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    # In a scan, 0xff is followed by 0 or is a restart marker.
    return b"".join(
        (b"\xff\xd8", comment, table, frame, header, scan.replace(b"\xff", b"\xff\x00"), b"\xff\xd9")
    )


def stock(pictures: Iterable[bytes]) -> bytes:
    """As CameraWebServer has it: a boundary before each part, no line break after the picture."""
    return b"".join(
        b"\r\n%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\nX-Timestamp: 1.000002\r\n\r\n%s"
        % (DELIMITER, len(picture), picture)
        for picture in pictures
    )


def easytarget(pictures: Iterable[bytes]) -> bytes:
    """One boundary first, then one after each part, and no X-Timestamp."""
    head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    end = b"\r\n%s\r\n" % DELIMITER
    return end + b"".join(head % len(picture) + picture + end for picture in pictures)


def esphome(pictures: Iterable[bytes]) -> bytes:
    """No line break before the first boundary, and a part of text."""
    text = b"Content-Type: text/plain\r\n\r\nNo frames send.\r\n%s\r\n" % DELIMITER
    return DELIMITER + b"\r\n" + text + easytarget(pictures).removeprefix(b"\r\n%s\r\n" % DELIMITER)


def without_length(pictures: Iterable[bytes]) -> bytes:
    """Nothing but boundaries, with bare line feeds and lower-case headers."""
    return b"".join(b"%s\ncontent-type: image/jpeg\n\n%s\n" % (DELIMITER, picture) for picture in pictures)


def shouting(pictures: Iterable[bytes]) -> bytes:
    """Upper-case headers with spaces around the number."""
    return b"".join(
        b"\r\n%s\r\nCONTENT-TYPE:IMAGE/JPEG\r\nCONTENT-LENGTH :  %d \r\n\r\n%s"
        % (DELIMITER, len(picture), picture)
        for picture in pictures
    )


FORMS = [stock, easytarget, esphome, without_length, shouting]
pictures = st.lists(st.binary(max_size=300), max_size=6).map(
    lambda scans: [jpeg(number, scan) for number, scan in enumerate(scans)]
)


def fed(parser: MjpegParser, body: bytes, cuts: Iterable[int]) -> list[bytes]:
    """What comes of a body in pieces."""
    found, begin = [], 0
    for end in [*sorted(cuts), len(body)]:
        found += parser.feed(body[begin:end])
        begin = end
    return found


@given(pictures, st.sampled_from(FORMS), st.booleans(), st.data())
def test_pictures_come_out_as_they_are_however_they_are_cut(
    sent: list[bytes], form: Callable[[Iterable[bytes]], bytes], told: bool, data: st.DataObject
) -> None:
    body = form(sent)
    cuts = data.draw(st.sets(st.integers(0, len(body)), max_size=20))
    parser = MjpegParser(BOUNDARY if told else None)
    assert fed(parser, body, cuts) == sent
    assert parser.counts.pictures == len(sent)
    assert parser.counts.damaged == 0


@given(pictures, st.sampled_from(FORMS))
def test_pictures_come_out_byte_by_byte(
    sent: list[bytes], form: Callable[[Iterable[bytes]], bytes]
) -> None:
    body = form(sent)
    assert fed(MjpegParser(BOUNDARY), body, range(len(body))) == sent


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6), st.sampled_from(FORMS), st.data())
def test_nothing_that_is_no_whole_jpeg_is_ever_sent_on(
    scans: list[bytes], form: Callable[[Iterable[bytes]], bytes], data: st.DataObject
) -> None:
    body = bytearray(form([jpeg(number, scan) for number, scan in enumerate(scans)]))
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=5)):
        body[at] = data.draw(st.integers(0, 255))
    begin = data.draw(st.integers(0, len(body)))
    del body[begin : data.draw(st.integers(begin, len(body)))]
    cuts = data.draw(st.sets(st.integers(0, len(body)), max_size=10))
    try:
        found = fed(MjpegParser(BOUNDARY), bytes(body), cuts)
    except BadStream:
        return
    for picture in found:
        # Where a length is right, damage within the coded data is for decoders to find.
        assert Walk().end(picture, 0, len(picture), announced=True) == len(picture)
        assert DELIMITER not in picture
        if form is without_length:
            size_of(picture)  # Raises if it is not whole, or has something after it.


@given(st.sampled_from(FORMS), st.sampled_from(["cut", "missing end", "garbage", "too short", "too long"]))
def test_after_a_damaged_picture_the_next_one_comes_out(
    form: Callable[[Iterable[bytes]], bytes], fault: str
) -> None:
    whole = jpeg(0, random.Random(1).randbytes(2000))
    if fault in ("too short", "too long"):
        if b"ength" not in form([whole]).replace(b"LENGTH", b"ength"):
            return
        wrong = len(whole) // 2 if fault == "too short" else len(whole) + 700
        body = form([whole]).replace(b"%d" % len(whole), b"%d" % wrong)
    else:
        bad = {
            "cut": whole[:1000],
            "missing end": whole[:-2],
            "garbage": random.Random(2).randbytes(len(whole)).replace(b"\xff\xd8", b"\0\0"),
        }[fault]
        body = form([bad])
    after = [jpeg(number, bytes(1500)) for number in (1, 2, 3)]
    rest = (
        form(after).removeprefix(b"\r\n%s\r\n" % DELIMITER)
        if form in (easytarget, esphome)
        else form(after)
    )
    parser = MjpegParser(BOUNDARY)
    found = parser.feed(body + rest)
    assert found[-2:] == after[-2:]
    expected = [whole, *after] if fault in ("too short", "too long") else after
    assert found == [picture for picture in expected if picture in found]
    assert parser.counts.damaged <= 2


def test_the_boundary_may_have_its_dashes_in_the_header() -> None:
    assert MjpegParser(f"--{BOUNDARY}").feed(stock([jpeg(1), jpeg(2)])) == [jpeg(1), jpeg(2)]


def test_the_size_is_that_of_the_last_picture() -> None:
    parser = MjpegParser(BOUNDARY)
    parser.feed(stock([jpeg(1), jpeg(2, size=(1600, 1200))]))
    assert parser.size == (1600, 1200)


def test_the_size_is_right_when_lengths_and_sizes_change_in_turns() -> None:
    large, small = jpeg(0, size=(1600, 1200)), jpeg(0)
    parser = MjpegParser(BOUNDARY)
    for body, size in (
        (stock([large]), (1600, 1200)),
        (stock([small]).replace(b"%d\r\nX" % len(small), b"%d\r\nX" % (len(small) - 9)), (320, 240)),
        (stock([large]), (1600, 1200)),
        (without_length([small]), (320, 240)),
    ):
        assert len(parser.feed(body)) == 1
        assert parser.size == size


def test_a_part_of_text_is_left_out_and_counted() -> None:
    parser = MjpegParser(BOUNDARY)
    assert parser.feed(esphome([jpeg(1)])) == [jpeg(1)]
    assert (parser.counts.others, parser.counts.damaged) == (1, 0)


def test_headers_that_do_not_end_end_the_stream() -> None:
    parser = MjpegParser(BOUNDARY)
    with pytest.raises(HeadersTooLong, match="8192"):
        parser.feed(b"\r\n" + DELIMITER + b"\r\n" + b"X-Padding: a\r\n" * (MOST_HEADER_BYTES // 13))


def test_a_page_without_a_boundary_ends_the_stream() -> None:
    with pytest.raises(HeadersTooLong):
        MjpegParser(None).feed(b"<html>" + b" " * MOST_HEADER_BYTES)


def test_a_part_that_is_announced_too_long_ends_the_stream_at_once() -> None:
    head = b"\r\n%s\r\nContent-Length: %d\r\n\r\n" % (DELIMITER, MOST_PART_BYTES + 1)
    with pytest.raises(PartTooLong, match="limit"):
        MjpegParser(BOUNDARY).feed(head)


def test_a_picture_that_does_not_end_ends_the_stream() -> None:
    parser = MjpegParser(BOUNDARY)
    parser.feed(b"\r\n%s\r\n\r\n" % DELIMITER + jpeg(1)[:-2])
    parser.feed(bytes(MOST_PART_BYTES - 1000))
    with pytest.raises(PartTooLong):
        parser.feed(bytes(1000))


def test_what_is_between_parts_is_not_kept() -> None:
    parser = MjpegParser(BOUNDARY)
    for _ in range(100):
        parser.feed(bytes(65536))
    assert len(parser._buffer) < 100


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        jpeg(1)[:-1],
        jpeg(1) + b"\0",
        b"\0" + jpeg(1),
        jpeg(1).replace(b"\xff\xdb\x00\x43", b"\xff\xdb\x00\x01"),
        jpeg(1).replace(b"\xff\xdb", b"\x00\xdb"),
        jpeg(1).replace(b"\xff\xdb", b"\xff\x01"),
    ],
)
def test_what_is_no_jpeg_has_no_size(bytes_: bytes) -> None:
    with pytest.raises(NotJpeg):
        size_of(bytes_)


def test_the_size_of_a_jpeg() -> None:
    assert size_of(jpeg(1, b"\xff\x12\xff", (800, 600))) == (800, 600)


def test_restart_markers_and_fill_bytes_are_part_of_a_jpeg() -> None:
    whole = jpeg(1, b"scan").replace(b"scan", b"sc\xff\xd0an\xff").replace(b"\xff\xdb", b"\xff\xff\xff\xdb")
    assert size_of(whole) == (320, 240)

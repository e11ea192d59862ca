"""The MJPEG parser, fed in any pieces, with anything that cameras send."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable

import pytest
from cctvsignal_clients.jpeg import MOST_STRAY_BYTES, NotJpeg, clean
from cctvsignal_clients.mjpeg import (
    MOST_HEADER_BYTES,
    MOST_PART_BYTES,
    BadStream,
    HeadersTooLong,
    MjpegParser,
    PartTooLong,
    is_mjpeg,
)
from cctvsignal_clients.pictures import JpegDecoder
from hypothesis import given
from hypothesis import strategies as st

from tests.jpegs import EOI, QUIRKS, SOI, between, counter_of, photograph, segments

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


def without_colon(pictures: Iterable[bytes]) -> bytes:
    """With a line that is not a header in each part."""
    return stock(pictures).replace(b"X-Timestamp: 1.000002", b"Timestamp 1.000002")


def other_boundary(pictures: Iterable[bytes]) -> bytes:
    """With another boundary than in the header."""
    return stock(pictures).replace(DELIMITER, b"--myboundary")


def without_dashes(pictures: Iterable[bytes]) -> bytes:
    """With the boundary as it is in the header."""
    return stock(pictures).replace(DELIMITER, BOUNDARY.encode())


def no_first_boundary(pictures: Iterable[bytes]) -> bytes:
    """The headers of the first part at once."""
    return stock(pictures).removeprefix(b"\r\n" + DELIMITER + b"\r\n")


def no_boundaries(pictures: Iterable[bytes]) -> bytes:
    """One picture after the other."""
    return b"".join(pictures)


def closed_each_time(pictures: Iterable[bytes]) -> bytes:
    """As if each part was the last one."""
    return easytarget(pictures).replace(DELIMITER, DELIMITER + b"--\r\n" + DELIMITER)


def no_blank_line(pictures: Iterable[bytes]) -> bytes:
    """The picture right after the last header."""
    return stock(pictures).replace(b"\r\n\r\n\xff\xd8", b"\r\n\xff\xd8")


def too_long(pictures: Iterable[bytes]) -> bytes:
    """With the length of a far larger picture."""
    return re.sub(rb"(Length: )\d+", rb"\g<1>1900000", stock(pictures))


def too_short(pictures: Iterable[bytes]) -> bytes:
    """With a length of two bytes."""
    return re.sub(rb"(Length: )\d+", rb"\g<1>2", stock(pictures))


def image_jpg(pictures: Iterable[bytes]) -> bytes:
    """With a type that does not exist."""
    return stock(pictures).replace(b"image/jpeg", b"image/jpg")


def octets(pictures: Iterable[bytes]) -> bytes:
    """With a type that says nothing."""
    return stock(pictures).replace(b"image/jpeg", b"application/octet-stream")


def no_type(pictures: Iterable[bytes]) -> bytes:
    """Nothing but a boundary and an empty line."""
    return b"".join(b"\n%s\n\n%s" % (DELIMITER, each) for each in pictures)


def prologue(pictures: Iterable[bytes]) -> bytes:
    """With some lines before the first boundary."""
    return b"This is a camera\r\n--\r\nof ours: hello\r\n" * 20 + stock(pictures)


def junk_and_no_break(pictures: Iterable[bytes]) -> bytes:
    """With remains of an older picture, and the next boundary right after them."""
    return stock([each + b"\x12" * 99 + each[-40:] for each in pictures]).replace(
        b"\r\n" + DELIMITER, DELIMITER
    )


QUIRKY_FORMS = [
    *(without_colon, other_boundary, without_dashes, no_first_boundary, no_boundaries, closed_each_time),
    *(no_blank_line, too_long, too_short, image_jpg, octets, no_type, prologue, junk_and_no_break),
]
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


@given(
    st.lists(st.binary(max_size=200), min_size=1, max_size=6),
    st.sampled_from([*FORMS, *QUIRKY_FORMS]),
    st.data(),
)
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
        assert clean(picture)[0] == picture  # Raises if it is not whole.
        assert DELIMITER not in picture


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
        jpeg(1).replace(b"\xff\xdb\x00\x43", b"\xff\xdb\x00\x01"),
        jpeg(1).replace(b"\xff\xdb", b"\x00\xdb"),
        jpeg(1).replace(b"\xff\xdb", b"\xff\x01"),
    ],
)
def test_what_is_not_a_jpeg_is_refused(bytes_: bytes) -> None:
    with pytest.raises(NotJpeg):
        clean(bytes_)


def test_the_size_of_a_jpeg() -> None:
    assert clean(jpeg(1, b"\xff\x12\xff", (800, 600)))[1] == (800, 600)


def test_a_jpeg_may_have_several_scans_with_tables_between_them() -> None:
    *head, scan = segments(jpeg(1, b"scan"))
    tables = b"\xff\xc4\x00\x05\x00\xff\xd9"  # What looks like a marker is in a segment.
    whole = b"".join(head).replace(b"\xff\xc0", b"\xff\xc2") + scan[:-2] + tables + scan
    assert clean(whole) == (whole, (320, 240))
    for cut in range(len(whole) - 1):
        with pytest.raises(NotJpeg):
            clean(whole[:cut])
    # After coded data, what does not belong there is the trace of a cut.
    with pytest.raises(NotJpeg):
        clean(whole.replace(tables, tables + b"\x12"))


def test_restart_markers_and_fill_bytes_are_part_of_a_jpeg() -> None:
    whole = jpeg(1, b"scan").replace(b"scan", b"sc\xff\xd0an\xff").replace(b"\xff\xdb", b"\xff\xff\xff\xdb")
    assert clean(whole) == (whole.replace(b"\xff\xff\xff\xdb", b"\xff\xdb"), (320, 240))


# --- what cameras put around and into their pictures


@pytest.mark.parametrize("quirk", QUIRKS)
def test_what_does_not_belong_to_a_jpeg_is_left_out(quirk: str) -> None:
    sent = QUIRKS[quirk](photograph(77))
    cleaned, size = clean(sent)
    assert size == (640, 480)
    assert counter_of(cleaned) == 77
    # Nothing is left that could be left out, and all else is as it was.
    assert clean(cleaned) == (cleaned, size)
    assert set(segments(photograph(77))) - set(segments(cleaned)) <= {photograph(77)[:2], SCAN_OF_77}
    assert cleaned.startswith(SOI + b"\xff")
    assert cleaned.endswith(EOI)


SCAN_OF_77 = list(segments(photograph(77)))[-1]


@pytest.mark.parametrize("quirk", QUIRKS)
def test_a_jpeg_with_quirks_that_is_cut_off_is_refused(quirk: str) -> None:
    sent = QUIRKS[quirk](photograph(77))
    scan = sent.index(SCAN_OF_77[: len(SCAN_OF_77) // 2])
    for cut in [*range(0, scan, 7), *range(scan, scan + len(SCAN_OF_77) // 2, 997), scan]:
        with pytest.raises(NotJpeg):
            clean(sent[:cut])


@pytest.mark.parametrize(
    "rest", [jpeg(2)[2:], jpeg(2), b"\xff\xd8" + jpeg(2), b"\r\n--x\r\n\r\n" + jpeg(2)]
)
def test_a_jpeg_that_is_cut_off_does_not_go_on_with_another_one(rest: bytes) -> None:
    whole = jpeg(1, bytes(100))
    for cut in range(len(whole) - len(bytes(100)) - 11, len(whole) - 2):
        with pytest.raises(NotJpeg):
            clean(whole[:cut] + rest)


def test_more_stray_bytes_than_a_camera_leaves_by_mistake_are_damage() -> None:
    assert clean(bytes(MOST_STRAY_BYTES) + jpeg(1))[0] == jpeg(1)
    with pytest.raises(NotJpeg, match="65536"):
        clean(bytes(MOST_STRAY_BYTES + 1) + jpeg(1))


@given(st.binary(max_size=400), st.binary(max_size=400), st.binary(max_size=40), st.integers(0, 5))
def test_any_bytes_that_are_not_markers_may_be_around_a_jpeg(
    before: bytes, after: bytes, between_: bytes, number: int
) -> None:
    # Not all segments: what looks like one of its own after coded data is a sign of damage.
    harmless = before.replace(b"\xff", b"\xff\xff\0"), between_.replace(b"\xff", b"\xff\0")
    sent = harmless[0] + between(jpeg(number, b"scan"), harmless[1]) + after
    assert clean(sent)[0] == jpeg(number, b"scan")


def test_a_decoder_does_not_show_half_a_picture_that_ends_like_a_whole_one() -> None:
    decoder = JpegDecoder()
    whole = photograph(77)
    assert decoder.decode(whole) is not None
    for cut in (len(whole) // 4, len(whole) // 2, len(whole) - 200):
        assert decoder.decode(whole[:cut] + EOI) is None
    # Some cameras leave out the very last bits, and nobody sees it.
    assert decoder.decode(whole[:-4] + EOI) is not None


@pytest.mark.parametrize("form", QUIRKY_FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("boundary", [BOUNDARY, f"--{BOUNDARY}", None])
@pytest.mark.parametrize("piece", [1, 2, 7, 100_000])
def test_streams_that_bend_the_rules_are_read(
    form: Callable[[Iterable[bytes]], bytes], boundary: str | None, piece: int
) -> None:
    if form is without_dashes and boundary is None:
        return  # Nobody could know what it is.
    sent = [jpeg(number, b"\r\n--\r\n" * number) for number in range(6)]
    body, parser = form(sent), MjpegParser(boundary)
    assert fed(parser, body, range(0, len(body), piece)) == sent
    assert parser.counts.damaged == 0


@pytest.mark.parametrize("form", [each for each in QUIRKY_FORMS if each is not no_boundaries])
@pytest.mark.parametrize("cut", [3, 30, 95, 102, 113, 500])
def test_a_picture_that_is_cut_off_is_left_out_of_a_stream_that_bends_the_rules(
    form: Callable[[Iterable[bytes]], bytes], cut: int
) -> None:
    sent = [jpeg(number, random.Random(number).randbytes(900)) for number in range(6)]
    parser = MjpegParser(BOUNDARY)
    found = parser.feed(form([*sent[:2], sent[2][:cut], *sent[3:]]))
    assert found == [*sent[:2], *sent[3:]]
    assert parser.counts.damaged == 1


@pytest.mark.parametrize("form", [stock, easytarget, esphome, other_boundary, no_type])
@pytest.mark.parametrize("quirk", QUIRKS)
def test_pictures_with_quirks_come_out_clean(form: Callable[[Iterable[bytes]], bytes], quirk: str) -> None:
    sent = [photograph(number) for number in range(3)]
    parser = MjpegParser(BOUNDARY)
    found = fed(parser, body := form([QUIRKS[quirk](each) for each in sent]), range(0, len(body), 1460))
    assert found == [clean(QUIRKS[quirk](each))[0] for each in sent]
    assert [counter_of(each) for each in found] == [0, 1, 2]
    assert parser.counts.damaged == 0


def test_a_boundary_may_change_in_the_middle_of_a_stream() -> None:
    body = stock([jpeg(1)]) + other_boundary([jpeg(2), jpeg(3)]) + stock([jpeg(4)])
    assert MjpegParser(BOUNDARY).feed(body) == [jpeg(number) for number in (1, 2, 3, 4)]


def test_an_empty_part_is_not_a_damaged_picture() -> None:
    body = stock([jpeg(1)]) + b"\r\n" + DELIMITER + b"\r\n\r\n" + stock([jpeg(2)])
    parser = MjpegParser(BOUNDARY)
    assert parser.feed(body) == [jpeg(1), jpeg(2)]
    assert parser.counts.damaged == 0


@pytest.mark.parametrize(
    ("begin", "is_one"),
    [
        (b"", None),
        (b"\r\n", None),
        (b"\r\n--frame\r\nContent-Type: image/jpeg\r\n", True),
        (b"--frame", True),
        (photograph(1)[:20], True),
        (b"hello\r\nframe\r\ncontent-type:image/jpg\r\n", True),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", None),
        (b"#EXTM3U\n" + b"#EXTINF:4,\nsegment.ts\n" * 60, False),
        (b"\0\0\0\x20ftypisom" + bytes(2000), False),
        (b"\x47\x40\x11\x10" + bytes(2000), False),
        (b"<html>" + b"\n" * 2000, False),
    ],
)
def test_what_a_response_is_shows_in_its_first_bytes(begin: bytes, is_one: bool | None) -> None:
    assert is_mjpeg(begin) is is_one

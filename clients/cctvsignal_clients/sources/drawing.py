"""Pictures with text in them, drawn without any library."""

from __future__ import annotations

from typing import Final

from av import VideoFrame

BLACK: Final = 16
WHITE: Final = 235
GREY: Final = 128
GLYPH_WIDTH: Final = 6
GLYPH_HEIGHT: Final = 7

_GLYPHS: Final = {
    "0": ("01110", "10001", "10011", "10101", "11001", "10001", "01110"),
    "1": ("00100", "01100", "00100", "00100", "00100", "00100", "01110"),
    "2": ("01110", "10001", "00001", "00110", "01000", "10000", "11111"),
    "3": ("11110", "00001", "00001", "01110", "00001", "00001", "11110"),
    "4": ("00010", "00110", "01010", "10010", "11111", "00010", "00010"),
    "5": ("11111", "10000", "11110", "00001", "00001", "10001", "01110"),
    "6": ("00110", "01000", "10000", "11110", "10001", "10001", "01110"),
    "7": ("11111", "00001", "00010", "00100", "01000", "01000", "01000"),
    "8": ("01110", "10001", "10001", "01110", "10001", "10001", "01110"),
    "9": ("01110", "10001", "10001", "01111", "00001", "00010", "01100"),
    ":": ("00000", "00100", "00100", "00000", "00100", "00100", "00000"),
    ".": ("00000", "00000", "00000", "00000", "00000", "00100", "00100"),
    "#": ("01010", "01010", "11111", "01010", "11111", "01010", "01010"),
    " ": ("00000", "00000", "00000", "00000", "00000", "00000", "00000"),
    "A": ("01110", "10001", "10001", "11111", "10001", "10001", "10001"),
    "G": ("01110", "10001", "10000", "10111", "10001", "10001", "01111"),
    "I": ("01110", "00100", "00100", "00100", "00100", "00100", "01110"),
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "N": ("10001", "11001", "10101", "10011", "10001", "10001", "10001"),
    "O": ("01110", "10001", "10001", "10001", "10001", "10001", "01110"),
    "S": ("01111", "10000", "10000", "01110", "00001", "00001", "11110"),
    "B": ("11110", "10001", "10001", "11110", "10001", "10001", "11110"),
    "C": ("01110", "10001", "10000", "10000", "10000", "10001", "01110"),
    "D": ("11110", "10001", "10001", "10001", "10001", "10001", "11110"),
    "E": ("11111", "10000", "10000", "11110", "10000", "10000", "11111"),
    "H": ("10001", "10001", "10001", "11111", "10001", "10001", "10001"),
    "M": ("10001", "11011", "10101", "10101", "10001", "10001", "10001"),
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
    "T": ("11111", "00100", "00100", "00100", "00100", "00100", "00100"),
    "U": ("10001", "10001", "10001", "10001", "10001", "10001", "01110"),
    "W": ("10001", "10001", "10001", "10101", "10101", "11011", "10001"),
    "Y": ("10001", "10001", "01010", "00100", "00100", "00100", "00100"),
    "Z": ("11111", "00001", "00010", "00100", "01000", "10000", "11111"),
}


def write(luma: bytearray, width: int, x: int, y: int, text: str, scale: int) -> None:
    """Write white on black into a plane of brightness that is so wide; a glyph is 6 x 7 pixels, scaled."""
    for line in range(GLYPH_HEIGHT):
        row = _line(text, line, scale)
        for copy in range(scale):
            start = (y + line * scale + copy) * width + x
            luma[start : start + len(row)] = row


def frame_of(luma: bytes, chroma: tuple[bytes, bytes], width: int, height: int) -> VideoFrame:
    """A frame (yuv420p) of these planes, which have no padding."""
    frame = VideoFrame(width, height, "yuv420p")
    for plane, content in zip(frame.planes, (luma, *chroma), strict=True):
        plane.update(_padded(content, plane.width, plane.line_size))
    return frame


def no_signal(seconds: int, size: tuple[int, int], reason: str = "") -> VideoFrame:
    """The picture for a source that has shown nothing for so many seconds, in capital letters."""
    width, height = (side - side % 2 for side in size)
    clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    scale = max(1, min(width // (12 * GLYPH_WIDTH), height // (4 * GLYPH_HEIGHT)))
    luma = bytearray([BLACK]) * (width * height)
    for text, line in (("NO SIGNAL", -1), (clock, 1), (reason, 3)):
        x = (width - len(text) * GLYPH_WIDTH * scale) // 2
        y = height // 2 + (line * GLYPH_HEIGHT - GLYPH_HEIGHT // 2) * scale
        write(luma, width, x, max(0, y), text, scale)
    chroma = bytes([GREY]) * (width * height // 4)
    return frame_of(bytes(luma), (chroma, chroma), width, height)


def _line(text: str, line: int, scale: int) -> bytes:
    pixels = "".join(_GLYPHS[character][line] + "0" for character in text)
    return b"".join(bytes([WHITE if pixel == "1" else BLACK]) * scale for pixel in pixels)


def _padded(content: bytes, width: int, line_size: int) -> bytes:
    if line_size == width:
        return content
    padding = bytes(line_size - width)
    return b"".join(content[at : at + width] + padding for at in range(0, len(content), width))

"""Frames in another size or pixel format, though others have the same frame at the same time."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av
from av.filter import Graph
from av.video.reformatter import ColorRange, VideoReformatter

from .packets import VIDEO_CLOCK

FULL_RANGE_FORMATS: Final = frozenset({"yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p", "yuvj411p"})
"""Pixel formats of JPEG, whose brightness goes from 0 to 255 and not from 16 to 235."""


class Converter:
    """Converts frames. For one thread at a time; any number of converters may have the same frame.

    `VideoFrame.reformat` keeps its scaler on the frame, any scaler sets the frame's colour tags while it
    works, and encoders set its picture type and its time. So what is converted, and what is given out, is
    always a frame of its own: another reference to the same pixels, which nobody changes.
    """

    def __init__(self) -> None:
        self._scaler = VideoReformatter()
        self._graph = Graph()
        self._made_for: tuple[int, int, str] | None = None

    def convert(
        self, frame: av.VideoFrame, pixels: str, size: tuple[int, int] | None = None
    ) -> av.VideoFrame:
        """The frame in `pixels` (a pixel format of FFmpeg), and in this width and height if given."""
        own = self._reference(frame)
        width, height = size or (own.width, own.height)
        full = own.color_range == ColorRange.JPEG and pixels not in FULL_RANGE_FORMATS
        # Encoders do not say which range they were given, and decoders take it for the limited one.
        wanted = ColorRange.MPEG if full and pixels.startswith("yuv") else None
        return self._scaler.reformat(own, width, height, pixels, dst_color_range=wanted)

    def _reference(self, frame: av.VideoFrame) -> av.VideoFrame:
        # PyAV has no other way to a second reference than through a graph of filters that does nothing.
        made_for = (frame.width, frame.height, frame.format.name)
        if self._made_for != made_for:
            graph = Graph()
            entry = graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=Fraction(1, VIDEO_CLOCK),
            )
            graph.link_nodes(entry, graph.add("buffersink")).configure()
            self._graph, self._made_for = graph, made_for
        self._graph.vpush(frame)
        own = self._graph.vpull()
        own.pts = frame.pts
        if frame.time_base is not None:
            own.time_base = frame.time_base
        return own

"""Where a camera's pictures come from: `open_source` finds the source that a word names."""

from __future__ import annotations

from ..errors import SourceError
from .base import Source
from .file import FileSource
from .pattern import TestPattern

__all__ = ["FileSource", "Source", "TestPattern", "open_source"]


def open_source(word: str) -> Source:
    """The source that `test` or `file:PATH` names; raises `SourceError` if there is none."""
    kind, _, rest = word.partition(":")
    if word == "test":
        return TestPattern()
    if kind == "file" and rest:
        return FileSource(rest)
    raise SourceError(f"There is no source {word!r}: use test, or file:PATH for a video file.")

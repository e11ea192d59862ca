"""Room names and camera ids: which texts may be one, so that no two of them look alike without being equal
(docs/protocol.md, section 1).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_NAME_LENGTH: Final = 128

_FORBIDDEN: Final = re.compile(
    # Control characters, line and paragraph separators, and what naive pages would put into HTML.
    "[\x00-\x1f\x7f-\x9f\u2028\u2029<>&\"'\\\\`"
    # Letters and marks that are invisible (Default_Ignorable_Code_Point of Unicode), beside those of
    # category Cf, which has the marks that turn the direction of text.
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0d\U000e0000-\U000e0fff]"
)
_CATEGORIES: Final = frozenset(("Cf", "Cn", "Co", "Cs"))
"""Format characters, and code points that are not assigned, private or half of a surrogate pair."""
_NON_JOINER: Final = "\u200c"
_JOINER: Final = "\u200d"
_EMOJI_STYLES: Final = "\ufe0e\ufe0f"
_KEYCAP: Final = "\u20e3"
_VIRAMA: Final = 9
"""The canonical combining class of signs that make the letter before them lose its vowel."""
_JOINING_SCRIPTS: Final = re.compile("[\u0620-\u06ff\u0710-\u077f\u07ca-\u07f5\u0840-\u0858\u0860-\u08c9]")
"""Letters that have another shape beside each other: Arabic, Syriac, N'Ko, Mandaic."""
_NOT_JOINED_TO_THE_NEXT: Final = re.compile(
    "[\u0621-\u0625\u0627\u0629\u062f-\u0632\u0648\u0671-\u0673\u0675-\u0677\u0688-\u0699\u06c0\u06c3-\u06cb\u06cd\u06cf"
    "\u06d2\u06d3\u06d5\u06ee\u06ef\u0710\u0715-\u0719\u071e\u0728\u072a\u072c\u072f]"
)
"""Of those, letters that keep their shape whatever comes after them."""


def clean_name(name: str, field: str) -> str:
    """The name of a room or camera, trimmed and in Unicode's form C; names are compared in this form.

    Raises `ValueError` for what cannot be a name; `field` says in its text of what.
    """
    name = name.strip()
    # Form C has at least a third of the characters.
    if len(name) <= 3 * MAX_NAME_LENGTH and not name.isascii():
        name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise ValueError(f"{field} must have 1 to {MAX_NAME_LENGTH} characters")
    if _FORBIDDEN.search(name):
        raise ValueError(f"{field} has a character that names may not have")
    if not name.isascii():
        for place, character in enumerate(name):
            if not _may_stand(name, place, character):
                raise ValueError(f"{field} has a character that names may not have")
        if not any(map(_is_visible, name)):
            raise ValueError(f"{field} has nothing that can be seen")
    return name


def _may_stand(name: str, place: int, character: str) -> bool:
    before, after = name[place - 1 : place], name[place + 1 : place + 2]
    if character in (_JOINER, _NON_JOINER):
        # Where they change what is seen (RFC 5892, appendices A.1 and A.2).
        if before and unicodedata.combining(before) == _VIRAMA:
            return True
        return (
            character == _NON_JOINER
            and all(map(_JOINING_SCRIPTS.match, (before, after)))
            and (_NOT_JOINED_TO_THE_NEXT.match(before) is None)
        )
    if character in _EMOJI_STYLES:
        return after == _KEYCAP or (before != "" and unicodedata.category(before) in ("So", "Sk", "Sm"))
    return unicodedata.category(character) not in _CATEGORIES


def _is_visible(character: str) -> bool:
    # The braille pattern without dots is a symbol, too.
    return unicodedata.category(character)[0] in "LNPS" and character not in "\u2800\U0001d159"

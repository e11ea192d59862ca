"""What of a URL, and of texts that may have one in them, people may read: nothing that may be a secret.

Cameras take passwords in every part of a URL, and people write them as they are. So a path is shown only if
it is made of words that paths are usually made of, a host only if it is clear which part that is, and else
the scheme alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

HIDDEN: Final = "..."
HOW_TO_WRITE: Final = "in a user name or password, write %2F for /, %23 for #, %3F for ? and %40 for @"
MOST_DIGITS: Final = 4
"""A longer number in a path may be a password."""
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,15}", re.IGNORECASE)
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+(%\w+)?\]|[\w-]+(\.[\w-]+)*\.?)(:(\d{1,5}))?", re.IGNORECASE)
_END_OF_AUTHORITY: Final = re.compile(r"[/?#\\]")
_PATH: Final = re.compile(r"/[a-z0-9/._-]*", re.IGNORECASE | re.ASCII)
_PLAIN: Final = re.compile(
    r"((webcam|file):)?[\w. +-]{0,40}|(stun|turn)s?:[\w.-]{1,80}(:\d{1,5})?(\?transport=\w{3})?"
)
_KNOWN_SCHEME: Final = re.compile(r"(rtsps?|https?|wss?|rtmps?|file|webcam):", re.IGNORECASE)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*:/+[^\s'\"<>]*", re.IGNORECASE)
_NUMBER: Final = rf"\d{{1,{MOST_DIGITS}}}"
_HARMLESS: Final = re.compile(
    rf"{_NUMBER}|ajax|amp|api|av|axis|cam|cameras?|capture|cctv|cgi|ch|channels?|client|h|health|high|image|img"
    "|index|is|jpe?g|live|low|main|media|metrics|mjpe?g|mp|onvif|path|play|preview|profile|realmonitor|room"
    "|sdp|snapshot|still|streams?|streaming|sub|test|this|track|unicast|video|videostream|view|who|ws|x"
)
"""What the paths of cameras and servers are made of."""


def shown(url: str) -> str:
    """What people may read of a URL, or of a word that should have been one: no credentials.

    Without user, query and fragment; with the path only if it is harmless, and without a host where it is
    in doubt which part that is.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        if _PLAIN.fullmatch(url):
            return url
        known = _KNOWN_SCHEME.match(url)
        return f"{known[0]}{HIDDEN}" if known else HIDDEN
    if not _SCHEME.fullmatch(scheme):
        return HIDDEN
    authority, tail = _split(rest)
    if "@" in tail:
        if _is_host(authority) or rest.count("@") > 1:
            return f"{scheme}://{HIDDEN}"
        authority, tail = _split(rest.partition("@")[2])
    host = authority.rpartition("@")[2]
    if not _is_host(host):
        return f"{scheme}://{HIDDEN}"
    path = re.split(r"[?#]", tail, maxsplit=1)[0]
    return f"{scheme}://{host}{path if _is_harmless(path) else ''}"


def shown_path(path: str) -> str:
    """What people may read of the path of a file that is not there: nothing if it looks like a URL."""
    return HIDDEN if re.search(r"[@?&=]|:/", path) else path


def is_cut_short(url: str) -> bool:
    """Whether a user name or password may have a character in it that ends it: then there is an @ later."""
    return "@" in _split(url.partition("://")[2])[1]


def cannot_be_parsed(url: str) -> bool:
    """Whether that is certain, as what comes before that character is not a host with a port."""
    return is_cut_short(url) and not _is_host(_split(url.partition("://")[2])[0])


def conceal(text: str, urls: Iterable[str]) -> str:
    """A text with what is `shown` of these URLs in their place."""
    for url in urls:
        for form in (url, repr(url)[1:-1]):
            if form and shown(url) != url:
                text = text.replace(form, shown(url))
    return text


def scrub(text: str, urls: Iterable[str] = ()) -> str:
    """A text that somebody else wrote, with what is `shown` of these and of all other URLs in it."""
    return _URL.sub(_scrubbed, conceal(text, urls))


def _scrubbed(match: re.Match[str]) -> str:
    url = match[0].rstrip(".,:;!)]}")
    end = match[0][len(url) :]
    return match[0] if end.startswith(HIDDEN) else shown(url) + end


def _split(rest: str) -> tuple[str, str]:
    """Authority and what comes after it (RFC 3986, section 3.2)."""
    match = _END_OF_AUTHORITY.search(rest)
    at = match.start() if match else len(rest)
    return rest[:at], rest[at:]


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    return match is not None and int(match[5] or 0) <= 65535


def _is_harmless(path: str) -> bool:
    if not _PATH.fullmatch(path):
        return not path
    return all(_HARMLESS.fullmatch(part) for part in re.findall(r"[a-z]+|\d+", path.lower()))

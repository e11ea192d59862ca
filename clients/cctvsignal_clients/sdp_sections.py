"""What a session description (RFC 8866) consists of: the session, media sections and their transports."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

MAX_DESCRIPTION_BYTES: Final = 65536
MAX_MEDIA_SECTIONS: Final = 32
MAX_CANDIDATES: Final = 256
"""Limits of one description. Chromium's largest offers have about 30 KB."""

DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
HASHES: Final = ("sha-256", "sha-384", "sha-512")
"""Those that aiortc can check a certificate by."""
CODECS: Final = {
    "video": {"vp8/90000", "h264/90000"},
    "audio": {"opus/48000", "g722/8000", "pcmu/8000", "pcma/8000"},
}
"""What aiortc can encode and decode, as lower-case `name/clock`."""
STATIC_CODECS: Final = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"}
"""Audio payload types that need no rtpmap (RFC 3551, section 6)."""
NAMES_SHOWN: Final = 8

M_LINE: Final = re.compile(
    r"m=([\w.+-]{1,32}) +(\d{1,5})(?:/\d{1,5})? +([\w./+-]{1,32})((?: +[\w.*+-]{1,64})+)", re.ASCII
)
PAYLOAD_TYPE: Final = re.compile(r"[0-9]|[1-5][0-9]|6[0-3]|9[6-9]|1[01][0-9]|12[0-7]")
"""Those that cannot be taken for RTCP on the same port (RFC 5761, section 4)."""
RTPMAP: Final = re.compile(r"(\d{1,3}) +([\w.+-]{1,32})/(\d{1,6})(/\d{1,2})?", re.ASCII)
CANDIDATE: Final = re.compile(
    r"(?:a=)?(?:candidate:)?"
    r"([\w+/.:-]{1,64} 1 udp \d{1,10} [\w.:-]{1,255} (\d{1,5}) typ [a-z]{1,8})(?: .*)?",
    re.IGNORECASE | re.ASCII,
)
"""Of the first component, over UDP: aiortc uses no others."""


class UnusableDescription(ValueError):
    """A description that no session can come of. The text says why, for logs and for the other side."""


class DescriptionTooLarge(UnusableDescription):
    """More than any real peer sends."""


class NoCommonCodec(UnusableDescription):
    """Nothing that the other side offers, or has chosen, can be decoded or encoded here."""


@dataclass
class Section:
    """A media section, or the session itself; `attributes` are names and values, "" for a flag."""

    kind: str = ""
    port: int = 0
    protocol: str = ""
    formats: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str]] = field(default_factory=list)
    mid: str = ""

    def values(self, name: str) -> list[str]:
        """The values of all attributes of this name."""
        return [value for key, value in self.attributes if key == name]

    def first(self, *names: str) -> str | None:
        """The value of the first of these attributes that has one."""
        return next((value for key, value in self.attributes if key in names and value), None)

    @property
    def direction(self) -> str | None:
        """The last one that is named, if there is one."""
        return next((key for key, _ in reversed(self.attributes) if key in DIRECTIONS), None)

    @property
    def codecs(self) -> dict[str, str]:
        """`name/clock` by payload type, in the order of preference."""
        found = dict(STATIC_CODECS) if self.kind == "audio" else {}
        for value in self.values("rtpmap"):
            if match := RTPMAP.fullmatch(value):
                found[match[1]] = f"{match[2]}/{match[3]}"
        return {pt: found[pt] for pt in self.formats if pt in found and PAYLOAD_TYPE.fullmatch(pt)}

    @property
    def parameters(self) -> dict[str, dict[str, str]]:
        """What fmtp says by payload type; `a=1; b=2` (RFC 6184, section 8.2.1) is the same as `a=1;b=2`."""
        found: dict[str, dict[str, str]] = {}
        for value in self.values("fmtp"):
            pt, _, text = value.partition(" ")
            pairs = [each.strip().partition("=") for each in text.split(";") if each.strip()]
            found[pt] = {name.strip().lower(): setting.strip() for name, _, setting in pairs}
        return found


@dataclass
class Transport:
    """What a section says of ICE and DTLS (RFC 8839, RFC 8842); the session says it for all sections."""

    username: str | None
    password: str | None
    fingerprints: list[str]
    setup: str | None

    @classmethod
    def of(cls, section: Section) -> Transport:
        """The transport of a section."""
        words = [value.split() for value in section.values("fingerprint")]
        fingerprints = [
            f"{each[0].lower()} {each[1].upper()}"
            for each in words
            if len(each) == 2 and each[0].lower() in HASHES
        ]
        username, password = section.first("ice-ufrag"), section.first("ice-pwd")
        return cls(username, password, fingerprints, section.first("setup"))

    def completed(self, other: Transport) -> Transport:
        """This one, with what it lacks taken from another."""
        ice = self if self.username and self.password else other
        prints = self.fingerprints or other.fingerprints
        return Transport(ice.username, ice.password, prints, self.setup or other.setup)

    @property
    def problem(self) -> str | None:
        """Why nothing can be connected by it."""
        if not (self.username and self.password):
            return "it has no ICE user name and password"
        if not self.fingerprints:
            return f"it has no DTLS fingerprint ({', '.join(HASHES)})"
        return None

    def lines(self) -> list[str]:
        """Those for aiortc."""
        # A peer that leaves the choice to us becomes the client: as a server, aiortc goes with any cipher.
        # An answer without a role is taken as libwebrtc takes it: active.
        return [
            f"a=ice-ufrag:{self.username}",
            f"a=ice-pwd:{self.password}",
            *(f"a=fingerprint:{each}" for each in self.fingerprints),
            f"a=setup:{'passive' if self.setup == 'passive' else 'active'}",
        ]


def is_h264(codec: str) -> bool:
    """Whether a `name/clock` is H.264."""
    return codec.lower().startswith("h264/")


def check_size(text: str) -> None:
    """Raise `UnusableDescription` for a description that no real peer sends, before it is read."""
    if len(text) > MAX_DESCRIPTION_BYTES:
        raise DescriptionTooLarge(f"it is longer than {MAX_DESCRIPTION_BYTES} bytes")
    for what, most, found in (
        ("media sections", MAX_MEDIA_SECTIONS, re.findall(r"^m=", text, re.MULTILINE)),
        ("candidates", MAX_CANDIDATES, re.findall(r"^a=candidate:", text, re.MULTILINE)),
    ):
        if len(found) > most:
            raise DescriptionTooLarge(f"it has {len(found)} {what}, and at most {most} are taken")


def parse(text: str) -> tuple[Section, list[Section]]:
    """The session and its media sections. Raises `UnusableDescription`."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
    session, sections = Section(), list[Section]()
    for line in lines:
        if line.startswith("m="):
            match = M_LINE.fullmatch(line)
            if match is None:
                raise UnusableDescription(f"the line of media section {len(sections)} makes no sense")
            sections.append(Section(match[1], int(match[2]), match[3], match[4].split()))
        elif line.startswith("a=") and line.isprintable():
            name, _, value = line[2:].partition(":")
            (sections[-1] if sections else session).attributes.append((name.strip(), value.strip()))
    if not sections:
        raise UnusableDescription("it has no media section")
    return session, sections


def readable_candidate(text: str) -> str | None:
    """A candidate attribute (RFC 8839, section 5.1) as aiortc reads it; None for one that it cannot use."""
    match = CANDIDATE.fullmatch(text.strip())
    return match[1] if match is not None and 0 < int(match[2]) < 65536 else None

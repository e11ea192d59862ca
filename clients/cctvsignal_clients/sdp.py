"""Session descriptions (RFC 8866) of other WebRTC stacks, rewritten into what aiortc reads.

aiortc takes the SDP of today's browsers and raises an error for much else that browsers themselves play.
So no description of a peer reaches it as it came: `read` keeps what aiortc needs, in one spelling, and
fills in the defaults of the RFCs. Sections that this side cannot take are left out of an offer, and
`Reading.answer` puts them back, rejected (RFC 3264, section 6).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .sdp_sections import (
    CODECS,
    NAMES_SHOWN,
    NoCommonCodec,
    Section,
    Transport,
    UnusableDescription,
    check_size,
    is_h264,
    parse,
    readable_candidate,
)

H264_PARAMETERS: Final = ("level-asymmetry-allowed", "packetization-mode", "profile-level-id")
"""Those that an answer repeats (RFC 6184, section 8.2.2)."""
H264_OF_AIORTC: Final = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
MID_EXTENSION: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
FEEDBACK: Final = re.compile(r"(?:\*|[0-9]{1,3}) [\w-]+(?: [\w-]+)?", re.ASCII)
EXTENSION: Final = re.compile(r"([0-9]{1,3})(?:/\w+)? +(\S+)(?: .*)?", re.ASCII)


@dataclass
class Reading:
    """A description of a peer, as `text` for aiortc."""

    text: str
    sections: Sequence[Section]
    """All that it has, with the names that this side knows them by."""
    taken: Sequence[str]
    """The names of those that are not rejected, by either side."""
    bundle: Sequence[str]
    """The names of those that share a transport (RFC 9143)."""
    left_out: Sequence[str]
    """Why sections of an offer were left out."""

    def mid_for(self, mid: str | None, index: int | None) -> str | None:
        """The name of the section that a candidate is for, by its name or its place; None: for none."""
        names = [section.mid for section in self.sections]
        if mid not in names:
            if index is None or not 0 <= index < len(names):
                return None
            mid = names[index]
        if mid in self.taken or mid not in self.bundle:
            return mid if mid in self.taken else None
        # It was left out, and the others may share its transport.
        return next((name for name in self.bundle if name in self.taken), None)

    @property
    def single_nal_units(self) -> set[int]:
        """H.264 payload types whose receiver need not take fragments (RFC 6184, packetization-mode 0)."""
        return {
            int(pt)
            for section in self.sections
            for pt, codec in section.codecs.items()
            if is_h264(codec) and section.parameters.get(pt, {}).get("packetization-mode", "0") == "0"
        }

    def answer(self, local: str) -> str:
        """aiortc's answer to `text`, made an answer to what the peer has offered."""
        head, *blocks = re.split(r"^(?=m=)", local, flags=re.MULTILINE)
        ours = dict(zip(self.taken, blocks, strict=True))
        shared = [mid for mid in self.bundle if mid in ours]
        lines = [line for line in head.splitlines() if not line.startswith("a=group:")]
        if shared:
            lines.append(f"a=group:BUNDLE {' '.join(shared)}")
        for section in self.sections:
            if section.mid in ours:
                # Only the first of those that share a transport names its candidates (RFC 9143, 7.1.3).
                lines += _restored(section, ours[section.mid], candidates=section.mid not in shared[1:])
            else:
                lines += [f"m={section.kind} 0 {section.protocol} {section.formats[0]}", "c=IN IP4 0.0.0.0"]
                lines += [f"a=mid:{section.mid}", "a=inactive"]
        return "".join(f"{line}\r\n" for line in lines)


def read(text: str, offer: str | None = None) -> Reading:
    """Read an offer of a peer, or its answer to this `offer` of this side.

    Raises `UnusableDescription`.
    """
    check_size(text)
    session, sections = parse(text)
    groups = [value.split()[1:] for value in session.values("group") if value.split()[:1] == ["BUNDLE"]]
    ours = None if offer is None else parse(offer)[1]
    if ours is None:
        _name(sections, groups[0] if groups else ())
    else:
        _match(sections, ours)
    names = {section.mid for section in sections}
    bundle = [mid for mid in dict.fromkeys(groups[0] if groups else ()) if mid in names]
    transports = _transports(session, sections, bundle)
    allowed = CODECS if ours is None else {kind: _codec_names(kind, ours) for kind in CODECS}
    problems = {
        section.mid: problem
        for section in sections
        if (problem := _problem(section, transports[section.mid], allowed, bundle))
    }
    for extra in [section.mid for section in sections if section.kind == "application"][1:]:
        problems.setdefault(extra, "there is one for data channels already")
    taken = [section.mid for section in sections if section.mid not in problems]
    wrong = [
        f"{section.kind} section {number}: {problems[section.mid]}"
        for number, section in enumerate(sections)
        if section.mid in problems and (section.port or ours is None)
    ][:NAMES_SHOWN]
    if not taken or (wrong and ours is not None):
        # An answer that rejects all of a sound offer takes none of its codecs.
        no_codec = any("codec" in each for each in wrong) or (ours is not None and not wrong)
        kind = NoCommonCodec if no_codec else UnusableDescription
        raise kind("; ".join(wrong) or "all that was offered is rejected")

    shared = [mid for mid in bundle if mid in taken]
    to_read = [section for section in sections if section.mid in taken]
    if ours is not None and problems:
        # aiortc knows no rejected section, and has nothing to send on an inactive one. On the transport of
        # one that is taken, it opens none of its own.
        to_read = [
            _inactive(each) if section.mid in problems else section
            for section, each in zip(sections, ours, strict=True)
        ]
        shared = [*(shared or taken[:1]), *problems]
        transports.update(dict.fromkeys(problems, transports[shared[0]]))
    lines = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=msid-semantic:WMS *"]
    if ("ice-lite", "") in session.attributes:
        lines.append("a=ice-lite")
    if shared:
        lines.append(f"a=group:BUNDLE {' '.join(shared)}")
    for section in to_read:
        # Those of a section that is left out, where others share its transport.
        moved = [
            candidate
            for other in sections
            if other.mid in problems and other.mid in bundle and section.mid in shared[:1]
            if transports[other.mid].username == transports[section.mid].username
            for candidate in other.values("candidate")
        ]
        lines += _as_read(section, session, transports[section.mid], allowed, moved)
    return Reading("".join(f"{line}\r\n" for line in lines), sections, taken, bundle, wrong)


def _name(sections: Sequence[Section], group: Sequence[str]) -> None:
    """Give every section of an offer a name of its own, one of the group where those are left over."""
    seen: set[str] = set()
    for section in sections:
        mid = section.first("mid") or ""
        if re.fullmatch(r"[!-~]{1,64}", mid) and mid not in seen:
            section.mid = mid
            seen.add(mid)
    free: Iterator[str] = iter(
        [name for name in (*group, *map(str, range(2 * len(sections)))) if name not in seen]
    )
    for section in sections:
        while not section.mid:
            name = next(free)
            if name not in seen:
                section.mid = name
                seen.add(name)


def _match(sections: Sequence[Section], ours: Sequence[Section]) -> None:
    """Sections of an answer are in the order of the offer (RFC 3264, section 6), with or without names."""
    for section in ours:
        section.mid = section.first("mid") or ""
    same = len(sections) == len(ours) and all(
        section.kind == each.kind and section.first("mid") in (None, each.mid)
        for section, each in zip(sections, ours, strict=True)
    )
    if not same:
        raise UnusableDescription("its media sections are not those of the offer")
    for section, each in zip(sections, ours, strict=True):
        section.mid = each.mid


def _transports(
    session: Section, sections: Sequence[Section], bundle: Sequence[str]
) -> dict[str, Transport]:
    of_all = Transport.of(session)
    found = {section.mid: Transport.of(section).completed(of_all) for section in sections}
    # Only one of those that share a transport has to describe it (RFC 9143, section 7.1.3).
    described = next((found[mid] for mid in bundle if found[mid].problem is None), None)
    if described is not None:
        found |= {mid: found[mid].completed(described) for mid in bundle}
    return found


def _problem(
    section: Section, transport: Transport, allowed: dict[str, set[str]], bundle: Sequence[str]
) -> str | None:
    """Why a section cannot be taken."""
    if section.port == 0 and not (("bundle-only", "") in section.attributes and section.mid in bundle):
        return "it is rejected"
    if section.kind == "application":
        return (
            transport.problem if section.protocol.endswith("DTLS/SCTP") else "it is not for data channels"
        )
    if section.kind not in allowed or "RTP/" not in section.protocol:
        return "it is neither sound nor pictures over RTP"
    codecs = section.codecs.values()
    if not any(codec.lower() in allowed[section.kind] for codec in codecs):
        names = list(dict.fromkeys(codec.partition("/")[0] for codec in codecs))[:NAMES_SHOWN]
        return f"no codec in common ({', '.join(names) or 'it has none'})"
    return transport.problem


def _codec_names(kind: str, sections: Sequence[Section]) -> set[str]:
    offered = {codec.lower() for each in sections if each.kind == kind for codec in each.codecs.values()}
    return offered & CODECS[kind]


def _inactive(offered: Section) -> Section:
    """A section of an offer of ours as if the answer to it were an inactive one."""
    kept = [(name, value) for name, value in offered.attributes if name in ("rtpmap", "fmtp", "sctp-port")]
    attributes = [*kept, ("inactive", "")]
    return Section(offered.kind, 9, offered.protocol, offered.formats, attributes, offered.mid)


def _as_read(
    section: Section,
    session: Section,
    transport: Transport,
    allowed: dict[str, set[str]],
    moved: Sequence[str],
) -> list[str]:
    """The lines of a section for aiortc."""
    lines = [f"a=mid:{section.mid}", *transport.lines()]
    candidates = map(readable_candidate, (*section.values("candidate"), *moved))
    lines += [f"a=candidate:{each}" for each in candidates if each is not None]
    if ("end-of-candidates", "") in (*section.attributes, *session.attributes):
        lines.append("a=end-of-candidates")
    if section.kind == "application":
        return _data_channels(section) + lines
    codecs = {pt: codec for pt, codec in section.codecs.items() if codec.lower() in allowed[section.kind]}
    for pt, codec in section.codecs.items():
        apt = section.parameters.get(pt, {}).get("apt")
        if codec.lower().startswith("rtx/") and apt in codecs:
            codecs[pt] = codec
            lines.append(f"a=fmtp:{pt} apt={apt}")
        elif pt in codecs and is_h264(codec):
            # aiortc itself does with every profile and both modes, and takes an offer of one of them only.
            lines.append(f"a=fmtp:{pt} {H264_OF_AIORTC}")
    head = [f"m={section.kind} 9 UDP/TLS/RTP/SAVPF {' '.join(codecs)}", "a=rtcp-mux"]
    head.append(f"a={section.direction or session.direction or 'sendrecv'}")
    head += [f"a=rtpmap:{pt} {codec}{_channels(codec)}" for pt, codec in codecs.items()]
    head += [f"a=rtcp-fb:{value}" for value in section.values("rtcp-fb") if FEEDBACK.fullmatch(value)]
    for value in section.values("extmap"):
        match = EXTENSION.fullmatch(value)
        # Nobody can tell sections by names that the peer does not have.
        if match and not (match[2] == MID_EXTENSION and section.first("mid") is None):
            head.append(f"a=extmap:{match[1]} {match[2]}")
    head += [f"a=msid:{value}" for value in section.values("msid")[:1] if re.fullmatch(r"\S+ \S+", value)]
    sources = dict.fromkeys(value.partition(" ")[0] for value in section.values("ssrc"))
    head += [f"a=ssrc:{each} cname:-" for each in sources if re.fullmatch(r"[0-9]{1,10}", each)]
    return head + lines


def _data_channels(section: Section) -> list[str]:
    size = next(
        (each for each in section.values("max-message-size") if re.fullmatch(r"[0-9]{1,10}", each)), "65536"
    )
    port = next((each for each in section.values("sctp-port") if re.fullmatch(r"[0-9]{1,5}", each)), "5000")
    lines = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", f"a=sctp-port:{port}"]
    if section.formats[0].isdecimal():  # As before RFC 8841.
        port = section.formats[0]
        lines = [f"m=application 9 DTLS/SCTP {port}", f"a=sctpmap:{port} webrtc-datachannel 65535"]
    return [*lines, f"a=max-message-size:{size}"]


def _restored(section: Section, ours: str, candidates: bool) -> Iterator[str]:
    """The lines of a section of aiortc's answer, with what was offered in place of what aiortc has read."""
    first, *others = ours.splitlines()
    kind, port, _, formats = first.split(" ", 3)
    yield f"{kind} {port} {section.protocol} {formats}"
    for line in others:
        name, _, value = line.removeprefix("a=").partition(":")
        pt = value.partition(" ")[0]
        if name == "fmtp" and is_h264(section.codecs.get(pt, "")):
            offered = section.parameters.get(pt, {})
            pairs = [f"{key}={offered[key]}" for key in H264_PARAMETERS if offered.get(key, "").isalnum()]
            if pairs:
                yield f"a=fmtp:{pt} {';'.join(pairs)}"
        elif candidates or name not in ("candidate", "end-of-candidates"):
            yield line


def _channels(codec: str) -> str:
    return "/2" if codec.lower().startswith("opus/") else ""

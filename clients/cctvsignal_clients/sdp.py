"""What of an SDP answer aiortc does not take as it comes."""

from __future__ import annotations

import re
from typing import Final

TRANSPORT: Final = re.compile(r"^a=(?:ice-ufrag|ice-pwd|fingerprint|setup):.*$", re.MULTILINE)
REJECTED_AUDIO: Final = re.compile(r"^m=audio 0 \S+")


def with_rejected_audio_inactive(answer: str) -> str:
    """The answer with a rejected audio section (port 0: RFC 3264, section 6) made an inactive one.

    aiortc raises an error for a rejected section, and has nothing to send on an inactive one.
    """
    head, *sections = re.split(r"^(?=m=)", answer.replace("\r\n", "\n"), flags=re.MULTILINE)
    accepted = next((section for section in sections if not re.match(r"m=\w+ 0 ", section)), None)
    if accepted is None or not any(map(REJECTED_AUDIO.match, sections)):
        return answer
    transport = TRANSPORT.findall(head + accepted)
    for number, section in enumerate(sections):
        if not REJECTED_AUDIO.match(section):
            continue
        found = re.search(r"^a=mid:(\S+)", section, re.MULTILINE)
        mid = found[1] if found else str(number)
        lines = [
            "m=audio 9 UDP/TLS/RTP/SAVPF 96",
            "c=IN IP4 0.0.0.0",
            "a=inactive",
            f"a=mid:{mid}",
            "a=rtcp-mux",
            "a=rtpmap:96 opus/48000/2",
            *transport,
        ]
        sections[number] = "\n".join(lines) + "\n"
        # On the transport of the others: it is never opened one of its own.
        if not re.search(rf"^a=group:BUNDLE .*\b{re.escape(mid)}\b", head, re.MULTILINE):
            head = re.sub(r"^(a=group:BUNDLE.*)$", rf"\1 {mid}", head, flags=re.MULTILINE)
    return "".join([head, *sections]).replace("\n", "\r\n")

"""Answers that reject sound."""

from __future__ import annotations

from cctvsignal_clients.sdp import with_rejected_audio_inactive

HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 97\r\na=mid:0\r\na=recvonly\r\na=rtpmap:97 VP8/90000\r\n"
    "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 00:11\r\na=setup:active\r\n"
)
REJECTED = "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:sound\r\na=inactive\r\n"
ACCEPTED = "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtpmap:96 opus/48000/2\r\n"


def test_a_rejected_audio_section_becomes_an_inactive_one_on_the_same_transport() -> None:
    changed = with_rejected_audio_inactive(HEAD + VIDEO + REJECTED)
    assert changed.startswith(HEAD.replace("BUNDLE 0", "BUNDLE 0 sound") + VIDEO)
    audio = changed.partition("m=audio")[2]
    assert audio.startswith(" 9 ")
    for line in (
        "a=inactive",
        "a=mid:sound",
        "a=ice-ufrag:u",
        "a=fingerprint:sha-256 00:11",
        "a=setup:active",
    ):
        assert f"\r\n{line}\r\n" in audio


def test_where_audio_is_first_or_has_no_name_its_place_is_its_name() -> None:
    changed = with_rejected_audio_inactive(HEAD + REJECTED.replace("a=mid:sound\r\n", "") + VIDEO)
    assert "a=mid:0\r\n" in changed.partition("m=video")[0]


def test_all_other_answers_stay_as_they_are() -> None:
    for answer in (
        HEAD + VIDEO,
        HEAD + VIDEO + ACCEPTED,
        HEAD + REJECTED,
        HEAD + VIDEO.replace("video 9", "video 0"),
        "nonsense",
        "",
    ):
        assert with_rejected_audio_inactive(answer) == answer

"""No part of a URL that may be a password is shown."""

from __future__ import annotations

import io
import logging

import pytest
from cctvsignal_clients import SourceError, open_source
from cctvsignal_clients.redaction import HOW_TO_WRITE, scrub, shown, shown_path
from cctvsignal_clients.reporting import LogFormat, Reporter, _Handler, _Observer
from cctvsignal_clients.sources import locate
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger

CANARY = "c4nary"
URLS = {
    f"rtsp://admin:{CANARY}@h/live": "rtsp://h/live",
    f"rtsp://admin:se/{CANARY}@h/live": "rtsp://h/live",
    f"rtsp://admin:se#{CANARY}@h/live": "rtsp://h/live",
    f"rtsp://admin:se?{CANARY}@h/live": "rtsp://h/live",
    f"rtsp://admin:{CANARY}/se@h/live": "rtsp://h/live",
    f"rtsp://admin:{CANARY}\\se@h/live": "rtsp://h/live",
    f"http://admin:se/{CANARY}@h:81/stream": "http://h:81/stream",
    f"http://admin:se?{CANARY}@h/stream": "http://h/stream",
    f"rtsp://admin:1/{CANARY}@h/live": "rtsp://...",
    f"rtsp://admin:12/@{CANARY}@h/live": "rtsp://...",
    f"rtsp://admin:a@{CANARY}/b@h/live": "rtsp://...",
    f"rtsp://ad@min:s@{CANARY}@h/live": "rtsp://h/live",
    f"rtsp://h/user=admin&password={CANARY}&channel=1": "rtsp://h",
    f"rtsp://h:554/user=admin_password={CANARY}_channel=1_stream=0.sdp": "rtsp://h:554",
    f"rtsp://h/admin/{CANARY}/live": "rtsp://h",
    f"rtsp://h/admin:{CANARY}@/live": "rtsp://...",
    f"rtsp://h/live?password={CANARY}": "rtsp://h/live",
    f"rtsp://h/live;{CANARY}": "rtsp://h",
    f"rtsp://h/live#{CANARY}": "rtsp://h/live",
    f"http://h/axis-cgi/mjpg/video.cgi?user=a&pwd={CANARY}": "http://h/axis-cgi/mjpg/video.cgi",
    f"http://h/%63{CANARY}/": "http://h",
    f"rtsp://admin:{CANARY}@[fd00::1]:554/live": "rtsp://[fd00::1]:554/live",
    f"rtsp://admin:s/{CANARY}@[fd00::1%eth0]/live": "rtsp://[fd00::1%eth0]/live",
    f"RTSP://admin:s/{CANARY}@H/Streaming/Channels/101": "RTSP://H/Streaming/Channels/101",
    f"rtps://admin:{CANARY}@h/live": "rtps://h/live",
    f"rtsp:/admin:{CANARY}@h/live": "rtsp:...",
    f"rtsp:admin:{CANARY}@h/live": "rtsp:...",
    f"rtsp:///admin:{CANARY}@h/live": "rtsp://h/live",
    f"admin:{CANARY}@h/live": "...",
    f"{CANARY}@h": "...",
    f"admin:{CANARY}@rtsp://h/live": "...",
    f"rtsp://admin:{CANARY}\n@h/live": "rtsp://h/live",
    f"rtsp://admin:\x1b[2J{CANARY} x@h/live": "rtsp://h/live",
    f"rtsp://admin%3A{CANARY}%40h/live": "rtsp://...",
    f"rtsp://admin:s%2F{CANARY}@h/live": "rtsp://h/live",
    f"rtsp://h:{CANARY}/live": "rtsp://...",
    f"webcam:rtsp://admin:{CANARY}@h": "...",
    f"file:rtsp://admin:{CANARY}@h": "...",
    f"file:/x/admin:{CANARY}@h": "file:...",
    f"ws://h:8080/ws?token={CANARY}": "ws://h:8080/ws",
    f"wss://user:se/{CANARY}@h": "wss://h",
    f"turn:user:{CANARY}@h": "...",
    "rtsp://h": "rtsp://h",
    "http://192.168.1.21:81/stream": "http://192.168.1.21:81/stream",
    "rtsp://h/h264Preview_01_main": "rtsp://h/h264Preview_01_main",
    "rtsp://h/123456789": "rtsp://h",
    "screen": "screen",
    "webcam:1": "webcam:1",
    "turn:example.com:3478?transport=tcp": "turn:example.com:3478?transport=tcp",
}


@pytest.mark.parametrize(("url", "expected"), URLS.items(), ids=range(len(URLS)))
def test_what_is_shown_of_a_url(url: str, expected: str) -> None:
    assert shown(url) == expected
    assert shown(expected) == expected
    for text in (f"{url}: no such host", f"cannot open '{url}'", f"OSError(5, 'x', {url!r})"):
        assert CANARY not in scrub(text, [url])


@pytest.mark.parametrize("url", [url for url in URLS if url.startswith(("file:", "webcam:"))])
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_no_error_about_a_source_repeats_a_password(url: str, platform: str) -> None:
    try:
        said = locate(url, platform, None, None).name
    except SourceError as error:
        said = str(error)
    assert CANARY not in said
    assert CANARY not in shown_path(url)


@pytest.mark.parametrize("character", "/#?")
@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "RTSP"])
def test_a_password_that_ffmpeg_cannot_parse_is_an_error_that_says_how_to_write_it(
    scheme: str, character: str
) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(f"{scheme}://admin:se{character}{CANARY}@h/live")
    assert str(caught.value) == f"The source {scheme}://h/live cannot be read: {HOW_TO_WRITE}."
    assert all(code in HOW_TO_WRITE for code in ("%2F", "%23", "%3F", "%40"))


@pytest.mark.parametrize("scheme", ["RTSP", "Rtsps", "HTTP", "Https"])
def test_schemes_may_be_in_capitals(scheme: str) -> None:
    location = locate(f"{scheme}://Camera/Live", "linux", None, None)
    assert location.url == f"{scheme.lower()}://Camera/Live"
    assert location.options["timeout"]


@pytest.mark.parametrize(
    "text",
    [
        "Health and metrics are at http://127.0.0.1:8090.",
        "ws://127.0.0.1:8080 closed the connection (see https://example.com/path).",
        "The source rtsp://... cannot be read",
        "use test, rtsp://..., http://... or screen (not ftp://...).",
        "Saved /home/me/a@b.mp4.",
    ],
)
def test_texts_without_secrets_stay_as_they_are(text: str) -> None:
    assert scrub(text) == text


@given(st.text(max_size=60))
def test_no_text_is_too_odd(text: str) -> None:
    for url in (text, f"rtsp://{text}", f"rtsp://a:{text}@h/"):
        assert shown(shown(url)) == shown(url)
        scrub(url, [text])


@given(st.text(st.characters(exclude_characters="@"), max_size=20), st.text("/#?\\@:% ", max_size=4))
def test_no_password_is_shown(before: str, odd: str) -> None:
    assert CANARY not in shown(f"rtsp://admin:{before}{odd}{CANARY}@h/live")
    assert CANARY not in shown(f"rtsp://admin:{CANARY}{odd}{before}@h/live")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_libraries_log_has_no_passwords_in_it(log_format: LogFormat) -> None:
    printed = io.StringIO()
    source = f"rtsp://admin:a {CANARY}@h/live"
    reporter = Reporter(printed, log_format, [source])
    observer = _Observer(reporter)
    log = Logger("autobahn", observer=observer)
    log.error("cannot reach {url}", url=f"ws://h/?token={CANARY}")
    try:
        raise OSError(5, "no route", source)
    except OSError:
        log.failure("it failed")
    record = logging.LogRecord("aiortc", logging.ERROR, "", 0, "bad %s", (f"http://a:{CANARY}@h",), None)
    _Handler(reporter).emit(record)
    reporter.say("failed", f"cannot open {source}", error=f"cannot open {source}")
    assert "no route" in printed.getvalue()
    assert CANARY not in printed.getvalue()

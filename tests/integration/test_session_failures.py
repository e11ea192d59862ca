"""A session that fails says why: each cause has its own error, and both sides hear of it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import pytest_twisted
from cctvsignal_clients import (
    DTLSFailed,
    ICEFailed,
    MediaFailed,
    NoAnswer,
    NoCommonCodec,
    NoMedia,
    RequestTimeout,
    ViewerClient,
    peer,
    viewer,
)
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent

from tests.live import deadline, join
from tests.media import MEDIA_SECONDS, event, streaming_camera
from tests.processes import Server, command, script
from tests.raw_peers import (
    answering,
    close_all,
    mute_dtls,
    mute_ice,
    next_of,
    offering,
    other_ciphers,
    unchanged,
    unreachable,
    until_state,
    wrong_fingerprint,
)


@pytest_twisted.async_yield_fixture(autouse=True)  # type: ignore[untyped-decorator]
async def peers_are_closed() -> AsyncIterator[None]:
    """No peer of a test outlives it."""
    yield
    await close_all()


DTLS = r"there is a media path, but DTLS failed: .*{}.* \(this side is the DTLS (client|server)\)"
CAUSES = [
    pytest.param({"change_sdp": wrong_fingerprint}, "does not match the fingerprint", id="fingerprint"),
    pytest.param({"change": other_ciphers}, "OpenSSL says .*", id="cipher"),
]
"""What is wrong with the DTLS of the other side, and what is said of it."""


def said(logs: Sequence[dict[str, Any]], words: str) -> bool:
    """Whether a line with these words was logged."""
    return any(re.search(words, formatEvent(each) or "") for each in logs)


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize(("broken", "words"), CAUSES)
async def test_a_camera_tells_failed_dtls_from_a_missing_path(
    shared_server: Server, broken: dict[str, Any], words: str
) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "dtls-viewer"):
        viewer = await join(url, "dtls-viewer")
        with capturedLogs() as logs:
            viewer.send({"type": "requestStream", "cameraId": "cam-1"})
            await answering(viewer, **broken)
            assert (await next_of(viewer, "bye"))["reason"] == "dtlsFailed"
        assert said(logs, DTLS.format(words))
        assert not said(logs, "configure a TURN server")
        await viewer.leave()


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize(("broken", "words"), CAUSES)
async def test_a_viewer_tells_failed_dtls_from_a_missing_path(
    shared_server: Server, broken: dict[str, Any], words: str
) -> None:
    url = shared_server.websocket_url
    camera = await join(url, "dtls-camera", "cam-1")
    async with ViewerClient(url, room="dtls-camera") as viewer:
        asked = viewer.request_stream("cam-1")
        await offering(camera, **broken)
        with pytest.raises(DTLSFailed, match=DTLS.format(words)) as caught:
            await asked
        assert "A TURN server does not help" in str(caught.value)
        assert (await next_of(camera, "bye"))["reason"] == "dtlsFailed"
    await camera.leave()


@deadline(MEDIA_SECONDS)
async def test_dtls_that_is_not_answered_is_told_at_the_deadline(shared_server: Server) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "mute") as camera:
        viewer = await join(url, "mute")
        viewer.send({"type": "requestStream", "cameraId": "cam-1"})
        await answering(viewer, mute_dtls)
        session = camera._sessions[viewer.id]
        assert session._transport is not None
        await until_state(session._transport, "connecting")
        with capturedLogs() as logs:
            session._too_late()
            assert (await next_of(viewer, "bye"))["reason"] == "dtlsFailed"
        assert said(logs, DTLS.format(r"did not complete the handshake within 15 s"))
        await viewer.leave()


@deadline(MEDIA_SECONDS)
async def test_a_request_that_ends_first_says_the_same(shared_server: Server) -> None:
    url = shared_server.websocket_url
    camera = await join(url, "mute-camera", "cam-1")
    async with ViewerClient(url, room="mute-camera") as viewer:
        # Long enough for ICE on one machine, however busy it is.
        asked = viewer.request_stream("cam-1", timeout=10)
        await offering(camera, mute_dtls)
        with pytest.raises(
            DTLSFailed, match="Camera 'cam-1' answered, and there is a media path, but DTLS"
        ):
            await asked
        assert (await next_of(camera, "bye"))["reason"] == "dtlsFailed"
    await camera.leave()


@deadline(MEDIA_SECONDS)
async def test_candidates_that_cannot_be_reached_are_a_missing_path(shared_server: Server) -> None:
    url = shared_server.websocket_url
    camera = await join(url, "unreachable", "cam-1")
    async with ViewerClient(url, room="unreachable") as viewer:
        asked = viewer.request_stream("cam-1")
        await offering(camera, mute_ice, change_sdp=unreachable)
        session = viewer._sessions[camera.id]
        session._too_late()
        with pytest.raises(
            ICEFailed, match=r"no media path between the two was found within 15 s: check f"
        ):
            await asked
        assert (await next_of(camera, "bye"))["reason"] == "noPath"
    await camera.leave()


@deadline(MEDIA_SECONDS)
async def test_a_viewer_that_never_answers_is_told_so(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However short: nothing can come.
    monkeypatch.setattr(peer, "CONNECT_SECONDS", 0.1)
    url = shared_server.websocket_url
    async with streaming_camera(url, "no-answer"):
        viewer = await join(url, "no-answer")
        with capturedLogs() as logs:
            viewer.send({"type": "requestStream", "cameraId": "cam-1"})
            assert (await next_of(viewer, "bye"))["reason"] == "noAnswer"
        assert said(logs, r"sent no answer to the offer within 0\.1 s")
        await viewer.leave()


@deadline()
async def test_a_camera_that_sends_nothing_is_told_from_one_that_cannot_be_reached(
    shared_server: Server,
) -> None:
    url = shared_server.websocket_url
    camera = await join(url, "nothing", "cam-1")
    async with ViewerClient(url, room="nothing") as viewer:
        for as_jpeg in (False, True):
            with pytest.raises(NoAnswer, match=r"Camera 'cam-1' did not answer within 0\.2 s") as caught:
                await viewer.request_stream("cam-1", timeout=0.2, as_jpeg=as_jpeg)
            assert isinstance(caught.value, RequestTimeout)
    await camera.leave()


@deadline(MEDIA_SECONDS)
async def test_a_connection_without_media_is_told_as_such(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However short: nothing ever comes.
    monkeypatch.setattr(viewer, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(viewer, "LOOK_SECONDS", 0.1)
    url = shared_server.websocket_url
    camera = await join(url, "no-media", "cam-1")
    async with ViewerClient(url, room="no-media") as client:
        lost = event(client, "streamLost")
        asked = client.request_stream("cam-1")
        await offering(camera)
        stream = await asked
        with capturedLogs() as logs:
            assert await lost is stream
        assert isinstance(stream.loss, NoMedia)
        assert "Connected to camera 'cam-1', but no media came within 0.3 s" in str(stream.loss)
        assert (await next_of(camera, "bye"))["reason"] == "noMedia"
        assert said(logs, "but no media came within")
    await camera.leave()


def only_new_codecs(sdp: str) -> str:
    """An SDP that offers AV1 and VP9 and nothing else for video."""
    head, video = sdp.split("m=video", 1)
    video = re.sub(r"^a=(rtpmap|fmtp|rtcp-fb):.*\r\n", "", video, flags=re.MULTILINE)
    video = re.sub(r"^( \d+ \S+) .*", r"\1 35 98", video, count=1)
    return f"{head}m=video{video}a=rtpmap:35 AV1/90000\r\na=rtpmap:98 VP9/90000\r\n"


def rejecting_video(sdp: str) -> str:
    """An answer that rejects the video, as a browser's that has none of its codecs."""
    sdp = re.sub(r"^m=video \d+", "m=video 0", sdp, flags=re.MULTILINE)
    return re.sub(r"^a=(candidate|ice-|end-of).*\r\n", "", sdp, flags=re.MULTILINE)


@deadline(MEDIA_SECONDS)
async def test_an_offer_without_a_codec_in_common_is_told_as_such(shared_server: Server) -> None:
    url = shared_server.websocket_url
    camera = await join(url, "no-codec", "cam-1")
    async with ViewerClient(url, room="no-codec") as viewer:
        asked = viewer.request_stream("cam-1")
        await offering(camera, change_sdp=only_new_codecs)
        with pytest.raises(NoCommonCodec, match=r"the other side has AV1, VP9, this side has VP8, H264"):
            await asked
        assert (await next_of(camera, "bye"))["reason"] == "noCodec"
    await camera.leave()


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize(
    ("change", "words"),
    [(only_new_codecs, "the other side has AV1, VP9"), (rejecting_video, "takes none of those offered")],
)
async def test_an_answer_without_a_codec_in_common_is_told_as_such(
    shared_server: Server, change: Callable[[str], str], words: str
) -> None:
    url = shared_server.websocket_url
    async with streaming_camera(url, "no-codec-viewer") as camera:
        viewer = await join(url, "no-codec-viewer")
        with capturedLogs() as logs:
            viewer.send({"type": "requestStream", "cameraId": "cam-1"})
            await answering(viewer, change_sdp=change)
            assert (await next_of(viewer, "bye"))["reason"] == "noCodec"
        assert said(logs, f"No common codec: {words}" if "takes" not in words else words)
        assert not said(logs, "nonsense")
        await viewer.leave()
        assert camera._source is not None
        assert camera._source.frames.readers == 0


@deadline()
@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("noAnswer", NoAnswer),
        ("noPath", ICEFailed),
        ("dtlsFailed", DTLSFailed),
        ("noCodec", NoCommonCodec),
        ("noMedia", NoMedia),
        ("whatever", MediaFailed),
        (None, MediaFailed),
    ],
)
async def test_what_failed_over_there_is_the_same_error_here(
    shared_server: Server, reason: str | None, kind: type[MediaFailed]
) -> None:
    url = shared_server.websocket_url
    camera = await join(url, "over-there", "cam-1")
    async with ViewerClient(url, room="over-there") as viewer:
        asked = viewer.request_stream("cam-1")
        request = await next_of(camera, "viewerRequest")
        camera.send({"type": "bye", "target": request["viewerId"], "reason": reason})
        with pytest.raises(MediaFailed, match="the other side said bye") as caught:
            await asked
        assert type(caught.value) is kind
    await camera.leave()


@deadline(MEDIA_SECONDS)
@pytest.mark.parametrize(
    ("broken", "error"),
    [({"change": unchanged}, "NoMedia"), ({"change_sdp": wrong_fingerprint}, "DTLSFailed")],
)
async def test_the_command_says_which_it_was(
    shared_server: Server, broken: dict[str, Any], error: str
) -> None:
    url, room = shared_server.websocket_url, f"command-{error}"
    camera = await join(url, room, "cam-1")
    arguments = [f"--server={url}", f"--room={room}", "--camera=cam-1", "--log-format=json"]
    with command(script("cctvsignal-viewer"), *arguments, "--snapshot=none.png", "--timeout=4") as running:
        await offering(camera, **broken)
        assert await deferToThread(running.wait) == 1
        failed = json.loads(running.lines[-1])
        assert (failed["event"], failed["error"]) == ("failed", error)
    await camera.leave()

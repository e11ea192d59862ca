"""The parts of the Python clients that need no connection."""

from __future__ import annotations

import subprocess
import sys
import wave
from datetime import UTC, datetime
from pathlib import Path

import cctvsignal_clients
import pytest
from cctvsignal_clients import (
    CameraBusy,
    CameraIdInUse,
    RequestRefused,
    SourceError,
    ViewerClient,
    bridge,
    open_source,
)
from cctvsignal_clients.errors import patience, refusal
from cctvsignal_clients.retry import Backoff
from cctvsignal_clients.sources import locate
from cctvsignal_clients.sources.pattern import COUNTER_BITS, HEIGHT, WIDTH, draw, read_counter
from hypothesis import given
from hypothesis import strategies as st

from cctvsignal.messages import Error
from tests.live import deadline


@given(st.integers(min_value=0, max_value=10_000), st.floats(min_value=0, max_value=1))
def test_backoff_is_jittered_and_bounded(attempt: int, fraction: float) -> None:
    backoff = Backoff()
    assert 0 <= backoff.seconds(attempt, fraction) <= 30
    assert backoff.seconds(0, fraction) <= 1
    assert backoff.seconds(attempt, fraction) <= backoff.seconds(attempt + 1, fraction)
    assert backoff.seconds(attempt, 0) == 0
    assert 0 <= backoff.seconds(attempt) <= 30


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011, 1013])
def test_a_client_comes_back_soon_after_what_passes(code: int | None) -> None:
    assert Backoff().pause(code, 0, 0.5) == 0.5
    assert Backoff().pause(code, 20, 1.0) == 30


@pytest.mark.parametrize("code", [1008, 4401, 4403])
def test_a_client_stays_away_where_it_is_not_wanted(code: int) -> None:
    assert Backoff().pause(code, 0, 0.5) is None


def test_a_camera_that_was_replaced_comes_back_late() -> None:
    assert Backoff().pause(4409, 0, 0.5) == 60.5


@given(st.integers(min_value=0, max_value=2**COUNTER_BITS - 1))
def test_the_counter_of_a_test_picture_can_be_read(counter: int) -> None:
    frame = draw(counter, datetime.now(UTC))
    assert (frame.width, frame.height, frame.format.name) == (WIDTH, HEIGHT, "yuv420p")
    assert read_counter(frame) == counter
    assert read_counter(frame.reformat(width=320, height=240)) == counter


def test_a_test_picture_has_the_clock_in_it() -> None:
    noon = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    first, same = (bytes(draw(1, noon).planes[0]) for _ in range(2))
    later = bytes(draw(1, noon.replace(microsecond=123_000)).planes[0])
    assert first == same
    assert first != later


@pytest.fixture
def no_video(tmp_path: Path) -> Path:
    path = tmp_path / "no-video.mp4"
    path.write_text("this is not a video")
    return path


@pytest.mark.parametrize(
    "word", ["", "tests", "file:", "file:/nowhere.mp4", "rtsp:example.com", "webcam:x"]
)
def test_a_source_that_is_not_there_is_a_clear_error(word: str) -> None:
    with pytest.raises(SourceError, match=r"There is no (source|file)"):
        open_source(word)


@pytest.mark.parametrize(
    ("word", "platform", "expected"),
    [
        ("webcam", "darwin", ("0", "avfoundation")),
        ("webcam:1", "darwin", ("1", "avfoundation")),
        ("webcam:Integrated Camera", "win32", ("video=Integrated Camera", "dshow")),
        ("webcam:/dev/null", "linux", ("/dev/null", "v4l2")),
        ("screen", "darwin", ("Capture screen 0", "avfoundation")),
        ("screen", "win32", ("desktop", "gdigrab")),
    ],
)
def test_devices_are_opened_as_each_platform_has_them(
    word: str, platform: str, expected: tuple[str, str]
) -> None:
    location = locate(word, platform, 10, (320, 240))
    assert (location.url, location.format) == expected
    assert location.options["framerate"] == "10"
    assert location.options["video_size"] == "320x240"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://user:s3cret@camera/live", "rtsp://camera/live"),
        ("rtsp://user:s3cr@et@camera:554/live?password=s3cret", "rtsp://camera:554/live"),
        ("http://[::1]:81/stream", "http://[::1]:81/stream"),
        ("http://camera/stream?token=s3cret#s3cret", "http://camera/stream"),
    ],
)
def test_people_see_no_credentials(url: str, name: str) -> None:
    location = locate(url, "linux", None, None)
    assert (location.name, location.url) == (name, url)


@deadline()
async def test_a_file_with_sound_alone_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16_000))
    with pytest.raises(SourceError, match=r"sound\.wav' has no video in it that can be read\."):
        await bridge.start(open_source(f"file:{path}").start())


@deadline()
async def test_a_file_that_is_no_video_is_a_clear_error(no_video: Path) -> None:
    with pytest.raises(SourceError, match=r"no-video\.mp4' cannot be read: Invalid data"):
        await bridge.start(open_source(f"file:{no_video}").start())


def test_without_the_extra_the_commands_say_what_to_install() -> None:
    program = "import sys; sys.modules['aiortc'] = None; from cctvsignal_clients.cli import camera"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == (
        "aiortc is not installed, which clients need: pip install 'cctvsignal[clients]'\n"
    )


def test_each_exported_name_is_there() -> None:
    for name in cctvsignal_clients.__all__:
        assert getattr(cctvsignal_clients, name).__module__.startswith("cctvsignal_clients.")
    with pytest.raises(AttributeError):
        _ = cctvsignal_clients.nothing


def test_each_refusal_has_its_type() -> None:
    assert type(refusal(Error("cameraIdInUse", "taken"))) is CameraIdInUse
    assert type(refusal(Error("cameraBusy", "full"))) is CameraBusy
    other = refusal(Error("notJoined", "not yet"))
    assert type(other) is RequestRefused
    assert (other.code, str(other), other.retry_after) == ("notJoined", "not yet", None)


@pytest.mark.parametrize(
    ("asked", "expected"), [(None, 0.0), (2.5, 2.5), (-1.0, 0.0), (1e300, 3600.0), (float("inf"), 3600.0)]
)
def test_a_refusal_says_when_to_come_again(asked: float | None, expected: float) -> None:
    error = refusal(Error("rateLimited", "too fast", retry_after=asked))
    assert error.retry_after == asked
    assert patience(error) == expected


def test_listeners_are_called_once_always_or_no_longer() -> None:
    client = ViewerClient()
    heard: list[str] = []

    def always(argument: object) -> None:
        heard.append(f"always {argument}")

    def broken(argument: object) -> None:
        raise RuntimeError("a listener's own problem")

    def never(argument: object) -> None:
        raise AssertionError

    client.on("error", broken)
    client.on("error", always)
    client.once("error", lambda argument: heard.append(f"once {argument}"))
    client.once("error", never)
    client.off("error", never)
    client._emit("error", 1)
    client._emit("error", 2)
    client.off("error", always)
    client.off("error", always)
    client._emit("error", 3)
    assert heard == ["always 1", "once 1", "always 2"]

"""What a bridge knows of devices, without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cctvsignal_clients import InvalidOption
from cctvsignal_iot.config import DeviceConfig, one_device, read
from cctvsignal_iot.firmware import INDICES, SIZES, controls_of, places, size_name
from cctvsignal_iot.simulator.faults import FAULTS, FrameFaults, Scheduled, parse_command, parse_fault
from cctvsignal_iot.simulator.sensor import frame_sizes
from cctvsignal_iot.states import MOST_PAUSE, SENTENCES, DeviceState, pause
from hypothesis import given
from hypothesis import strategies as st

# --- states


def test_every_state_has_a_sentence() -> None:
    assert set(SENTENCES) == set(DeviceState)


@given(st.floats(0, 1e6), st.floats(0, 1))
def test_a_device_is_tried_again_within_half_a_minute(outage: float, fraction: float) -> None:
    assert 0.5 <= pause(DeviceState.DOWN, outage, fraction) <= MOST_PAUSE


@given(st.floats(0, 20), st.floats(0, 1))
def test_a_device_that_was_away_shortly_is_tried_again_soon(outage: float, fraction: float) -> None:
    assert pause(DeviceState.DOWN, outage, fraction) <= max(1.0, outage / 4)


def test_a_wrong_password_is_tried_seldom() -> None:
    assert pause(DeviceState.UNAUTHORIZED, 0.0, 0.0) == 30.0


# --- places


def found(url: str, **options: Any) -> list[tuple[str, str]]:
    return [(place.variant, place.stream) for place in places(url, **options)]


def test_where_a_device_with_the_usual_ports_is_looked_at() -> None:
    assert found("http://192.168.1.40") == [
        ("camera-web-server", "http://192.168.1.40:81/stream"),
        ("easytarget", "http://192.168.1.40:81/"),
        ("s60sc", "http://192.168.1.40/sustain?video=1"),
        ("esphome", "http://192.168.1.40/"),
    ]


def test_an_address_with_a_path_is_the_stream() -> None:
    assert found("http://cam.local:8080/video?fps=5") == [("plain", "http://cam.local:8080/video?fps=5")]


def test_an_address_with_a_port_may_be_esphome() -> None:
    assert found("http://192.168.1.40:8080")[0] == ("esphome", "http://192.168.1.40:8080/")


def test_an_ipv6_address_keeps_its_brackets() -> None:
    assert found("http://[fe80::1]", variant="tasmota") == [("tasmota", "http://[fe80::1]:81/stream")]


def test_settings_and_single_pictures_are_on_the_other_port() -> None:
    (place,) = places("http://127.0.0.1:8180", "camera-web-server", 8181)
    assert place.stream == "http://127.0.0.1:8181/stream"
    assert place.capture == "http://127.0.0.1:8180/capture"
    assert place.control == "http://127.0.0.1:8180/control"


# --- settings


def test_settings_are_those_that_the_device_has_and_the_owner_allows() -> None:
    status = {"framesize": 6, "quality": 10, "brightness": -1, "hmirror": 1, "agc": 1}
    allowed = ("framesize", "brightness", "hmirror", "vflip", "led_intensity")
    controls = {each.name: each for each in controls_of(status, allowed, (320, 240), {})}
    assert set(controls) == {"framesize", "brightness", "hmirror", "vflip"}
    assert controls["framesize"].value == "QVGA"
    assert controls["brightness"].value == -1
    assert controls["hmirror"].value is True
    assert controls["vflip"].value is None  # The stock firmware does not tell.


def test_what_was_set_is_remembered_where_the_device_does_not_tell() -> None:
    (flip,) = controls_of({}, ("vflip",), (0, 0), {"vflip": True})
    assert flip.value is True


def test_the_two_meanings_of_framesize_are_those_of_the_simulated_sensors() -> None:
    for indices, newer in zip(INDICES, (True, False), strict=True):
        names = frame_sizes(newer)
        assert {name: names.index(name) for name in SIZES} == indices


def test_a_size_without_a_name_has_none() -> None:
    assert size_name((640, 480)) == "VGA"
    assert size_name((641, 480)) is None


# --- configuration


def test_a_file_of_devices(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    path.write_text(
        """
        server = "wss://example.com"
        listen = "127.0.0.1:8090"
        [[device]]
        id = "porch"
        url = "http://192.168.1.40"
        keep-warm = true
        [[device]]
        id = "yard"
        url = "http://192.168.1.41"
        password = "s3cret"
        username = "admin"
        """
    )
    config = read(str(path))
    assert [device.id for device in config.device] == ["porch", "yard"]
    assert config.device[0].keep_warm
    assert "s3cret" not in repr(config) + repr(config.device)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[device]]\nid='a'", "missing required field `url`"),
        ("[[device]]\nid='a'\nurl='ftp://x'", "has to be http://HOST"),
        ("[[device]]\nid='a'\nurl='http://u:s3cret@x'", "without user or password"),
        ("[[device]]\nid='a'\nurl='http://x'\ncolour=1", "unknown field `colour`"),
        ("[[device]]\nid='a'\nurl='http://x'\nstream-port='81'", "Expected `int"),
        ("[[device]]\nid='a'\nurl='http://x'\nstream-port=0", "`int` >= 1 - at `\\$.device"),
        ("[[device]]\nid='a'\nurl='http://x'\nfps=-1", "> 0.0 - at `\\$.device"),
        ("[[device]]\nid='a'\nurl='http://x'\nbitrate=0", ">= 1 - at `\\$.device"),
        ("[[device]]\nid='a'\nurl='http://x'\nstill-every=-1", "> 0.0 - at `\\$.device"),
        ("[[device]]\nid='a'\nurl='http://x'\nmax-viewers=0", ">= 1 - at `\\$.device"),
        ("[[device]]\nid='a'\nurl='http://x'\ncontrols=['reboot']", "there is no control reboot"),
        ("[[device]]\nid='a'\nurl='http://x'\naddress='porch'", "does not appear to be an IPv4 or IPv6"),
        ("[[device]]\nid='a'\nurl='http://x'\n[[device]]\nid='a'\nurl='http://y'", "have to differ: a, a"),
        ("device=[]", "there is no device"),
        ("device=", "is no TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "devices.toml"
    path.write_text(text)
    with pytest.raises(InvalidOption, match=problem) as caught:
        read(str(path))
    assert "devices.toml" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="cannot be read: No such file"):
        read(str(tmp_path / "nothing.toml"))


def test_options_for_one_device() -> None:
    config = one_device({"id": "porch", "url": "http://192.168.1.40", "stream_port": 82})
    assert config.device == (DeviceConfig(id="porch", url="http://192.168.1.40", stream_port=82),)
    with pytest.raises(InvalidOption, match="has to be http"):
        one_device({"id": "porch", "url": "192.168.1.40"})


# --- faults of the simulator


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stall@30", Scheduled("stall", 30.0)),
        ("reboot:8@60", Scheduled("reboot", 60.0, 8.0)),
        ("truncated@10+5", Scheduled("truncated", 10.0, None, 5.0)),
        ("trickle:2.5@0.5+10", Scheduled("trickle", 0.5, 2.5, 10.0)),
    ],
)
def test_a_schedule(text: str, fault: Scheduled) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["stall", "flood@3", "stall@", "stall@-1", "stall@1+0", "@1", "stall:x@1"])
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(ValueError):
        parse_fault(text)


def test_a_command() -> None:
    assert parse_command("hang") == ("hang", None)
    assert parse_command("reboot 3\n") == ("reboot", 3.0)
    for line in ("flood", "hang x", "hang 1 2"):
        with pytest.raises(ValueError):
            parse_command(line)


def test_a_fault_without_a_time_hits_one_frame() -> None:
    faults = FrameFaults(0)
    faults.add("truncated", None)
    assert len(faults.apply(bytes(100), 0.0).body) == 50
    assert faults.apply(bytes(100), 0.0).body == bytes(100)
    faults.add("wrongLength", 5.0)
    assert [faults.apply(bytes(100), float(now)).length for now in range(4, 7)] == [50, 100, 100]
    assert set(FAULTS) >= {"truncated", "missingEoi", "garbage", "wrongLength", "reset", "stall", "trickle"}

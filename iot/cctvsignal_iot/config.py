"""What a bridge is told: by options, or for many devices by a TOML file."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from cctvsignal_clients import InvalidOption

from .firmware import CONTROLS, Variant

Amount: TypeAlias = Annotated[float, msgspec.Meta(gt=0)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
PortNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=65535)]

SAFE_CONTROLS: Final = (
    *("framesize", "quality", "brightness", "contrast", "saturation", "special_effect", "wb_mode"),
    *("ae_level", "hmirror", "vflip", "led_intensity", "lamp"),
)
"""What viewers may change unless the configuration says otherwise."""


class DeviceConfig(msgspec.Struct, forbid_unknown_fields=True, rename="kebab", kw_only=True, frozen=True):
    """One device. Credentials are in it: it is never logged."""

    id: str
    url: str
    """http://host[:port][/path]; without a path, the device's firmware is found out."""
    name: str | None = None
    variant: Variant = "auto"
    stream_port: PortNumber | None = None
    """Where the stream is, if not on the port that the firmware has it on."""
    address: str | None = None
    """The only address that the host name may resolve to; any private one unless given."""
    username: str | None = None
    password: str = ""
    secret: str | None = None
    """For the header X-Camera-Secret, of firmwares that want one."""
    send: Literal["both", "video", "jpeg"] = "both"
    """How viewers may have the pictures; "jpeg" never encodes anything."""
    keep_warm: bool = False
    """Stay connected while nobody watches."""
    still_every: Amount | None = None
    """Seconds between single pictures while nobody watches."""
    controls: tuple[str, ...] = SAFE_CONTROLS
    fps: Amount | None = None
    bitrate: Count | None = None
    """Of the video, in kbit/s."""
    max_viewers: Count | None = None
    device_key: Annotated[str, msgspec.Meta(min_length=16, max_length=256)] | None = None
    """Keeps its id for this device: random, and the same for ever."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            valid = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
        except ValueError:  # It may quote a part of the URL.
            valid = False
        # An @ in a path is a password that was cut short: http://user:pass/word@camera
        if not valid or "@" in self.url:
            form = "http://HOST[:PORT][/PATH], without user or password"
            raise ValueError(f"the url of device {self.id!r} has to be {form}")
        if self.address is not None:
            ipaddress.ip_address(self.address)
        if unknown := set(self.controls) - set(CONTROLS):
            known = ", ".join(CONTROLS)
            raise ValueError(f"there is no control {', '.join(sorted(unknown))}: known are {known}")

    def __repr__(self) -> str:
        return f"<device {self.id}>"


class BridgeConfig(msgspec.Struct, forbid_unknown_fields=True, rename="kebab", kw_only=True, frozen=True):
    """All devices of one bridge."""

    device: tuple[DeviceConfig, ...]
    server: str | None = None
    room: str | None = None
    token: str | None = None
    token_file: str | None = None
    """A file that has the token, which something writes anew before it expires."""
    ca_file: str | None = None
    listen: str | None = None
    """[HOST:]PORT for /health, /metrics and the heartbeats of devices."""
    heartbeat_secret: str | None = None
    """What devices prove themselves with in a heartbeat; without one, there are no heartbeats."""

    def __post_init__(self) -> None:
        ids = [device.id for device in self.device]
        if not ids:
            raise ValueError("there is no device in it")
        if len(set(ids)) < len(ids):
            raise ValueError(f"the ids of devices have to differ: {', '.join(ids)}")

    def __repr__(self) -> str:
        return f"<{len(self.device)} devices>"


def read(path: str) -> BridgeConfig:
    """The configuration in a TOML file. Raises `InvalidOption`."""
    try:
        return msgspec.toml.decode(Path(path).read_bytes(), type=BridgeConfig)
    except OSError as error:
        raise InvalidOption(f"{path} cannot be read: {error.strerror}.") from None
    except msgspec.ValidationError as error:
        raise InvalidOption(f"{path}: {error}.") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidOption(f"{path} is no TOML: {error}.") from None


def one_device(fields: dict[str, Any]) -> BridgeConfig:
    """The configuration of a bridge for one device. Raises `InvalidOption`."""
    try:
        device = msgspec.convert({name.replace("_", "-"): fields[name] for name in fields}, DeviceConfig)
    except msgspec.ValidationError as error:
        raise InvalidOption(f"{error}.") from None
    return BridgeConfig(device=(device,))

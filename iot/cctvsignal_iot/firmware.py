"""What the firmwares of ESP32 cameras have where, and which settings they have. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit, urlunsplit

from cctvsignal_clients.control import Choice, Control, Value

Variant: TypeAlias = Literal[
    "auto", "camera-web-server", "easytarget", "esphome", "tasmota", "s60sc", "plain"
]
VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)
STREAM_PORT: Final = 81
SIZES: Final = {
    "QVGA": (320, 240),
    "VGA": (640, 480),
    "SVGA": (800, 600),
    "XGA": (1024, 768),
    "HD": (1280, 720),
    "SXGA": (1280, 1024),
    "UXGA": (1600, 1200),
}
INDICES: Final = (
    {"QVGA": 6, "VGA": 10, "SVGA": 11, "XGA": 12, "HD": 13, "SXGA": 14, "UXGA": 15},
    {"QVGA": 5, "VGA": 8, "SVGA": 9, "XGA": 10, "HD": 11, "SXGA": 12, "UXGA": 13},
)
"""Of `framesize`: since esp32-camera 2.0.14, and before. Which one a device has, only its pictures tell."""


@dataclass(frozen=True)
class Place:
    """Where a firmware has its stream, its single picture and its settings; None: nowhere."""

    variant: str
    stream: str
    capture: str | None = None
    status: str | None = None
    control: str | None = None


def places(url: str, variant: Variant = "auto", stream_port: int | None = None) -> Iterator[Place]:
    """Where to look for the stream of a device, in this order."""
    parts = urlsplit(url)

    def at(path: str, port: int | None = None, query: str = "") -> str:
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else str(parts.hostname)
        number = port or parts.port or 80
        return urlunsplit(("http", host if number == 80 else f"{host}:{number}", path, query, ""))

    port = stream_port or STREAM_PORT
    stock = {"capture": at("/capture"), "status": at("/status"), "control": at("/control")}
    known = {
        "camera-web-server": Place("camera-web-server", at("/stream", port), **stock),
        "easytarget": Place("easytarget", at("/", port), **stock),
        "tasmota": Place("tasmota", at("/stream", port)),
        "s60sc": Place("s60sc", at("/sustain", query="video=1"), **stock),
        "esphome": Place("esphome", at("/", stream_port)),
        "plain": Place("plain", url),
    }
    if variant != "auto":
        yield known[variant]
    elif parts.path not in ("", "/") or parts.query:
        yield known["plain"]
    elif parts.port not in (None, 80) and stream_port is None:
        # A port of one's own is how ESPHome has it; its stream is there or nowhere.
        yield known["esphome"]
        yield from (known["camera-web-server"], known["easytarget"], known["s60sc"])
    else:
        yield from (known["camera-web-server"], known["easytarget"], known["s60sc"], known["esphome"])


def variant_of(place: Place, status: Mapping[str, Any] | None) -> str:
    """The firmware that has a stream at this place and says this of itself: Tasmota has no settings."""
    if place.variant == "camera-web-server" and status is None:
        return "tasmota"
    return place.variant


_NUMBERS: Final = {
    "quality": ("JPEG quality (lower is better)", 4, 63),
    "brightness": ("Brightness", -2, 2),
    "contrast": ("Contrast", -2, 2),
    "saturation": ("Saturation", -2, 2),
    "ae_level": ("Exposure level", -2, 2),
    "aec_value": ("Exposure", 0, 1200),
    "agc_gain": ("Gain", 0, 30),
    "gainceiling": ("Gain ceiling", 0, 6),
    "led_intensity": ("Lamp", 0, 255),
    "lamp": ("Lamp", 0, 100),
}
_SWITCHES: Final = {
    "hmirror": "Mirror",
    "vflip": "Upside down",
    "colorbar": "Test bars",
    "awb": "White balance",
    "awb_gain": "White balance gain",
    "aec": "Automatic exposure",
    "aec2": "Night exposure",
    "agc": "Automatic gain",
    "dcw": "Scaling",
    "bpc": "Black pixel correction",
    "wpc": "White pixel correction",
    "raw_gma": "Gamma",
    "lenc": "Lens correction",
}
_CHOICES: Final = {
    "special_effect": (
        "Effect",
        ("none", "negative", "grey", "red", "green", "blue", "sepia"),
    ),
    "wb_mode": ("Light", ("automatic", "sunny", "cloudy", "office", "home")),
}
CONTROLS: Final = ("framesize", *_NUMBERS, *_SWITCHES, *_CHOICES)
"""All settings that are known here."""
_MAY_BE_UNNAMED: Final = {"vflip"}
"""Settings that a device has though its /status does not say so."""


def controls_of(
    status: Mapping[str, Any],
    allowed: Iterable[str],
    size: tuple[int, int],
    set_before: Mapping[str, Value],
) -> Iterator[Control]:
    """The settings that a device has and that may be changed. `size` is that of its pictures by now."""
    for name in allowed:
        raw = status.get(name)
        if name == "framesize" and raw is not None:
            choices = tuple(Choice(key, f"{width} × {height}") for key, (width, height) in SIZES.items())
            yield Control(name, "Picture size", "choice", size_name(size), choices=choices)
        elif raw is None and name not in _MAY_BE_UNNAMED:
            continue
        elif name in _NUMBERS:
            label, least, most = _NUMBERS[name]
            yield Control(name, label, "number", raw if isinstance(raw, int) else None, least, most)
        elif name in _SWITCHES:
            known = bool(raw) if raw is not None else set_before.get(name)
            yield Control(name, _SWITCHES[name], "switch", known)
        elif name in _CHOICES:
            label, words = _CHOICES[name]
            choices = tuple(Choice(number, word) for number, word in enumerate(words))
            yield Control(name, label, "choice", raw if isinstance(raw, int) else None, choices=choices)


def request_of(variant: str, name: str, value: int) -> dict[str, str]:
    """The query that has /control change a setting."""
    return {name: str(value)} if variant == "s60sc" else {"var": name, "val": str(value)}


def size_name(size: tuple[int, int]) -> str | None:
    """What a picture size is called, if it has a name."""
    return next((name for name, known in SIZES.items() if known == size), None)

"""The settings of an OV2640 as `/control` changes them and `/status` tells them. No I/O."""

from __future__ import annotations

import json
import re
from typing import Final

from .firmware import Variant

_SIZES: Final = (
    *(("96X96", 96, 96), ("QQVGA", 160, 120), ("128X128", 128, 128), ("QCIF", 176, 144)),
    *(("HQVGA", 240, 176), ("240X240", 240, 240), ("QVGA", 320, 240), ("320X320", 320, 320)),
    *(("CIF", 400, 296), ("HVGA", 480, 320), ("VGA", 640, 480), ("SVGA", 800, 600)),
    *(("XGA", 1024, 768), ("HD", 1280, 720), ("SXGA", 1280, 1024), ("UXGA", 1600, 1200)),
)
_SINCE_2_0_14: Final = ("128X128", "320X320")
SIZES: Final = {name: (width, height) for name, width, height in _SIZES}
"""The frame sizes of an OV2640, in pixels."""

_BOOT: Final = {
    **dict.fromkeys(("brightness", "contrast", "saturation", "sharpness", "special_effect", "wb_mode"), 0),
    "awb": 1,
    "awb_gain": 1,
    "aec": 1,
    "aec2": 0,
    "ae_level": 0,
    "aec_value": 168,
    "agc": 1,
    "agc_gain": 0,
    "gainceiling": 0,
    "bpc": 0,
    "wpc": 1,
    "raw_gma": 1,
    "lenc": 1,
    "hmirror": 0,
    "vflip": 0,
    "dcw": 1,
    "colorbar": 0,
}
_LEVELS: Final = {
    **dict.fromkeys(("brightness", "contrast", "saturation", "ae_level"), (-2, 2)),
    "special_effect": (0, 6),
    "wb_mode": (0, 4),
}
"""What the driver refuses beyond these; what is not here it clamps or takes as it comes."""
_CLAMPED: Final = {"quality": (0, 63), "agc_gain": (0, 30), "aec_value": (0, 1200), "lamp": (0, 100)}
_EASYTARGET: Final = {"lamp": 0, "autolamp": 0, "min_frame_time": 0, "rotate": 0}
_IN_STATUS_ONLY: Final = ("sharpness", "pixformat", "0xd3", "0x111", "0x132")


def frame_sizes(newer_indices: bool) -> tuple[str, ...]:
    """The names of the frame sizes; where a name stands is its `framesize`.

    The numbers changed with esp32-camera 2.0.14, which put two sizes in.
    """
    return tuple(name for name in SIZES if newer_indices or name not in _SINCE_2_0_14)


def sensor_rate(size: tuple[int, int]) -> float:
    """Frames per second at most, which the clock of the sensor gives (xclk 20 MHz)."""
    pixels = size[0] * size[1]
    return 50.0 if pixels <= 480 * 320 else 25.0 if pixels <= 800 * 600 else 12.5


def atoi(text: str) -> int:
    """A number as C reads it: what is none is 0."""
    match = re.match(r"\s*([+-]?\d+)", text)
    return int(match[1]) if match else 0


class Sensor:
    """An OV2640 as the firmware has set it up; `settings` are the numbers that `/control` changes."""

    def __init__(self, variant: Variant, frame_size: str, newer_indices: bool, psram: bool) -> None:
        self._variant = variant
        self.sizes = frame_sizes(newer_indices and not variant.old_indices)
        if frame_size not in self.sizes:
            raise ValueError(f"there is no frame size {frame_size!r}: use one of {', '.join(self.sizes)}")
        self._boot = {"framesize": self.sizes.index(frame_size), "quality": 10 if psram else 12, **_BOOT}
        jpeg = 4 if newer_indices and not variant.old_indices else 3
        self._boot |= {"xclk": 20, "pixformat": jpeg, "0xd3": 8, "0x111": 0, "0x132": 137}
        if variant.name == "camera-web-server":
            self._boot |= {"led_intensity": 0}
        if variant.name == "easytarget":
            self._boot |= _EASYTARGET
        width, height = SIZES["UXGA" if psram else "SVGA"]
        self.buffer_bytes = width * height // 5
        """What fits in a buffer; the driver drops a larger frame and takes the next."""
        self.settings: dict[str, int] = {}
        self.reset()

    def reset(self) -> None:
        """Everything as it is after a boot."""
        self.settings.clear()
        self.settings.update(self._boot)

    @property
    def size(self) -> tuple[int, int]:
        """Of the pictures, in pixels."""
        return SIZES[self.sizes[self.settings["framesize"]]]

    def control(self, variable: str, text: str) -> bool:
        """Set a variable; False if the firmware does not know it, or the driver refuses the value."""
        if variable == "xclk" and self._variant.name != "easytarget":
            return False
        if variable not in self.settings or variable in _IN_STATUS_ONLY:
            return self._variant.name == "easytarget" and variable in ("save_prefs", "clear_prefs")
        value = atoi(text)
        if variable in _LEVELS:
            low, high = _LEVELS[variable]
            if not low <= value <= high:
                return False
        elif variable == "framesize":
            value = max(0, min(len(self.sizes) - 1, value))
        elif variable in _CLAMPED:
            low, high = _CLAMPED[variable]
            value = max(low, min(high, value))
        elif variable not in ("xclk", "led_intensity", *_EASYTARGET):
            value &= 0xFF  # The driver keeps them in a byte each.
        self.settings[variable] = value
        return True

    def status(self, stream_url: str) -> bytes:
        """The body of `/status`, field by field in the order of the firmware."""
        texts = {"cam_name": "ESP32 camera server", "code_ver": "simulated", "stream_url": stream_url}
        texts["rotate"] = str(self.settings.get("rotate", 0))
        fields = {
            name: texts[name] if name in texts else self.settings[name] for name in self._variant.status
        }
        return json.dumps(fields, separators=(",", ":")).encode()

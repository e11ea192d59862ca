"""An ESP32-CAM without the hardware: the firmwares' bytes, one viewer at a time, and faults on command."""

from __future__ import annotations

from .device import SimulatedDevice
from .faults import FAULTS, Scheduled, parse_fault
from .firmware import VARIANTS

__all__ = ["FAULTS", "VARIANTS", "Scheduled", "SimulatedDevice", "parse_fault"]

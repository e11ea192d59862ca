"""cctvsignal: a WebRTC signaling server for CCTV."""

from __future__ import annotations

__version__ = "0.1.0"

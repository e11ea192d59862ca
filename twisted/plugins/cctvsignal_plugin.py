"""Makes `twistd cctvsignal` known to Twisted."""

from __future__ import annotations

from twisted.application.service import ServiceMaker

cctvsignal = ServiceMaker(
    "cctvsignal", "cctvsignal.tap", "A WebRTC signaling server for CCTV", "cctvsignal"
)

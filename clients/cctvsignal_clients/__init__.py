"""Python clients for a cctvsignal server: a camera, a viewer, and the base of both."""

from __future__ import annotations

from .camera import CameraClient
from .errors import (
    CameraBusy,
    CameraIdInUse,
    CameraNotFound,
    ClientError,
    ConnectionFailed,
    InvalidOption,
    MediaFailed,
    RequestRefused,
    RequestTimeout,
    SourceError,
)
from .signaling import Disconnected, WebRTCCCTVClient
from .sources import open_source
from .viewer import Stream, ViewerClient

__all__ = [
    "CameraBusy",
    "CameraClient",
    "CameraIdInUse",
    "CameraNotFound",
    "ClientError",
    "ConnectionFailed",
    "Disconnected",
    "InvalidOption",
    "MediaFailed",
    "RequestRefused",
    "RequestTimeout",
    "SourceError",
    "Stream",
    "ViewerClient",
    "WebRTCCCTVClient",
    "open_source",
]

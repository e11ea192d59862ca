"""Python clients for a cctvsignal server: a camera, a viewer, and the base of both."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "CameraClient": "camera",
    "Disconnected": "signaling",
    "Stream": "viewer",
    "ViewerClient": "viewer",
    "WebRTCCCTVClient": "signaling",
    "open_source": "sources",
}


def __getattr__(name: str) -> Any:
    # Only when it is asked for: without the extra `clients` the commands must get as far as to say so.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)

"""Python clients for a cctvsignal server: a camera, a viewer, and the base of both."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .broadcast import SendingStats
    from .camera import CameraClient
    from .encoder import EncoderSettings
    from .errors import (
        CameraBusy,
        CameraIdInUse,
        CameraNotFound,
        ClientError,
        ConnectionFailed,
        ControlRefused,
        DTLSFailed,
        ICEFailed,
        InvalidOption,
        LimitExceeded,
        MediaFailed,
        MessageTooLong,
        NoAnswer,
        NoCommonCodec,
        NoMedia,
        RequestRefused,
        RequestTimeout,
        SourceError,
        TLSFailed,
        Unauthorized,
    )
    from .events import Disconnected
    from .retry import Backoff
    from .signaling import WebRTCCCTVClient
    from .sources import open_source
    from .sources.base import Source
    from .stream import Stream, StreamStats
    from .tokens import TokenFile
    from .viewer import ViewerClient

__all__ = [
    "Backoff",
    "CameraBusy",
    "CameraClient",
    "CameraIdInUse",
    "CameraNotFound",
    "ClientError",
    "ConnectionFailed",
    "ControlRefused",
    "DTLSFailed",
    "Disconnected",
    "EncoderSettings",
    "ICEFailed",
    "InvalidOption",
    "LimitExceeded",
    "MediaFailed",
    "MessageTooLong",
    "NoAnswer",
    "NoCommonCodec",
    "NoMedia",
    "RequestRefused",
    "RequestTimeout",
    "SendingStats",
    "Source",
    "SourceError",
    "Stream",
    "StreamStats",
    "TLSFailed",
    "TokenFile",
    "Unauthorized",
    "ViewerClient",
    "WebRTCCCTVClient",
    "open_source",
]

_HOMES = {
    "Backoff": "retry",
    "CameraClient": "camera",
    "Disconnected": "events",
    "EncoderSettings": "encoder",
    "SendingStats": "broadcast",
    "Source": "sources.base",
    "Stream": "stream",
    "StreamStats": "stream",
    "TokenFile": "tokens",
    "ViewerClient": "viewer",
    "WebRTCCCTVClient": "signaling",
    "open_source": "sources",
}


def __getattr__(name: str) -> Any:
    # Only when it is asked for: without the extra `clients` the commands must get as far as to say so.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)

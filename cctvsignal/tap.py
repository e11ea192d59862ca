"""The two names that twistd's plugin system looks for."""

from __future__ import annotations

from .options import Options
from .service import make_service as makeService

__all__ = ["Options", "makeService"]

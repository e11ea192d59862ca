"""python -m cctvsignal_iot.simulator"""

from __future__ import annotations

from .cli import main

main()

"""Builds what of the firmware runs on this machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import REPOSITORY

FIRMWARE = REPOSITORY / "iot" / "firmware"


def build(folder: Path) -> Path:
    """The folder with the programs; skips where there is no compiler, or none with sanitizers."""
    if not (shutil.which("cc") and shutil.which("make")):
        pytest.skip("there is no C compiler and make on this machine: install gcc (build-essential)")
    arguments = ["make", "--silent", "-C", str(FIRMWARE), f"BUILD={folder}"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder

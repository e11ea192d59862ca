"""The parts in C: compiled at first use, called through ctypes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from .clients import LoadError
from .machine import SetupError

SOURCES: Final = Path(__file__).parent / "native"
BUILD: Final = SOURCES / "build"
OPTIONS: Final = ("-O2", "-Wall", "-Wextra", "-Werror")
FAILURES: Final = {
    -1: "the server closed a connection",
    -2: "the server does not read what it is sent",
    -3: "the server sent something that the benchmarks do not expect",
    -4: "the server did not get done in time",
    -5: "the server refused a WebSocket",
    -6: "the operating system refused something: is there enough memory, and are there enough open files?",
}
"""What the programs' `enum failure` means."""


def library(name: str) -> ctypes.CDLL:
    """A shared library of native/, compiled if it is not, or older than its sources."""
    return ctypes.CDLL(str(_compile(name, f"{name}.so", "-shared", "-fPIC")))


def program(name: str) -> Path:
    """A program of native/."""
    return _compile(name, name)


def check(status: int) -> None:
    """Raise a `LoadError` if a function of a library failed."""
    if status:
        raise LoadError(FAILURES[status])


def pointer(function: Any, *arguments: Any) -> ctypes.c_void_p:
    """What a constructor of a library returns."""
    function.restype = ctypes.c_void_p
    made = function(*arguments)
    if made is None:
        raise LoadError(FAILURES[-6])
    return ctypes.c_void_p(made)


def build() -> None:
    """Compile all that is not, so that whoever needs it later finds it; a `SetupError` where that fails."""
    library("load")
    library("crowd")
    program("floor")


def compiler_version() -> str:
    """The version of gcc."""
    shown = subprocess.run([_compiler(), "-dumpfullversion"], capture_output=True, text=True, check=True)
    return shown.stdout.strip()


def _compiler() -> str:
    if sys.platform != "linux":
        raise SetupError("the load generator uses epoll, which only Linux has")
    gcc = shutil.which("gcc")
    if gcc is None:
        raise SetupError("the load generator is written in C: gcc must be installed")
    return gcc


def _compile(name: str, result: str, *options: str) -> Path:
    source, built = SOURCES / f"{name}.c", BUILD / result
    newest = max(path.stat().st_mtime for path in (source, SOURCES / "websocket.h"))
    if built.exists() and built.stat().st_mtime >= newest:
        return built
    BUILD.mkdir(exist_ok=True)
    command = [_compiler(), *OPTIONS, *options, "-o", str(built), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise SetupError(f"{source} cannot be compiled:\n{done.stderr.strip()}")
    return built

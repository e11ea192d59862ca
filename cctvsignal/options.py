"""The command line of the server, with environment variables as fallbacks; nothing else reads those."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from twisted.internet.endpoints import serverFromString
from twisted.python import usage

from . import __version__
from .logs import LOG_FORMATS, LOG_LEVELS

PACKAGE: Final = Path(__file__).parent
REPOSITORY: Final = PACKAGE.parent


def _whole_number(what: str, least: int, most: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"{what} from {least} to {most}")
        return int(text)

    return convert


def _endpoints(text: str) -> list[str]:
    from twisted.internet import reactor

    endpoints = text.split()
    for endpoint in endpoints:
        try:
            serverFromString(reactor, endpoint)
        except Exception as error:  # Each kind of endpoint has its own parser with its own exceptions.
            raise ValueError(f"{endpoint} is no endpoint such as tcp:8080 ({error})") from None
    return endpoints


def _directory(text: str) -> Path:
    path = Path(text)
    try:
        next(path.iterdir(), None)
    except OSError as error:
        raise ValueError(f"this directory cannot be read: {error.strerror}") from None
    return path.resolve()


def _one_of(*choices: str) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text not in choices:
            raise ValueError(f"choose one of {', '.join(choices)}")
        return text

    return choose


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86400:
        raise ValueError("a time is a number of seconds from 0 to 86400")
    return seconds


@dataclass(frozen=True)
class Setting:
    """One option: its name, its environment variable and what its value must be."""

    name: str
    variable: str
    default: str
    convert: Callable[[str], Any]
    help: str
    short: str | None = None

    @property
    def explanation(self) -> str:
        """What --help says of it."""
        return f"{self.help} [default: {self.default or 'none'}; environment: {self.variable}]"


SETTINGS: Final = (
    Setting(
        "port",
        "PORT",
        "8080",
        _whole_number("a port is a number", 0, 65535),
        "The port to listen on, on all addresses.",
        "p",
    ),
    Setting(
        "listen",
        "CCTVSIGNAL_LISTEN",
        "",
        _endpoints,
        "A Twisted server endpoint to listen on instead of --port, such as tcp:8080:interface=127.0.0.1 or "
        "unix:/run/cctvsignal.sock. Repeatable; several in the variable are separated by spaces.",
    ),
    Setting(
        "web-dir", "CCTVSIGNAL_WEB_DIR", "", _directory, "A directory to serve instead of the web app."
    ),
    Setting("log-format", "CCTVSIGNAL_LOG_FORMAT", "text", _one_of(*LOG_FORMATS), "text or json."),
    Setting(
        "log-level",
        "CCTVSIGNAL_LOG_LEVEL",
        "info",
        _one_of(*LOG_LEVELS),
        f"One of {', '.join(LOG_LEVELS)}.",
    ),
    Setting(
        "max-message-bytes",
        "CCTVSIGNAL_MAX_MESSAGE_BYTES",
        "65536",
        _whole_number("a size is a number of bytes", 1024, 16 * 1024 * 1024),
        "The longest message that a client may send.",
    ),
    Setting(
        "ping-interval",
        "CCTVSIGNAL_PING_INTERVAL",
        "20",
        _seconds,
        "Seconds between the pings that each client gets; 0 for none.",
    ),
    Setting(
        "ping-timeout",
        "CCTVSIGNAL_PING_TIMEOUT",
        "10",
        _seconds,
        "Seconds that a client has to answer a ping before it counts as gone.",
    ),
    Setting(
        "handshake-timeout",
        "CCTVSIGNAL_HANDSHAKE_TIMEOUT",
        "10",
        _seconds,
        "Seconds that a client has to send its request.",
    ),
)


class Options(usage.Options):
    """What `twistd cctvsignal`, `cctvsignal` and `python -m cctvsignal` understand.

    After `parseOptions` every setting is in the mapping under its name, converted. A value that cannot be
    raises `SystemExit` with one line for people, which also sets the exit status to 1.
    """

    synopsis = "[options]"
    longdesc = (
        "A WebRTC signaling server for CCTV: cameras and viewers meet in rooms. Each option can also be "
        "given by the environment variable named beside it; the command line wins. Under twistd, its own "
        "--logfile, --syslog and --logger take the place of --log-format and --log-level."
    )
    optParameters = [  # noqa: RUF012
        [
            setting.name,
            setting.short,
            None,
            setting.explanation,
        ]
        for setting in SETTINGS
        if setting.name != "listen"
    ]

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._environment = os.environ if environment is None else environment
        self["listen"] = None

    def opt_listen(self, endpoint: str) -> None:
        # usage.Options shows the text below as the help of --listen.
        self["listen"] = f"{self['listen'] or ''} {endpoint}"

    opt_listen.__doc__ = next(setting.explanation for setting in SETTINGS if setting.name == "listen")

    def opt_version(self) -> None:
        """Show the version and exit."""
        print(f"cctvsignal {__version__}")
        sys.exit(0)

    def parseOptions(self, options: list[str] | None = None) -> None:
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            raise SystemExit(f"cctvsignal: {error} (--help lists all options)") from None

    def postOptions(self) -> None:
        for setting in SETTINGS:
            source, text = f"--{setting.name}", self[setting.name]
            if text is None and self._environment.get(setting.variable):
                source, text = setting.variable, self._environment[setting.variable]
            if text is None:
                text = setting.default
            if not text:
                self[setting.name] = None
                continue
            try:
                self[setting.name] = setting.convert(text)
            except ValueError as error:
                raise usage.UsageError(f"{source}={text.strip()}: {error}") from None

    @property
    def endpoints(self) -> list[str]:
        """The endpoints to listen on, as Twisted endpoint strings."""
        return self["listen"] or _all_addresses(self["port"])

    @property
    def web_directory(self) -> Path:
        """Where the pages are: `--web-dir`, or in the package, or in the checkout."""
        return self["web-dir"] or _first_directory(PACKAGE / "web", REPOSITORY / "web")

    @property
    def client_directory(self) -> Path:
        """Where the JavaScript client is: in the package, or in the checkout."""
        return _first_directory(PACKAGE / "client", REPOSITORY / "clients" / "js")

    @property
    def twistd_owns_log(self) -> bool:
        """Whether this runs under a twistd that was told where to log, or that is a daemon."""
        twistd = self.parent
        if twistd is None:
            return False
        own_log = any(twistd.get(name) for name in ("logfile", "syslog", "logger"))
        return own_log or not twistd.get("nodaemon")


def _all_addresses(port: int) -> list[str]:
    any_ipv4, any_ipv6 = f"tcp:{port}", f"tcp6:{port}:interface=\\:\\:"
    if not socket.has_dualstack_ipv6():
        return [any_ipv4]
    # Everywhere but on Windows a socket for all IPv6 addresses takes IPv4 connections, too.
    return [any_ipv6, any_ipv4] if sys.platform == "win32" else [any_ipv6]


def _first_directory(*candidates: Path) -> Path:
    return next((path for path in candidates if path.is_dir()), candidates[0])

"""The command line of the server, with environment variables as fallbacks; nothing else reads those."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from twisted.python import usage

from . import __version__
from .limits import Limits
from .settings import SETTINGS, Setting

PACKAGE: Final = Path(__file__).parent
REPOSITORY: Final = PACKAGE.parent
BACKLOG: Final = 1024
"""How many connections may wait until the server accepts them."""


class Options(usage.Options):
    """What `twistd cctvsignal`, `cctvsignal` and `python -m cctvsignal` understand.

    After `parseOptions` every setting is in the mapping under its name, converted. A value that cannot be
    raises `SystemExit` with one line for people, which also sets the exit status to 1.
    """

    synopsis = "[options]"
    longdesc = (
        "A WebRTC signaling server for CCTV: cameras and viewers meet in rooms. Each option can also be "
        "given by the environment variable named beside it; the command line wins. Under twistd, its own "
        "--logfile, --syslog and --logger take the place of --log-format and --log-level. "
        "A limit of 0 is none. There are commands, too: cctvsignal token, keygen and cameras."
    )
    optParameters = [  # noqa: RUF012
        [setting.name, setting.short, None, setting.explanation]
        for setting in SETTINGS
        if setting.kind == "single"
    ]

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._environment = os.environ if environment is None else environment
        for setting in SETTINGS:
            self.setdefault(setting.name, None)

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
            self[setting.name] = self.value_of(setting, self[setting.name])
        self._check_together()

    def value_of(self, setting: Setting, text: str | None = None) -> object:
        """The value of a setting: from the command line, the environment, or its default.

        Raises `usage.UsageError`.
        """
        source = f"--{setting.name}"
        if text is None and self._environment.get(setting.variable):
            source, text = setting.variable, self._environment[setting.variable]
        if text is None:
            text = setting.default
        if not text:
            return None
        try:
            return setting.convert(text)
        except ValueError as error:
            # Where there is an @, there may be a password before it.
            shown = "..." if setting.is_secret or "@" in text else text.strip()
            raise usage.UsageError(f"{source}={shown}: {error}") from None

    def _check_together(self) -> None:
        pairs = [("tls-cert", "tls-key"), ("tls-key", "tls-cert"), ("redirect-http", "tls-cert")]
        pairs += [("turn-username", "turn-password"), ("turn-password", "turn-username")]
        pairs += [("turn-secret", "turn"), ("turn-username", "turn")]
        for one, other in pairs:
            if self[one] is not None and self[other] is None:
                raise usage.UsageError(f"--{one} needs --{other} beside it")
        if self["turn"] and self["turn-secret"] is None and self["turn-username"] is None:
            raise usage.UsageError("--turn needs --turn-secret, or --turn-username and --turn-password")
        if self["auth-webhook"] and (self["auth-secret"] or self["auth-keys"]):
            raise usage.UsageError("--auth-webhook takes the place of --auth-secret and --auth-keys")
        if self["turn-secret"] and self["turn-username"]:
            raise usage.UsageError("--turn-secret takes the place of --turn-username and --turn-password")
        most, longest = self["limit-bytes"], self["max-message-bytes"]
        if most.per_second and most.burst < longest:
            raise usage.UsageError(
                f"--limit-bytes lets no message of --max-message-bytes={longest} through"
            )
        if self["auth-revoked"] and not self.wants_tokens:
            raise usage.UsageError("--auth-revoked needs --auth-secret, --auth-keys or --auth-webhook")

    @property
    def wants_tokens(self) -> bool:
        """Whether authentication is on."""
        return bool(self["auth-secret"] or self["auth-keys"] or self["auth-webhook"])

    @property
    def limits(self) -> Limits:
        """How much one connection or address may do."""
        if self["no-limits"]:
            return Limits()
        return Limits(
            messages=self["limit-messages"],
            candidates=self["limit-candidates"],
            message_bytes=self["limit-bytes"],
            joins=self["limit-joins"],
            connects=self["limit-connects"],
            requests=self["limit-requests"],
            tokens=self["limit-tokens"],
            connections_per_address=self["max-connections-per-address"],
            connections=self["max-connections"],
        )

    @property
    def endpoints(self) -> list[str]:
        """The endpoints to listen on, as Twisted endpoint strings."""
        return [_with_backlog(endpoint) for endpoint in self["listen"] or _all_addresses(self["port"])]

    @property
    def redirect_endpoints(self) -> list[str]:
        """Where plain HTTP is sent on to HTTPS."""
        port = self["redirect-http"]
        return [] if port is None else [_with_backlog(endpoint) for endpoint in _all_addresses(port)]

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


def _add(setting: Setting) -> Callable[[Options, str], None]:
    def add(self: Options, value: str) -> None:
        self[setting.name] = f"{self[setting.name] or ''} {value}"

    return add


def _switch_on(setting: Setting) -> Callable[[Options], None]:
    def switch_on(self: Options) -> None:
        self[setting.name] = "yes"

    return switch_on


# usage.Options knows an option that is repeated, or that has no value, by a method of its own, whose
# docstring is the help.
for _setting in SETTINGS:
    if _setting.kind != "single":
        _method = _add(_setting) if _setting.kind == "repeatable" else _switch_on(_setting)
        _method.__doc__ = _setting.explanation
        setattr(Options, f"opt_{_setting.name.replace('-', '_')}", _method)


def from_environment(name: str) -> str | None:
    """What the environment variable of one setting says, as it is; None without one."""
    setting = next(setting for setting in SETTINGS if setting.name == name)
    return os.environ.get(setting.variable) or None


def _all_addresses(port: int) -> list[str]:
    any_ipv4, any_ipv6 = f"tcp:{port}", f"tcp6:{port}:interface=\\:\\:"
    if not socket.has_dualstack_ipv6():
        return [any_ipv4]
    # Everywhere but on Windows a socket for all IPv6 addresses takes IPv4 connections, too.
    return [any_ipv6, any_ipv4] if sys.platform == "win32" else [any_ipv6]


def _with_backlog(endpoint: str) -> str:
    # Twisted's own is 50, and when all clients come back at once, the kernel has the others wait a second.
    if not endpoint.startswith(("tcp:", "tcp6:")) or "backlog=" in endpoint:
        return endpoint
    return f"{endpoint}:backlog={BACKLOG}"


def _first_directory(*candidates: Path) -> Path:
    return next((path for path in candidates if path.is_dir()), candidates[0])

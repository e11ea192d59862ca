"""Every option of the server: its name, its environment variable, and what its value must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from twisted.internet.endpoints import serverFromString

from . import addresses, auth, ice, keys
from .limits import UNLIMITED, Rate
from .logs import LOG_FORMATS, LOG_LEVELS


@dataclass(frozen=True)
class Setting:
    """One option. `convert` turns its text into its value, or raises `ValueError`."""

    name: str
    default: str
    convert: Callable[[str], Any]
    help: str
    short: str | None = None
    kind: Literal["single", "repeatable", "flag"] = "single"

    @property
    def variable(self) -> str:
        """The environment variable that takes its place. Platforms name the port PORT."""
        name = self.name.upper().replace("-", "_")
        return name if name == "PORT" else f"CCTVSIGNAL_{name}"

    @property
    def is_secret(self) -> bool:
        """Whether its value must not be shown."""
        return self.name.endswith(("secret", "password", "webhook"))

    @property
    def explanation(self) -> str:
        """What --help says of it."""
        more = " Repeatable; in the variable, separated by spaces." if self.kind == "repeatable" else ""
        return f"{self.help}{more} [default: {self.default or 'none'}; environment: {self.variable}]"


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


def _rate(text: str) -> Rate:
    try:
        rate = Rate(*map(float, text.split("/"))) if text != "0" else UNLIMITED
    except (TypeError, ValueError):
        rate = None
    if rate is None or not (rate == UNLIMITED or (0 < rate.per_second < 1e12 and 1 <= rate.burst < 1e12)):
        raise ValueError(
            "a rate is how many each second and how many at once, such as 50/500, or 0 for any"
        )
    return rate


def _readable(read: Callable[[Path], object]) -> Callable[[str], Path]:
    """A file that `read` can make something of."""

    def convert(text: str) -> Path:
        path = Path(text).resolve()
        try:
            read(path)
        except OSError as error:
            raise ValueError(f"this file cannot be read: {error.strerror}") from None
        return path

    return convert


def _writable(text: str) -> Path:
    path = Path(text).resolve()
    if not path.parent.is_dir() or path.is_dir():
        raise ValueError("this is no file in a directory that exists")
    return path


def _each(check: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    def convert(text: str) -> list[Any]:
        return [check(word) for word in text.split()]

    return convert


def _network(text: str) -> addresses.Network:
    try:
        return addresses.network(text)
    except ValueError:
        raise ValueError("a proxy is an address or a network, such as 127.0.0.1 or 10.0.0.0/8") from None


def _origin(text: str) -> str:
    if text not in ("*", "null") and not addresses.is_origin(text):
        raise ValueError(
            "an origin is such as https://cameras.example.com or file://, or null, or * for all"
        )
    return text


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # It may quote a part of the URL.
        valid = False
    # An @ in a path is a password that was cut short: https://user:pass/word@example.com
    if not valid or "@" in text:
        raise ValueError("a URL such as https://example.com/who-is-this, without user and password")
    return text


def _flag(text: str) -> bool:
    if text not in ("1", "0", "true", "false", "yes", "no"):
        raise ValueError("choose one of yes, no")
    return text in ("1", "true", "yes")


_count = _whole_number("a limit is a number, 0 for none,", 0, 10_000_000)

SETTINGS: Final = (
    Setting(
        "port",
        "8080",
        _whole_number("a port is a number", 0, 65535),
        "The port to listen on, on all addresses.",
        "p",
    ),
    Setting(
        "listen",
        "",
        _endpoints,
        "A Twisted server endpoint to listen on instead of --port, such as tcp:8080:interface=127.0.0.1 or "
        "unix:/run/cctvsignal.sock.",
        kind="repeatable",
    ),
    Setting("web-dir", "", _directory, "A directory to serve instead of the web app."),
    Setting("log-format", "text", _one_of(*LOG_FORMATS), "text or json."),
    Setting("log-level", "info", _one_of(*LOG_LEVELS), f"One of {', '.join(LOG_LEVELS)}."),
    Setting("audit-log", "", _writable, "A file for who connected, joined and asked for which camera."),
    Setting(
        "audit-max-bytes",
        "104857600",
        _whole_number("a size is a number of bytes, 0 for any,", 0, 1 << 40),
        "How long the audit log may be: then it is renamed to end in .1, instead of the one before.",
    ),
    # Who may come in.
    Setting(
        "auth-secret",
        "",
        keys.from_secrets,
        "Ask for tokens, signed (HS256) with this secret of at least 32 bytes, or with one of several, "
        "each as kid:secret. Everybody on this machine sees the command line: use the variable.",
    ),
    Setting(
        "auth-keys",
        "",
        _readable(keys.from_file),
        "Ask for tokens, signed with a key of this file: a JWK set (see cctvsignal keygen) or a public key "
        "in PEM. It is read again when it changes.",
    ),
    Setting(
        "auth-webhook",
        "",
        _web_address,
        "Ask for tokens, and ask this URL whose they are: it gets POST {token}, and answers 200 with the "
        "claims, or 401.",
    ),
    Setting("auth-audience", "", str, "What the claim aud of tokens must be."),
    Setting("auth-issuer", "", str, "What the claim iss of tokens must be."),
    Setting("auth-leeway", "60", _seconds, "Seconds by which clocks may differ from that of this server."),
    Setting(
        "auth-revoked",
        "",
        _readable(auth.Revocations.read_if_there),
        "A file of tokens that were revoked, with `sub NAME` or `jti ID` in each line. It is read again "
        "when it changes; an absent file is an empty list.",
    ),
    Setting("auth-timeout", "10", _seconds, "Seconds that a client has to send its token."),
    Setting(
        "camera-keys",
        "",
        _writable,
        "A database for the keys that cameras bring: who brought one first has its id for ever. Without "
        "it, until the server stops.",
    ),
    # Where it is on the network.
    Setting("tls-cert", "", _readable(Path.read_bytes), "A certificate (PEM) to serve HTTPS and WSS with."),
    Setting("tls-key", "", _readable(Path.read_bytes), "The private key (PEM) of the certificate."),
    Setting(
        "redirect-http",
        "",
        _whole_number("a port is a number", 0, 65535),
        "A port for plain HTTP that sends everybody to HTTPS.",
    ),
    Setting(
        "trusted-proxy",
        "",
        _each(_network),
        "The address or network of a proxy whose X-Forwarded-For and X-Forwarded-Proto are believed.",
        kind="repeatable",
    ),
    Setting(
        "allow-origin",
        "",
        _each(_origin),
        "The origin of pages, beside the server's own, or of apps (file://, capacitor://localhost) that "
        "may connect; * for all.",
        kind="repeatable",
    ),
    # How media find their way.
    Setting(
        "stun",
        "",
        _each(lambda url: ice.check_url(url, "stun", "stuns")),
        "A STUN server for clients, such as stun:stun.example.com:3478.",
        kind="repeatable",
    ),
    Setting(
        "turn",
        "",
        _each(lambda url: ice.check_url(url, "turn", "turns")),
        "A TURN server for clients, such as turn:turn.example.com:3478?transport=udp.",
        kind="repeatable",
    ),
    Setting(
        "turn-secret",
        "",
        ice.check_secret,
        "The secret that the TURN server shares; clients get passwords that expire.",
    ),
    Setting("turn-username", "", str, "Instead of a secret: the same user for everybody."),
    Setting("turn-password", "", str, "The password of this user."),
    Setting(
        "turn-ttl",
        "3600",
        _whole_number("a time is a number of seconds", 4, ice.MAX_CREDENTIAL_SECONDS),
        "Seconds until a password expires.",
    ),
    # How much of it.
    Setting(
        "max-message-bytes",
        "65536",
        _whole_number("a size is a number of bytes", 1024, 16 * 1024 * 1024),
        "The longest message that a client may send.",
    ),
    Setting(
        "ping-interval", "20", _seconds, "Seconds between the pings that each client gets; 0 for none."
    ),
    Setting(
        "ping-timeout",
        "10",
        _seconds,
        "Seconds that a client has to answer one before it counts as gone.",
    ),
    Setting("handshake-timeout", "10", _seconds, "Seconds that a client has to send its request."),
    Setting("limit-messages", "50/500", _rate, "Messages of one connection, a second and at once."),
    Setting("limit-candidates", "200/2000", _rate, "ICE candidates of one connection."),
    Setting("limit-bytes", "524288/4194304", _rate, "Bytes of messages of one connection."),
    Setting("limit-joins", "10/200", _rate, "Joining and leaving rooms, of one identity at one address."),
    Setting("limit-requests", "200/4000", _rate, "Requests for pages from one address (IPv6: one /64)."),
    Setting("limit-connects", "50/500", _rate, "New connections from one address (IPv6: one /64)."),
    Setting(
        "limit-tokens",
        "20/500",
        _rate,
        "Wrong tokens from one address (IPv6: one /64); good ones are free.",
    ),
    Setting("max-connections-per-address", "1000", _count, "Open connections from one address."),
    Setting("max-connections", "20000", _count, "Open connections in all; never more than open files."),
    Setting("max-members", "1000", _count, "Clients in one room."),
    Setting("max-cameras", "250", _count, "Cameras in one room."),
    Setting(
        "no-limits",
        "no",
        _flag,
        "Switch off all limits of numbers and rates: for benchmarks, or behind a gateway that has them.",
        kind="flag",
    ),
)

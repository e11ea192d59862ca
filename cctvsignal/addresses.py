"""Where a connection comes from, and from which pages: addresses, proxies and origins, without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

_KEPT: Final = 4096
"""How many addresses are remembered that have been read: the same ones come again and again."""
_LONGEST_ADDRESS: Final = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# In ASCII: elsewhere, there are letters that become one of these where case does not matter.
_WITH_PORT: Final = re.compile(r"\[([^\]]+)\](?::\d{1,5})?|([0-9.]+):\d{1,5}|(.*)", re.ASCII)
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?", re.IGNORECASE | re.ASCII)


def network(text: str) -> Network:
    """A network such as 10.0.0.0/8, or a single address; raises `ValueError` for what is none."""
    return ip_network(text, strict=False)


@lru_cache(maxsize=_KEPT)
def key_of(address: str) -> str:
    """What limits of an address go by: IPv4 addresses one by one, IPv6 by the /64 that a customer has."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return _text(address)


class Proxies:
    """The proxies whose word is taken for where a request comes from."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)

    def trusts(self, address: str) -> bool:
        """Whether this is the address of such a proxy. A Unix socket has none, and is one."""
        parsed = _parse(address) if self._networks else None
        if parsed is None:
            return address == ""
        return any(parsed in network for network in self._networks)

    def client(self, peer: str, forwarded_for: str | None) -> str:
        """The address of the client; X-Forwarded-For counts as far as trusted proxies have written it."""
        address = _text(peer)
        for claimed in reversed(forwarded_for.split(",") if forwarded_for else ()):
            if not self.trusts(address):
                break
            # Some proxies write the port, too.
            match = _WITH_PORT.fullmatch(claimed.strip())
            parsed = _parse(next(filter(None, match.groups()), "")) if match else None
            if parsed is None:
                break
            address = str(parsed)
        return address


class Origins:
    """The pages of which other hosts may use this server from a browser; `*` are all of them."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._all = "*" in allowed
        self._allowed = frozenset(filter(None, map(_origin, allowed)))

    def lists(self, origin: str) -> bool:
        """Whether the owner has named this origin."""
        return self._all or _origin(origin) in self._allowed

    def admits(self, origin: str | None, host: str | None, secure: bool) -> bool:
        """Whether a page of this origin may open a WebSocket here; None is no page of a browser.

        `host` is the Host header; `secure` is whether the browser surely came by TLS.
        """
        if origin is None or self.lists(origin):
            return True
        parsed = _origin(origin)
        if parsed is None or parsed == _NULL or host is None or not is_host(host):
            return False
        scheme, name, port = parsed
        if scheme not in _DEFAULT_PORTS:
            return False
        # A proxy that nobody named may take off TLS, but none puts it on.
        if secure and scheme != "https":
            return False
        return (name, port) == _split(host, _DEFAULT_PORTS[scheme])


_APP_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,31}", re.ASCII)
_APP_HOST: Final = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII | re.IGNORECASE)


def is_host(text: str) -> bool:
    """Whether this is what a Host header may be: a name or an address, and perhaps a port."""
    match = _HOST.fullmatch(text)
    return match is not None and int(match[2] or 0) <= 65535


def is_origin(text: str) -> bool:
    """Whether this is the origin of a page or app, such as https://example.com or capacitor://localhost."""
    return _origin(text) is not None


Origin: TypeAlias = tuple[str, str, int]
_NULL: Final[Origin] = ("null", "", 0)


def _origin(text: str) -> Origin | None:
    """Scheme, host and port of an origin (RFC 6454, section 4); None for what is not one."""
    if text == "null":
        return _NULL
    scheme, separator, host = text.partition("://")
    scheme = scheme.lower()
    if not separator:
        return None
    if scheme in _DEFAULT_PORTS:
        return (scheme, *_split(host, _DEFAULT_PORTS[scheme])) if is_host(host) else None
    # Apps and browser extensions have schemes of their own, and names of files need no host.
    is_app = _APP_SCHEME.fullmatch(scheme) and (_APP_HOST.fullmatch(host) or (scheme, host) == ("file", ""))
    return (scheme, host.lower(), 0) if is_app else None


def _split(host: str, default_port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(host)
    assert match is not None
    return match[1].lower(), int(match[2] or default_port)


@lru_cache(maxsize=_KEPT)
def _text(address: str) -> str:
    """What an address is known as: IPv4 that came in by a socket for IPv6 is IPv4."""
    parsed = _parse(address)
    return address if parsed is None else str(parsed)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    # Strangers write some of them: what is kept has to be short.
    without_zone = address.partition("%")[0]
    return _parse_short(without_zone) if len(without_zone) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=_KEPT)
def _parse_short(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed

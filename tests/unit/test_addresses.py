"""Whose request it is, and from which page, whatever the headers say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cctvsignal.addresses import Origins, Proxies, is_host, is_origin, key_of, network


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_limits_go_by_ipv4_addresses_and_by_ipv6_networks_of_64_bits(address: str, key: str) -> None:
    assert key_of(address) == key


def proxies(*networks: str) -> Proxies:
    return Proxies(map(network, networks))


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("127.0.0.1", True),
        ("::ffff:127.0.0.1", True),
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("192.0.2.1", False),
        ("2001:db8::5", True),
        ("2001:db8:1::5", False),
        ("no address", False),
        ("127.0.0.1:80", False),
        # A Unix socket has no address, and only its owner lets anybody in.
        ("", True),
    ],
)
def test_a_proxy_is_trusted_by_its_address_alone(address: str, trusted: bool) -> None:
    assert proxies("127.0.0.1", "10.1.0.0/16", "2001:db8::/64").trusts(address) is trusted


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        (None, "10.0.0.1"),
        ("", "10.0.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("  192.0.2.1  ", "192.0.2.1"),
        # What is left of the last stranger is what that stranger says.
        ("198.51.100.9, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.1, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1, 192.0.2.1", "192.0.2.1"),
        ("garbage, 192.0.2.1", "192.0.2.1"),
        (", , 192.0.2.1", "192.0.2.1"),
        # Several proxies, one behind the other.
        ("192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("198.51.100.9,192.0.2.1,10.0.0.3,10.0.0.2", "192.0.2.1"),
        ("10.0.0.4, 10.0.0.3, 10.0.0.2", "10.0.0.4"),
        # What nobody can make sense of ends it.
        ("192.0.2.1, garbage", "10.0.0.1"),
        ("192.0.2.1, garbage, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1,", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("192.0.2.256", "10.0.0.1"),
        ("192.0.2.1\r\n", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:0DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1"),
    ],
)
def test_the_client_is_the_right_most_address_that_is_no_proxy(
    forwarded_for: str | None, client: str
) -> None:
    assert proxies("10.0.0.0/8").client("10.0.0.1", forwarded_for) == client


def test_from_a_stranger_the_header_is_ignored() -> None:
    for trusted in (proxies(), proxies("10.0.0.0/8")):
        assert trusted.client("192.0.2.1", "198.51.100.9") == "192.0.2.1"
        assert trusted.client("192.0.2.1", "198.51.100.9, 10.0.0.1") == "192.0.2.1"


def test_behind_a_unix_socket_the_header_counts() -> None:
    assert proxies().client("", "198.51.100.9, 192.0.2.1") == "192.0.2.1"
    assert proxies().client("", None) == ""


@given(st.text(max_size=40), st.ip_addresses(v=4).filter(lambda address: str(address)[:3] != "10."))
def test_nothing_that_a_client_writes_changes_its_address(written: str, address: object) -> None:
    assert proxies("10.0.0.0/8").client("10.0.0.1", f"{written}, {address}") == str(address)


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "example.com", "10.0.0.1:80", "10.0.0.0/8/8"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        network(text)


def admits(origin: str | None, host: str | None, *allowed: str, secure: bool = False) -> bool:
    return Origins(allowed).admits(origin, host, secure)


def test_whoever_is_no_browser_has_no_origin_and_is_admitted() -> None:
    assert admits(None, "example.com", secure=True)
    assert admits(None, None)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("https://example.com:443", "example.com"),
        ("http://example.com", "example.com"),
        ("http://example.com", "example.com:80"),
        ("http://example.com:8080", "example.com:8080"),
        ("https://EXAMPLE.com", "Example.COM"),
        ("HTTPS://example.com", "example.com"),
        ("https://example.com.", "example.com."),
        ("http://localhost:8080", "localhost:8080"),
        ("http://192.0.2.1:8080", "192.0.2.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://[2001:db8::1]", "[2001:DB8::1]:443"),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("http://my_camera.local", "my_camera.local"),
    ],
)
def test_pages_of_the_same_host_are_admitted(origin: str, host: str) -> None:
    assert admits(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://",
        "example.com",
        "https://example.com.evil.com",
        "https://evilexample.com",
        "https://evil.com",
        "https://sub.example.com",
        "https://com",
        "https://example.com.",
        "https://example.com:8443",
        "https://example.com:80",
        "http://example.com:443",
        "https://example.com:99999",
        "https://example.com:",
        "https://example.com@evil.com",
        "https://user@example.com",
        "https://user:password@example.com",
        "https://evil.com#example.com",
        "https://evil.com?example.com",
        "https://evil.com/example.com",
        "https://example.com/",
        "https://example.com\\@evil.com",
        "https://example.com evil.com",
        " https://example.com",
        "https://example.com https://evil.com",
        "https://example.com,https://evil.com",
        "https://еxample.com",
        "https://example。com",
        "https://example.com\n",
        "https://example.com\0",
        "ftp://example.com",
        "wss://example.com",
        "file://",
        "chrome-extension://example.com",
        "https:example.com",
        "https:///example.com",
        "://example.com",
        "https://[::1]",
        "https://[example.com]",
    ],
)
def test_pages_of_other_hosts_are_not_admitted(origin: str) -> None:
    assert not admits(origin, "example.com")
    assert not admits(origin, "example.com", "https://another.example")


def test_a_page_without_tls_may_not_use_a_server_with_it() -> None:
    assert not admits("http://example.com", "example.com", secure=True)
    assert not admits("http://example.com:443", "example.com:443", secure=True)
    assert admits("https://example.com", "example.com", secure=True)
    # A proxy in front may have taken TLS off.
    assert admits("https://example.com", "example.com", secure=False)


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", ":443", "a b", "example.com:x", "example.com:", "user@example.com", "example.com/"),
        *("[::1", "::1", "[::1]x", "example.com:443:443", "example.com,evil.com", "exämple.com"),
        *("example.com\r\nX: y", "<b>", "\xff", "example.com:123456"),
    ],
)
def test_with_a_bad_host_header_no_page_is_of_the_same_host(host: str | None) -> None:
    for origin in ("https://example.com", f"https://{host}", f"http://{host}"):
        assert not admits(origin, host)
    assert admits("https://example.com", host, "https://example.com")
    assert host is None or not is_host(host)


def test_a_port_that_there_cannot_be_is_like_no_other() -> None:
    assert not admits("https://evil.com:99999", "example.com:99999")
    assert not admits("https://evil.com:99999", "example.com", "https://example.com:88888")
    assert not is_origin("https://example.com:99999")


def test_a_letter_that_only_looks_like_one_of_a_host_is_none() -> None:
    # Where case does not matter, the sign of Kelvin is a k, and a long s an s.
    assert not is_host("\N{KELVIN SIGN}.example")
    assert not is_host("\N{LATIN SMALL LETTER LONG S}.example")
    assert not admits("https://\N{KELVIN SIGN}.example", "k.example")


def test_listed_origins_are_admitted_whatever_the_host() -> None:
    for host in ("example.com", "evil.com", None, "<bad>"):
        assert admits("https://pages.example", host, "https://pages.example", secure=True)
        assert admits("https://PAGES.example:443", host, "https://pages.example")
        assert admits("http://pages.example:8080", host, "a.b", "http://pages.example:8080", secure=True)
        assert not admits("http://pages.example", host, "https://pages.example")
        assert not admits("https://pages.example:8443", host, "https://pages.example")
        assert not admits("https://sub.pages.example", host, "https://pages.example")


def test_null_is_admitted_where_it_is_listed_and_only_there() -> None:
    assert admits("null", "example.com", "null")
    assert not admits("null", "null")
    assert not admits("https://null", "example.com", "null")
    assert not admits("NULL", "example.com", "null")


APPS = [
    "file://",
    "app://.",
    "capacitor://localhost",
    "tauri://localhost",
    "chrome-extension://abcdefghijklmnop",
]


@pytest.mark.parametrize("origin", APPS)
def test_apps_extensions_and_files_are_admitted_where_they_are_listed_and_only_there(origin: str) -> None:
    assert is_origin(origin)
    assert admits(origin, "example.com", origin, secure=True)
    assert admits(origin.upper(), "example.com", origin)
    host = origin.partition("://")[2]
    assert not admits(origin, host or None)
    for other in (*APPS, "https://localhost", "null", f"{origin}x", origin[1:], f"{origin}/"):
        assert other == origin or not admits(origin, "example.com", other)


def test_what_is_not_an_origin_cannot_be_listed() -> None:
    for text in (
        "",
        "file:",
        "file:///",
        "file:///home",
        "app:",
        "app://",
        "://x",
        "1a://x",
        "a b://x",
        "app://a b",
    ):
        assert not is_origin(text), text


def test_a_star_is_all_origins() -> None:
    for origin in ("https://evil.com", "null", "http://[", "", "file://"):
        assert admits(origin, "example.com", "*", secure=True)
        assert Origins(["*"]).lists(origin)
    assert not Origins(["https://*.example.com"]).lists("https://a.example.com")


def test_the_origin_of_the_server_itself_is_not_a_listed_one() -> None:
    assert not Origins([]).lists("https://example.com")
    assert Origins(["https://example.com"]).lists("HTTPS://Example.com:443")


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_is_an_error(origin: str, host: str) -> None:
    for text in (origin, f"https://{origin}", f"http://[{origin}", f"https://{origin}:{host}"):
        Origins([text]).admits(text, host, True)
        Origins([]).admits(text, host, False)


def test_ipv4_that_came_in_by_a_socket_for_ipv6_is_ipv4() -> None:
    assert proxies().client("::ffff:192.0.2.1", None) == "192.0.2.1"
    assert proxies("127.0.0.1").client("::ffff:127.0.0.1", None) == "127.0.0.1"
    assert proxies().client("", None) == ""

"""Upgrade requests: which are plain, what they say, and that the long way says the same of each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from cctvsignal.upgrade import MAX_HEAD_BYTES, MAX_HEADERS, accept, read_upgrade, switching_protocols
from tests.lines import HEADERS, KEY, House, Line, request

PLAIN = {
    "the least": request(),
    "another path": request(path="/ws"),
    "a query": request(path="/?token=abc.def"),
    "an empty query": request(path="/ws?"),
    "an odd query": request(path="/ws?a=1&a=%C3%A9&b=&%ff=%zz&&c=a+b;d='\"<>[]{}|?/"),
    "other cases": request().replace(b"Upgrade:", b"uPGRADE:").replace(b" websocket", b" WebSocket"),
    "no space after the colon": request().replace(b": ", b":"),
    "spaces around values": request("Origin:   http://cameras.example  "),
    "an empty value": request("User-Agent:"),
    "several tokens": request("Connection: keep-alive, Upgrade", without="Connection"),
    "a token for the end": request("Connection: Upgrade, close", without="Connection"),
    "a browser": request(
        "Origin: https://cameras.example",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Accept-Language: en-US,en;q=0.5",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Cookie: a=b; c",
        "Pragma: no-cache",
    ),
    "Firefox": request("Sec-WebSocket-Extensions: permessage-deflate"),
    "a sandboxed page": request("Origin: null"),
    "a proxy": request("X-Forwarded-For: 1.2.3.4, 5.6.7.8", "X-Forwarded-Proto: https"),
    "a token": request("Authorization: Bearer abc"),
    "a port": request("Host: cameras.example:8080", without="Host"),
    "an address": request("Host: [::1]:8080", without="Host"),
    "many headers": request(*(f"X-{n}: y" for n in range(MAX_HEADERS - 5))),
}
OTHERS = {
    "nothing": b"",
    "a part": request()[:-1],
    "no headers": b"GET / HTTP/1.1\r\n\r\n",
    "an empty line before": b"\r\n" + request(),
    "POST": request().replace(b"GET", b"POST"),
    "a method in small letters": request().replace(b"GET", b"get"),
    "HTTP/1.0": request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/2": request().replace(b"HTTP/1.1", b"HTTP/2.0"),
    "two spaces": request().replace(b"GET ", b"GET  "),
    "a space after the version": request().replace(b"HTTP/1.1", b"HTTP/1.1 "),
    "another path": request(path="/health"),
    "a path below": request(path="/ws/"),
    "a path in disguise": request(path="/%77s"),
    "a whole URL": request(path="http://cameras.example/ws"),
    "a fragment": request(path="/ws?a#b"),
    "a query that is no ASCII": request(path="/ws?\xe9"),
    "a bare line feed": request().replace(b"\r\nUpgrade", b"\nUpgrade"),
    "a bare carriage return": request("X: a\rb"),
    "a line feed in a value": request("X: a\nb"),
    "a null": request("X: a\0b"),
    "a tab": request("X:\ta"),
    "a letter that is no ASCII": request("X: \xe9"),
    "what Python takes for an end of line": request("X: a\x85Origin: http://evil.example"),
    "a folded line": request("X: a", " b"),
    "a line without a colon": request("nonsense"),
    "a space before the colon": request("Origin : null"),
    "no name": request(": x"),
    "a name that is no token": request("a(b: x"),
    "too many headers": request(*(f"X-{n}: y" for n in range(MAX_HEADERS - 4))),
    "too long a head": request(f"X: {'y' * MAX_HEAD_BYTES}"),
    "no Host": request(without="Host"),
    "two Hosts": request("Host: cameras.example"),
    "a Host that is none": request("Host: a b", without="Host"),
    "an empty Host": request("Host:", without="Host"),
    "a port that is none": request("Host: a:99999", without="Host"),
    "no Upgrade": request(without="Upgrade"),
    "another Upgrade": request("Upgrade: h2c", without="Upgrade"),
    "two protocols": request("Upgrade: websocket, h2c", without="Upgrade"),
    "no Connection": request(without="Connection"),
    "another Connection": request("Connection: keep-alive", without="Connection"),
    "nearly a token": request("Connection: Upgrades", without="Connection"),
    "no key": request(without="Sec-WebSocket-Key"),
    "two keys": request(f"Sec-WebSocket-Key: {KEY}"),
    "two keys in other letters": request(f"SEC-WEBSOCKET-KEY: {KEY}"),
    "a short key": request("Sec-WebSocket-Key: dGhlIHNhbXBsZQ==", without="Sec-WebSocket-Key"),
    "a long key": request("Sec-WebSocket-Key: " + "A" * 42 + "==", without="Sec-WebSocket-Key"),
    "a key without an end": request("Sec-WebSocket-Key: " + "A" * 24, without="Sec-WebSocket-Key"),
    "a key that is no base64": request(
        "Sec-WebSocket-Key: " + "-" * 22 + "==", without="Sec-WebSocket-Key"
    ),
    "no version": request(without="Sec-WebSocket-Version"),
    "another version": request("Sec-WebSocket-Version: 8", without="Sec-WebSocket-Version"),
    "two versions": request("Sec-WebSocket-Version: 13"),
    "a version that only looks different": request(
        "Sec-WebSocket-Version: +13", without="Sec-WebSocket-Version"
    ),
    "a body": request("Content-Length: 3") + b"abc",
    "an empty body": request("Content-Length: 0"),
    "a chunked body": request("Transfer-Encoding: chunked"),
    "no encoding": request("Transfer-Encoding: identity"),
    "an expectation": request("Expect: 100-continue"),
    "a subprotocol": request("Sec-WebSocket-Protocol: chat"),
    "an extension that is malformed": request(
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99"
    ),
    "an origin that is none": request("Origin: cameras.example"),
    "an empty origin": request("Origin:"),
    "an origin with brackets": request("Origin: http://[:]"),
    **{
        f"{name} twice": request(f"{name}: {value}", f"{name}: {value}")
        for name, value in {
            "Origin": "http://cameras.example",
            "Authorization": "Bearer abc",
            "X-Forwarded-For": "1.2.3.4",
            "X-Forwarded-Proto": "https",
            "Sec-WebSocket-Extensions": "permessage-deflate",
            "X-Anything": "at all",
        }.items()
    },
}


@pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN.keys())
def test_what_is_plain_is_read_and_the_long_way_finds_the_same(data: bytes) -> None:
    upgrade = read_upgrade(data)
    assert upgrade is not None
    assert upgrade.key == KEY
    assert agree(data)


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS.keys())
def test_what_is_not_plain_is_left_to_others(data: bytes) -> None:
    assert read_upgrade(data) is None


def test_what_a_request_says() -> None:
    more = ("X-Forwarded-For:  1.2.3.4 ", "X-Empty:")
    data = request(*more, path="/ws?token=a%20b&token=c&empty=&x=%C3%A9")
    upgrade = read_upgrade(data + b"\x81\x80abcd")
    assert upgrade is not None
    assert upgrade.path == "/ws"
    assert upgrade.params == {"token": ["a b", "c"], "x": ["\xe9"]}
    assert upgrade.headers == {
        "host": "cameras.example",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": KEY,
        "sec-websocket-version": "13",
        "x-forwarded-for": "1.2.3.4",
        "x-empty": "",
    }
    assert upgrade.end == len(data)


def test_the_longest_head_is_read_and_one_byte_more_is_not() -> None:
    longest = request(f"X: {'y' * (MAX_HEAD_BYTES - len(request()) - len('X: ') - 2)}")
    assert len(longest) == MAX_HEAD_BYTES
    assert agree(longest)
    assert read_upgrade(longest.replace(b"X: y", b"X: yy")) is None


def test_no_beginning_of_a_request_is_one() -> None:
    data = PLAIN["a browser"]
    assert not any(read_upgrade(data[:end]) for end in range(len(data)))


def test_the_answer_is_that_of_the_standard() -> None:
    # RFC 6455, section 1.3
    assert accept(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert switching_protocols(KEY, "a server").split(b"\r\n") == [
        b"HTTP/1.1 101 Switching Protocols",
        b"Server: a server",
        b"Upgrade: WebSocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        b"",
        b"",
    ]


# --- the long way


@cache
def houses() -> tuple[House, House]:
    """Servers that look at all that a request may say of where it comes from: strict and lax."""
    options = ("--no-limits", "--trusted-proxy=127.0.0.1")
    return House(*options), House(*options, "--allow-origin=*")


def outcome(server: House, line: Line, data: bytes) -> tuple[Any, ...]:
    """What a connection is answered, and what the entrance was asked for it."""
    server.checked.clear()
    server.identified.clear()
    line.receive(data)
    line.hang_up()
    ended = line.disconnecting or line.was_aborted
    return line.answer, ended, line.is_websocket, [*server.checked], [*server.identified]


def agree(data: bytes) -> bool:
    """Whether both ways do the same with this; true if it is taken for plain."""
    upgrade = read_upgrade(data)
    if upgrade is not None:
        # twisted.web loses what comes in the same segment as a request that it hands over.
        data = data[: upgrade.end]
    for server in houses():
        now = outcome(server, server.connect(), data)
        assert now == outcome(server, server.connect(server.port.site), data)
    return upgrade is not None


PLAIN_LINES = {
    "Origin": ["http://cameras.example", "https://evil.example", "null"],
    "X-Forwarded-For": ["1.2.3.4", "::1, 127.0.0.1", "nobody"],
    "X-Forwarded-Proto": ["https", "http"],
    "Authorization": ["Bearer abc", "Basic abc"],
    "Sec-WebSocket-Extensions": ["permessage-deflate; client_max_window_bits"],
    "Cookie": ["a=b; c", ""],
}
"""Headers that make no request unusual."""
ODD_LINES = {
    "Host": ["", "a b", "[::1]", "[:", "cameras.example:80", "cameras.example:x", "a:99999", "a, b"],
    "Upgrade": ["", "WEBSOCKET", "h2c, websocket", "websocket,", "h2c"],
    "Connection": ["", "keep-alive,upgrade", "Upgrade, close", "close", "upgrades", "close, UPGRADE"],
    "Sec-WebSocket-Key": ["", KEY[:-1] + "A", KEY[:-2], KEY + "=", "-" * 22 + "==", "A" * 22 + "=="],
    "Sec-WebSocket-Version": ["", "8", "+13", "013", "13, 8", "x"],
    "Sec-WebSocket-Protocol": ["", "chat", "a, a"],
    "Sec-WebSocket-Extensions": [
        "",
        "x",
        "permessage-deflate; x",
        "permessage-deflate; client_max_window_bits=99",
    ],
    "Origin": [
        "",
        "NULL",
        "file://",
        "http://[",
        "http://[:]",
        "http://[::1]",
        "cameras.example",
        "http://a, http://b",
    ],
    "Content-Length": ["", "0", "5", "-1"],
    "Transfer-Encoding": ["chunked", "identity", "x"],
    "Expect": ["100-continue"],
    "X-Forwarded-For": ["\xff", "1.2.3.4\x85Origin: http://evil.example", "1.2.3.4\x0bX: y"],
    "X": ["", "a\tb", "\xa0a\xa0", "a\r\n b"],
}
PATHS = ["/", "/ws", "/ws?token=abc", "/?a=%41&a=+&b", "/?#", "/ws?a#b", "/ws;x", "//", "/?[", "/ws?\xe9"]
PIECES = [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b"\0", b"\x85", b"\x0b", b"\xff", b"A"]
CASES: list[Callable[[str], str]] = [str, str, str.upper, str.lower, str.swapcase]


@st.composite
def lines(draw: st.DrawFn, values: dict[str, list[str]]) -> str:
    """One header."""
    name = draw(st.sampled_from(list(values)))
    colon, end = draw(
        st.sampled_from([(": ", "")] * 8 + [(":", " "), (":  ", ""), (":\t", ""), (" : ", "")])
    )
    return name + colon + draw(st.sampled_from(values[name])) + end


@st.composite
def near_requests(draw: st.DrawFn) -> bytes:
    """An upgrade request in which something or other is different."""
    headers = [*HEADERS, *draw(st.lists(lines(PLAIN_LINES), max_size=2, unique_by=name_of))]
    for line in draw(st.lists(lines(ODD_LINES), max_size=1)):
        # It is one more, or takes the place of the one with its name.
        if draw(st.integers(0, 3)):
            headers = [header for header in headers if name_of(header) != name_of(line)]
        headers.insert(draw(st.integers(0, len(headers))), line)
    case = draw(st.sampled_from(CASES))
    headers = [case(name) + colon + value for name, colon, value in (h.partition(":") for h in headers)]
    first = f"GET {draw(st.sampled_from(PATHS[:4] * 5 + PATHS))} HTTP/1.1"
    data = "\r\n".join((first, *headers, "", "")).encode("latin-1")
    if not draw(st.integers(0, 7)):
        at, gone = draw(st.integers(0, len(data))), draw(st.integers(0, 2))
        data = data[:at] + draw(st.sampled_from(PIECES)) + data[at + gone :]
    return data


def name_of(line: str) -> str:
    return line.partition(":")[0].strip()


@settings(max_examples=10 * settings().max_examples)
@given(near_requests() | st.binary(max_size=60))
def test_whatever_it_is_both_ways_answer_the_same(data: bytes) -> None:
    event("plain" if agree(data) else "not plain")


# --- who it is, whatever else the headers say


ENDS_OF_LINES = [chr(number) for number in (0x00, 0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x7F, *range(0x80, 0xA0))]
"""What some parsers take for the end of a line, and what else is not text."""


@pytest.mark.parametrize("odd", ENDS_OF_LINES, ids=lambda odd: f"U+{ord(odd):04X}")
@pytest.mark.parametrize("name", ["X-Forwarded-For: 6.6.6.6", "Authorization: Bearer x", "Origin: null"])
def test_a_header_within_a_header_is_refused(odd: str, name: str) -> None:
    data = request("X-Forwarded-For: 1.2.3.4", f"Zzz: a{odd}{name}")
    for server in houses():
        answer, *_, identified = outcome(server, server.connect(), data)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert identified == []


@given(st.text(st.characters(max_codepoint=0xFF, blacklist_characters="\r\n"), max_size=40))
def test_no_other_header_changes_who_somebody_is(value: str) -> None:
    data = request("X-Forwarded-For: 1.2.3.4", f"Zzz: {value}")
    for server in houses():
        *_, identified = outcome(server, server.connect(), data)
        assert [visitor.address for visitor in identified] in ([], ["1.2.3.4"])

"""Pages of other sites: which may open a WebSocket here, and which may read what the server says."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.test_http import request
from tests.live import connect, deadline, join
from tests.processes import Server, server
from tests.tokens import SECRET, bearer, token

LISTED = ("https://cameras.example", "http://wall.example:8000")
TURN = (
    "--turn=turn:turn.example:3478",
    "--turn-secret=not-to-be-seen-by-anybody",
    "--stun=stun:stun.example",
)


@pytest.fixture(scope="module")
def listing() -> Iterator[Server]:
    """A server whose owner lets pages of two other sites use it."""
    with server(*(f"--allow-origin={origin}" for origin in LISTED), *TURN) as running:
        yield running
    assert "Traceback" not in running.output
    assert "not-to-be-seen" not in running.output


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server that asks for tokens, and one of whose pages is elsewhere."""
    with server(f"--auth-secret={SECRET}", f"--allow-origin={LISTED[0]}", *TURN) as running:
        yield running
    assert "Traceback" not in running.output


def upgrade(running: Server, *origins: str | bytes, host: str | None = None) -> int:
    """The status that an upgrade with these headers gets."""
    named = host or f"127.0.0.1:{running.port}"
    lines = [
        b"GET / HTTP/1.1",
        b"Host: " + named.encode(),
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *(b"Origin: " + (origin.encode() if isinstance(origin, str) else origin) for origin in origins),
    ]
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        received = b""
        while b"\r\n\r\n" not in received:
            data = connection.recv(65536)
            assert data, received
            received += data
    # There is no welcome before a refusal.
    assert b" 101 " in received or b"clientId" not in received
    return int(received.split(b" ")[1])


# --- who may open a WebSocket


def test_who_is_no_page_and_pages_of_the_server_itself_may_connect(shared_server: Server) -> None:
    port = shared_server.port
    assert upgrade(shared_server) == 101
    for origin, host in (
        (f"http://127.0.0.1:{port}", f"127.0.0.1:{port}"),
        (f"http://localhost:{port}", f"localhost:{port}"),
        ("http://cameras.example", "cameras.example"),
        ("http://CAMERAS.example", "cameras.EXAMPLE"),
        ("http://cameras.example:80", "cameras.example"),
        # Behind a proxy that takes TLS off.
        ("https://cameras.example", "cameras.example"),
        ("https://cameras.example", "cameras.example:443"),
    ):
        assert upgrade(shared_server, origin, host=host) == 101, origin


FOREIGN: list[str | bytes] = [
    "https://evil.example",
    "null",
    "NULL",
    "",
    "cameras.example",
    "https://cameras.example.evil.example",
    "https://evil-cameras.example",
    "https://evilcameras.example",
    "https://www.cameras.example",
    "https://example",
    "https://cameras.example.",
    "https://cameras.example:8443",
    "https://cameras.example:80",
    "http://cameras.example:443",
    "https://cameras.example:",
    "https://cameras.example:443443",
    "https://cameras.example@evil.example",
    "https://evil.example#cameras.example",
    "https://evil.example?cameras.example",
    "https://evil.example/cameras.example",
    "https://cameras.example/",
    "https://cameras.example\\.evil.example",
    "https://cameras.example https://evil.example",
    "https://cameras.example,https://evil.example",
    "https://\u0441ameras.example",
    "https://cameras\u3002example",
    b"https://cameras.example\xff",
    "ftp://cameras.example",
    "wss://cameras.example",
    "file://",
    "*",
]


@pytest.mark.parametrize("origin", FOREIGN, ids=repr)
def test_pages_of_other_sites_are_refused_before_the_upgrade(
    shared_server: Server, listing: Server, origin: str | bytes
) -> None:
    assert upgrade(shared_server, origin, host="cameras.example") == 403
    assert upgrade(listing, origin) == 403


def test_origins_that_are_listed_may_connect_whatever_host_they_ask_for(listing: Server) -> None:
    for origin in (*LISTED, "HTTPS://Cameras.Example", "https://cameras.example:443"):
        assert upgrade(listing, origin) == 101
    # A list adds to the server's own pages.
    assert upgrade(listing, f"http://127.0.0.1:{listing.port}") == 101
    for origin in ("http://cameras.example", "http://wall.example", "https://wall.example:8000"):
        assert upgrade(listing, origin) == 403


def test_an_origin_that_is_said_twice_is_refused(listing: Server) -> None:
    own = f"http://127.0.0.1:{listing.port}"
    for origins in ((own, "https://evil.example"), ("https://evil.example", own), LISTED, (own, "")):
        assert upgrade(listing, *origins) == 403


@pytest.mark.parametrize(("proto", "status"), [("https", 403), ("wss", 403), ("http", 426), ("ws", 426)])
def test_pages_without_tls_are_refused_where_a_trusted_proxy_has_it(proto: str, status: int) -> None:
    for options, expected in ((("--trusted-proxy=127.0.0.1",), status), ((), 426)):
        with server(*options) as running:
            path = f"/ws?origin={quote(running.url, safe='')}"
            assert request(running, path, headers={"X-Forwarded-Proto": proto})[0].status == expected


@pytest.mark.parametrize("host", ["a b", "evil.example/", "user@cameras.example", "cameras.example:99999"])
def test_a_host_that_is_none_makes_no_page_its_own(shared_server: Server, host: str) -> None:
    assert upgrade(shared_server, f"http://{host}", host=host) == 403
    assert upgrade(shared_server, "http://cameras.example", host=host) == 403
    assert upgrade(shared_server, host=host) == 101


@pytest.mark.parametrize(
    "name", [b"Host", b"X-Forwarded-For", b"X-Forwarded-Proto", b"Authorization", b"X"]
)
def test_a_header_that_is_no_text_is_no_accident_of_the_server(shared_server: Server, name: bytes) -> None:
    head = (
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + name + b": \xff\xfe\r\n"
    )
    head += b"" if name == b"Host" else b"Host: a\r\n"
    with socket.create_connection(("127.0.0.1", shared_server.port), timeout=10) as connection:
        connection.sendall(head + b"\r\n")
        assert connection.recv(100).split(b" ")[1] in (b"101", b"400", b"401", b"403")


def test_null_and_all_origins_may_be_listed() -> None:
    with server("--allow-origin=null") as running:
        assert upgrade(running, "null") == 101
        assert upgrade(running, "https://evil.example") == 403
    with server("--allow-origin=*") as running:
        for origin in ("null", "https://evil.example"):
            assert upgrade(running, origin) == 101


@pytest.mark.parametrize("origin", ["file://", "capacitor://localhost", "app://."])
def test_an_app_may_connect_where_its_origin_is_listed(origin: str, listing: Server) -> None:
    assert upgrade(listing, origin) == 403
    with server(f"--allow-origin={origin}") as running:
        assert upgrade(running, origin) == 101
        assert upgrade(running, "tauri://localhost") == 403


@pytest.mark.parametrize("path", ["/ws", "/ws/"])
def test_a_page_that_names_its_origin_learns_whether_it_is_refused(listing: Server, path: str) -> None:
    host = f"127.0.0.1:{listing.port}"
    for origin, status in (
        (f"http://{host}", 426),
        (f"https://{host}", 426),
        (LISTED[0], 426),
        ("http://127.0.0.1", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
    ):
        response, body = request(listing, f"{path}?origin={quote(origin, safe='')}")
        assert response.status == status, origin
        assert (b"--allow-origin" in body) == (status == 403)


# --- what may be read


def headers_of(running: Server, path: str, method: str, **headers: str) -> tuple[int, dict[str, str]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response, _ = request(running, path, method, named)
    return response.status, {name.lower(): value for name, value in response.getheaders()}


@pytest.mark.parametrize("path", ["/health", "/api/ice-servers"])
def test_listed_pages_may_read_the_api_and_others_may_not(listing: Server, path: str) -> None:
    expected = 200 if path == "/health" else 401
    for origin in LISTED:
        status, headers = headers_of(listing, path, "GET", Origin=origin)
        assert (status, headers["access-control-allow-origin"]) == (expected, origin)
        assert headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in headers
    for origin in ("https://evil.example", "null", "https://cameras.example.evil.example", "*"):
        status, headers = headers_of(listing, path, "GET", Origin=origin)
        assert "access-control-allow-origin" not in headers
        # No cache may take one answer for the other.
        assert (status, headers["vary"]) == (expected, "Origin")
    assert headers_of(listing, path, "GET")[1]["vary"] == "Origin"


@pytest.mark.parametrize("path", ["/health", "/api/ice-servers"])
def test_a_preflight_lets_listed_pages_send_a_token(listing: Server, path: str) -> None:
    asking = {"Access_Control_Request_Method": "GET", "Access_Control_Request_Headers": "authorization"}
    status, headers = headers_of(listing, path, "OPTIONS", Origin=LISTED[0], **asking)
    assert status == 204
    assert headers["access-control-allow-origin"] == LISTED[0]
    assert headers["access-control-allow-headers"].lower() == "authorization"
    assert headers["access-control-allow-methods"] == "GET"
    assert headers["vary"] == "Origin"
    status, headers = headers_of(listing, path, "OPTIONS", Origin="https://evil.example", **asking)
    assert status == 405
    assert not any(name.startswith("access-control-") for name in headers)
    # That is no preflight.
    assert headers_of(listing, path, "OPTIONS", Origin=LISTED[0])[0] == 405


@pytest.mark.parametrize("path", ["/", "/camera.html", "/client/index.js", "/nothing-here", "/ws"])
def test_nothing_but_the_api_is_read_from_elsewhere(listing: Server, path: str) -> None:
    for method in ("GET", "OPTIONS"):
        asking = {"Access_Control_Request_Method": "GET"}
        _, headers = headers_of(listing, path, method, Origin=LISTED[0], **asking)
        assert not any(name.startswith("access-control-") for name in headers)


# --- STUN and TURN servers


def ice_servers(running: Server, query: str = "", **headers: str) -> tuple[int, Any]:
    response, body = request(running, f"/api/ice-servers{query}", headers=headers)
    assert response.getheader("Cache-Control") == "no-store"
    assert (response.status == 401) == (response.getheader("WWW-Authenticate") == "Bearer")
    return response.status, json.loads(body)


def has_relay(found: Any) -> bool:
    urls = [url for entry in found["iceServers"] for url in entry["urls"]]
    assert "stun:stun.example" in urls
    return any(url.startswith("turn:") for url in urls)


@deadline()
async def test_without_authentication_relays_are_for_clients_that_are_in_a_room(listing: Server) -> None:
    outside = await connect(listing.websocket_url)
    for query in ("", "?clientId=", "?clientId=nobody", f"?clientId={outside.id}", "?clientId=%ff%00"):
        status, found = ice_servers(listing, query)
        assert status == 401
        assert "turn" not in json.dumps(found).lower()
    # A token is worth nothing here.
    assert ice_servers(listing, **bearer(token()))[0] == 401
    member = await join(listing.websocket_url, "hall")
    status, found = ice_servers(listing, f"?clientId={member.id}")
    assert status == 200
    assert has_relay(found)
    assert (await member.next())["type"] == "iceServers"
    assert await member.ask({"type": "leave"}) == {"type": "left"}
    assert ice_servers(listing, f"?clientId={member.id}")[0] == 401
    for client in (outside, member):
        await client.leave()
    assert ice_servers(listing, f"?clientId={member.id}")[0] == 401


def test_with_authentication_relays_are_for_those_with_a_good_token(guarded: Server) -> None:
    status, found = ice_servers(guarded, **bearer(token()))
    assert status == 200
    assert has_relay(found)
    for text in ("nonsense", token("another-secret-of-at-least-32-bytes"), token(exp=1)):
        status, found = ice_servers(guarded, **bearer(text))
        assert status == 401
        assert text not in json.dumps(found)
    for wrong in ("", "Bearer", "Bearer ", f"Basic {token()}", token()):
        assert ice_servers(guarded, Authorization=wrong)[0] == 401
    assert ice_servers(guarded)[0] == 401
    # Addresses of requests are written down by every proxy.
    assert ice_servers(guarded, f"?token={token()}")[0] == 401


@deadline()
async def test_with_authentication_the_id_of_a_client_is_no_token(guarded: Server) -> None:
    client = await connect(guarded.websocket_url)
    assert ice_servers(guarded, f"?clientId={client.id}")[0] == 401
    auth = {"type": "auth", "token": token()}
    assert await client.ask(auth) == {"type": "authenticated"}
    assert (await client.ask({"type": "join", "room": "hall"}))["type"] == "joined"
    assert ice_servers(guarded, f"?clientId={client.id}")[0] == 401
    await client.leave()


def test_a_page_reads_why_its_token_is_no_good(guarded: Server) -> None:
    headers = {"Origin": LISTED[0], **bearer("nonsense")}
    response, body = request(guarded, "/api/ice-servers", headers=headers)
    assert (response.status, response.getheader("Access-Control-Allow-Origin")) == (401, LISTED[0])
    assert "no JSON Web Token" in json.loads(body)["error"]

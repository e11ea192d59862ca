"""What the port answers to plain HTTP."""

from __future__ import annotations

import http.client
import json
import re
import socket
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.processes import Server, server


def request(
    running: Server, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def raw_exchange(running: Server, data: bytes) -> bytes:
    """Send bytes on a new connection and read until the server closes it."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def ends(connection: socket.socket) -> bool:
    """Read until the server ends the connection, by a close or a reset."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def test_health_reports_the_state_and_is_never_cached(shared_server: Server) -> None:
    response, body = request(shared_server, "/health")
    assert response.status == 200
    assert response.getheader("Content-Type") == "application/json"
    assert response.getheader("Cache-Control") == "no-store"
    health = json.loads(body)
    timestamp = datetime.fromisoformat(health.pop("timestamp"))
    assert abs(datetime.now(UTC) - timestamp) < timedelta(minutes=1)
    assert health.pop("uptimeSeconds") >= 0
    assert re.fullmatch(r"\d+\.\d+\.\d+", health.pop("version"))
    assert health == {"status": "OK", "connections": 0, "rooms": 0, "cameras": 0}


@pytest.mark.parametrize(
    ("path", "content_type", "text"),
    [
        ("/", "text/html; charset=utf-8", b"<html"),
        ("/camera.html", "text/html; charset=utf-8", b"<html"),
        ("/client/index.js", "text/javascript; charset=utf-8", b"export"),
    ],
)
def test_static_files_have_their_type(
    shared_server: Server, path: str, content_type: str, text: bytes
) -> None:
    response, body = request(shared_server, path)
    assert response.status == 200
    assert response.getheader("Content-Type") == content_type
    assert text in body


def test_static_files_are_validated_by_etag_and_date(shared_server: Server) -> None:
    first, body = request(shared_server, "/")
    assert body
    for name, condition in (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since")):
        validator = first.getheader(name)
        assert validator is not None
        again, body = request(shared_server, "/", headers={condition: validator})
        assert (again.status, body) == (304, b"")
    changed, body = request(shared_server, "/", headers={"If-None-Match": '"another"'})
    assert changed.status == 200
    assert body


def test_head_has_no_body(shared_server: Server) -> None:
    for path in ("/", "/health"):
        response, body = request(shared_server, path, method="HEAD")
        assert (response.status, body) == (200, b"")
        assert int(response.getheader("Content-Length") or 0) > 0


@pytest.mark.parametrize("path", ["/", "/camera.html", "/health", "/client/index.js", "/nothing-here"])
def test_every_page_has_security_headers(shared_server: Server, path: str) -> None:
    response, _ = request(shared_server, path)
    policy = response.getheader("Content-Security-Policy") or ""
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert response.getheader("X-Content-Type-Options") == "nosniff"
    assert response.getheader("Referrer-Policy") == "no-referrer"
    assert (response.getheader("Server") or "").startswith("cctvsignal/")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing-here",
        "/client/",
        "/client/test/",
        "/../pyproject.toml",
        "/client/../../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/..%2fpyproject.toml",
        "/client/..%2f..%2fpyproject.toml",
        "/%00",
        "/.gitignore",
        "//example.com/",
        "//example.com/%2e%2e",
        "/health/",
        "/index.html/",
    ],
)
def test_unknown_paths_are_not_found_and_never_redirected(shared_server: Server, path: str) -> None:
    response, body = request(shared_server, path)
    assert response.status == 404, body
    assert response.getheader("Location") is None


@pytest.mark.parametrize("path", ["/", "/health", "/ws", "/ws/", "/camera.html", "/client/index.js"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_wrong_methods_are_not_allowed(shared_server: Server, path: str, method: str) -> None:
    response, body = request(shared_server, path, method=method, headers={"Content-Length": "0"})
    assert response.status == 405, body
    assert "GET" in (response.getheader("Allow") or "")


@pytest.mark.parametrize(
    "host", [b"", b"Host: \xff\xfe\r\n", b"Host: a:b:c/../<x>\r\n", b"Host: a\r\nHost: b\r\n"]
)
def test_the_host_header_does_not_matter(shared_server: Server, host: bytes) -> None:
    answer = raw_exchange(shared_server, b"GET /health HTTP/1.0\r\n" + host + b"\r\n")
    assert answer.split(b" ", 2)[1] == b"200", answer


def test_the_websocket_path_asks_for_an_upgrade(shared_server: Server) -> None:
    response, body = request(shared_server, "/ws")
    assert (response.status, response.reason) == (426, "Upgrade Required")
    assert response.getheader("Upgrade") == "websocket"
    assert b"WebSocket" in body


UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def head_of_answer(running: Server, data: bytes) -> bytes:
    """Send bytes on a new connection; the head of what is answered."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(data)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = connection.recv(65536)
            assert chunk, received
            received += chunk
    return received.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize("path", ["/", "/ws", "/ws/", "/?a=b", "/ws/?token="])
@pytest.mark.parametrize("form", ["", "http://cameras.example", "HTTPS://cameras.example:8443"])
def test_a_websocket_is_opened_by_a_path_or_a_whole_url(
    shared_server: Server, form: str, path: str
) -> None:
    request_line = f"GET {form}{path} HTTP/1.1\r\nHost: cameras.example\r\n".encode()
    answer = head_of_answer(shared_server, request_line + UPGRADE + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer


def test_the_host_of_a_whole_url_counts_and_not_the_header(shared_server: Server) -> None:
    for host, status in ((b"cameras.example", b"101"), (b"other.example", b"403")):
        line = b"GET http://" + host + b"/ws HTTP/1.1\r\nHost: cameras.example\r\n"
        data = line + b"Origin: http://cameras.example\r\n" + UPGRADE + b"\r\n"
        assert head_of_answer(shared_server, data).split(b" ")[1] == status


@pytest.mark.parametrize("odd", [b"\x85", b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e"])
def test_an_upgrade_with_a_header_within_a_header_is_refused(shared_server: Server, odd: bytes) -> None:
    forged = b"Zzz: a" + odd + b"X-Forwarded-For: 6.6.6.6\r\n"
    data = b"GET /ws HTTP/1.1\r\nHost: a\r\n" + forged + UPGRADE + b"\r\n"
    assert head_of_answer(shared_server, data).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://a/health", b"200"),
        ("http://a", b"200"),
        ("http://a?b", b"200"),
        ("http://a/camera.html?room=b", b"200"),
        ("http://a/nothing-here", b"404"),
        ("http://a/../pyproject.toml", b"404"),
        ("http://a/ws", b"426"),
        ("ftp://a/health", b"404"),
    ],
)
def test_a_page_is_asked_for_by_a_whole_url(shared_server: Server, target: str, status: bytes) -> None:
    data = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    assert raw_exchange(shared_server, data).split(b" ")[1] == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/camera.html", 200),
        ("/client/index.js", 200),
        ("/health", 200),
        ("/ws", 426),
        ("/ws/", 426),
        ("/api/ice-servers", 401),
        ("/nothing-here", 404),
        ("/client/", 404),
    ],
)
def test_head_is_answered_like_get_without_the_body(shared_server: Server, path: str, status: int) -> None:
    """RFC 9110, section 9.3.2: also where it asks for an upgrade, which only GET can."""
    got, content = request(shared_server, path)
    assert got.status == status
    for more in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
        head, nothing = request(shared_server, path, "HEAD", more)
        assert (head.status, nothing) == (status, b"")
        for name in (
            "Content-Type",
            "Content-Length",
            "ETag",
            "WWW-Authenticate",
            "X-Content-Type-Options",
        ):
            if name != "Content-Length" or path != "/health":
                assert head.getheader(name) == got.getheader(name), name
    assert len(content) == int(got.getheader("Content-Length") or -1)


def test_no_ranges_are_served(shared_server: Server) -> None:
    for ranges in ("bytes=0-0", "bytes=0-,0-,0-,0-", "bytes=-5"):
        response, body = request(shared_server, "/client/index.js", headers={"Range": ranges})
        assert response.status == 200
        assert len(body) == int(response.getheader("Content-Length") or 0)


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/health", 200), ("/ws", 426)])
def test_an_upgrade_to_another_protocol_is_ignored(shared_server: Server, path: str, status: int) -> None:
    # As Java's HttpClient asks by default, and curl with --http2.
    h2c = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQ"}
    response, body = request(shared_server, path, headers=h2c)
    plain, same = request(shared_server, path)
    assert response.status == plain.status == status
    assert path == "/health" or body == same


def test_an_upgrade_of_another_path_is_refused(shared_server: Server) -> None:
    response, _ = request(
        shared_server, "/elsewhere", headers={"Upgrade": "websocket", "Connection": "Upgrade"}
    )
    assert response.status == 404


@pytest.mark.parametrize(
    ("what", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS\r\n\r\n", b"400"),
        (b"hello\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", b"400"),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n",
            b"400",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
            b"400",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 99\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            b"400",
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20000 + b"\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\nxxxx", b"413"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"413",
        ),
    ],
    ids=[
        "tls",
        "no-http",
        "no-version",
        "no-key",
        "short-key",
        "other-version",
        "long-header",
        "long-body",
        "chunked-body",
    ],
)
def test_what_is_not_a_request_gets_one_clear_answer(
    shared_server: Server, what: bytes, status: bytes
) -> None:
    answer = raw_exchange(shared_server, what)
    assert answer.split(b" ", 2)[1] == status, answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_header_that_is_not_finished_in_time_ends_the_connection() -> None:
    with server("--handshake-timeout=0.3") as running:
        # Lines keep coming, so that a time-out of idleness alone would never end it.
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
            connection.settimeout(0.05)
            connection.sendall(b"GET / HTTP/1.1\r\n")
            answer = None
            for number in range(200):
                try:
                    connection.sendall(b"X-%d: slow\r\n" % number)
                    answer = connection.recv(100)
                except TimeoutError:
                    continue
                except ConnectionError:
                    answer = b""
                break
            assert answer == b""
        # A connection that has had its answer may not sit there either.
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET ")
            assert ends(connection)
    assert "Traceback" not in running.output


def test_another_web_directory_is_served(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<html>mine</html>")
    (tmp_path / ".secret").write_text("hidden")
    (tmp_path / "outside").symlink_to("/etc/hostname")
    with server(f"--web-dir={tmp_path}") as running:
        assert request(running, "/")[1] == b"<html>mine</html>"
        assert request(running, "/.secret")[0].status == 404
        assert request(running, "/client/index.js")[0].status == 200


# --- how much one address may ask for


def test_of_requests_that_do_not_wait_for_answers_one_is_answered(shared_server: Server) -> None:
    one = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    assert raw_exchange(shared_server, one * 100).count(b"HTTP/1.1 200 ") == 1
    with socket.create_connection(("127.0.0.1", shared_server.port), timeout=10) as connection:
        for _ in range(3):
            # Those that wait have the connection for as long as they want.
            connection.sendall(one)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_an_address_that_asks_for_too_much_is_told_so_and_closed() -> None:
    with server("--limit-requests=0.01/3") as running:
        for _ in range(3):
            assert request(running, "/camera.html")[0].status == 200
        data = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = raw_exchange(running, data)
        assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        assert re.search(rb"\r\nRetry-After: \d+\r\n", answer)
        # Clients that are connected, or come, are not concerned.
        upgrade = b"GET /ws HTTP/1.1\r\nHost: a\r\n" + UPGRADE + b"\r\n"
        assert head_of_answer(running, upgrade).startswith(b"HTTP/1.1 101 ")


def test_answers_that_nobody_reads_end_and_take_no_memory() -> None:
    ask = b"GET /client/index.js HTTP/1.1\r\nHost: a\r\nRange: bytes=0-" + b",0-" * 2000 + b"\r\n\r\n"
    with server("--handshake-timeout=2", "--max-connections-per-address=0") as running:
        status = Path(f"/proc/{running.process.pid}/status")

        def memory() -> int:
            found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if status.exists() else None
            return int(found[1]) if found else 0

        with ExitStack() as stack:
            connections = [
                stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=20))
                for _ in range(200)
            ]
            before = memory()
            for connection in connections:
                connection.sendall(ask)
            assert all(map(ends, connections))
            assert memory() - before < 30_000
    assert "Traceback" not in running.output

"""HTTPS and WSS by the server itself, certificates that are replaced, and plain HTTP that is sent on."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.certificates import Certificates, write_certificates
from tests.integration.test_starting import MODULE, run, the_error
from tests.live import deadline
from tests.processes import Process, command
from tests.tokens import come, joining, replace

HOST = "localhost"
LISTEN = "--listen=tcp:0:interface=127.0.0.1"


@dataclass
class Secured:
    """A running server with TLS."""

    process: Process
    port: int
    plain_port: int
    """Where plain HTTP is sent on."""

    @property
    def websocket_url(self) -> str:
        return f"wss://{HOST}:{self.port}"


@contextmanager
def secured(certificates: Certificates) -> Iterator[Secured]:
    options = [f"--tls-cert={certificates.certificate}", f"--tls-key={certificates.key}"]
    with command(*MODULE, LISTEN, *options, "--redirect-http=0") as running:
        port = int(running.wait_for_line(r"ready: https://127\.0\.0\.1:(\d+)/").group(1))
        plain_port = int(running.wait_for_line(r"ready: http://localhost:(\d+)/").group(1))
        yield Secured(running, port, plain_port)
    assert "Traceback" not in running.output
    assert "Unhandled" not in running.output


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"), HOST)


@pytest.fixture(scope="module")
def shared(certificates: Certificates) -> Iterator[Secured]:
    with secured(certificates) as running:
        yield running


@contextmanager
def handshake(running: Secured, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as wrapped,
    ):
        yield wrapped


def raw_exchange(port: int, data: bytes) -> bytes:
    """Send bytes on a new connection without TLS and read until the server closes it."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


# --- the server's TLS


@deadline()
async def test_the_same_port_is_https_and_wss(shared: Secured, certificates: Certificates) -> None:
    client = await come(shared.websocket_url, authority=certificates.ca)
    assert (await client.next())["type"] == "welcome"
    assert (await client.ask(joining("hall")))["type"] == "joined"
    context = ssl.create_default_context(cafile=str(certificates.ca))
    connection = http.client.HTTPSConnection(HOST, shared.port, context=context, timeout=10)
    connection.request("GET", "/health")
    assert json.loads(connection.getresponse().read())["connections"] == 1
    connection.close()
    await client.leave()


def versions(version: ssl.TLSVersion, certificates: Certificates) -> ssl.SSLContext:
    """A client that knows this version only, and that would take what is no longer safe."""
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize(
    ("version", "name"), [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]
)
def test_new_versions_of_tls_are_spoken(
    shared: Secured, certificates: Certificates, version: ssl.TLSVersion, name: str
) -> None:
    with handshake(shared, versions(version, certificates)) as connection:
        assert connection.version() == name


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
def test_old_versions_of_tls_are_refused(
    shared: Secured, certificates: Certificates, version: ssl.TLSVersion
) -> None:
    with pytest.raises(ssl.SSLError) as caught, handshake(shared, versions(version, certificates)):
        pass
    # The server's alert, and no complaint of this side.
    assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


@pytest.mark.parametrize("suites", ["eNULL", "aNULL", "kRSA"])
def test_weak_cipher_suites_are_refused(shared: Secured, certificates: Certificates, suites: str) -> None:
    context = versions(ssl.TLSVersion.TLSv1_2, certificates)
    context.set_ciphers(f"{suites}:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError) as caught, handshake(shared, context):
        pass
    assert caught.value.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"


def test_plain_http_on_the_port_of_tls_gets_nothing(shared: Secured, certificates: Certificates) -> None:
    answer = raw_exchange(shared.port, b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert b"OK" not in answer
    with handshake(shared, versions(ssl.TLSVersion.TLSv1_3, certificates)):
        pass


# --- certificates that are replaced


def certificate_of(running: Secured, authority: Certificates) -> bytes | None:
    context = ssl.create_default_context(cafile=str(authority.ca))
    with handshake(running, context) as connection:
        return connection.getpeercert(binary_form=True)


def der(certificates: Certificates) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificates.certificate.read_text())


@deadline(40)
async def test_a_new_certificate_is_for_new_connections_and_a_broken_one_for_nobody(
    tmp_path: Path,
) -> None:
    for name in ("live", "next"):
        (tmp_path / name).mkdir()
    live = write_certificates(tmp_path / "live", HOST)
    new = write_certificates(tmp_path / "next", HOST)
    first_one = der(live)
    with secured(live) as running:
        client = await come(running.websocket_url, authority=live.ca)
        await client.next()
        assert certificate_of(running, live) == first_one
        # In the middle of it, the two files do not belong together.
        replace(live.certificate, new.certificate.read_bytes())
        assert certificate_of(running, live) == first_one
        running.process.wait_for_line("error .*cannot be used, what was there before stays: .")
        replace(live.key, new.key.read_bytes())
        assert certificate_of(running, new) == der(new)
        await client.silent()
        for path, broken in ((live.certificate, b"nonsense"), (live.key, b""), (live.certificate, None)):
            whole = path.read_bytes()
            if broken is None:
                path.unlink()
            else:
                replace(path, broken)
            assert certificate_of(running, new) == der(new)
            running.process.wait_for_line("error .*cannot be used, what was there before stays: .")
            replace(path, whole)
            assert certificate_of(running, new) == der(new)
            running.process.wait_for_line("info .*was read again")
        await client.silent()
        await client.leave()
        last = await come(running.websocket_url, authority=new.ca)
        assert (await last.next())["type"] == "welcome"
        await last.leave()


def test_files_that_cannot_be_used_stop_the_start_with_one_line(
    certificates: Certificates, tmp_path: Path
) -> None:
    nonsense, locked = tmp_path / "nonsense.pem", tmp_path / "locked.key"
    nonsense.write_text("nonsense")
    key = load_pem_private_key(certificates.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    )
    (tmp_path / "other").mkdir()
    other = write_certificates(tmp_path / "other", HOST)
    with_certificate, with_key = f"--tls-cert={certificates.certificate}", f"--tls-key={certificates.key}"
    for options, hint in (
        (
            ["--tls-cert=/nowhere/cert.pem", with_key],
            "=/nowhere/cert.pem: this file cannot be read: No such",
        ),
        ([f"--tls-cert={nonsense}", with_key], "nonsense.pem cannot be used for TLS"),
        ([with_certificate, f"--tls-key={locked}"], "the key without a password"),
        ([with_certificate], "--tls-cert needs --tls-key beside it"),
        ([with_certificate, f"--tls-key={other.key}"], "server.key do not belong together"),
    ):
        result = run(*MODULE, LISTEN, *options)
        assert result.returncode == 1
        assert hint in the_error(result)


# --- plain HTTP


def sent_on(running: Secured, request: bytes) -> tuple[int, str | None]:
    """The status and the Location that a request without TLS is answered by."""
    answer = raw_exchange(running.plain_port, request.replace(b"\n", b"\r\n"))
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    locations = [line.partition(": ")[2] for line in head if line.lower().startswith("location:")]
    assert len(locations) <= 1
    return int(head[0].split(" ")[1]), locations[0] if locations else None


def asking(target: str, host: str | None = "cameras.example") -> bytes:
    header = "" if host is None else f"Host: {host}\n"
    return f"GET {target} HTTP/1.1\n{header}Connection: close\n\n".encode("latin-1")


@pytest.mark.parametrize("host", ["cameras.example", "Cameras.Example", "192.0.2.1", "[2001:db8::1]"])
@pytest.mark.parametrize("port", ["", ":80", ":8080"])
@pytest.mark.parametrize("target", ["/", "/camera.html", "/ws?a=b&c=%2F", "/%0d%0aX-Injected:%201"])
def test_plain_http_is_sent_on_to_the_same_host_and_path(
    shared: Secured, host: str, port: str, target: str
) -> None:
    location = f"https://{host}:{shared.port}{target}"
    assert sent_on(shared, asking(target, host + port)) == (301, location)


@pytest.mark.parametrize(
    "target", ["//evil.example", "//evil.example/%2e%2e", "/\\evil.example", "/@evil.example"]
)
def test_a_path_names_no_other_host(shared: Secured, target: str) -> None:
    # The whole host is before it.
    location = f"https://cameras.example:{shared.port}{target}"
    assert sent_on(shared, asking(target)) == (301, location)


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/",
        "https://evil.example",
        "evil.example:443",
        "@evil.example",
        "\\evil.example",
    ],
)
def test_a_target_that_is_no_path_is_sent_nowhere(shared: Secured, target: str) -> None:
    assert sent_on(shared, asking(target)) == (400, None)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        " ",
        "a b",
        "user@evil.example",
        "cameras.example@evil.example",
        "evil.example/",
        "evil.example#",
        "evil.example?",
        "evil.example\\",
        "evil.example:80:80",
        "evil.example:99999",
        "evil.example:-1",
        "evil.example:port",
        "[evil.example]",
        "[::1",
        "\xe9.example",
        "<script>",
        "cameras.example, evil.example",
    ],
    ids=str,
)
def test_a_host_that_is_none_is_sent_nowhere(shared: Secured, host: str | None) -> None:
    assert sent_on(shared, asking("/", host)) == (400, None)


def test_two_hosts_are_sent_nowhere(shared: Secured) -> None:
    request = b"GET / HTTP/1.1\nHost: cameras.example\nHost: evil.example\nConnection: close\n\n"
    assert sent_on(shared, request) == (400, None)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT"])
def test_only_what_a_browser_follows_is_sent_on(shared: Secured, method: str) -> None:
    request = f"{method} / HTTP/1.1\nHost: a\nContent-Length: 0\nConnection: close\n\n".encode()
    assert sent_on(shared, request) == (405, None)


def test_no_websocket_is_opened_without_tls(shared: Secured) -> None:
    request = (
        f"GET / HTTP/1.1\nHost: {HOST}\nConnection: Upgrade, close\nUpgrade: websocket\n"
        "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n"
    )
    assert sent_on(shared, request.encode())[0] == 301

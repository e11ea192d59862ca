"""The server behind real proxies, with the configurations that docs/deployment.md gives."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urljoin

import pytest

from tests.certificates import Certificates, write_certificates
from tests.floods import until
from tests.live import deadline
from tests.processes import REPOSITORY, Server, command, server
from tests.tokens import come

HOST = "localhost"
PREFIX = "/cctv"
REFERENCE = re.compile(r"""(?:src|href)="([^"#]+)"|\bfrom "([^"]+)"|\bimport "([^"]+)";""")
"""Where pages and modules say what else they need."""


def documented(language: str, which: int = 0) -> str:
    """A block of docs/deployment.md."""
    text = (REPOSITORY / "docs" / "deployment.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return blocks[which]


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """A text with something else in the place of what must be in it."""
    for old, new in pairs:
        assert old in text, (old, text)
        text = text.replace(old, new)
    return text


@dataclass
class Behind:
    """A server and the proxy in front of it."""

    server: Server
    audit: Path
    port: int
    authority: Path
    prefix: str = ""

    @property
    def origin(self) -> str:
        return f"https://{HOST}:{self.port}"

    def get(
        self, path: str, headers: dict[str, str] | None = None, source: str = "127.0.0.1"
    ) -> tuple[int, bytes]:
        """Status and body; `source` is the address to ask from."""
        context = ssl.create_default_context(cafile=str(self.authority))
        connection = http.client.HTTPSConnection(
            HOST, self.port, timeout=20, context=context, source_address=(source, 0)
        )
        try:
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            return response.status, b"" if response.status == 101 else response.read()
        finally:
            connection.close()

    def audited(self) -> list[dict[str, object]]:
        lines = self.audit.read_text().splitlines() if self.audit.exists() else []
        return [json.loads(line) for line in lines]


Configure = Callable[[Path, Certificates, int, int, str], list[str]]
"""Writes the configuration for a certificate, its own port, the server's, and a path; how to start it."""


def nginx(directory: Path, tls: Certificates, port: int, to: int, prefix: str) -> list[str]:
    location = documented("nginx")
    if prefix:
        begin = documented("nginx", 1)
        location = begin + "".join(location.splitlines(keepends=True)[begin.count("\n") :])
    location = replaced(location, ("http://127.0.0.1:8080", f"http://127.0.0.1:{to}"))
    own = "".join(
        f"{kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = directory / "nginx.conf"
    path.write_text(
        f"daemon off; pid {directory}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off;\n{own}server {{ listen 127.0.0.1:{port} ssl;\n"
        f"ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key};\n{location}}} }}\n"
    )
    return ["nginx", "-c", str(path), "-p", str(directory), "-e", "stderr"]


def caddy(directory: Path, tls: Certificates, port: int, to: int, prefix: str) -> list[str]:
    site = documented("caddy")
    if prefix:
        line = "    reverse_proxy 127.0.0.1:8080\n"
        site = replaced(site, (line, f"    handle_path {prefix}/* {{\n    {line}    }}\n"))
    site = replaced(
        site,
        ("cctv.example.com {", f"https://{HOST}:{port} {{\n    tls {tls.certificate} {tls.key}"),
        ("127.0.0.1:8080", f"127.0.0.1:{to}"),
    )
    path = directory / "Caddyfile"
    path.write_text(f"{{\n    admin off\n    auto_https disable_redirects\n}}\n{site}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]


def haproxy(directory: Path, tls: Certificates, port: int, to: int, prefix: str) -> list[str]:
    both = directory / "cctv.pem"
    both.write_bytes(tls.certificate.read_bytes() + tls.key.read_bytes())
    text = replaced(
        documented("haproxy"),
        ("bind :443", f"bind 127.0.0.1:{port}"),
        ("/etc/haproxy/cctv.pem", str(both)),
        ("127.0.0.1:8080", f"127.0.0.1:{to}"),
    )
    if prefix:
        line = f"    http-request replace-path {prefix}/(.*) /\\1\n"
        assert line.strip() in (REPOSITORY / "docs" / "deployment.md").read_text(encoding="utf-8")
        text = replaced(text, ("    default_backend", f"{line}    default_backend"))
    path = directory / "haproxy.cfg"
    path.write_text(text)
    return ["haproxy", "-db", "-f", str(path)]


PROXIES: dict[str, Configure] = {"nginx": nginx, "caddy": caddy, "haproxy": haproxy}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def behind(name: str, directory: Path, prefix: str = "") -> Iterator[Behind]:
    """A server behind this proxy, below this path."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed: see tests/install-peers.sh")
    tls = write_certificates(directory, HOST)
    audit = directory / "audit.log"
    with server("--trusted-proxy=127.0.0.1", f"--audit-log={audit}") as running:
        port = free_port()
        start = PROXIES[name](directory, tls, port, running.port, prefix)
        # It writes nothing outside of its directory.
        with command(*start, environment={"HOME": str(directory)}) as proxy:

            def answers() -> bool:
                assert proxy.process.poll() is None, proxy.output
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0

            until(answers)
            yield Behind(running, audit, port, tls.ca, prefix)
    assert "Traceback" not in running.output


@pytest.fixture(scope="module", params=[(name, path) for name in PROXIES for path in ("", PREFIX)], ids=str)
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    name, prefix = request.param
    with behind(name, tmp_path_factory.mktemp(name), prefix) as found:
        yield found


@pytest.mark.parametrize("page", ["/", "/camera.html"])
def test_a_page_and_all_that_it_needs_come_through_the_proxy(front: Behind, page: str) -> None:
    wanted, seen = {front.prefix + page}, set[str]()
    while wanted:
        path = wanted.pop()
        seen.add(path)
        status, body = front.get(path)
        assert status == 200, path
        # What is not below the path of the proxy would be somebody else's.
        assert path.startswith(f"{front.prefix}/")
        if path.endswith(("/", ".html", ".js")):
            found = {next(filter(None, groups)) for groups in REFERENCE.findall(body.decode())}
            wanted |= {urljoin(path, name) for name in found if "://" not in name} - seen
    assert any(path.endswith(".css") for path in seen)
    assert f"{front.prefix}/client/index.js" in seen


def test_health_is_told_through_the_proxy(front: Behind) -> None:
    status, body = front.get(f"{front.prefix}/health")
    assert (status, json.loads(body)["status"]) == (200, "OK")


@deadline()
async def test_a_page_opens_its_websocket_through_the_proxy(front: Behind) -> None:
    for path in ("/ws", "/"):
        url = f"wss://{HOST}:{front.port}{front.prefix}{path}"
        client = await come(url, {"Origin": front.origin}, authority=front.authority)
        assert (await client.next())["type"] == "welcome"
        assert (await client.ask({"type": "ping", "data": "d"})) == {"type": "pong", "data": "d"}
        await client.leave()


@pytest.mark.parametrize("origin", ["https://localhost", "https://evil.example", "http://localhost:{port}"])
@deadline()
async def test_other_pages_are_refused_behind_the_proxy(front: Behind, origin: str) -> None:
    named = origin.format(port=front.port)
    with pytest.raises(ConnectionError):
        await come(
            f"wss://{HOST}:{front.port}{front.prefix}/ws", {"Origin": named}, authority=front.authority
        )
    status, body = front.get(f"{front.prefix}/ws?origin={quote(named, safe='')}")
    assert (status, b"--allow-origin" in body) == (403, True)
    assert front.get(f"{front.prefix}/ws?origin={quote(front.origin, safe='')}")[0] == 426


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second address of this machine")
def test_the_address_that_counts_is_the_one_that_the_proxy_saw(front: Behind) -> None:
    before = len(front.audited())
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "X-Forwarded-For": "203.0.113.9",
    }
    # Not that of the proxy, which is trusted.
    status, _ = front.get(f"{front.prefix}/ws", upgrade, source="127.0.0.2")
    assert status == 101
    until(lambda: len(front.audited()) > before)
    assert front.audited()[before]["address"] == "127.0.0.2"

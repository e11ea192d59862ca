"""Where the values of options come from, and which are refused."""

from __future__ import annotations

import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from cctvsignal.limits import UNLIMITED, Limits, Rate
from cctvsignal.options import Options
from cctvsignal.settings import SETTINGS, Setting


def parse(*arguments: str, **environment: str) -> Options:
    options = Options(environment)
    options.parseOptions(list(arguments))
    return options


def test_without_options_and_variables_there_are_defaults() -> None:
    options = parse()
    assert options["port"] == 8080
    assert options["listen"] is None
    assert options["web-dir"] is None
    assert (options["log-format"], options["log-level"]) == ("text", "info")
    assert options["max-message-bytes"] == 64 * 1024
    assert (options["ping-interval"], options["ping-timeout"], options["handshake-timeout"]) == (20, 10, 10)


def test_a_variable_replaces_a_default_and_an_option_replaces_both() -> None:
    assert parse(PORT="9000")["port"] == 9000
    assert parse("--port=9001", PORT="9000")["port"] == 9001
    assert parse("-p", "9002")["port"] == 9002


def test_an_empty_variable_is_no_variable() -> None:
    assert parse(PORT="", CCTVSIGNAL_LISTEN="")["port"] == 8080


def test_the_port_is_for_all_addresses_and_endpoints_override_it() -> None:
    assert all(":9000" in endpoint or "tcp:9000" in endpoint for endpoint in parse("--port=9000").endpoints)
    several = parse("--listen=tcp:1", "--listen=tcp:2:interface=127.0.0.1", "--port=9000")
    assert several.endpoints == ["tcp:1:backlog=1024", "tcp:2:interface=127.0.0.1:backlog=1024"]
    own = parse(CCTVSIGNAL_LISTEN="tcp:1:backlog=5 unix:a.sock")
    assert own.endpoints == ["tcp:1:backlog=5", "unix:a.sock"]


def test_without_ipv6_the_port_is_for_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.has_dualstack_ipv6", lambda: False)
    assert parse("--port=9000").endpoints == ["tcp:9000:backlog=1024"]


def test_on_windows_each_family_has_its_own_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.has_dualstack_ipv6", lambda: True)
    assert len(parse().endpoints) == 1
    monkeypatch.setattr(sys, "platform", "win32")
    assert len(parse().endpoints) == 2


def test_the_pages_and_the_client_are_found() -> None:
    options = parse()
    assert (options.web_directory / "index.html").is_file()
    assert (options.client_directory / "index.js").is_file()


def test_another_web_directory(tmp_path: Path) -> None:
    assert parse(f"--web-dir={tmp_path}").web_directory == tmp_path


@pytest.mark.parametrize(
    "argument",
    [
        "--port=-1",
        "--port=65536",
        "--port=1e3",
        "--port=٣",  # A digit, but not one of a port.
        "--listen=tcp:",
        "--listen=tcp:80:nonsense=1",
        "--listen=ssl:443:privateKey=/nowhere.pem",
        f"--web-dir={__file__}",
        "--max-message-bytes=1023",
        "--max-message-bytes=99999999999",
        "--ping-interval=nan",
        "--ping-timeout=soon",
        "--handshake-timeout=-0.1",
        "--limit-messages=5",
        "--limit-messages=0/5",
        "--limit-messages=5/0.5",
        "--limit-bytes=nan/nan",
        "--max-members=-1",
        "--trusted-proxy=everybody",
        "--allow-origin=example.com",
        "--stun=turn:example.com",
        "--stun=stun:example.com?transport=udp",
        "--turn=turn:example.com?transport=sctp",
        "--turn-ttl=3601",
        "--camera-keys=/",
    ],
)
def test_a_bad_value_is_one_line_with_its_source(argument: str) -> None:
    name, _, value = argument.partition("=")
    with pytest.raises(SystemExit) as caught:
        parse(argument)
    message = str(caught.value)
    assert message.startswith(f"cctvsignal: {name}={value}: ")
    assert "\n" not in message


TEXTS = {"auth-audience", "auth-issuer", "turn-username", "turn-password"}
"""Any text is a value of these."""
BAD = {"audit-log": "/nowhere/at/all", "camera-keys": "/nowhere/at/all", "auth-revoked": "/"}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_variable_is_read_and_named_when_bad(setting: Setting) -> None:
    if setting.name in TEXTS:
        assert Options({setting.variable: "nonsense"}).value_of(setting) == "nonsense"
        return
    bad = BAD.get(setting.name, "nonsense")
    shown = "..." if setting.is_secret else bad
    with pytest.raises(SystemExit, match=f"cctvsignal: {setting.variable}={shown}: "):
        parse(**{setting.variable: bad})


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tls-cert=CERT"],
        ["--redirect-http=80"],
        ["--turn=turn:a"],
        ["--turn=turn:a", "--turn-username=u"],
        ["--turn-secret=0123456789abcdef"],
        ["--turn=turn:a", "--turn-secret=0123456789abcdef", "--turn-username=u", "--turn-password=p"],
        ["--auth-secret=" + "s" * 32, "--auth-webhook=http://localhost/"],
        ["--auth-revoked=CERT"],
    ],
)
def test_options_that_need_others_say_so(tmp_path: Path, arguments: list[str]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SystemExit, match=r"cctvsignal: --[a-z-]+ (needs|takes the place of) --"):
        parse(*[argument.replace("CERT", str(file)) for argument in arguments])


def test_rates_are_how_many_a_second_and_how_many_at_once() -> None:
    assert parse("--limit-messages=5/20").limits.messages == Rate(5, 20)
    assert parse("--limit-messages=0").limits.messages == UNLIMITED
    assert parse(CCTVSIGNAL_LIMIT_JOINS="0.5/1").limits.joins == Rate(0.5, 1)


def test_no_limit_of_bytes_is_below_the_longest_message() -> None:
    assert parse("--limit-bytes=1000/65536").limits.message_bytes == Rate(1000, 65536)
    with pytest.raises(SystemExit, match="lets no message of --max-message-bytes=65536 through"):
        parse("--limit-bytes=1000/65535")


def test_all_limits_can_be_switched_off() -> None:
    assert parse().limits != Limits()
    assert parse("--no-limits").limits == Limits()
    assert parse("--no-limits", "--limit-messages=5/20").limits == Limits()
    assert parse(CCTVSIGNAL_NO_LIMITS="no").limits != Limits()


def test_options_may_be_repeated_where_there_can_be_several() -> None:
    options = parse("--stun=stun:a", "--stun=stun:b:1", "--allow-origin=null", "--trusted-proxy=10.0.0.0/8")
    assert options["stun"] == ["stun:a", "stun:b:1"]
    assert options["allow-origin"] == ["null"]
    assert options["trusted-proxy"] == [IPv4Network("10.0.0.0/8")]


@pytest.mark.parametrize(
    "argument",
    [
        "--auth-secret=tooshort",
        "--turn-secret=tooshort",
        "--auth-webhook=ftp://example.com/tooshort",
        "--auth-webhook=https://me:tooshort@example.com/",
    ],
)
def test_secrets_are_not_shown_when_they_are_bad(argument: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(argument)
    assert "tooshort" not in str(caught.value)
    assert str(caught.value).startswith(f"cctvsignal: {argument.partition('=')[0]}=...: ")

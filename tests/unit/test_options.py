"""Where the values of options come from, and which are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cctvsignal.options import SETTINGS, Options


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
    assert several.endpoints == ["tcp:1", "tcp:2:interface=127.0.0.1"]
    assert parse(CCTVSIGNAL_LISTEN="tcp:1 tcp:2").endpoints == ["tcp:1", "tcp:2"]


def test_without_ipv6_the_port_is_for_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.has_dualstack_ipv6", lambda: False)
    assert parse("--port=9000").endpoints == ["tcp:9000"]


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
    ],
)
def test_a_bad_value_is_one_line_with_its_source(argument: str) -> None:
    name, _, value = argument.partition("=")
    with pytest.raises(SystemExit) as caught:
        parse(argument)
    message = str(caught.value)
    assert message.startswith(f"cctvsignal: {name}={value}: ")
    assert "\n" not in message


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_variable_is_read_and_named_when_bad(setting: object) -> None:
    variable = setting.variable  # type: ignore[attr-defined]
    with pytest.raises(SystemExit, match=f"cctvsignal: {variable}=nonsense: "):
        parse(**{variable: "nonsense"})

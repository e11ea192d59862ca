"""The rules of docs/architecture.md that a machine can check."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from cctvsignal import messages
from cctvsignal.settings import SETTINGS

REPOSITORY = Path(__file__).parent.parent.parent
CLIENTS = REPOSITORY / "clients" / "cctvsignal_clients"
IOT = REPOSITORY / "iot" / "cctvsignal_iot"
PACKAGES = [REPOSITORY / "cctvsignal", CLIENTS, IOT]

PURE = {
    *("messages", "names", "validation", "explanation", "repetition", "access", "registry", "timers"),
    *("policy", "heartbeat", "contests", "places", "answers", "admission", "hub", "addresses", "limits"),
    *("gate", "ice", "upgrade", "ownership", "rate_limited_log", "token_checks"),
}
"""The rules: no I/O, and of the project only each other."""
MAY_IMPORT = {
    "names": set(),
    "validation": set(),
    "repetition": {"timers"},
    "explanation": set(),
    "messages": {"explanation", "names", "validation"},
    "access": {"messages"},
    "registry": {"access", "messages"},
    "timers": set(),
    "policy": {"access", "messages", "registry"},
    "heartbeat": {"timers"},
    "contests": {"messages", "registry", "timers"},
    "places": {"addresses", "registry", "timers"},
    "answers": {"messages", "policy", "registry", "repetition", "timers"},
    "admission": {"access", "messages", "policy", "registry", "timers"},
    "ownership": {"access", "answers", "messages", "policy", "registry"},
    "hub": {
        *("access", "admission", "answers", "contests", "messages", "ownership", "places", "policy"),
        "registry",
        "timers",
    },
    "addresses": set(),
    "limits": {"messages"},
    "gate": {"addresses", "limits", "timers"},
    "ice": {"messages"},
    "upgrade": {"addresses"},
    "rate_limited_log": {"timers"},
    "token_checks": {"access", "addresses", "limits", "policy", "timers"},
    "line_writer": set(),
    "logs": {"line_writer"},
    "watched": set(),
    "keys": set(),
    "auth": {"access", "keys", "policy"},
    "webhook": {"access", "addresses", "auth", "policy", "rate_limited_log", "timers"},
    "device_keys": {"addresses", "policy", "rate_limited_log"},
    "audit": {"access", "addresses", "limits", "line_writer", "registry", "timers"},
    "tls": {"watched"},
    "entrance": {"access", "addresses", "gate", "policy", "rate_limited_log", "timers"},
    "api": {"access", "hub", "messages", "policy"},
    "frames": set(),
    "light": set(),
    "sending": set(),
    "websocket": {
        *("addresses", "answers", "entrance", "frames", "heartbeat", "hub", "light", "limits", "messages"),
        *("registry", "sending"),
    },
    "reactor": set(),
    "pages": {"api", "entrance"},
    "site": {"addresses", "entrance", "pages", "timers"},
    "opening": {"entrance", "site", "upgrade", "websocket"},
    "redirect": {"addresses", "pages", "site"},
    "settings": {"addresses", "auth", "ice", "keys", "limits", "logs"},
    "options": {"limits", "settings"},
    "assembly": {
        *("access", "addresses", "admission", "api", "audit", "auth", "device_keys", "entrance", "gate"),
        *("hub", "ice", "keys", "messages", "opening", "options", "policy", "site", "tls", "watched"),
        *("rate_limited_log", "token_checks", "webhook", "websocket"),
    },
    "signals": set(),
    "service": {"admission", "assembly", "hub", "logs", "options", "redirect", "signals", "tls"},
    "commands": {"auth", "device_keys", "keys", "options"},
    "tap": {"options", "service"},
    "__main__": {"commands", "options", "reactor", "service"},
}
"""A module of the server imports only from floors below it."""
PURE_LIBRARIES = {"msgspec"} | set(sys.stdlib_module_names) - {
    "asyncio",
    "http",
    "os",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
}
CLIENT_RULES = {"retry", "rates", "h264", "jpeg", "mjpeg", "redaction", "sdp", "sdp_sections", "timeline"}
"""Modules of the Python clients without any I/O."""
CLIENT_SIGNALING = {
    *("connection", "questions", "signaling", "tokens", "sessions", "camera", "viewer", "commands", "cli"),
}
CLIENT_MEDIA = {
    *(
        "queues",
        "frames",
        "packets",
        "conversion",
        "encoder",
        "outgoing",
        "broadcast",
        "pictures",
        "control",
        "receiving",
        "recording",
        "ice",
        "negotiation",
        "aiortc_compat",
        "diagnosis",
        "peer",
        "stream",
    ),
    *(f"sources/{path.stem}" for path in (CLIENTS / "sources").glob("*.py")),
}
IOT_RULES = {"states", "simulator/faults", "simulator/firmware", "simulator/http"}
IOT_RULES |= {"simulator/sensor"}
"""Modules of the bridge and the simulator without any I/O."""
MAX_LINES = 400


def modules(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, relative ones with their dot."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level and node.module is None:
                yield from ("." + alias.name for alias in node.names)
            else:
                yield "." * node.level + (node.module or "")


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_a_module_of_the_server_imports_only_from_below(name: str) -> None:
    path = REPOSITORY / "cctvsignal" / f"{name}.py"
    own = {module[1:] for module in imports(path) if module.startswith(".")} - {"__version__"}
    assert own <= MAY_IMPORT[name]
    assert not any(module.startswith(("cctvsignal", "tests")) for module in imports(path))


def test_every_module_of_the_server_has_a_floor() -> None:
    found = {path.stem for path in modules(REPOSITORY / "cctvsignal")} - {"__init__"}
    assert found == set(MAY_IMPORT)


@pytest.mark.parametrize("name", sorted(PURE))
def test_the_core_does_no_io(name: str) -> None:
    found = set(imports(REPOSITORY / "cctvsignal" / f"{name}.py"))
    libraries = {module.partition(".")[0] for module in found if not module.startswith(".")}
    assert libraries <= PURE_LIBRARIES


def test_the_websocket_knows_nothing_of_http_pages() -> None:
    found = set(imports(REPOSITORY / "cctvsignal" / "websocket.py"))
    assert not {module for module in found if module.startswith(("klein", "twisted.web"))}


def test_only_the_options_read_the_environment() -> None:
    for path in modules(REPOSITORY / "cctvsignal"):
        if path.stem != "options":
            assert not re.search(r"\benviron\b|getenv", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("name", sorted(CLIENT_RULES))
def test_the_rules_of_the_clients_do_no_io(name: str) -> None:
    found = set(imports(CLIENTS / f"{name}.py"))
    own = {module[1:] for module in found if module.startswith(".")}
    assert own <= CLIENT_RULES
    assert {module.partition(".")[0] for module in found} - {""} <= PURE_LIBRARIES


@pytest.mark.parametrize("name", sorted(CLIENT_MEDIA))
def test_media_of_the_clients_know_nothing_of_signaling(name: str) -> None:
    own = {module.lstrip(".") for module in imports(CLIENTS / f"{name}.py") if module.startswith(".")}
    assert not own & CLIENT_SIGNALING


@pytest.mark.parametrize("name", sorted(IOT_RULES))
def test_the_rules_of_the_bridge_do_no_io(name: str) -> None:
    libraries = {module.partition(".")[0] for module in imports(IOT / f"{name}.py")}
    assert libraries - {""} <= PURE_LIBRARIES


def test_the_simulator_knows_nothing_of_its_bridge() -> None:
    for path in modules(IOT / "simulator"):
        assert not {module for module in imports(path) if module.startswith("..")}, path


def test_the_bridge_imports_nothing_of_the_server() -> None:
    for path in modules(IOT):
        assert not {module for module in imports(path) if re.match(r"cctvsignal(\.|$)", module)}, path


def test_clients_import_only_the_messages_of_the_server() -> None:
    for path in modules(CLIENTS):
        assert not {module for module in imports(path) if module.startswith("cctvsignal_iot")}, path
        found = {module for module in imports(path) if re.match(r"cctvsignal(\.|$)", module)}
        assert found <= {"cctvsignal", "cctvsignal.messages"}, path


@pytest.mark.parametrize("path", modules(*PACKAGES), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_module_is_short_enough_to_be_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_the_javascript_client_has_the_same_constants() -> None:
    text = (REPOSITORY / "clients" / "js" / "protocol.js").read_text(encoding="utf-8")

    def constant(name: str) -> set[str]:
        match = re.search(rf"export const {name} = .*?\[(.*?)\]", text, re.DOTALL)
        assert match is not None, name
        return set(re.findall(r'"(\w+)"', match.group(1)))

    assert constant("CLIENT_MESSAGES") == messages.CLIENT_MESSAGE_TYPES
    assert constant("SERVER_MESSAGES") == messages.SERVER_MESSAGE_TYPES
    assert constant("ERROR_CODES") == set(get_args(messages.ErrorCode))


def rows(section: str, text: str) -> set[str]:
    """The names in the first column of the tables below a heading of the documentation."""
    below = re.split(rf"^#+ .*{section}$", text, maxsplit=1, flags=re.MULTILINE)[1]
    table = re.split("^#", below, maxsplit=1, flags=re.MULTILINE)[0]
    return set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))


@pytest.mark.parametrize("document", ["docs/protocol.md", "README.md"])
def test_the_message_tables_of_the_documents_are_complete(document: str) -> None:
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    assert rows("From clients", text) == messages.CLIENT_MESSAGE_TYPES
    assert rows("From the server", text) == messages.SERVER_MESSAGE_TYPES


def test_the_documents_name_every_error_code() -> None:
    text = (REPOSITORY / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert set(get_args(messages.ErrorCode)) <= rows("Errors", text)


def test_the_documents_name_every_option() -> None:
    text = (REPOSITORY / "docs" / "deployment.md").read_text(encoding="utf-8")
    for setting in SETTINGS:
        assert f"| `--{setting.name}` | `{setting.variable}` |" in text


def test_what_the_page_on_security_names_exists() -> None:
    text = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
    shown_by = [row.rsplit("|", 2)[1] for row in text.splitlines() if row.startswith("| ")]
    named = {name for cell in shown_by for name in re.findall(r"`([^`]+)`", cell)}
    tests = [path for suffix in ("*.py", "*.js") for path in (REPOSITORY / "tests").rglob(suffix)]
    written = "\n".join(
        path.read_text(encoding="utf-8") for path in tests if "node_modules" not in str(path)
    )
    files = {path.name for path in (REPOSITORY / "tests" / "protocol").iterdir()}
    for name in named:
        if name.startswith("tests/"):
            assert (REPOSITORY / name).exists(), name
        elif name.endswith(".json"):
            assert name in files
        elif name != "hmac.compare_digest":
            assert re.search(rf'(def |test\("|^){re.escape(name)}\b', written, re.MULTILINE), name

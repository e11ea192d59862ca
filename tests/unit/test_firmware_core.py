"""The C core of the firmware: tested by a C program with sanitizers, and held against the messages."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from cctvsignal import messages
from tests.firmware import FIRMWARE, build

CORE = (FIRMWARE / "core" / "cctvsignal.c").read_text(encoding="utf-8")


def test_the_core_keeps_its_rules(tmp_path: Path) -> None:
    program = build(tmp_path) / "test_core"
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "all is well\n"


def test_every_message_that_it_knows_is_one_of_the_protocol() -> None:
    known = set(re.findall(r'strcmp\(type, "(\w+)"\)', CORE))
    relays = re.search(r"relays\[\] = \{(.*?)\}", CORE)
    assert relays is not None
    known |= set(re.findall(r'"(\w+)"', relays.group(1)))
    assert known == {
        *("welcome", "joined", "viewerRequest", "offer", "answer", "iceCandidate", "bye"),
        *("clientDisconnected", "error"),
    }
    assert known <= messages.SERVER_MESSAGE_TYPES


def test_the_core_allocates_nothing_and_does_no_io() -> None:
    for path in sorted((FIRMWARE / "core").glob("*.[ch]")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(malloc|calloc|realloc|free|printf|time|rand)\(", text), path
        included = set(re.findall(r"#include <(\S+)>", text))
        assert included <= {"stdbool.h", "stddef.h", "stdint.h", "string.h"}, path

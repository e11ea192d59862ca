"""RFC 6455: kosoku drives Autobahn's own cases against the server's protocol class, and against Autobahn's
own path alone, which the shortcuts of the class are measured by.

The cases of compression (12 and 13) are left out: the server never agrees to it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.processes import command, script

CASES = 301


@pytest.mark.parametrize(
    "kind", [(), ("plain",)], ids=["with the server's shortcuts", "on Autobahn's own path"]
)
def test_all_301_cases_pass(tmp_path: Path, kind: tuple[str, ...]) -> None:
    with command(sys.executable, "-m", "tests.integration.echo_server", *kind) as echo:
        port = echo.wait_for_line(r"ready: (\d+)").group(1)
        left_out = ["-x", "12.*", "-x", "13.*"]
        arguments = ["-m", "fuzzingclient", *left_out, "-o", str(tmp_path), f"127.0.0.1:{port}"]
        with command(script("kosoku"), *arguments) as suite:
            assert suite.wait(300) == 0, suite.output
    [results] = json.loads((tmp_path / "index.json").read_text()).values()
    assert len(results) == CASES
    failed = {
        case: result
        for case, result in results.items()
        # Three cases only inform of how a close is answered.
        if result["behavior"] not in ("OK", "INFORMATIONAL")
        or result["behaviorClose"] not in ("OK", "INFORMATIONAL")
    }
    assert not failed
    assert "Traceback" not in echo.output

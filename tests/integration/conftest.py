"""One server process for all tests of a module that do not need their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import Server, server


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Server]:
    """A server; at its end nothing may have been logged as a traceback."""
    with server() as running:
        yield running
    assert "Traceback" not in running.output
    assert "Unhandled" not in running.output

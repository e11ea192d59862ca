"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.processes import Server, server

# The same examples every time: a test that fails now and then tells nobody anything. `make test-long`
# looks for new ones.
settings.register_profile(
    "fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Server]:
    """One server for all tests of a module; at its end nothing may have been logged as a traceback."""
    with server() as running:
        yield running
    assert "Traceback" not in running.output
    assert "Unhandled" not in running.output

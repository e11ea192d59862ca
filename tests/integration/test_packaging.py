"""What an installed cctvsignal holds, and that it runs without the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.processes import REPOSITORY, command


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(directory), str(REPOSITORY)], check=True, timeout=120)
    (built,) = directory.glob("*.whl")
    return built


def test_the_wheel_holds_the_server_its_pages_and_its_clients(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "cctvsignal/hub.py",
        "cctvsignal/py.typed",
        "cctvsignal/web/index.html",
        "cctvsignal/web/wall-page.js",
        "cctvsignal/client/index.js",
        "cctvsignal_clients/sources/pattern.py",
        "twisted/plugins/cctvsignal_plugin.py",
    ):
        assert needed in names
    unwanted = re.compile(
        r"dropin\.cache|\.test\.js|node_modules|__pycache__|^(tests|clients|web|benchmarks)/"
    )
    assert not [name for name in names if unwanted.search(name)]
    # An __init__.py there would hide Twisted itself.
    assert not names & {"twisted/__init__.py", "twisted/plugins/__init__.py"}


def test_the_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    # Found before the checkout that this environment has installed; run from elsewhere.
    program = "import os, runpy; os.chdir('/'); runpy.run_module('cctvsignal', run_name='__main__')"
    arguments = ["--listen", "tcp:0:interface=127.0.0.1"]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with command(sys.executable, "-c", program, *arguments, environment={"PYTHONPATH": path}) as running:
        url = running.wait_for_line(r"(http://127\.0\.0\.1:\d+)/").group(1)
        for page, text in (("/", "<html"), ("/camera.html", "<html"), ("/client/index.js", "export")):
            with urllib.request.urlopen(url + page, timeout=10) as response:
                assert text in response.read().decode()


def test_the_dockerfile_copies_only_what_is_there() -> None:
    for line in (REPOSITORY / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            *sources, _ = line.removeprefix("COPY ").split()
            ignored = (REPOSITORY / ".dockerignore").read_text()
            for source in sources:
                assert (REPOSITORY / source).exists()
                assert f"!{source}" in ignored

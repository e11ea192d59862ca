"""The JavaScript client as a package of npm, and under Node with `ws` and `werift`."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.processes import REPOSITORY

PACKAGE: Final = REPOSITORY / "clients" / "js"
TOOLS: Final = REPOSITORY / "tests" / "javascript"
PEERS: Final = REPOSITORY / "tests" / "peers" / "node_modules"
TYPES: Final = {
    "target": "ES2022",
    "lib": ["ES2022"],
    "types": ["node"],
    "module": "NodeNext",
    "strict": True,
    "noEmit": True,
}
"""A project for Node, which knows nothing of browsers."""


def run(*arguments: str, directory: Path) -> str:
    """What a command that must succeed prints."""
    done = subprocess.run(arguments, cwd=directory, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty project that has installed the package as npm would publish it."""
    directory = tmp_path_factory.mktemp("project")
    packed = run("npm", "pack", "--silent", f"--pack-destination={directory}", directory=PACKAGE)
    (directory / "package.json").write_text('{"type": "module"}')
    tarball = packed.splitlines()[-1]
    run("npm", "install", "--offline", "--no-audit", "--no-fund", tarball, directory=directory)
    return directory


def test_the_package_of_npm_holds_what_its_users_need(project: Path) -> None:
    installed = project / "node_modules" / "cctvsignal-client"
    names = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    modules = {path.name for path in PACKAGE.glob("*.js")}
    declarations = {f"types/{name.removesuffix('.js')}.d.ts" for name in modules}
    assert names == modules | declarations | {"LICENSE", "README.md", "package.json"}
    assert (installed / "LICENSE").read_text() == (REPOSITORY / "LICENSE").read_text()
    assert not (PACKAGE / "types").exists()
    assert not (PACKAGE / "node_modules").exists()


def test_the_package_of_npm_is_imported_by_its_name(project: Path) -> None:
    program = (
        "import * as client from 'cctvsignal-client'; console.log(JSON.stringify(Object.keys(client)))"
    )
    found = json.loads(run("node", "--input-type=module", "--eval", program, directory=project))
    assert {"CameraClient", "ViewerClient", "WebRTCCCTVClient", "TimeoutError"} <= set(found)


def check_types(project: Path, file: str, **options: bool) -> None:
    configuration = {"compilerOptions": {**TYPES, **options}, "files": [file]}
    (project / "tsconfig.json").write_text(json.dumps(configuration))
    run(str(TOOLS / "node_modules" / ".bin" / "tsc"), "--project", ".", directory=project)


def test_the_package_of_npm_has_types(project: Path) -> None:
    modules = project / "node_modules"
    (modules / "@types").symlink_to(TOOLS / "node_modules" / "@types")
    check_types(project, "node_modules/cctvsignal-client/types/index.d.ts")
    for name in ("werift", "ws"):
        (modules / name).symlink_to(PEERS / name)
    shutil.copy(TOOLS / "user.ts", project)
    # The declarations of werift are not sound themselves.
    check_types(project, "user.ts", skipLibCheck=True)

#!/bin/sh
# Run the unit and integration tests on every Python of this machine that the package declares.
set -eu
cd "$(dirname "$0")/.."

ran=0
for version in 3.11 3.12 3.13 3.14; do
    python=""
    for candidate in "python$version" "$HOME/.pyenv/versions/$version".*/bin/python; do
        if "$candidate" -c 'import sys' 2>/dev/null; then python="$candidate"; fi
    done
    if [ -z "$python" ]; then
        echo "Python $version is not on this machine: not tested."
        continue
    fi
    echo "Testing on $("$python" --version) ..."
    PYTHON="$python" VENV=".venv/$version" tests/make-venv.sh
    ".venv/$version/bin/pip" install --quiet --editable '.[all]' --group dev
    ".venv/$version/bin/pytest" -q tests/unit tests/integration
    ran=$((ran + 1))
done
[ "$ran" -gt 0 ]

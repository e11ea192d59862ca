#!/bin/sh
# Make a virtual environment with a pip that knows dependency groups. PYTHON and VENV come from the Makefile.
set -eu
. "$(dirname "$0")/packages.sh"

if [ -z "${PYTHON}" ]; then
    echo "cctvsignal needs Python 3.11 or newer; the newest here is: $(python3 --version 2>&1 || echo none)." >&2
    exit 1
fi
if ! "${PYTHON}" -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian and Ubuntu leave these two modules out of Python.
    install_packages python3-venv
fi
echo "Making a virtual environment in ${VENV} with $("${PYTHON}" --version) ..."
"${PYTHON}" -m venv "${VENV}"
"${VENV}/bin/python" -m pip install --quiet --upgrade "pip>=25.1"

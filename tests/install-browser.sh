#!/bin/sh
# See to it that there is a Chromium for the browser tests. CHROMIUM names one that is not on the path;
# PYTHON, which comes from the Makefile, has what the tests need.
set -eu
. "$(dirname "$0")/packages.sh"

if ! "$PYTHON" -m tests.browser.chromium >/dev/null 2>&1; then
    install_packages chromium
fi

#!/bin/sh
# See to it that there is a Node.js for the tests of the JavaScript client.
set -eu
. "$(dirname "$0")/packages.sh"

if ! node --version 2>/dev/null | grep -Eq '^v(1[89]|[2-9][0-9])\.'; then
    if command -v brew >/dev/null; then install_packages node; else install_packages nodejs; fi
fi

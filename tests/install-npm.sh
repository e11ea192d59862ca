#!/bin/sh
# install-npm.sh FOLDER: see to it that tests/FOLDER has what its package-lock.json names.
set -eu
here=$(dirname "$0")
. "$here/packages.sh"

folder="$here/$1"
"$here/install-node.sh"
installed="$folder/node_modules/.package-lock.json"
if [ ! -e "$installed" ] || [ "$folder/package-lock.json" -nt "$installed" ]; then
    command -v npm >/dev/null || install_packages npm
    echo "Installing what tests/$1 needs from npm ..." >&2
    PUPPETEER_SKIP_DOWNLOAD=1 npm ci --prefix "$folder" --silent --no-audit --no-fund
    touch "$installed"
fi

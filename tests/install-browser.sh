#!/bin/sh
# See to it that there is a Chromium for the browser tests. CHROMIUM names one that is not on the path.
set -eu
. "$(dirname "$0")/packages.sh"

for browser in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
    /Applications/Chromium.app/Contents/MacOS/Chromium; do
    if [ -n "$browser" ] && command -v "$browser" >/dev/null; then
        exit 0
    fi
done
install_packages chromium

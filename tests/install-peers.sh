#!/bin/sh
# See to it that there are the viewers and servers of others that tests/integration meets.
set -eu
here=$(dirname "$0")
. "$here/packages.sh"

"$here/install-npm.sh" peers
"$here/install-npm.sh" javascript

if ! command -v firefox-esr >/dev/null && ! command -v firefox >/dev/null; then
    if command -v brew >/dev/null; then install_packages firefox; else install_packages firefox-esr; fi
fi

# The RTSP server runs under the system's own Python: its bindings are a package of the system.
if ! /usr/bin/python3 "$here/peers/rtsp_server_gst.py" --check >/dev/null 2>&1; then
    install_packages python3 python3-gi gir1.2-gst-rtsp-server-1.0 \
        gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
fi

# GStreamer's own WebRTC stack, under the same Python.
if ! /usr/bin/python3 "$here/peers/webrtcbin_gst.py" --check >/dev/null 2>&1; then
    install_packages python3 python3-gi python3-websockets gir1.2-gst-plugins-base-1.0 \
        gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
        gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav
fi

# A STUN and TURN server. Debian's package does not start it by itself.
command -v turnserver >/dev/null || install_packages coturn

# Slow networks, where networks can be made.
[ "$(uname)" = Darwin ] || command -v tc >/dev/null || install_packages iproute2

# A screen for the source "screen", where screens are X displays.
[ "$(uname)" = Darwin ] || command -v Xvfb >/dev/null || install_packages xvfb

# Proxies, with the configurations of docs/deployment.md. Debian's packages would start them as services.
missing=""
for proxy in nginx haproxy caddy; do command -v $proxy >/dev/null || missing="$missing $proxy"; done
[ -z "$missing" ] || install_without_services $missing

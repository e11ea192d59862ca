"""An RTSP server for one H.264 file, under the Python of the system, with GStreamer's bindings."""

from __future__ import annotations

import argparse
import signal

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
except (ImportError, ValueError) as missing:
    raise SystemExit(f"{missing}: run tests/install-peers.sh") from None

NEEDED = ("filesrc", "qtdemux", "h264parse", "rtph264pay")


def main() -> None:
    """Serve until SIGTERM and print where; with `--check`, see whether all is installed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--file")
    parser.add_argument("--port", default="0")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    arguments = parser.parse_args()
    Gst.init(None)
    missing = [name for name in NEEDED if Gst.ElementFactory.find(name) is None]
    if missing:
        raise SystemExit(f"GStreamer has no {', '.join(missing)}: run tests/install-peers.sh")
    if arguments.check:
        return
    serve(arguments.file, arguments.port, arguments.user, arguments.password)


def serve(path: str, port: str, user: str | None, password: str) -> None:
    """Serve a file at /live."""
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    factory = GstRtspServer.RTSPMediaFactory()
    source = f'filesrc location="{path}" ! qtdemux ! h264parse'
    factory.set_launch(f"( {source} ! rtph264pay name=pay0 pt=96 config-interval=0 )")
    factory.set_shared(True)
    if user is not None:
        protect(server, factory, user, password)
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print(f"ready: rtsp://127.0.0.1:{server.get_bound_port()}/live", flush=True)
    loop = GLib.MainLoop()
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, loop.quit)
    loop.run()


def protect(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, password: str
) -> None:
    """Nobody but this user may watch."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    access = {
        GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS: True,
        GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT: True,
    }
    permissions = GstRtspServer.RTSPPermissions()
    for permission, allowed in access.items():
        permissions.add_permission_for_role("user", permission, allowed)
    factory.set_permissions(permissions)


if __name__ == "__main__":
    main()

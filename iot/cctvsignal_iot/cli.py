"""The command `cctvsignal-esp32`."""

from __future__ import annotations

import argparse
from typing import Final

import msgspec

try:
    from cctvsignal_clients import InvalidOption
    from cctvsignal_clients.cli import add_option, command_parser, positive, run
    from cctvsignal_clients.reporting import Reporter

    from .bridge import Bridge
    from .config import BridgeConfig, DeviceConfig, one_device, read
    from .firmware import VARIANTS
except ModuleNotFoundError as missing:
    library = str(missing.name).partition(".")[0]
    raise SystemExit(
        f"{library} is not installed, which the bridge needs: pip install 'cctvsignal[iot]'"
    ) from None

TEXT: Final = """\
Bring cameras that serve MJPEG over HTTP, such as an ESP32-CAM, into a room, for all who want to watch.

A device has one connection from here, however many watch, and none while nobody does.
"""
EXAMPLES: Final = """\
examples:
  cctvsignal-esp32 --device http://192.168.1.40 --id porch        an ESP32-CAM with a usual firmware
  cctvsignal-esp32 --device http://192.168.1.41:8080/video --id yard         any MJPEG stream
  cctvsignal-esp32 --config devices.toml                          many devices

The file, where every device can have more options (docs/esp32.md has all of them):
  server = "wss://example.com"
  listen = "0.0.0.0:8090"          # /health, /metrics and /heartbeat

  [[device]]
  id = "porch"
  url = "http://192.168.1.40"
  name = "Front door"

Without a device at hand: cctvsignal-esp32-sim
"""


def main() -> None:
    """The command `cctvsignal-esp32`."""
    parser = command_parser(TEXT, EXAMPLES)
    add_option(parser, "--device", "DEVICE_URL", None, "the device, such as http://192.168.1.40")
    add_option(parser, "--id", "CAMERA_ID", "cam-1", "what viewers call this camera")
    add_option(parser, "--name", "CAMERA_NAME", None, "what people call it, such as 'Front door'")
    add_option(parser, "--username", "DEVICE_USERNAME", None, "for devices with basic authentication")
    add_option(parser, "--password", "DEVICE_PASSWORD", None, "the same")
    add_option(parser, "--secret", "DEVICE_SECRET", None, "for devices that want X-Camera-Secret")
    help_text = "which firmware it has (default: auto, which looks)"
    parser.add_argument("--variant", choices=VARIANTS, default="auto", help=help_text)
    help_text = "where its stream is (default: where the firmware has it)"
    parser.add_argument("--stream-port", metavar="N", type=int, help=help_text)
    help_text = "the encoded video, the device's own JPEGs, or what the viewer asks for (default: both)"
    parser.add_argument("--send", choices=["both", "video", "jpeg"], default="both", help=help_text)
    help_text = "stay connected to the device while nobody watches"
    parser.add_argument("--keep-warm", action="store_true", help=help_text)
    help_text = "fetch a picture now and then while nobody watches"
    parser.add_argument("--still-every", metavar="SECONDS", type=positive, help=help_text)
    help_text = "pictures a second at most (default: all)"
    parser.add_argument("--fps", metavar="RATE", type=positive, help=help_text)
    help_text = "kbit/s of the video at most (default: by size and rate)"
    parser.add_argument("--bitrate", metavar="KBIT", type=int, help=help_text)
    help_text = "where to serve /health, /metrics and /heartbeat (default: nowhere)"
    add_option(parser, "--listen", "LISTEN", None, help_text)
    add_option(parser, "--heartbeat-secret", "HEARTBEAT_SECRET", None, "what devices prove themselves with")
    parser.add_argument("--config", metavar="FILE", help="devices in a TOML file, instead of --device")
    run(parser, _be_bridge)


async def _be_bridge(arguments: argparse.Namespace, reporter: Reporter) -> None:
    await Bridge(_configuration(arguments), reporter).run()


def _configuration(arguments: argparse.Namespace) -> BridgeConfig:
    """The file's, and what it leaves open from the options."""
    if (arguments.config is None) == (arguments.device is None):
        raise InvalidOption("Give either a --device, such as http://192.168.1.40, or a --config file.")
    if arguments.config is not None:
        config = read(arguments.config)
    else:
        config = one_device({"url": arguments.device, **_given(arguments, DeviceConfig)})
    open_yet = {name for name in _given(arguments, BridgeConfig) if getattr(config, name) is None}
    return msgspec.structs.replace(config, **{name: getattr(arguments, name) for name in open_yet})


def _given(arguments: argparse.Namespace, kind: type[msgspec.Struct]) -> dict[str, object]:
    """The options that are fields of this kind, if they were given."""
    return {
        name: value
        for name, value in vars(arguments).items()
        if name in kind.__struct_fields__ and value is not None
    }

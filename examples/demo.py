"""A server, two simulated ESP32-CAMs and their bridge, for a browser: python examples/demo.py [PORT]"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

DEVICES = {
    "front-door": ("Front door", "--frame-size=VGA", "--fps=15"),
    "yard": ("Yard", "--variant=easytarget", "--frame-size=SVGA", "--fps=10"),
}


def main(port: str = "8080") -> int:
    # However it is ended, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        server = start(stack, "cctvsignal", "--port", port)
        for line in server:
            print(line, end="", flush=True)
            if " is ready: " in line:
                link = line.split()[-1]
                show_devices(stack, server_url=link.replace("http", "ws", 1))
                print(f"\n  Watch two simulated cameras: {link}\n", flush=True)
        return 1  # It says why by itself.
    return 0


def show_devices(stack: ExitStack, server_url: str) -> None:
    """Start the devices, and a bridge that brings them into the room which the web app shows."""
    lines = [f'server = "{server_url}"']
    for name, (title, *options) in DEVICES.items():
        simulator = start(stack, "cctvsignal-esp32-sim", "--port=0", "--stream-port=0", *options)
        device = json.loads(simulator.readline())
        stream_port = device["stream"].split(":")[2].partition("/")[0]
        lines += ["[[device]]", f'id = "{name}"', f'name = "{title}"', f'url = "{device["url"]}"']
        lines += [f"stream-port = {stream_port}"]
    config = Path(stack.enter_context(TemporaryDirectory())) / "devices.toml"
    config.write_text("\n".join(lines))
    start(stack, "cctvsignal-esp32", "--config", str(config), output=None)


def start(stack: ExitStack, name: str, *arguments: str, output: int | None = subprocess.PIPE) -> IO[str]:
    """Start a command that is installed beside this Python, and end it with the stack; its output."""
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    process = stack.enter_context(
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True
        )
    )
    stack.callback(process.terminate)
    return process.stdout or sys.stdout


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

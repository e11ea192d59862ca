"""What tells the firmwares apart, to the byte. No I/O.

The sources: arduino-esp32's `CameraWebServer/app_httpd.cpp`, `easytarget/esp32-cam-webserver`, ESPHome's
`esp32_camera_web_server`, Tasmota's `xdrv_81_esp32_webcam.ino` and `s60sc/ESP32-CAM_MJPEG2SD`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BOUNDARY: Final = "123456789000000000000987654321"
TASMOTA_BOUNDARY: Final = "e8b8c539-047d-4777-a985-fbba6edff11e"
DELIMITER: Final = f"\r\n--{BOUNDARY}\r\n"


@dataclass(frozen=True)
class Variant:
    """One firmware. A stream is `head`, `leading`, then for each frame `before`, `part`, JPEG, `after`."""

    name: str
    head: str
    """The status line and the headers."""
    stream_paths: tuple[str, ...] = ("/stream",)
    leading: str = ""
    before: str = ""
    part: str = "Content-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"
    """Has `length` in bytes, and the `seconds` and `micros` of the frame buffer's time."""
    after: str = ""
    chunked: bool = True
    pages: tuple[str, ...] = ()
    """What the other port serves."""
    ports: tuple[int, int] = (80, 81)
    """Of the pages and of the stream, as the firmware has them by default."""
    sockets: int = 7
    purges: bool = False
    """Whether a connection too many closes the oldest, instead of waiting."""
    blocks: bool = True
    """Whether a stream keeps its server from anything else; where not, a new stream ends the one before."""
    old_indices: bool = False
    """Whether it was only ever built with frame sizes as they were before esp32-camera 2.0.14."""
    status: tuple[str, ...] = ()
    lamp_seconds: float = 0.0
    """How long `/capture` waits for its lamp."""
    farewell: str = ""
    """What a stream ends with that never had a frame."""
    open_stream: bool = False
    """Whether the stream is outside the password."""


def _chunked_head(*headers: str) -> str:
    # The order is esp_http_server's: what it writes itself comes first, then headers as they were set.
    own = (f"Content-Type: multipart/x-mixed-replace;boundary={BOUNDARY}", "Transfer-Encoding: chunked")
    return "".join(f"{line}\r\n" for line in ("HTTP/1.1 200 OK", *own, *headers, ""))


_SENSOR: Final = (
    *(
        "framesize",
        "quality",
        "brightness",
        "contrast",
        "saturation",
        "sharpness",
        "special_effect",
        "wb_mode",
    ),
    *(
        "awb",
        "awb_gain",
        "aec",
        "aec2",
        "ae_level",
        "aec_value",
        "agc",
        "agc_gain",
        "gainceiling",
        "bpc",
        "wpc",
    ),
    *("raw_gma", "lenc"),
)
_CORS: Final = "Access-Control-Allow-Origin: *"

VARIANTS: Final = {
    variant.name: variant
    for variant in (
        Variant(
            "camera-web-server",
            _chunked_head(_CORS, "X-Framerate: 60"),
            before=DELIMITER,
            part="Content-Type: image/jpeg\r\nContent-Length: {length}\r\n"
            "X-Timestamp: {seconds}.{micros:06}\r\n\r\n",
            pages=(
                *("/", "/control", "/status", "/capture", "/bmp"),
                *("/xclk", "/reg", "/greg", "/pll", "/resolution"),
            ),
            # No vflip, and nothing that says which camera this is: so the firmware has it.
            status=(
                *("0xd3", "0x111", "0x132", "xclk", "pixformat", *_SENSOR),
                *("hmirror", "dcw", "colorbar", "led_intensity"),
            ),
            lamp_seconds=0.15,
        ),
        Variant(
            "easytarget",
            _chunked_head(_CORS),
            stream_paths=("/",),
            leading=DELIMITER,
            after=DELIMITER,
            pages=("/", "/view", "/control", "/status", "/capture", "/info", "/stop", "/dump"),
            old_indices=True,
            status=(
                *("lamp", "autolamp", "min_frame_time", "framesize", "quality", "xclk", *_SENSOR[2:]),
                *("vflip", "hmirror", "dcw", "colorbar", "cam_name", "code_ver", "rotate", "stream_url"),
            ),
            lamp_seconds=0.075,
        ),
        Variant(
            "esphome",
            f"HTTP/1.0 200 OK\r\n{_CORS}\r\nConnection: close\r\n"
            f"Content-Type: multipart/x-mixed-replace;boundary={BOUNDARY}\r\n\r\n",
            stream_paths=("/",),
            leading=f"--{BOUNDARY}\r\n",
            after=DELIMITER,
            chunked=False,
            pages=("snapshot",),
            ports=(8081, 8080),
            sockets=1,
            purges=True,
            farewell=f"Content-Type: text/plain\r\n\r\nNo frames send.\r\n--{BOUNDARY}\r\n",
        ),
        Variant(
            "tasmota",
            "HTTP/1.1 200 OK\r\n"
            f"Content-Type: multipart/x-mixed-replace;boundary={TASMOTA_BOUNDARY}\r\n\r\n",
            stream_paths=("/stream", "/cam.mjpeg", "/cam.jpg"),
            before=f"--{TASMOTA_BOUNDARY}\r\n",
            after="\r\n",
            chunked=False,
            pages=("/wc.jpg", "/snapshot.jpg"),
            blocks=False,
            open_stream=True,
        ),
        Variant(
            "s60sc",
            _chunked_head(_CORS),
            stream_paths=("/sustain",),
            before=DELIMITER,
            part="Content-Type: image/jpeg\r\nContent-Length: {length:10}\r\n\r\n",
            pages=("/", "/control", "/status"),
            ports=(80, 80),
            blocks=False,
            status=("xclk", *_SENSOR, "vflip", "hmirror", "dcw", "colorbar"),
        ),
        Variant(
            "plain",
            "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n",
            stream_paths=("/stream", "/"),
            before="--frame\r\n",
            part="Content-Type: image/jpeg\r\n\r\n",
            after="\r\n",
            chunked=False,
            pages=("/capture",),
        ),
    )
}


def opening(variant: Variant) -> bytes:
    """What a stream begins with, before the first frame."""
    return variant.head.encode() + _piece(variant, variant.leading.encode())


def frame(variant: Variant, body: bytes, length: int, stamp: float) -> bytes:
    """A frame of the stream: its body, the length its header says, the time of its buffer in seconds."""
    micros = int(stamp * 1_000_000)
    part = variant.part.format(length=length, seconds=micros // 1_000_000, micros=micros % 1_000_000)
    pieces = (variant.before.encode(), part.encode(), body, variant.after.encode())
    return b"".join(_piece(variant, piece) for piece in pieces)


def _piece(variant: Variant, content: bytes) -> bytes:
    # An empty chunk would end the body.
    if not variant.chunked or not content:
        return content
    return b"%x\r\n%s\r\n" % (len(content), content)

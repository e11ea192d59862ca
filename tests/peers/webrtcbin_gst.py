"""A camera or a viewer over GStreamer's webrtcbin, under the Python of the system.

python3 webrtcbin_gst.py camera|viewer SERVER ROOM CAMERA CODEC FRAMES

A camera serves one viewer and ends with its input; a viewer decodes so many frames and prints what it saw.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

try:
    import gi
    import websockets

    for name in ("Gst", "GstSdp", "GstWebRTC"):
        gi.require_version(name, "1.0")
    from gi.repository import Gst, GstSdp, GstWebRTC
except (ImportError, ValueError) as missing:
    raise SystemExit(f"{missing}: run tests/install-peers.sh") from None

NEEDED = ("webrtcbin", "nicesrc", "dtlsdec", "srtpdec", "x264enc", "vp8enc", "avdec_h264", "vp8dec")
SECONDS = 40
SOURCE = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1"
ENCODE = {
    "h264": "x264enc tune=zerolatency key-int-max=30 ! video/x-h264,profile=high"
    " ! rtph264pay config-interval=-1",
    "vp8": "vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay picture-id-mode=15-bit",
}
DECODE = {"H264": "rtph264depay ! avdec_h264", "VP8": "rtpvp8depay ! vp8dec"}


class Peer:
    """One side of one session, which speaks the plain protocol of docs/protocol.md."""

    def __init__(self, socket: Any, pipeline: Any, target: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.socket, self.pipeline, self.target = socket, pipeline, target
        self.frames, self.seen = 0, asyncio.Event()
        self.wanted = 0
        self.codec = ""
        self.size = (0, 0)
        self.webrtc = pipeline.get_by_name("rtc")
        self.webrtc.connect("on-ice-candidate", self.on_candidate)
        self.webrtc.connect("pad-added", self.on_pad)

    def say(self, **message: object) -> None:
        """Send a message; for all threads of GStreamer."""
        text = json.dumps({"target": self.target, **message})
        asyncio.run_coroutine_threadsafe(self.socket.send(text), self.loop)

    def on_candidate(self, _: object, index: int, candidate: str) -> None:
        self.say(type="iceCandidate", candidate={"candidate": candidate, "sdpMLineIndex": index})

    def describe(self, *_: object) -> None:
        """Make an offer."""
        self.make("offer")

    def make(self, kind: str) -> None:
        """Make a description, set and send it."""

        def made(promise: Any, *_: object) -> None:
            promise.wait()
            reply = promise.get_reply()  # It owns the description.
            description = reply.get_value(kind)
            print(description.sdp.as_text(), flush=True)
            self.webrtc.emit("set-local-description", description, None)
            self.say(type=kind, sdp={"type": kind, "sdp": description.sdp.as_text()})

        self.webrtc.emit(f"create-{kind}", None, Gst.Promise.new_with_change_func(made))

    def hear(self, message: dict[str, Any]) -> None:
        """Take a message of the other side."""
        match message["type"]:
            case "offer" | "answer" as kind:
                _, sdp = GstSdp.SDPMessage.new_from_text(message["sdp"]["sdp"])
                of_kind = getattr(GstWebRTC.WebRTCSDPType, kind.upper())
                description = GstWebRTC.WebRTCSessionDescription.new(of_kind, sdp)
                done = None
                if kind == "offer":
                    done = Gst.Promise.new_with_change_func(lambda *_: self.make("answer"))
                self.webrtc.emit("set-remote-description", description, done)
            case "iceCandidate" if message["candidate"] and message["candidate"]["candidate"]:
                index = message["candidate"].get("sdpMLineIndex") or 0
                self.webrtc.emit("add-ice-candidate", index, message["candidate"]["candidate"])

    def on_pad(self, _: object, pad: Any) -> None:
        """Decode what comes, and count it."""
        if pad.direction != Gst.PadDirection.SRC:
            return
        self.codec = pad.get_current_caps().get_structure(0).get_string("encoding-name")
        # A frame that a decoder puts out is one that it could decode.
        sink = Gst.parse_bin_from_description(f"queue ! {DECODE[self.codec]} ! fakesink name=end", True)
        sink.get_by_name("end").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self.on_frame)
        self.pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    def on_frame(self, pad: Any, _: object) -> Any:
        self.frames += 1
        structure = pad.get_current_caps().get_structure(0)
        self.size = (structure.get_value("width"), structure.get_value("height"))
        if self.frames == self.wanted:
            self.loop.call_soon_threadsafe(self.seen.set)
        return Gst.PadProbeReturn.OK


async def messages(socket: Any) -> Any:
    """What the server sends."""
    async for text in socket:
        message = json.loads(text)
        if message["type"] in ("cameraNotFound", "error"):
            raise SystemExit(str(message))
        yield message


async def camera(socket: Any, room: str, camera_id: str, codec: str) -> None:
    """Serve a viewer until there is nobody at the other end of the standard input."""
    await socket.send(
        json.dumps({"type": "join", "room": room, "deviceType": "camera", "cameraId": camera_id})
    )
    peer = None
    async for message in messages(socket):
        if message["type"] == "joined":
            print("joined", flush=True)
        elif message["type"] == "viewerRequest":
            caps = f"application/x-rtp,media=video,encoding-name={codec.upper()},payload=96"
            launch = f"{SOURCE} ! {ENCODE[codec]} ! {caps} ! webrtcbin name=rtc bundle-policy=max-bundle"
            peer = Peer(socket, Gst.parse_launch(launch), message["viewerId"])
            peer.webrtc.connect("on-negotiation-needed", peer.describe)
            peer.pipeline.set_state(Gst.State.PLAYING)
        elif peer is not None:
            peer.hear(message)


async def viewer(socket: Any, room: str, camera_id: str, wanted: int) -> None:
    """Decode so many frames."""
    await socket.send(json.dumps({"type": "join", "room": room, "deviceType": "viewer"}))
    await socket.send(json.dumps({"type": "requestStream", "cameraId": camera_id}))
    peer: Peer | None = None

    async def talk() -> None:
        nonlocal peer
        async for message in messages(socket):
            if message["type"] == "offer":
                made = Gst.Pipeline()
                bin = Gst.ElementFactory.make("webrtcbin", "rtc")
                bin.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
                made.add(bin)
                peer = Peer(
                    socket,
                    made,
                    message["sender"],
                )
                peer.wanted = wanted
                peer.pipeline.set_state(Gst.State.PLAYING)
                begun.set()
            if peer is not None:
                peer.hear(message)

    begun = asyncio.Event()
    talking = asyncio.create_task(talk())
    await asyncio.wait({talking, asyncio.create_task(begun.wait())}, return_when=asyncio.FIRST_COMPLETED)
    assert peer is not None, "the server hung up"
    await peer.seen.wait()
    found = {"codec": peer.codec, "frames": peer.frames, "width": peer.size[0], "height": peer.size[1]}
    print(json.dumps(found), flush=True)
    talking.cancel()
    peer.pipeline.set_state(Gst.State.NULL)


async def main(kind: str, url: str, room: str, camera_id: str, codec: str, frames: str) -> None:
    """One peer."""
    async with websockets.connect(url) as socket:
        if kind == "camera":
            await camera(socket, room, camera_id, codec)
        else:
            await asyncio.wait_for(viewer(socket, room, camera_id, int(frames)), SECONDS)


if __name__ == "__main__":
    Gst.init(None)
    if lacking := [name for name in NEEDED if Gst.ElementFactory.find(name) is None]:
        raise SystemExit(f"GStreamer has no {', '.join(lacking)}: run tests/install-peers.sh")
    if sys.argv[1:] != ["--check"]:
        asyncio.run(main(*sys.argv[1:]))

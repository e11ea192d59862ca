"""Cameras that fail, and hostile ones: what a tile says of each, and that the others stay live."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import OpenPage
from tests.browser.pages import (
    camera,
    expect_moving_picture,
    start_camera,
    tile,
    tile_status,
    video_of,
    wait_until,
    watched,
)
from tests.processes import Server

ROOMS = (f"failures-{number}" for number in itertools.count(1))

CAMERA = """async ([room, cameraId, mode]) => {
    const { CameraClient } = await import("/client/index.js");
    const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
    const context = canvas.getContext("2d");
    let pictures = 0;
    const draw = () => {
        context.fillStyle = `hsl(${++pictures * 20} 80% 50%)`;
        context.fillRect(0, 0, 160, 240);
    };
    if (mode !== "silent") setInterval(draw, 50);
    const section = (mid) => [
        "m=video 9 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0", "a=rtpmap:96 VP8/90000", `a=mid:${mid}`,
        "a=rtcp-mux", "a=sendonly", "a=setup:actpass", "a=ice-ufrag:abcd", "a=ice-pwd:" + "a".repeat(24),
        "a=fingerprint:sha-256 " + Array(32).fill("AB").join(":"), "",
    ].join("\\r\\n");
    const begin = "v=0\\r\\no=- 1 2 IN IP4 127.0.0.1\\r\\ns=-\\r\\nt=0 0\\r\\n";
    const spoil = {
        fingerprint: (sdp) => sdp.replace(/(a=fingerprint:\\S+ )(..)/g, (_, name, byte) =>
            name + (byte === "00" ? "01" : "00")),
        candidates: (sdp) => sdp.replace(/a=candidate:.*\\r\\n/g, ""),
        codec: (sdp) => sdp.replace(/(m=video \\d+ \\S+) .*/, "$1 126")
            .replace(/a=(rtpmap|fmtp|rtcp-fb):.*\\r\\n/g, "") + "a=rtpmap:126 H266/90000\\r\\n",
        sections: () => begin + [...Array(200).keys()].map(section).join(""),
        most: () => begin + [...Array(32).keys()].map(section).join(""),
        candidateLines: (sdp) => sdp.trimEnd() + "\\r\\n"
            + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\\r\\n".repeat(400),
    }[mode] ?? ((sdp) => sdp);
    const camera = new CameraClient({ room, cameraId });
    // Without a stream, a camera answers nobody.
    if (mode !== "nothing") camera.startStreaming(canvas.captureStream());
    const receive = camera._receive;
    camera._receive = (message) => {
        if (mode === "candidates" && message.type === "iceCandidate") return undefined;
        return receive.call(camera, message);
    };
    const send = camera._send.bind(camera);
    camera._send = (message) => {
        if (mode === "candidates" && message.type === "iceCandidate") return true;
        const { sdp } = message;
        return send(sdp ? { ...message, sdp: { ...sdp, sdp: spoil(sdp.sdp) } } : message);
    };
    camera.on("viewerFailed", ({ error }) => console.log("viewerFailed", error.name));
    await camera.register();
}"""
"""A camera of a page, of which something is wrong."""

Says = tuple[str, str, str]
FAILING: dict[str, Says] = {
    "fingerprint": ("notSecured", "secure connection", "DTLSFailedError"),
    "candidates": ("relayNeeded", "TURN server", "ICEFailedError"),
    "codec": ("noCodec", "cannot play", "NoCommonCodecError"),
    "nothing": ("noAnswer", "does not answer", "TimeoutError"),
    "sections": ("notAccepted", "far more than a camera", "LimitExceededError"),
    "candidateLines": ("notAccepted", "far more than a camera", "LimitExceededError"),
    "silent": ("noPicture", "sent no picture yet", "sends no media"),
}
SENT = """
window.sockets = 0;
const Socket = WebSocket;
window.WebSocket = class extends Socket {
    constructor(...options) { super(...options); window.sockets++; }
};
window.sent = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) {
    window.sent.push(new TextEncoder().encode(text).length);
    return send.call(this, text);
};
"""
PEERS = """
const Original = RTCPeerConnection;
window.peers = [];
window.ice = [];
window.RTCPeerConnection = class extends Original {
    constructor(...options) {
        super(...options);
        window.peers.push(this);
        this.addEventListener("iceconnectionstatechange", () => window.ice.push(this.iceConnectionState));
    }
};
"""
WATCH = """async (room) => {
    const { ViewerClient } = await import("/client/index.js");
    window.viewer = new ViewerClient({ room });
    await viewer.connect();
    await viewer.requestStream("porch");
}"""
GO = """() => {
    viewer._receive = () => {}; // It asks no more for what it has lost.
    window.peers.forEach((peer) => peer.close());
}"""
COUNTED = "async (count) => (await viewer.getAvailableCameras())[0].viewers === count"
"""How many viewers the server counts."""


def warnings_of(page: Page) -> list[str]:
    """What the page writes into its console."""
    warnings: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "warning":
            warnings.append(message.text)

    page.on("console", note)
    return warnings


@pytest.mark.parametrize("mode", FAILING)
def test_a_tile_and_the_console_say_what_has_failed(open_page: OpenPage, mode: str) -> None:
    room = next(ROOMS)
    state, sentence, name = FAILING[mode]
    source = open_page("/camera.html")
    source.evaluate(CAMERA, [room, "porch", mode])
    viewer = open_page("/?room=empty-for-now")
    warnings = warnings_of(viewer)
    viewer.goto(viewer.url.replace("empty-for-now", room))
    expect(tile(viewer, "porch")).to_have_attribute("data-state", state, timeout=30_000)
    expect(tile_status(viewer, "porch")).to_contain_text(sentence)
    assert "TURN" not in tile_status(viewer, "porch").inner_text() or mode == "candidates"
    if not any(name in warning for warning in warnings):
        viewer.wait_for_event("console", lambda message: name in message.text)
    expect_accessible(viewer)


@pytest.mark.parametrize("mode", ["sections", "most", "candidateLines"])
def test_a_hostile_camera_leaves_the_others_live(
    open_page: OpenPage, shared_server: Server, mode: str
) -> None:
    room = next(ROOMS)
    with camera(shared_server, room, "good"):
        viewer = open_page(f"/?room={room}", script=SENT)
        expect_moving_picture(viewer, watched(viewer, "good"))
        source = open_page("/camera.html")
        source.evaluate(CAMERA, [room, "hostile", mode])
        if mode == "most":
            # As many sections as are taken: the answer is one that the server takes.
            viewer.wait_for_function("() => Math.max(...window.sent) > 10_000")
            assert viewer.evaluate("Math.max(...window.sent)") < 65_536
        else:
            expect(tile(viewer, "hostile")).to_have_attribute("data-state", "notAccepted")
            assert viewer.evaluate("Math.max(...window.sent)") < 10_000
        expect_moving_picture(viewer, video_of(viewer, "good"))
        expect(tile(viewer, "good")).to_have_attribute("data-state", "live")
        expect(viewer.locator("#status")).to_have_attribute("data-state", "connected")
        assert viewer.evaluate("window.sockets") == 1


def test_a_viewer_that_goes_without_a_word_is_not_counted_any_more(open_page: OpenPage) -> None:
    room = next(ROOMS)
    source = open_page(f"/camera.html?room={room}&camera=porch", script=PEERS)
    start_camera(source)
    viewer = open_page("/?room=elsewhere", script=PEERS)
    viewer.evaluate(WATCH, room)
    expect(source.locator("#viewers")).to_have_text("1 viewer")
    wait_until(viewer, COUNTED, 1)
    # Its connection to the server stays: nothing else tells that the session is over.
    viewer.evaluate(GO)
    expect(source.locator("#viewers")).to_have_text("Nobody is watching")
    wait_until(viewer, COUNTED, 0)
    # Long before ICE could notice.
    assert "disconnected" not in source.evaluate("window.ice")


def test_a_camera_that_closes_without_a_word_is_asked_again(open_page: OpenPage) -> None:
    room = next(ROOMS)
    source = open_page(f"/camera.html?room={room}&camera=porch", script=PEERS)
    start_camera(source)
    viewer = open_page(f"/?room={room}", script=PEERS)
    expect_moving_picture(viewer, watched(viewer, "porch"))
    source.evaluate("window.peers.forEach((peer) => peer.close())")
    source.wait_for_function("() => window.peers.length === 2")
    expect_moving_picture(viewer, watched(viewer, "porch"))
    assert "disconnected" not in viewer.evaluate("window.ice")

"""What one viewer is sent: packets that were encoded for all, and what its receiver reports back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import av
from aiortc import RTCRtpSender, RTCRtpTransceiver
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RtcpPsfbPacket,
    RtcpRrPacket,
    unpack_remb_fci,
)

from .packets import PacketFeed, PacketReader
from .rates import ViewerRate

FORCES_KEYFRAME: Final = (RTCP_PSFB_PLI, RTCP_PSFB_FIR)


class OutgoingTrack(MediaStreamTrack):
    """A track of encoded packets for one sender, in one of `codecs`, which are in the order of preference.

    aiortc only packetises what such a track returns. `feed_for` gives the feed of the codec that was
    negotiated; `on_estimate` gets the viewer's estimates of its path (bits a second, REMB:
    draft-alvestrand-rmcat-remb).
    """

    def __init__(
        self,
        kind: Literal["audio", "video"],
        codecs: Sequence[str],
        feed_for: Callable[[str], PacketFeed],
    ) -> None:
        super().__init__()
        self.kind = kind
        self._codecs = codecs
        self.rate = ViewerRate()
        self.on_estimate: Callable[[OutgoingTrack, float], None] = lambda track, bitrate: None
        self._feed_for = feed_for
        self._transceiver: RTCRtpTransceiver | None = None
        self._clock = 1
        self.reader: PacketReader | None = None
        """None until the sender begins, which is when media can flow."""
        self._pause = 0.0
        self._heard = 0.0

    @property
    def silent_seconds(self) -> float:
        """How long the viewer has reported nothing, which it does about once a second (RFC 3550, 6.2)."""
        return asyncio.get_running_loop().time() - self._heard

    def attach(self, transceiver: RTCRtpTransceiver) -> None:
        """The transceiver whose sender this track was given to."""
        self._transceiver = transceiver
        # A codec of another kind than the feed's would be packetised all the same.
        names = [name.lower() for name in (*self._codecs, "rtx")]
        known = RTCRtpSender.getCapabilities(self.kind).codecs
        transceiver.setCodecPreferences(
            [codec for name in names for codec in known if codec.mimeType.lower().endswith(f"/{name}")]
        )
        sender = transceiver.sender
        handle = sender._handle_rtcp_packet

        # aiortc itself has feedback change its own encoder, which a track of packets does not use.
        async def hear(packet: Any) -> None:
            self._heard = asyncio.get_running_loop().time()
            if isinstance(packet, RtcpPsfbPacket):
                self._hear(packet, sender._ssrc)
            elif isinstance(packet, RtcpRrPacket):
                for report in packet.reports:
                    if report.ssrc == sender._ssrc:
                        self.rate.lost(report.fraction_lost / 256, self._heard)
            await handle(packet)

        sender._handle_rtcp_packet = hear  # type: ignore[method-assign]

    async def recv(self) -> av.Packet[Any]:
        """The next packet."""
        if self.readyState != "live" or self._transceiver is None:
            raise MediaStreamError
        if self.reader is None:
            feed = self._feed_for(self._transceiver._codecs[0].name)
            self.reader, self._clock = feed.read(), feed.clock
        if self._pause:
            await asyncio.sleep(self._pause)
        try:
            packet = await self.reader.next()
        except StopAsyncIteration:
            self.stop()
            raise MediaStreamError from None
        self._pause = packet.pause
        return packet.to_av(self._clock)

    def stop(self) -> None:
        super().stop()
        if self.reader is not None:
            self.reader.close()

    def _hear(self, packet: RtcpPsfbPacket, ssrc: int) -> None:
        if packet.fmt in FORCES_KEYFRAME:
            if self.reader is not None:
                self.reader.need_keyframe()
        elif packet.fmt == RTCP_PSFB_APP:
            try:
                bitrate, streams = unpack_remb_fci(packet.fci)
            except ValueError:
                return  # Some other application's message.
            if ssrc in streams:
                self.on_estimate(self, bitrate)

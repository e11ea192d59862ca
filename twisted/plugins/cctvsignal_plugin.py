"""Makes `twistd cctvsignal`, and the reactor of the same name, known to Twisted."""

from __future__ import annotations

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

cctvsignal = ServiceMaker(
    "cctvsignal", "cctvsignal.tap", "A WebRTC signaling server for CCTV", "cctvsignal"
)

bare_epoll = Reactor(
    "cctvsignal", "cctvsignal.reactor", "epoll(4) based reactor, cheaper for many small messages."
)

"""What connections send: gathered for a turn of the reactor, and counted where nobody reads it.

Twisted would ask the reactor to say when a socket has room, wait for that and only then send: three calls
of the system and one more turn for each small frame. Here what one turn of the reactor brings for a
connection goes out in one piece: straight to its socket if nothing waits there, else by Twisted's way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import implementer

MAX_UNSENT_BYTES: Final = 1024 * 1024
MAX_UNSENT_SECONDS: Final = 10.0
"""A client that leaves this much unread, or reads nothing for so long, is cut off."""
TRANSPORT_BUFFER: Final = 32 * 1024
"""What a transport holds before it says that its client does not read; no more is gathered either."""
MAX_UNSENT_IN_ALL: Final = 64 * 1024 * 1024
"""What all of them together may leave unread."""

log = Logger()


class Outbox:
    """What all connections of a server have to send. `longest` is that of one message in bytes."""

    def __init__(self, reactor: IReactorTime, longest: float) -> None:
        self.reactor = reactor
        self.max_unsent_bytes = max(MAX_UNSENT_BYTES, 2 * longest)
        """How many bytes one client may leave unread: at least the two longest messages that there are."""
        self.unsent = 0
        """How many bytes all clients together have not read, of those that do not read."""
        self._senders: list[Sender] = []

    def add(self, sender: Sender) -> None:
        """Flush this one as soon as the reactor has handled all that it knows of."""
        if not self._senders:
            self.reactor.callLater(0, self.flush)
        self._senders.append(sender)

    def flush(self) -> None:
        """Send what has been gathered for all of them."""
        senders, self._senders = self._senders, []
        for sender in senders:
            try:
                sender.flush()
            except Exception:
                log.failure("a connection could not send; the others go on")


@implementer(IPushProducer)
class Sender:
    """What one connection sends. `cut_off` is called, with the reason, for a client that does not read."""

    __slots__ = (
        "_cut_off",
        "_gathered",
        "_is_plain",
        "_outbox",
        "_sent",
        "_size",
        "_timer",
        "_transport",
        "_unsent",
    )

    def __init__(self, outbox: Outbox, transport: Any, cut_off: Callable[[str], None]) -> None:
        self._outbox = outbox
        self._transport = transport
        self._is_plain = isinstance(transport, Connection)
        """Whether a socket takes what is sent as it is."""
        self._cut_off = cut_off
        self._gathered: list[bytes] = []
        self._size = 0
        """Bytes that are gathered."""
        self._unsent = 0
        """Bytes that wait for the client, while it does not read."""
        self._sent = 0
        """Bytes that it was sent since it does not read."""
        self._timer: IDelayedCall | None = None

    def watch(self) -> None:
        """Have the transport say from now on whether its client reads."""
        _innermost(self._transport).bufferSize = TRANSPORT_BUFFER
        self._transport.registerProducer(self, True)

    def send(self, data: bytes) -> None:
        """Send this when the turn of the reactor is over, after what was sent before."""
        if self._timer is not None and not self._may_keep(len(data)):
            return
        gathered = self._gathered
        if not gathered:
            self._outbox.add(self)
        gathered.append(data)
        self._size += len(data)
        if self._size > TRANSPORT_BUFFER:
            self.flush()

    def flush(self) -> None:
        """Send what was gathered. Whoever vanishes while it is sent is noticed by the transport, later."""
        gathered = self._gathered
        if not gathered:
            return
        data = gathered[0] if len(gathered) == 1 else b"".join(gathered)
        gathered.clear()
        self._size = 0
        transport = self._transport
        if (
            self._is_plain
            and transport.connected
            and not transport.dataBuffer
            and not transport._tempDataLen
        ):
            try:
                written = transport.socket.send(data)
            except OSError:
                written = 0
            if written == len(data):
                return
            data = data[written:]
        transport.write(data)

    def end(self) -> None:
        """The connection is over."""
        self._stop()
        self._drop()
        # Until the garbage collector finds it, a transport keeps all that its client has not read.
        inner = _innermost(self._transport)
        inner.dataBuffer, inner._tempDataBuffer = b"", []
        # It is a method of whoever holds this one.
        self._cut_off = _nobody

    # --- what the transport calls: IPushProducer

    def pauseProducing(self) -> None:
        """The client does not read: what waits for it is counted from now on."""
        if self._timer is None:
            self._timer = self._look_again()
            self._may_keep(0)

    def resumeProducing(self) -> None:
        """All has been read."""
        self._stop()

    def stopProducing(self) -> None:
        """The transport is gone; its protocol does the rest."""

    def _may_keep(self, size: int) -> bool:
        """Whether so many bytes more may wait for the client; if not, the connection is over."""
        outbox = self._outbox
        waiting = self._waiting() + size
        self._sent += size
        outbox.unsent += waiting - self._unsent
        self._unsent = waiting
        if waiting > outbox.max_unsent_bytes or outbox.unsent > MAX_UNSENT_IN_ALL:
            self._give_up(f"{waiting} bytes unread")
            return False
        return True

    def _waiting(self) -> int:
        """How many bytes wait for the client."""
        return self._size + _held(self._transport)

    def _look_again(self) -> IDelayedCall:
        read = self._sent - self._waiting()
        return self._outbox.reactor.callLater(MAX_UNSENT_SECONDS, self._check_progress, read)

    def _check_progress(self, read_before: int) -> None:
        if self._sent - self._waiting() > read_before:
            self._timer = self._look_again()
        else:
            self._give_up(f"nothing read for {MAX_UNSENT_SECONDS:.0f} seconds")

    def _give_up(self, why: str) -> None:
        self._stop()
        self._drop()
        self._cut_off(why)

    def _drop(self) -> None:
        """Nothing is gathered any more."""
        self._gathered.clear()
        self._size = 0

    def _stop(self) -> None:
        self._outbox.unsent -= self._unsent
        self._unsent = self._sent = 0
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


def _innermost(transport: Any) -> Any:
    """The transport below TLS, if there is any."""
    return _innermost(transport.transport) if isinstance(transport, ProtocolWrapper) else transport


def _held(transport: Any) -> int:
    """How many bytes a transport holds for its client."""
    # Twisted has no name for it that is public.
    inner = _innermost(transport)
    return int(len(inner.dataBuffer) - inner.offset + inner._tempDataLen)


def _nobody(why: str) -> None:
    """There is no client any more."""

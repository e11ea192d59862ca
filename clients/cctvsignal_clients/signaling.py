"""The base of all clients: a connection to the server that comes back, a room, and events."""

from __future__ import annotations

import asyncio
import functools
import random
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

import msgspec
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import Logger

from cctvsignal import messages
from cctvsignal.messages import CameraMeta, ClientMessage, DeviceType, IceServer, ServerMessage

from . import bridge
from .bridge import Result
from .errors import CameraNotFound, ClientError, ConnectionFailed, RequestTimeout, refusal

OPEN_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 10.0
BACKOFF_FIRST_SECONDS: Final = 1.0
BACKOFF_MOST_SECONDS: Final = 30.0
REPLACED_SECONDS: Final = 60.0
"""After 4409 another camera has the id: come back late, if at all."""
CLOSE_NORMAL: Final = 1000
CLOSE_REPLACED: Final = 4409
STAYS_AWAY_AFTER: Final = frozenset({1003, 1007, 1008, 1009, 4401, 4403})
"""Close codes after which to come back unchanged would end the same way (protocol.md, section 2.6)."""

Listener = Callable[[Any], object]
M = TypeVar("M", bound=ServerMessage)
log = Logger()


def backoff(attempt: int, fraction: float) -> float:
    """Seconds to wait before attempt 0, 1, 2 ... to come back; `fraction` is random, from 0 to 1.

    Full jitter: many clients that lost the same server must not come back at the same time.
    """
    return fraction * min(BACKOFF_MOST_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(attempt, 10))


class WebRTCCCTVClient:
    """A client in one room of a server.

    `server` is a ws:// or wss:// URL. `ice_servers` are RTCIceServers; None means those of the server's
    `welcome`. `meta` is what others see of this client (at most 2 KiB as JSON).

    Methods that give a `Result` can be awaited in asyncio and in Twisted coroutines, or used as a Deferred.
    Events (`on`, `once`, `off`) have the names of the messages of docs/protocol.md and carry the message:
    `welcome`, `clientJoined`, `clientDisconnected`, `cameraAvailable`, `cameraUnavailable`,
    `cameraNotFound`, `viewerRequest`, `error`; and `connected`, `disconnected` (the close code, or None),
    `roomJoined` (the room's name), `streamReceived` (a viewer's new `Stream`).
    """

    device_type: DeviceType = "viewer"

    def __init__(
        self,
        server: str = "ws://localhost:8080",
        *,
        room: str = messages.DEFAULT_ROOM,
        ice_servers: Sequence[IceServer] | None = None,
        meta: CameraMeta | None = None,
    ) -> None:
        self.server = server
        self.room = room
        self.meta = meta
        self.client_id: str | None = None
        """What the server calls this client; another one after each reconnect."""
        self._ice_servers = ice_servers
        self._offered_ice_servers: Sequence[IceServer] = ()
        self._listeners: dict[str, list[Listener]] = {}
        self._socket: _Socket | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[ServerMessage]] = {}
        self._handlers: Mapping[type, Callable[[Any], None]] = {messages.Welcome: self._on_welcome}

    # --- life

    def connect(self) -> Result[None]:
        """Connect and join the room; from then on come back by itself whenever the connection is lost.

        Raises `ConnectionFailed`, `RequestRefused` when the server does not let this client in, or
        `ValueError` for a name that may not be.
        """
        return bridge.start(self._connect())

    def close(self) -> Result[None]:
        """Leave properly and stay away."""
        return bridge.start(self._close())

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def join_room(self, room: str) -> Result[None]:
        """Go to another room. Raises `RequestRefused`."""
        return bridge.start(self._join_room(room))

    def leave_room(self) -> Result[None]:
        """Leave the room and stay connected. Raises `RequestRefused` when there is none to leave."""
        return bridge.start(self._leave_room())

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the server at this moment."""
        return self._socket is not None

    # --- events

    def on(self, event: str, listener: Listener) -> None:
        """Call `listener` with the event's one argument each time it happens."""
        self._listeners.setdefault(event, []).append(listener)

    def once(self, event: str, listener: Listener) -> None:
        """Call `listener` the next time the event happens, and not again."""

        def call(argument: Any) -> None:
            self.off(event, call)
            listener(argument)

        self.on(event, call)

    def off(self, event: str, listener: Listener) -> None:
        """Call `listener` no longer."""
        listeners = self._listeners.get(event, [])
        if listener in listeners:
            listeners.remove(listener)

    def _emit(self, event: str, argument: Any = None) -> None:
        for listener in list(self._listeners.get(event, ())):
            try:
                listener(argument)
            except Exception:
                log.failure("a listener of {event} failed", event=event)

    # --- what subclasses use

    @property
    def _current_ice_servers(self) -> Sequence[IceServer]:
        return self._offered_ice_servers if self._ice_servers is None else self._ice_servers

    def _join_message(self) -> messages.Join:
        return messages.Join(room=self.room, device_type=self.device_type, meta=self.meta)

    def _send(self, message: ClientMessage) -> None:
        """Send a message, or lose it while there is no connection: the peer's own time-outs see to that."""
        if self._socket is not None:
            self._socket.sendMessage(messages.encode(message))

    async def _ask(self, message: ClientMessage, kind: type[M]) -> M:
        """Send a message and wait for the answer to it; raises its refusal."""
        if self._socket is None:
            raise ConnectionFailed(f"There is no connection to {self.server} at the moment.")
        # Cameras see the request ids of viewers, and must not take them for their own.
        request_id = message.request_id = uuid.uuid4().hex
        if isinstance(message, messages.AcknowledgedMessage):
            message.ack = True  # Success has no other answer.
        answer = self._answers[request_id] = asyncio.get_running_loop().create_future()
        try:
            self._send(message)
            answered = await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            raise RequestTimeout(f"{self.server} did not answer within {ANSWER_SECONDS:.0f} s.") from None
        finally:
            del self._answers[request_id]
        if isinstance(answered, messages.Error):
            raise refusal(answered)
        if isinstance(answered, messages.CameraNotFound):
            raise CameraNotFound(f"There is no camera {answered.camera_id!r} in room {self.room!r}.")
        assert isinstance(answered, kind)
        return answered

    def _disconnected(self) -> None:
        """The connection is gone; it may come back."""

    async def _end(self) -> None:
        """The client is being closed; the connection is still there, if it ever was."""

    # --- inside

    async def _connect(self) -> None:
        if self._keeper is not None:
            return
        connection = await self._open()
        try:
            await self._join()
        except (ClientError, ValueError):
            connection.sendClose(CLOSE_NORMAL)
            raise
        self._keeper = bridge.background(self._keep(connection))

    async def _close(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
        await self._end()
        connection = self._socket
        if connection is not None:
            connection.sendClose(CLOSE_NORMAL)
            await asyncio.shield(connection.gone)

    async def _join(self) -> None:
        joined = await self._ask(self._join_message(), messages.Joined)
        self.room = joined.room
        self._emit("roomJoined", joined.room)

    async def _join_room(self, room: str) -> None:
        before, self.room = self.room, room
        try:
            await self._join()
        except ClientError:
            self.room = before
            raise

    async def _leave_room(self) -> None:
        await self._ask(messages.Leave(), messages.Left)

    async def _keep(self, connection: _Socket) -> None:
        """Come back whenever the connection is lost, until the server says to stay away."""
        attempt = 0
        while True:
            code = await asyncio.shield(connection.gone)
            if code in STAYS_AWAY_AFTER:
                log.error("{server} closed the connection with {code}", server=self.server, code=code)
                self._keeper = None
                return
            wait = REPLACED_SECONDS if code == CLOSE_REPLACED else 0.0
            while True:
                await asyncio.sleep(wait + backoff(attempt, random.random()))
                attempt, wait = attempt + 1, 0.0
                try:
                    connection = await self._open()
                    await self._join()
                    attempt = 0
                    break
                except ClientError as error:
                    log.info("not back at {server} yet: {error}", server=self.server, error=error)
                    if self._socket is not None:
                        self._socket.sendClose(CLOSE_NORMAL)
                        await asyncio.shield(self._socket.gone)

    async def _open(self) -> _Socket:
        reactor = bridge.the_reactor()
        loop = asyncio.get_running_loop()
        factory = WebSocketClientFactory(self.server, reactor=reactor)
        factory.setProtocolOptions(openHandshakeTimeout=OPEN_SECONDS, failByDrop=False, autoPingInterval=20)
        factory.setProtocolOptions(autoPingTimeout=10, autoPingRestartOnAnyTraffic=False)
        factory.noisy = False
        factory.protocol = functools.partial(_Socket, self, loop)  # type: ignore[assignment]
        # The loop's resolver, because Twisted's uses threads that only a reactor's own end would end.
        host, port = factory.host, factory.port
        try:
            addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ConnectionFailed(f"There is no host {host!r} ({error}): check {self.server}.") from None
        problem: object = "no address"
        for family, _, _, _, address in addresses:
            kind = TCP6ClientEndpoint if family == socket.AF_INET6 else TCP4ClientEndpoint
            endpoint: IStreamClientEndpoint = kind(reactor, str(address[0]), port, timeout=OPEN_SECONDS)
            if factory.isSecure:
                endpoint = wrapClientTLS(optionsForClientTLS(host), endpoint)
            try:
                connection = await endpoint.connect(factory).asFuture(loop)
                assert isinstance(connection, _Socket)
                await connection.welcomed
            except (ConnectError, ConnectionError) as error:
                problem = error
            else:
                self._socket = connection
                self._emit("connected")
                return connection
        raise ConnectionFailed(f"{self.server} cannot be reached: {problem} Is the server running there?")

    def _lost(self, connection: _Socket, code: int | None) -> None:
        if self._socket is connection:
            self._socket = None
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionFailed(f"The connection to {self.server} was lost."))
            self._disconnected()
            self._emit("disconnected", code)

    def _on_welcome(self, welcome: messages.Welcome) -> None:
        self.client_id = welcome.client_id
        self._offered_ice_servers = welcome.ice_servers

    def _receive(self, payload: bytes) -> None:
        try:
            message = messages.decode_server(payload)
        except msgspec.DecodeError:
            return  # A type of a later version: clients ignore what they do not know.
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(message)
        request_id = getattr(message, "request_id", None)
        answer = self._answers.get(request_id) if request_id is not None else None
        if answer is not None and not answer.done():
            answer.set_result(message)
        self._emit(str(message.__struct_config__.tag), message)


class _Socket(WebSocketClientProtocol):
    """One WebSocket connection. `gone` is the close code in the end, None where there was none."""

    def __init__(self, client: WebRTCCCTVClient, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._client = client
        self.welcomed: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[int | None] = loop.create_future()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._client._receive(payload)
        if not self.welcomed.done():
            self.welcomed.set_result(None)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if not self.welcomed.done():
            self.welcomed.set_exception(ConnectionError(f"no WebSocket there ({reason})."))
        if not self.gone.done():
            self.gone.set_result(self.remoteCloseCode)
        self._client._lost(self, self.remoteCloseCode)

"""The base of all clients: a connection to the server that comes back, a room, and events."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, TypedDict, TypeVar

import msgspec
from twisted.logger import Logger

from cctvsignal import messages
from cctvsignal.messages import CameraMeta, ClientMessage, DeviceType, IceServer, ServerMessage

from . import bridge
from .bridge import Result
from .connection import CLOSE_NORMAL, CLOSES_OF_STRANGERS, Connection, open_connection
from .errors import (
    CameraNotFound,
    ClientError,
    ConnectionFailed,
    InvalidOption,
    MessageTooLong,
    RequestRefused,
    Unauthorized,
    blames_token,
    patience,
    refusal,
)
from .events import Disconnected, Emitter
from .questions import Questions
from .redaction import shown
from .retry import STABLE_SECONDS, STAYS_AWAY_AFTER, Backoff

DEFAULT_SERVER: Final = "ws://localhost:8080"
RECONNECT: Final = Backoff()

M = TypeVar("M", bound=ServerMessage)
Token: TypeAlias = str | Callable[[], str | Awaitable[str | None] | None]
"""A token, or what gives one for each new connection."""
log = Logger()


class ClientOptions(TypedDict, total=False):
    """The options of every client; see `WebRTCCCTVClient`."""

    room: str
    ice_servers: Sequence[IceServer] | None
    meta: CameraMeta | None
    token: Token | None
    ca_file: str | Path | None
    reconnect: Backoff | None


class WebRTCCCTVClient(Emitter):
    """A client in one room of a server.

    `server` is a ws:// or wss:// URL. `ice_servers` are RTCIceServers; None means those that the server
    names, in `welcome` or later in `iceServers`. `meta` is what others see of this client (at most 2
    KiB as JSON). `token` proves who this is, if the server wants that: a text, or a function (plain or
    `async`) that is asked for one before each connection; `authenticate` gives another one later.
    `ca_file` has the certificates (PEM) to trust instead of the system's, TURN servers included;
    `reconnect` says how long to wait before coming back, None not to.

    Methods that give a `Result` can be awaited in asyncio and in Twisted coroutines, or used as a Deferred.
    Events (`on`, `once`, `off`) have the names of the messages of docs/protocol.md and carry the message:
    `welcome`, `iceServers`, `clientJoined`, `clientDisconnected`, `cameraAvailable`, `cameraUnavailable`,
    `cameraNotFound`, `viewerRequest`, `error`; and `connected` (None), `disconnected` (`Disconnected`),
    `roomJoined` (the room's name), `streamReceived` (a viewer's new `Stream`).
    """

    device_type: DeviceType = "viewer"

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        room: str = messages.DEFAULT_ROOM,
        ice_servers: Sequence[IceServer] | None = None,
        meta: CameraMeta | None = None,
        token: Token | None = None,
        ca_file: str | Path | None = None,
        reconnect: Backoff | None = RECONNECT,
    ) -> None:
        super().__init__()
        self.server = server
        self.room = room
        self.meta = meta
        self.client_id: str | None = None
        """What the server calls this client; another one after each reconnect."""
        self._ice_servers = ice_servers
        self._token = token
        self._ca_file = ca_file
        self._reconnect = reconnect
        self._offered_ice_servers: Sequence[IceServer] = ()
        self._max_message_bytes = 0
        """Of `welcome.limits`; 0 is no limit."""
        self._socket: Connection | None = None
        self._connecting: Result[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._wants_room = True
        self._needs_token = False
        """Whether it stays away because the server does not take its token (any more)."""
        self._refused: RequestRefused | None = None
        """Why the client hangs up, where that is because the server did not let it back into its room."""
        self._questions = Questions(shown(server))
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            messages.Welcome: self._on_welcome,
            messages.IceServers: self._on_ice_servers,
        }

    # --- life

    def connect(self) -> Result[None]:
        """Connect and join the room; from then on come back by itself whenever the connection is lost.

        Raises `ConnectionFailed` or one of its kinds (`TLSFailed`, `Unauthorized`), `RequestRefused` when
        the server does not let this client into the room, or `InvalidOption`.
        """
        if self._connecting is None or self._connecting.called:
            self._connecting = bridge.start(self._connect())
        return self._connecting

    def authenticate(self, token: str) -> Result[None]:
        """Prove anew who this client is, before its token expires; all later connections use the new one.

        A client that stays away because the server did not take its token (close code 4401) comes back at
        once, or when the server is there again.

        Raises `RequestRefused` when the server refuses the token (`unauthorized`; `forbidden` where it is
        for something else than the one before, and this client is in a room) or `Unauthorized` where that
        happens in coming back: the token before stays. `ConnectionFailed` when the connection is lost.
        """
        return bridge.start(self._authenticate(token))

    def close(self) -> Result[None]:
        """Leave properly and stay away."""
        return bridge.start(self._close())

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def join_room(self, room: str) -> Result[None]:
        """Go to another room. What is watched in the present one ends.

        Raises `RequestRefused`, `ConnectionFailed` or `InvalidOption`.
        """
        return bridge.start(self._join_room(room))

    def leave_room(self) -> Result[None]:
        """Leave the room and stay connected. What is watched in it ends.

        Raises `RequestRefused` when there is none to leave.
        """
        return bridge.start(self._leave_room())

    def send(self, message: ClientMessage) -> None:
        """Send a message of `cctvsignal.messages` as it is; what comes back is an event.

        Raises `ConnectionFailed` when there is no connection, `MessageTooLong`.
        """
        if self._socket is None:
            raise ConnectionFailed(f"There is no connection to {shown(self.server)} at the moment.")
        self._send(message)

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the server at this moment."""
        return self._socket is not None

    # --- what subclasses use

    @property
    def _current_ice_servers(self) -> Sequence[IceServer]:
        return self._offered_ice_servers if self._ice_servers is None else self._ice_servers

    def _join_message(self) -> messages.Join:
        return messages.Join(room=self.room, device_type=self.device_type, meta=self.meta)

    def _send(self, message: ClientMessage) -> None:
        """Send a message, or lose it while there is no connection: the peer's own time-outs see to that.

        Raises `MessageTooLong`: the server would close the connection of who sends such a message.
        """
        if self._socket is not None:
            payload = messages.encode(message)
            if self._max_message_bytes and len(payload) > self._max_message_bytes:
                size = f"{len(payload)} bytes, and {shown(self.server)} takes {self._max_message_bytes}"
                raise MessageTooLong(f"The {message.__struct_config__.tag} has {size} at most.")
            self._socket.say(payload)

    async def _ask(self, message: ClientMessage, kind: type[M]) -> M:
        """Send a message and wait for the answer to it; raises its refusal."""
        answered = await self._questions.ask(message, self.send)
        if isinstance(answered, messages.Error):
            raise refusal(answered)
        if isinstance(answered, messages.CameraNotFound):
            raise CameraNotFound(f"There is no camera {answered.camera_id!r} in room {self.room!r}.")
        assert isinstance(answered, kind)
        return answered

    def _disconnected(self) -> None:
        """The connection is gone; it may come back."""

    async def _leaving(self) -> None:
        """The client is about to leave its room."""

    async def _end(self) -> None:
        """The client is being closed; the connection is still there, if it ever was."""

    # --- inside

    async def _connect(self) -> None:
        if self._keeper is not None:
            return
        self._checked_join_message()  # Before anything is connected.
        connection = await self._open()
        try:
            await self._join()
            connection.check_open()
        except BaseException:
            connection.sendClose(CLOSE_NORMAL)
            raise
        self._needs_token = False
        self._keeper = bridge.background(self._keep(connection.gone))

    async def _authenticate(self, token: str) -> None:
        before, self._token = self._token, token
        try:
            if self.connected:
                await self._ask(messages.Auth(token=token), messages.Authenticated)
            elif self._needs_token:
                await self._come_back()
        except ClientError as error:
            # Another one may have been given meanwhile.
            if blames_token(error) and self._token is token:
                self._token = before
            raise

    async def _come_back(self) -> None:
        try:
            await self.connect()
        except ConnectionFailed as error:
            if isinstance(error, Unauthorized) or self._reconnect is None:
                raise
            self._needs_token = False
            gone = asyncio.get_running_loop().create_future()
            gone.set_result(error.close_code)
            self._keeper = bridge.background(self._keep(gone))

    async def _close(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        self._needs_token = False
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
        await self._end()
        await self._hang_up()

    async def _hang_up(self, refused: RequestRefused | None = None) -> None:
        connection = self._socket
        if connection is not None:
            self._refused = refused
            connection.sendClose(CLOSE_NORMAL)
            await asyncio.shield(connection.gone)

    async def _join(self) -> None:
        joined = await self._ask(self._checked_join_message(), messages.Joined)
        self.room, self._wants_room = joined.room, True
        self._emit("roomJoined", joined.room)

    def _checked_join_message(self) -> messages.Join:
        try:
            return self._join_message()
        except ValueError as error:
            raise InvalidOption(f"{error}.") from None

    async def _join_room(self, room: str) -> None:
        before, self.room = self.room, room
        try:
            self._checked_join_message()  # A name that may not be must not end anything.
            if room != before:
                await self._leaving()
            await self._join()
        except BaseException:
            self.room = before
            raise

    async def _leave_room(self) -> None:
        await self._leaving()
        await self._ask(messages.Leave(), messages.Left)
        self._wants_room = False

    async def _keep(self, gone: asyncio.Future[int | None]) -> None:
        """Come back whenever the connection is lost, until the server says to stay away."""
        loop = asyncio.get_running_loop()
        attempt = 0
        try:
            while True:
                since = loop.time()
                code = await asyncio.shield(gone)
                if loop.time() - since >= STABLE_SECONDS:
                    attempt = 0
                error: Exception | None = None
                while True:
                    seconds = None if self._reconnect is None else self._reconnect.pause(code, attempt)
                    if seconds is None:
                        self._stay_away(code)
                        return
                    await asyncio.sleep(seconds + patience(error))
                    attempt += 1
                    try:
                        connection = await self._open()
                        if self._wants_room:
                            await self._join()
                        break
                    except Exception as problem:
                        error = problem
                        code = await self._not_back(problem)
                gone = connection.gone
        except Exception:  # It must not be taken for one that comes back.
            self._stay_away(None, "The client itself has failed: its log says why.")
            raise

    async def _not_back(self, error: Exception) -> int | None:
        """An attempt to come back has failed; the close code that says the same, if there is one."""
        if isinstance(error, ClientError):
            log.info("not back at {server} yet: {error}", server=shown(self.server), error=error)
        else:
            bridge.report(f"coming back to {shown(self.server)}", error)
        await self._hang_up(error if isinstance(error, RequestRefused) else None)
        return error.close_code if isinstance(error, ClientError) else None

    def _stay_away(self, code: int | None, reason: str = "") -> None:
        self._needs_token = self._needs_token or code in CLOSES_OF_STRANGERS
        # Where an established connection was lost, that has been told.
        if self._keeper is not None:
            self._keeper = None
            self._emit("disconnected", Disconnected(code, will_reconnect=False, reason=reason))

    async def _open(self) -> Connection:
        token = self._token() if callable(self._token) else self._token
        if inspect.isawaitable(token):
            token = await token
        connection = await open_connection(
            self.server, self._receive, self._lost, token=token, ca_file=self._ca_file
        )
        self._socket = connection
        self._emit("connected")
        return connection

    def _lost(self, connection: Connection, code: int | None) -> None:
        if self._socket is connection:
            self._socket = None
            reason = ""
            if self._refused is not None:
                code, reason = self._refused.close_code or code, str(self._refused)
                self._refused = None
            text = f"The connection to {shown(self.server)} was lost (close code {code})."
            self._questions.give_up(ConnectionFailed(text, code))
            if code in STAYS_AWAY_AFTER or self._reconnect is None:
                self._needs_token = self._keeper is not None and code in CLOSES_OF_STRANGERS
                self._keeper = None
            self._disconnected()
            self._emit("disconnected", Disconnected(code, self._keeper is not None, reason))

    def _on_welcome(self, welcome: messages.Welcome) -> None:
        self.client_id = welcome.client_id
        self._offered_ice_servers = welcome.ice_servers
        self._max_message_bytes = welcome.limits.max_message_bytes

    def _on_ice_servers(self, message: messages.IceServers) -> None:
        # After `joined` and before anything of the room: no session begins without them.
        self._offered_ice_servers = message.ice_servers

    def _receive(self, payload: bytes) -> None:
        try:
            message = messages.decode_server(payload)
        except msgspec.DecodeError:
            return  # A type of a later version: clients ignore what they do not know.
        handler = self._handlers.get(type(message))
        if handler is not None:
            try:
                handler(message)
            except Exception as error:
                # It would end the connection, and come again with the next one.
                bridge.report(f"taking a message of type {message.__struct_config__.tag}", error)
        is_answer = self._questions.settle(message)
        if isinstance(message, messages.Error) and message.code == "peerNotFound" and not is_answer:
            return  # Peers may go at any time: that what was on its way to them finds no one is no error.
        self._emit(str(message.__struct_config__.tag), message)

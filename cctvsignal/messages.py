"""Every message of docs/protocol.md, and nothing else: the wire protocol lives here.

`decode` turns a text frame of a client into a typed message that obeys every rule about form (types,
lengths, names); `encode` turns a message of the server into a text frame. SDP and candidate objects are
`msgspec.Raw`: checked to be sound JSON, they leave the server byte for byte as they came.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, cast, get_args

import msgspec
from msgspec import Meta, Raw, Struct

from .explanation import RequestId, explain
from .names import clean_name
from .validation import check_numbers, check_object, nests_deeper

encode = msgspec.json.Encoder().encode  # One message -> the payload of one text frame.

PROTOCOL_VERSION: Final = 1
MAX_DEPTH: Final = 32
MAX_META_BYTES: Final = 2048
DEFAULT_ROOM: Final = "default"

DeviceType: TypeAlias = Literal["camera", "viewer"]
ErrorCode: TypeAlias = Literal[
    "invalidJson",
    "invalidMessage",
    "unknownType",
    "notJoined",
    "peerNotFound",
    "cameraIdInUse",
    "cameraBusy",
    "rateLimited",
    "unauthorized",
    "forbidden",
    "roomFull",
    "resumeFailed",
    "serverBusy",
]
CameraMeta: TypeAlias = dict[str, object]


class ProtocolError(Exception):
    """A frame that breaks docs/protocol.md; `answer` is the `error` message its sender gets."""

    def __init__(
        self, code: str, message: str, request_id: str | None = None, ref: str | None = None
    ) -> None:
        super().__init__(message)
        self.answer = Error(cast(ErrorCode, code), message, request_id, ref)


# --- client -> server -------------------------------------------------------------------------------


class ClientMessage(Struct, tag_field="type", rename="camel", omit_defaults=True):
    """What all messages of clients share. A null in an optional field means that it is absent."""

    request_id: RequestId | None = None


class Join(ClientMessage, tag="join"):
    """Enter a room, leaving the one before (section 1; what else it may carry: section 2.4)."""

    room: str | None = None
    device_type: DeviceType | None = None
    camera_id: str | None = None
    meta: CameraMeta | None = None
    max_viewers: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    device_key: Annotated[str, Meta(min_length=16, max_length=256)] | None = None

    def __post_init__(self) -> None:
        self.room = clean_name(self.room, "room") if self.room and self.room.strip() else DEFAULT_ROOM
        self.device_type = self.device_type or "viewer"
        if self.device_type == "viewer":
            self.camera_id = None
        elif self.camera_id is None:
            raise ValueError("a camera needs a cameraId")
        else:
            self.camera_id = clean_name(self.camera_id, "cameraId")
        if self.meta is not None:
            check_numbers(self.meta, "meta")
            if len(encode(self.meta)) > MAX_META_BYTES:
                raise ValueError(f"meta is longer than {MAX_META_BYTES} bytes of JSON")


class AcknowledgedMessage(ClientMessage):
    """A message that is passed on, and whose sender may ask for an `ack` (section 2.3)."""

    ack: bool | None = None

    def __post_init__(self) -> None:
        if self.ack and self.request_id is None:
            raise ValueError("ack needs a requestId beside it")


class DescriptionMessage(AcknowledgedMessage, kw_only=True):
    """An SDP description, `{type, sdp}`, for `target`."""

    target: str
    sdp: Raw

    def __post_init__(self) -> None:
        # Here and below: super() costs as much as all the rest of it, and few ask for an `ack`.
        if self.ack:
            super().__post_init__()
        check_object(self.sdp, "sdp")


class Offer(DescriptionMessage, tag="offer"):
    """An SDP offer (section 1)."""


class Answer(DescriptionMessage, tag="answer"):
    """An SDP answer (section 1)."""


class IceCandidate(AcknowledgedMessage, tag="iceCandidate", kw_only=True):
    """An ICE candidate for `target`; null is the end of candidates (section 1)."""

    target: str
    candidate: Raw

    def __post_init__(self) -> None:
        if self.ack:
            super().__post_init__()
        # To look at its length first spares a copy.
        if len(self.candidate) != 4 or bytes(self.candidate) != b"null":
            check_object(self.candidate, "candidate")


class Bye(AcknowledgedMessage, tag="bye", kw_only=True):
    """The session of the sender with `target` is over (section 2.4)."""

    target: str
    reason: str | None = None


class RequestStream(AcknowledgedMessage, tag="requestStream", kw_only=True):
    """Ask a camera of the same room to call back with an offer (section 1)."""

    camera_id: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self.camera_id = clean_name(self.camera_id, "cameraId")


class Leave(ClientMessage, tag="leave"):
    """Leave the room and stay connected (section 2.4)."""


class ListCameras(ClientMessage, tag="listCameras"):
    """Ask for the cameras of the room (section 2.4)."""


class Ping(ClientMessage, tag="ping"):
    """Ask for a `pong` with the same `data` (section 2.4)."""

    data: Annotated[str, Meta(max_length=125)] | None = None


class Auth(ClientMessage, tag="auth", kw_only=True):
    """Who this is, from a client that cannot set a header or a query (section 2.4)."""

    token: Annotated[str, Meta(min_length=1, max_length=8192)]


Relayed: TypeAlias = Offer | Answer | IceCandidate | Bye
AnyClientMessage: TypeAlias = Join | Relayed | RequestStream | Leave | ListCameras | Ping | Auth


# --- server -> client -------------------------------------------------------------------------------


class ServerMessage(Struct, tag_field="type", rename="camel", omit_defaults=True):
    """What all messages of the server share."""


class Limits(Struct, rename="camel"):
    """What the server accepts from one connection (section 2.1); 0 is no limit."""

    max_message_bytes: int
    messages_per_second: int


class IceServer(Struct, omit_defaults=True):
    """A STUN or TURN server, as W3C's RTCIceServer."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class Welcome(ServerMessage, tag="welcome"):
    """The first message on every connection (sections 1 and 2.1)."""

    client_id: str
    protocol: int
    server: str
    ice_servers: list[IceServer]
    authenticated: bool
    limits: Limits


class Authenticated(ServerMessage, tag="authenticated"):
    """Answer to `auth` (section 2.4)."""

    request_id: str | None = None


class IceServers(ServerMessage, tag="iceServers"):
    """The servers to use from now on, instead of those of `welcome` (section 2.1)."""

    ice_servers: list[IceServer]


class Joined(ServerMessage, tag="joined"):
    """Answer to `join` (section 1)."""

    room: str
    request_id: str | None = None


class Left(ServerMessage, tag="left"):
    """Answer to `leave` (section 2.4)."""

    request_id: str | None = None


class ClientJoined(ServerMessage, tag="clientJoined"):
    """Somebody entered the room (section 1)."""

    client_id: str
    device_type: DeviceType
    camera_id: str | None = None
    meta: CameraMeta | None = None


class ClientDisconnected(ServerMessage, tag="clientDisconnected"):
    """Somebody disconnected or left the room (section 1)."""

    client_id: str


class CameraAvailable(ServerMessage, tag="cameraAvailable"):
    """There is a camera in the room (section 1)."""

    camera_id: str
    client_id: str
    meta: CameraMeta | None = None


class CameraUnavailable(ServerMessage, tag="cameraUnavailable"):
    """A camera of the room is no more (section 1)."""

    camera_id: str
    client_id: str


class CameraNotFound(ServerMessage, tag="cameraNotFound"):
    """Answer to `requestStream` for a camera that is not in the room (section 1)."""

    camera_id: str
    request_id: str | None = None


class ViewerRequest(ServerMessage, tag="viewerRequest"):
    """To a camera: somebody wants to watch it (section 1)."""

    viewer_id: str
    request_id: str


class RelayedOffer(ServerMessage, tag="offer"):
    """An offer of `sender` (section 1)."""

    sender: str
    sdp: Raw


class RelayedAnswer(ServerMessage, tag="answer"):
    """An answer of `sender` (section 1)."""

    sender: str
    sdp: Raw


class RelayedIceCandidate(ServerMessage, tag="iceCandidate"):
    """A candidate of `sender`; null is the end of candidates (section 1)."""

    sender: str
    candidate: Raw


class RelayedBye(ServerMessage, tag="bye"):
    """The session with `sender` is over (section 2.4)."""

    sender: str
    reason: str | None = None


class CameraInfo(Struct, rename="camel", omit_defaults=True):
    """One entry of `cameras`; `viewers` is the number of sessions it has."""

    camera_id: str
    client_id: str
    viewers: int
    meta: CameraMeta | None = None


class Cameras(ServerMessage, tag="cameras"):
    """Answer to `listCameras` (section 2.4)."""

    cameras: list[CameraInfo]
    request_id: str | None = None


class Pong(ServerMessage, tag="pong"):
    """Answer to `ping` (section 2.4)."""

    data: str | None = None
    request_id: str | None = None


class Ack(ServerMessage, tag="ack"):
    """The message was handed to the receiver's connection (section 2.3)."""

    request_id: str


class Error(ServerMessage, tag="error"):
    """What was wrong with a message of the client (section 2.5)."""

    code: ErrorCode
    message: str
    request_id: str | None = None
    ref: str | None = None
    retry_after: float | None = None
    """Seconds."""


AnyServerMessage: TypeAlias = (
    Welcome
    | Authenticated
    | IceServers
    | Joined
    | Left
    | ClientJoined
    | ClientDisconnected
    | CameraAvailable
    | CameraUnavailable
    | CameraNotFound
    | ViewerRequest
    | RelayedOffer
    | RelayedAnswer
    | RelayedIceCandidate
    | RelayedBye
    | Cameras
    | Pong
    | Ack
    | Error
)


_client_decoder: Final[msgspec.json.Decoder[AnyClientMessage]] = msgspec.json.Decoder(AnyClientMessage)
_server_decoder: Final[msgspec.json.Decoder[AnyServerMessage]] = msgspec.json.Decoder(AnyServerMessage)


def decode(frame: bytes) -> AnyClientMessage:
    """The message that a client sent as the payload of one text frame.

    Raises `ProtocolError` for everything that is not a message of docs/protocol.md.
    """
    if nests_deeper(frame, MAX_DEPTH):
        raise ProtocolError("invalidJson", f"The message nests deeper than {MAX_DEPTH} levels.")
    try:
        return _client_decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(*explain(frame, error, CLIENT_MESSAGE_TYPES)) from None


def decode_server(frame: bytes) -> AnyServerMessage:
    """The message that a server sent, for clients.

    Raises `msgspec.DecodeError`: a `ValidationError` for what this version does not know and ignores.
    """
    return _server_decoder.decode(frame)


def _types(*kinds: type[Struct]) -> frozenset[str]:
    return frozenset(str(kind.__struct_config__.tag) for kind in kinds)


CLIENT_MESSAGE_TYPES: Final = _types(*get_args(AnyClientMessage))
SERVER_MESSAGE_TYPES: Final = _types(*get_args(AnyServerMessage))

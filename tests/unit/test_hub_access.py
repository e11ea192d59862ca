"""The hub where clients have identities: what they see, when they must go, which TURN servers they get."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from cctvsignal.access import ANYONE, NOBODY, CannotSay, Identity, Unauthorized
from cctvsignal.hub import Hub
from cctvsignal.ice import IceOffer
from cctvsignal.messages import decode
from cctvsignal.policy import Authenticate, Outcome, Policy
from cctvsignal.registry import Client

VIEWER = Identity("vera", "viewer", ("hall",), ("porch-*",))
CAMERA = Identity("carl", "camera", ("hall",))


class Party:
    """A client, and what it has been sent since the last look."""

    def __init__(self, hub: Hub, identity: Identity, address: str = "192.0.2.1") -> None:
        self.hub = hub
        self.frames: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.pings = 0
        self.client: Client = hub.connect(self, identity, address)
        self.welcome = self.heard()[0]

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def ping(self) -> None:
        self.pings += 1

    def say(self, **message: Any) -> list[dict[str, Any]]:
        self.hub.receive(self.client, decode(json.dumps(message).encode()))
        return self.heard()

    def join(self, camera_id: str | None = None, **more: Any) -> list[dict[str, Any]]:
        role = {"deviceType": "camera", "cameraId": camera_id} if camera_id else {}
        return self.say(**{"type": "join", "room": "hall", **role, **more})

    def heard(self) -> list[dict[str, Any]]:
        frames, self.frames = self.frames, []
        return [json.loads(frame) for frame in frames]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def hub(clock: Clock, **policy: Any) -> Hub:
    return Hub(clock, Policy(**policy))


def code_of(heard: list[dict[str, Any]]) -> str:
    [message] = heard
    return str(message["code"]) if message["type"] == "error" else str(message["type"])


# --- a camera that somebody may not view is not there


def test_a_camera_that_is_denied_is_never_seen(clock: Clock) -> None:
    house = hub(clock)
    viewer, porch, garden = (Party(house, identity) for identity in (VIEWER, CAMERA, CAMERA))
    viewer.join()
    garden.join("garden")
    assert viewer.heard() == []
    porch.join("porch-1")
    assert [message["type"] for message in viewer.heard()] == ["clientJoined", "cameraAvailable"]
    assert [camera["cameraId"] for camera in viewer.say(type="listCameras")[0]["cameras"]] == ["porch-1"]
    late = Party(house, VIEWER)
    assert [message.get("cameraId") for message in late.join()] == [None, "porch-1"]
    viewer.heard()
    garden.say(type="leave")
    assert viewer.heard() == []
    garden.join("garden")
    house.disconnect(garden.client)
    assert viewer.heard() == []


@pytest.mark.parametrize("before", [None, "porch-1"])
def test_who_becomes_a_camera_that_is_denied_is_gone(clock: Clock, before: str | None) -> None:
    house = hub(clock)
    viewer, other = Party(house, VIEWER), Party(house, Identity("otto", "both", ("hall",)))
    viewer.join()
    other.join(before)
    seen = [message["type"] for message in viewer.heard()]
    assert seen == ["clientJoined", "cameraAvailable"][: len(seen)]
    other.join("garden")
    gone = [message["type"] for message in viewer.heard()]
    assert gone == [*(["cameraUnavailable"] if before else []), "clientDisconnected"]
    other.join("hedge")
    house.disconnect(other.client)
    assert viewer.heard() == []


@pytest.mark.parametrize("identity", [VIEWER, Identity("vic", "viewer", ("hall",), ())])
def test_what_is_said_of_a_denied_camera_is_what_is_said_of_none(clock: Clock, identity: Identity) -> None:
    house = hub(clock)
    viewer, garden = Party(house, identity), Party(house, CAMERA)
    viewer.join()
    garden.join("garden")

    def answers(camera_id: str, client_id: str) -> str:
        heard = viewer.say(type="requestStream", cameraId=camera_id, requestId=f"1{camera_id}")
        heard += viewer.say(type="offer", target=client_id, sdp={})
        heard += viewer.say(type="iceCandidate", target=client_id, candidate=None)
        heard += viewer.say(type="bye", target=client_id)
        return json.dumps(heard).replace(camera_id, "ID")

    assert answers("garden", garden.client.id) == answers("nobody", "nobody")
    assert [message["type"] for message in garden.heard()] == []


def test_neither_can_a_denied_camera_reach_whoever_may_not_see_it(clock: Clock) -> None:
    house = hub(clock)
    viewer, garden = Party(house, VIEWER), Party(house, CAMERA)
    viewer.join()
    garden.join("garden")
    assert code_of(garden.say(type="offer", target=viewer.client.id, sdp={})) == "peerNotFound"
    assert viewer.heard() == []


def test_cameras_do_not_see_each_other(clock: Clock) -> None:
    house = hub(clock)
    one, two = Party(house, CAMERA), Party(house, CAMERA)
    one.join("one")
    assert [message["type"] for message in two.join("two")] == ["joined"]
    assert one.heard() == []
    assert code_of(two.say(type="offer", target=one.client.id, sdp={})) == "peerNotFound"


def test_a_relay_to_another_room_is_answered_as_one_to_nobody(clock: Clock) -> None:
    house = hub(clock)
    one, two = Party(house, ANYONE), Party(house, ANYONE)
    one.join()
    two.join(room="attic")
    there = json.dumps(one.say(type="offer", target=two.client.id, sdp={}))
    assert there == json.dumps(one.say(type="offer", target="nobody", sdp={}))
    assert two.heard() == []


# --- who they are, and until when


@pytest.mark.parametrize("identity", [ANYONE, NOBODY, VIEWER], ids=["anyone", "nobody", "viewer"])
def test_the_welcome_says_whether_somebody_is_known(clock: Clock, identity: Identity) -> None:
    assert Party(hub(clock), identity).welcome["authenticated"] is (identity is VIEWER)


def test_an_identity_that_expires_is_closed_at_that_moment(clock: Clock) -> None:
    house = hub(clock)
    viewer, other = Party(house, Identity("vera", "viewer", ("*",), expires=100_000)), Party(house, ANYONE)
    viewer.join()
    other.join()
    viewer.heard()
    clock.pump([50_000, 49_999])
    assert viewer.closed is None
    clock.advance(1)
    assert viewer.closed == (4401, "your token has expired")
    assert [message["type"] for message in other.heard()] == ["clientDisconnected"]
    assert viewer.say(type="ping") == []
    assert not clock.getDelayedCalls()


def test_whoever_does_not_say_who_it_is_must_go(clock: Clock) -> None:
    stranger = Party(hub(clock), NOBODY)
    assert code_of(stranger.join()) == "unauthorized"
    assert code_of(stranger.say(type="ping")) == "unauthorized"
    clock.advance(9.9)
    assert stranger.closed is None
    clock.advance(0.2)
    assert stranger.closed == (4408, "no token came in time")


def authenticator(*outcomes: Outcome) -> Authenticate:
    left = list(outcomes)
    return lambda token, address, done: done(left.pop(0))


def test_auth_makes_somebody_of_a_stranger(clock: Clock) -> None:
    outcomes = (Unauthorized("The token has expired."), CannotSay("down"), VIEWER)
    stranger = Party(hub(clock, authenticate=authenticator(*outcomes)), NOBODY)
    assert code_of(stranger.say(type="auth", token="1")) == "unauthorized"
    assert code_of(stranger.say(type="auth", token="2")) == "serverBusy"
    assert stranger.say(type="auth", token="3", requestId="r") == [
        {"type": "authenticated", "requestId": "r"}
    ]
    assert code_of(stranger.join()) == "joined"
    clock.advance(60)
    assert stranger.closed is None


def test_a_token_may_be_renewed_but_not_for_something_else(clock: Clock) -> None:
    def grant(expires: float, *cameras: str) -> Identity:
        return Identity("vera", "viewer", ("hall",), cameras, expires)

    outcomes = (grant(20, "porch"), grant(30, "garden"), grant(30, "garden"))
    viewer = Party(hub(clock, authenticate=authenticator(*outcomes)), grant(10, "porch"))
    viewer.join()
    assert code_of(viewer.say(type="auth", token="1")) == "authenticated"
    clock.advance(15)
    assert viewer.closed is None
    assert code_of(viewer.say(type="auth", token="2")) == "forbidden"
    viewer.say(type="leave")
    assert code_of(viewer.say(type="auth", token="3")) == "authenticated"
    clock.advance(10)
    assert viewer.closed is None
    clock.advance(5)
    assert viewer.closed is not None


def test_an_answer_that_comes_after_the_client_is_gone_is_for_nobody(clock: Clock) -> None:
    later: list[Callable[[Outcome], None]] = []
    house = hub(clock, authenticate=lambda token, address, done: later.append(done))
    stranger = Party(house, NOBODY)
    stranger.say(type="auth", token="1")
    house.disconnect(stranger.client)
    later[0](VIEWER)
    assert stranger.heard() == []
    assert not clock.getDelayedCalls()


def test_a_claim_ends_with_the_identity_that_made_it(clock: Clock) -> None:
    house = hub(clock, authenticate=authenticator(VIEWER))
    holder, claimant = Party(house, CAMERA), Party(house, CAMERA)
    holder.join("porch")
    assert claimant.join("porch") == []
    claimant.say(type="auth", token="1")
    house.disconnect(holder.client)
    clock.advance(5)
    assert house.counts().cameras == 0


def test_whose_token_is_revoked_must_go(clock: Clock) -> None:
    house = hub(clock)
    viewer, camera = Party(house, VIEWER), Party(house, CAMERA)
    house.revoke(lambda identity: identity.subject == "vera")
    assert viewer.closed == (4401, "your token was revoked")
    assert camera.closed is None


# --- rooms and camera ids


def test_a_room_has_only_so_many_members_and_cameras(clock: Clock) -> None:
    house = hub(clock, max_members=3, max_cameras=1)
    parties = [Party(house, ANYONE) for _ in range(4)]
    assert code_of(parties[0].join("one")) == "joined"
    assert code_of(parties[1].join("two")) == "roomFull"
    parties[1].join()
    parties[2].join()
    assert code_of(parties[3].join()) == "roomFull"
    # Who is in it may join again, and its camera may take another id.
    parties[0].heard()
    assert code_of(parties[0].join("one")) == "joined"
    assert parties[2].join()[0]["type"] == "joined"
    house.disconnect(parties[1].client)
    assert parties[3].join()[0]["type"] == "joined"


class Keys:
    """Device keys in a dictionary."""

    def __init__(self) -> None:
        self.pinned: dict[tuple[str, str], str] = {}

    def admits(self, room: str, camera_id: str, key: str | None) -> bool:
        return self.pinned.get((room, camera_id), key) == key

    def pin(self, room: str, camera_id: str, key: str) -> None:
        self.pinned.setdefault((room, camera_id), key)


def test_a_camera_id_belongs_to_the_first_key(clock: Clock) -> None:
    house = hub(clock, device_keys=Keys())
    first, other = Party(house, ANYONE), Party(house, ANYONE)
    assert code_of(first.join("porch", deviceKey="k" * 16)) == "joined"
    # Whoever holds the id may refresh without it.
    assert code_of(first.join("porch")) == "joined"
    assert code_of(other.join("porch", deviceKey="x" * 16)) == "forbidden"
    house.disconnect(first.client)
    assert code_of(other.join("porch")) == "forbidden"
    assert code_of(other.join("porch", room="attic")) == "joined"
    assert code_of(other.join("porch", deviceKey="k" * 16)) == "joined"


def test_a_camera_that_only_claims_an_id_pins_nothing(clock: Clock) -> None:
    keys = Keys()
    house = hub(clock, device_keys=keys)
    holder, claimant = Party(house, ANYONE), Party(house, ANYONE)
    holder.join("porch")
    claimant.join("porch", deviceKey="k" * 16)
    house.pong(holder.client)
    assert code_of(claimant.heard()) == "cameraIdInUse"
    assert keys.pinned == {}


# --- TURN

ICE = IceOffer(["stun:a"], ["turn:b"], secret="0123456789abcdef", seconds=100)


def relay_user(message: dict[str, Any]) -> str:
    [stun, turn] = message["iceServers"]
    assert stun == {"urls": ["stun:a"]}
    return str(turn["username"])


def test_strangers_get_turn_servers_when_they_are_in_a_room(clock: Clock) -> None:
    viewer = Party(hub(clock, ice=ICE), ANYONE)
    assert viewer.welcome["iceServers"] == [{"urls": ["stun:a"]}]
    joined, servers = viewer.join()
    assert (joined["type"], servers["type"]) == ("joined", "iceServers")
    assert relay_user(servers) == f"100:{viewer.client.id}"
    assert [message["type"] for message in viewer.join(room="attic")] == ["joined"]
    # Outside of rooms there are none, and the next one gets them anew.
    viewer.say(type="leave")
    clock.advance(1000)
    assert viewer.heard() == []
    assert [message["type"] for message in viewer.join()] == ["joined", "iceServers"]


def test_whoever_is_known_gets_turn_servers_with_its_welcome(clock: Clock) -> None:
    viewer = Party(hub(clock, ice=ICE), VIEWER)
    assert relay_user(viewer.welcome) == "100:vera"
    assert [message["type"] for message in viewer.join()] == ["joined"]


def test_credentials_are_renewed_before_they_expire(clock: Clock) -> None:
    house = hub(clock, ice=ICE)
    viewer = Party(house, VIEWER)
    clock.advance(74)
    assert viewer.heard() == []
    clock.advance(1)
    assert relay_user(viewer.heard()[0]) == "175:vera"
    clock.advance(75)
    assert relay_user(viewer.heard()[0]) == "250:vera"
    house.disconnect(viewer.client)
    assert not clock.getDelayedCalls()


# --- the record


def test_what_happens_is_written_down(clock: Clock) -> None:
    events: list[tuple[str, str, dict[str, object]]] = []

    def record(event: str, client: Client, facts: dict[str, object]) -> None:
        events.append((event, client.address, facts))

    house = hub(clock, records=[record])
    viewer = Party(house, VIEWER)
    viewer.join("porch-1")
    viewer.join()
    viewer.say(type="requestStream", cameraId="porch-9")
    clock.advance(2)
    house.disconnect(viewer.client)
    assert events == [
        ("connected", "192.0.2.1", {"role": "viewer"}),
        ("joined", "192.0.2.1", {"room": "hall", "camera": "porch-1", "outcome": "forbidden"}),
        ("joined", "192.0.2.1", {"room": "hall", "camera": None, "outcome": "joined"}),
        ("requested", "192.0.2.1", {"camera": "porch-9", "outcome": "cameraNotFound"}),
        ("left", "192.0.2.1", {"room": "hall", "camera": None}),
        ("disconnected", "192.0.2.1", {"seconds": 2.0}),
    ]

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
from cctvsignal.ownership import MOST_HELD
from cctvsignal.policy import Authenticate, Outcome, Policy, Verdict
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
    """Device keys in a dictionary. `asked` are answered at once, or when the test says so."""

    def __init__(self, at_once: bool = True) -> None:
        self.pinned: dict[tuple[str, str], str] = {}
        self.at_once = at_once
        self.is_busy = False
        self.asked: list[Callable[[], None]] = []

    def look(self, room: str, camera_id: str, key: str | None, done: Callable[[Verdict], None]) -> None:
        self._answer(lambda: done(self._verdict(room, camera_id, key)))

    def pin(
        self,
        room: str,
        camera_id: str,
        key: str,
        address: str,
        subject: str,
        done: Callable[[Verdict], None],
    ) -> None:
        def pin() -> None:
            if not self.is_busy:
                self.pinned.setdefault((room, camera_id), key)
            done(self._verdict(room, camera_id, key))

        self._answer(pin)

    def answer_all(self) -> None:
        """Answer what was asked, and what is asked for that reason."""
        while self.asked:
            self.asked.pop(0)()

    def _answer(self, answer: Callable[[], None]) -> None:
        if self.at_once:
            answer()
        else:
            self.asked.append(answer)

    def _verdict(self, room: str, camera_id: str, key: str | None) -> Verdict:
        if self.is_busy:
            return Verdict.BUSY
        pinned = self.pinned.get((room, camera_id))
        return Verdict.FREE if pinned is None else Verdict.OWNED if pinned == key else Verdict.DENIED


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


@pytest.fixture
def slow() -> Keys:
    """Keys that take their time."""
    return Keys(at_once=False)


def types_of(heard: list[dict[str, Any]]) -> list[str]:
    return [str(message.get("code", message["type"])) for message in heard]


def test_what_a_camera_says_while_its_key_is_looked_up_keeps_its_order(clock: Clock, slow: Keys) -> None:
    house = hub(clock, device_keys=slow)
    camera, other = Party(house, ANYONE), Party(house, ANYONE)
    other.join()
    other.heard()
    assert camera.join("porch", deviceKey="k" * 16, requestId="1") == []
    assert camera.say(type="ping", data="2") == []
    assert camera.say(type="iceCandidate", target=other.client.id, candidate=None) == []
    assert camera.say(type="join", room="attic", deviceType="camera", cameraId="porch", requestId="3") == []
    assert camera.say(type="leave", requestId="4") == []
    # Others do not wait for it.
    assert types_of(other.say(type="ping")) == ["pong"]
    slow.answer_all()
    assert [message.get("requestId", message.get("data")) for message in camera.heard()] == [
        "1",
        "2",
        "3",
        "4",
    ]
    assert types_of(other.heard()) == [
        "clientJoined",
        "cameraAvailable",
        "iceCandidate",
        "cameraUnavailable",
        "clientDisconnected",
    ]
    assert slow.pinned == {("hall", "porch"): "k" * 16}


def test_of_two_cameras_that_pin_one_id_at_the_same_moment_one_wins(clock: Clock, slow: Keys) -> None:
    house = hub(clock, device_keys=slow)
    parties = [Party(house, ANYONE) for _ in range(2)]
    for party, key in zip(parties, "ab", strict=True):
        party.join("porch", deviceKey=key * 16)
    slow.answer_all()
    assert [types_of(party.heard()) for party in parties] == [["joined"], ["forbidden"]]
    assert slow.pinned == {("hall", "porch"): "a" * 16}


def test_a_camera_that_is_gone_before_its_key_is_found_leaves_nothing_behind(
    clock: Clock, slow: Keys
) -> None:
    house = hub(clock, device_keys=slow)
    camera, next_one = Party(house, ANYONE), Party(house, ANYONE)
    camera.join("porch", deviceKey="k" * 16)
    camera.say(type="listCameras")
    house.disconnect(camera.client)
    slow.answer_all()
    assert camera.heard() == []
    assert slow.pinned == {}
    assert house.counts().cameras == 0
    next_one.join("porch")
    slow.answer_all()
    assert types_of(next_one.heard()) == ["joined"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_key_that_cannot_be_kept_lets_no_camera_in(clock: Clock, at_once: bool) -> None:
    keys = Keys(at_once)
    keys.is_busy = True
    house = hub(clock, device_keys=keys)
    camera, viewer = Party(house, ANYONE), Party(house, ANYONE)
    heard = camera.join("porch", deviceKey="k" * 16, requestId="1")
    keys.answer_all()
    [answer] = heard or camera.heard()
    assert (answer["code"], answer["requestId"], answer["retryAfter"]) == ("serverBusy", "1", 5)
    # Viewers need no keys.
    assert types_of(viewer.join()) == ["joined"]
    keys.is_busy = False
    heard = camera.join("porch", deviceKey="k" * 16, requestId="2")
    keys.answer_all()
    assert types_of(heard or camera.heard()) == ["joined"]


def test_a_token_that_comes_while_a_key_is_looked_up_decides_about_the_join(
    clock: Clock, slow: Keys
) -> None:
    later: list[Callable[[Outcome], None]] = []
    house = hub(clock, device_keys=slow, authenticate=lambda token, address, done: later.append(done))
    camera = Party(house, CAMERA)
    camera.say(type="auth", token="1")
    camera.join("porch")
    later[0](Identity("carl", "camera", ("attic",)))
    slow.answer_all()
    assert types_of(camera.heard()) == ["authenticated", "forbidden"]


def test_messages_beyond_a_bound_do_not_wait_for_a_key(clock: Clock, slow: Keys) -> None:
    house = hub(clock, device_keys=slow)
    camera = Party(house, ANYONE)
    camera.join("porch")
    for number in range(MOST_HELD):
        assert camera.say(type="ping", data=str(number)) == []
    assert types_of(camera.say(type="ping", data="one too many")) == ["serverBusy"]
    slow.answer_all()
    heard = camera.heard()
    assert types_of(heard) == ["joined"] + ["pong"] * MOST_HELD
    assert [message["data"] for message in heard[1:]] == [str(number) for number in range(MOST_HELD)]


def test_claims_are_settled_when_the_keys_of_the_claimants_are_found(clock: Clock, slow: Keys) -> None:
    house = hub(clock, device_keys=slow)
    holder, *claimants = (Party(house, ANYONE) for _ in range(4))
    for party in (holder, *claimants):
        party.join("porch")
        slow.answer_all()
    # One of them asks again, which is still being looked up when the id becomes free.
    claimants[2].join("porch")
    house.disconnect(holder.client)
    assert types_of(claimants[2].heard()) == ["cameraIdInUse"]
    slow.answer_all()
    assert types_of(claimants[2].heard()) == ["joined"]
    house.pong(claimants[2].client)
    for claimant in claimants[:2]:
        assert types_of(claimant.heard()) == ["cameraIdInUse"]


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


# --- neither side hears of the other unless each may know of it


BOTH_PORCHES = Identity("bea", "both", ("hall",), ("porch-*",))
"""May be a camera of the porch, and watch those."""
VIEWER_OF_ALL = Identity("vito", "both", ("hall",))


def test_a_camera_hears_of_no_request_of_a_member_that_it_may_not_know(clock: Clock) -> None:
    house = hub(clock)
    hidden, porch = Party(house, VIEWER_OF_ALL), Party(house, BOTH_PORCHES)
    porch.join("porch-1", maxViewers=1)
    hidden.join("garden")
    assert porch.heard() == []
    answer = hidden.say(type="requestStream", cameraId="porch-1", requestId="r")
    assert answer == [{"type": "cameraNotFound", "cameraId": "porch-1", "requestId": "r"}]
    assert porch.heard() == []
    # And it has taken no place.
    viewer = Party(house, VIEWER)
    viewer.join()
    porch.heard()
    viewer.say(type="requestStream", cameraId="porch-1")
    assert code_of(porch.heard()) == "viewerRequest"


def test_the_viewers_of_a_camera_are_counted_as_far_as_the_asker_may_know_of_them(clock: Clock) -> None:
    house = hub(clock)
    porch, garden, viewer = Party(house, ANYONE), Party(house, ANYONE), Party(house, VIEWER)
    for party, camera_id in ((porch, "porch-1"), (garden, "garden"), (viewer, None)):
        party.join(camera_id)
    garden.say(type="requestStream", cameraId="porch-1")
    viewer.say(type="requestStream", cameraId="porch-1")
    assert viewer.say(type="listCameras")[0]["cameras"][0]["viewers"] == 1
    assert garden.say(type="listCameras")[0]["cameras"][0]["viewers"] == 2


# --- places at a camera that has a limit


def test_one_subject_or_address_cannot_hold_every_place_without_an_answer(clock: Clock) -> None:
    house = hub(clock)
    camera = Party(house, ANYONE)
    camera.join("porch-1", maxViewers=3)

    def ask(party: Party) -> str:
        party.join()
        party.heard()
        answers = party.say(
            type="requestStream", cameraId="porch-1", requestId=f"r{clock.seconds()}", ack=True
        )
        return code_of(answers)

    mallory = [Party(house, VIEWER, f"192.0.2.{number}") for number in range(3)]
    neighbour = Party(house, ANYONE, "198.51.100.1")
    assert [ask(party) for party in (*mallory, neighbour)] == ["ack", "ack", "ack", "cameraBusy"]
    clock.advance(15)
    # The last place is for others for as long again.
    assert [ask(party) for party in mallory] == ["ack", "ack", "cameraBusy"]
    assert ask(neighbour) == "ack"
    neighbour.say(type="answer", target=camera.client.id, sdp={"type": "answer", "sdp": ""})
    clock.advance(15)
    assert [ask(party) for party in mallory] == ["ack", "cameraBusy", "cameraBusy"]
    clock.advance(60)
    assert ask(mallory[0]) == "ack"


def test_whoever_answers_may_bring_as_many_as_there_are_places(clock: Clock) -> None:
    house = hub(clock)
    camera = Party(house, ANYONE)
    camera.join("porch-1", maxViewers=3)
    for _ in range(3):
        party = Party(house, VIEWER)
        party.join()
        party.say(type="requestStream", cameraId="porch-1")
        camera.say(type="offer", target=party.client.id, sdp={"type": "offer", "sdp": ""})
        party.say(type="answer", target=camera.client.id, sdp={"type": "answer", "sdp": ""})
    assert camera.say(type="listCameras")[-1]["cameras"][0]["viewers"] == 3


def test_a_token_expires_after_its_time_although_the_clock_is_set_back(clock: Clock) -> None:
    day = Clock()
    day.advance(1_800_000_000)
    house = hub(clock, wall=day.seconds)
    expires = day.seconds() + 10
    party = Party(house, Identity("vera", "viewer", ("hall",), expires=expires))
    day.rightNow -= 3600
    clock.advance(9.9)
    assert party.closed is None
    clock.advance(0.1)
    assert party.closed is not None
    assert party.closed[0] == 4401


def test_a_member_that_goes_while_others_are_told_of_a_hidden_camera_is_no_accident(clock: Clock) -> None:
    house = hub(clock)

    class Going(Party):
        def send(self, frame: bytes) -> None:
            super().send(frame)
            if b"clientDisconnected" in frame:
                # A connection that does not take what it is sent ends in the middle of it.
                self.hub.disconnect(self.client)

    going, staying, camera = Going(house, VIEWER), Party(house, VIEWER), Party(house, CAMERA)
    for party in (going, staying):
        party.join()
    camera.join("porch-1")
    staying.heard()
    camera.join("garden")
    assert [message["type"] for message in staying.heard()] == [
        *("cameraUnavailable", "clientDisconnected", "clientDisconnected")
    ]

"""The registry: plain data, whose two sides always agree."""

from __future__ import annotations

import pytest

from cctvsignal.registry import Client, Registry


class NoPeer:
    """The registry sends nothing."""

    def send(self, frame: bytes) -> None:
        pytest.fail("the registry sends nothing")

    def close(self, code: int, reason: str) -> None:
        pytest.fail("the registry closes nothing")

    def ping(self) -> None:
        pytest.fail("the registry pings nobody")


@pytest.fixture
def registry() -> Registry:
    return Registry()


def add(
    registry: Registry, client_id: str, room: str | None = None, camera_id: str | None = None
) -> Client:
    client = Client(client_id, NoPeer())
    registry.add(client)
    if room is not None:
        registry.enter(client, room)
    if camera_id is not None:
        registry.hold_camera(client, camera_id)
    return client


def test_a_client_is_found_by_its_id_until_it_is_removed(registry: Registry) -> None:
    client = add(registry, "a")
    assert registry.clients == {"a": client}
    assert client.room is None
    registry.remove(client)
    assert not registry.clients


def test_a_room_begins_with_its_first_member_and_ends_with_its_last(registry: Registry) -> None:
    one, two = add(registry, "1", "hall"), add(registry, "2", "hall")
    room = registry.rooms["hall"]
    assert one.room is two.room is room
    assert list(room.members) == ["1", "2"]
    registry.exit(one)
    assert one.room is None
    assert list(room.members) == ["2"]
    registry.exit(two)
    assert not registry.rooms


def test_rooms_of_other_names_are_other_rooms(registry: Registry) -> None:
    one, two = add(registry, "1", "hall", "cam"), add(registry, "2", "Hall", "cam")
    assert one.room is not two.room
    assert registry.rooms["hall"].cameras == {"cam": one}
    assert registry.rooms["Hall"].cameras == {"cam": two}


def test_a_released_camera_stays_a_member_and_its_sessions_end(registry: Registry) -> None:
    camera, viewer = add(registry, "c", "hall", "cam"), add(registry, "v", "hall")
    registry.start_session(camera, viewer)
    registry.release_camera(camera)
    assert camera.camera_id is None
    assert not registry.rooms["hall"].cameras
    assert list(registry.rooms["hall"].members) == ["c", "v"]
    assert not camera.viewers
    assert not viewer.watching


def test_a_camera_that_is_released_keeps_the_sessions_it_has_as_a_viewer(registry: Registry) -> None:
    one, two = add(registry, "1", "hall", "cam-1"), add(registry, "2", "hall", "cam-2")
    registry.start_session(one, two)
    registry.start_session(two, one)
    registry.release_camera(one)
    assert two.viewers == {one}
    assert set(one.watching) == {two}
    assert not two.watching


def test_whoever_goes_is_no_viewer_of_anybody(registry: Registry) -> None:
    one, two = add(registry, "1", "hall", "cam-1"), add(registry, "2", "hall", "cam-2")
    viewer = add(registry, "v", "hall")
    for camera in (one, two):
        registry.start_session(camera, viewer)
    registry.exit(viewer)
    assert not viewer.watching
    assert not one.viewers
    assert not two.viewers


def test_sessions_are_counted_once_and_end_at_once(registry: Registry) -> None:
    camera, viewer = add(registry, "c", "hall", "cam"), add(registry, "v", "hall")
    registry.end_session(camera, viewer)
    for _ in range(2):
        registry.start_session(camera, viewer)
    assert camera.viewers == {viewer}
    registry.end_session(camera, viewer)
    assert not camera.viewers
    assert not viewer.watching


def test_a_camera_that_watches_itself_can_be_released(registry: Registry) -> None:
    camera = add(registry, "c", "hall", "cam")
    registry.start_session(camera, camera)
    registry.release_camera(camera)
    registry.exit(camera)
    assert not registry.rooms
    assert not camera.viewers
    assert not camera.watching

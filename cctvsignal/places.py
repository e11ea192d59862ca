"""Places for viewers at cameras that have a limit, `maxViewers` (docs/protocol.md, section 2.4).

A request or an offer takes a place, an answer keeps it, `bye` and leaving give it back. A place whose
session is never answered comes free by itself, and those who let it lapse do not get the last place for a
while, so that places cannot be held without watching.
"""

from __future__ import annotations

from typing import Final

from .addresses import key_of
from .registry import Client, Registry
from .timers import Clock, Deadlines

ANSWER_SECONDS: Final = 15.0
"""How long a place is held for a session that nobody has answered; clients give up after as long."""


class Places:
    """The places at all cameras of a registry."""

    def __init__(self, clock: Clock, registry: Registry) -> None:
        self._registry = registry
        self._unanswered: Deadlines[tuple[Client, Client]] = Deadlines(clock, ANSWER_SECONDS, self._lapse)
        """Sessions, as camera and viewer, that nobody has answered yet."""
        self._lapsed: Deadlines[tuple[Client, str]] = Deadlines(clock, ANSWER_SECONDS, lambda _: None)
        """Cameras, and owners of viewers that have let a place lapse there a short time ago."""

    def ask(self, camera: Client, viewer: Client, asked: float | None = None) -> bool:
        """Take a place for a viewer that wants one; false if there is none for it.

        `asked` is when it requested the stream, if it did.
        """
        if camera.max_viewers is not None and viewer not in camera.viewers:
            free = camera.max_viewers - len(camera.viewers)
            if free <= 0 or (free == 1 and (camera, _owner(viewer)) in self._lapsed):
                return False
        self.give(camera, viewer, asked)
        return True

    def give(self, camera: Client, viewer: Client, asked: float | None = None) -> None:
        """Take a place that the camera itself gives by an offer."""
        if viewer not in camera.viewers:
            self._unanswered.start((camera, viewer))
        self._registry.start_session(camera, viewer, asked)

    def answer(self, sender: Client, receiver: Client) -> bool:
        """Keep the place of a session that is answered; false if it has come free, and none is left."""
        session = (sender, receiver) if receiver in sender.viewers else (receiver, sender)
        if receiver.max_viewers is not None and receiver not in sender.viewers and not self.ask(*session):
            return False
        self._unanswered.stop(session)
        return True

    def _lapse(self, session: tuple[Client, Client]) -> None:
        camera, viewer = session
        if viewer in camera.viewers:
            self._registry.end_session(camera, viewer)
            self._lapsed.start((camera, _owner(viewer)))

    def end(self, one: Client, other: Client) -> None:
        """The sessions between two clients are over."""
        for camera, viewer in ((one, other), (other, one)):
            self._unanswered.stop((camera, viewer))
            self._registry.end_session(camera, viewer)


def viewers(asker: Client, camera: Client) -> int:
    """How many view a camera, as far as the asker may know of them."""
    if asker.identity.sees_all:
        return len(camera.viewers)
    others = (viewer.camera_id for viewer in camera.viewers)
    return sum(camera_id is None or asker.identity.may_view(camera_id) for camera_id in others)


def _owner(viewer: Client) -> str:
    return viewer.identity.subject or key_of(viewer.address)

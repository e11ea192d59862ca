"""Two cameras, one id (docs/protocol.md, section 1): who claims it while its holder is probed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from .messages import Join
from .registry import Client
from .timers import Clock, Deadlines

PROBE_SECONDS: Final = 2.0
"""How long the holder of a camera id has to answer when another camera claims it."""


@dataclass(eq=False, slots=True)
class _Contest:
    """Cameras that claim an id whose holder is being probed."""

    claims: dict[Client, Join] = field(default_factory=dict)


class Contests:
    """All claims of one server.

    `replace` is called with a holder that gave no sign of life in time, `withdrawn` with a claimant and a
    join of it that a later message makes void.
    """

    def __init__(
        self, clock: Clock, replace: Callable[[Client], None], withdrawn: Callable[[Client, Join], None]
    ) -> None:
        self._probes = Deadlines(clock, PROBE_SECONDS, replace)
        """Holders that have been asked for a sign of life."""
        self._withdrawn = withdrawn
        self._contests: dict[Client, _Contest] = {}
        """By the holder of the camera id."""
        self._claims: dict[Client, Client] = {}
        """By the claimant: the holder."""

    def claim(self, client: Client, join: Join, holder: Client) -> None:
        """A camera wants the id of another one, which is asked for a sign of life."""
        # Whoever asks again while the probe is under way keeps its place and does not prolong it.
        if self._claims.get(client) is not holder:
            self.withdraw(client)
        contest = self._contests.get(holder)
        if contest is None:
            contest = self._contests[holder] = _Contest()
            self._probes.start(holder)
            holder.peer.ping()
        if client in contest.claims:
            self._withdrawn(client, contest.claims[client])
        contest.claims[client] = join
        self._claims[client] = holder

    def withdraw(self, client: Client) -> None:
        """A later message of the client makes its claim void, if it has one."""
        join = self.forget(client)
        if join is not None:
            self._withdrawn(client, join)

    def forget(self, client: Client) -> Join | None:
        """The client claims nothing any more; the join by which it did, if it did."""
        holder = self._claims.pop(client, None)
        if holder is None:
            return None
        contest = self._contests[holder]
        join = contest.claims.pop(client)
        if not contest.claims:
            self.end(holder)
        return join

    def end(self, holder: Client) -> Iterable[tuple[Client, Join]]:
        """Whoever claims the id of this holder, in the order they came; they claim it no longer."""
        contest = self._contests.pop(holder, None)
        if contest is None:
            return ()
        self._probes.stop(holder)
        for claimant in contest.claims:
            del self._claims[claimant]
        return contest.claims.items()

"""What a leader knows of each follower, and how freely it may send to it.

- probe: one append at a time, until it is known where the logs agree;
- replicate: a pipeline, as far as the window of appends in flight allows;
- snapshot: nothing, until the follower has taken in the snapshot sent to it.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

State = Literal["probe", "replicate", "snapshot"]


class Progress:
    """The leader's view of one member (itself included)."""

    __slots__ = ("active", "flights", "learner", "match", "next", "paused", "pending_snapshot", "state")

    def __init__(self, match: int, next_index: int, learner: bool, active: bool = False) -> None:
        """Begin by probing."""
        self.match = match
        self.next = next_index
        self.learner = learner
        self.active = active  # heard from since the last check of the quorum
        self.state: State = "probe"
        self.paused = False  # an append is under way to a member in state probe
        self.pending_snapshot = 0
        self.flights: deque[int] = deque()  # last index of each append in flight

    def to_probe(self) -> None:
        """Fall back to one append at a time."""
        if self.state == "snapshot":
            self.next = max(self.match + 1, self.pending_snapshot + 1)
        else:
            self.next = self.match + 1
        self._enter("probe")

    def to_replicate(self) -> None:
        """Open the pipeline."""
        self._enter("replicate")
        self.next = self.match + 1

    def to_snapshot(self, index: int) -> None:
        """Wait for a snapshot to be taken in."""
        self._enter("snapshot")
        self.pending_snapshot = index
        self.next = index + 1

    def _enter(self, state: State) -> None:
        self.state = state
        self.paused = False
        self.pending_snapshot = 0
        self.flights.clear()

    def blocked(self, window: int) -> bool:
        """Whether an append with entries has to wait."""
        if self.state == "probe":
            return self.paused
        return self.state == "snapshot" or len(self.flights) >= window

    def acknowledged(self, index: int) -> bool:
        """Take in that the member has everything up to `index`; whether that is news."""
        news = index > self.match
        if news:
            self.match = index
        if index >= self.next:
            self.next = index + 1
        return news

    def land(self, index: int) -> None:
        """Forget appends in flight up to `index`."""
        flights = self.flights
        while flights and flights[0] <= index:
            flights.popleft()

    def refused(self, index: int, hint: int) -> bool:
        """Take in a refusal of the append before `index`; False if it is old news."""
        if self.state == "replicate":
            if index <= self.match:
                return False
            self.next = self.match + 1
            return True
        if self.next - 1 != index:
            return False
        self.next = max(min(index, hint + 1), self.match + 1)
        self.paused = False
        return True

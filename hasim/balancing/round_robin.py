"""Round robin: a wheel that moves on by one server at each attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from hasim.balancing.backend import Backend
from hasim.balancing.policy import Chooser, Policy
from hasim.balancing.turns import Turns


class RoundRobin(Policy):
    """Give each server its turn; every attempt moves the wheel on, a retry as well.

    So with n servers of which one refuses, 1/(n - 1) of the requests meet the dead one first and not 1/n: a round
    of the wheel serves n - 1 requests, one of them twice. While weights are equal this is a plain wheel; while they
    differ (slow start), a server of weight w has its turns 1/w apart. When the set changes the wheel stands before
    the same server as it did, or before the next one by index if that server has gone.
    Source: HAProxy `balance roundrobin` (src/lb_fwrr.c, fwrr_get_next_server), which for a redispatch passes over the
    server to avoid and takes its turn away.
    """

    kind: Literal["round_robin"] = "round_robin"

    def start(self, rng: np.random.Generator) -> Chooser:
        return _Wheel()


class _Wheel:
    __slots__ = ("_at", "_ring", "_turns")

    def __init__(self) -> None:
        self._ring: list[Backend] = []
        self._at = 0
        self._turns: Turns | None = None  # only while weights differ

    def usable(self, backends: Sequence[Backend]) -> None:
        ring = sorted(backends, key=lambda server: server.index)
        if len({server.weight for server in ring}) > 1:
            if self._turns is None:
                at = self._place(ring)
                self._turns = Turns()
                self._turns.begin(ring[at:] + ring[:at])
            else:
                self._turns.update(ring)
        else:
            self._at = self._place(ring)
            self._turns = None
        self._ring = ring

    def _place(self, ring: Sequence[Backend]) -> int:
        """The place in the new ring of the server that was next in the old one, or of the first after it."""
        if not self._ring:
            return 0
        due = self._ring[self._at] if self._turns is None else self._turns.first()
        return next((place for place, server in enumerate(ring) if server.index >= due.index), 0)

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        if self._turns is not None:
            return self._turns.take(avoid)
        ring, at = self._ring, self._at
        chosen = ring[at]
        at = at + 1 if at + 1 < len(ring) else 0
        if chosen is avoid:  # with one server this is the same one again
            chosen = ring[at]
            at = at + 1 if at + 1 < len(ring) else 0
        self._at = at
        return chosen

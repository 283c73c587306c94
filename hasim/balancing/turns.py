"""Turns by weight: the server whose turn is due first is next, and a server of weight w has its turns 1/w apart."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import count

from hasim.balancing.backend import Backend


class Turns:
    """A queue of servers by the virtual time of their next turn.

    This is stride scheduling, which Envoy calls earliest deadline first (`source/common/upstream/edf_scheduler.h`);
    HAProxy's round robin does the same with whole numbers (`src/lb_fwrr.c`). After N picks each server has had its
    share of N by weight to within about one turn for each server. Ties go to who was queued first.
    """

    __slots__ = ("_heap", "_now", "_ticket")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Backend, float]] = []  # due, ticket, server, its weight when queued
        self._now = 0.0
        self._ticket = count()

    def begin(self, ring: Sequence[Backend]) -> None:
        """Start afresh with these servers, in this order, the turns of equal servers evenly apart."""
        self._now = 0.0
        spread = len(ring)
        self._heap = [
            ((place + 1) / spread / server.weight, next(self._ticket), server, server.weight)
            for place, server in enumerate(ring)
        ]
        heapify(self._heap)

    def update(self, servers: Sequence[Backend]) -> None:
        """Take the new set and weights: who stays keeps the place in its turn, who is new waits one whole turn."""
        now = self._now
        left = {server.index: (due - now) * weight for due, _, server, weight in self._heap}
        self._heap = [
            (now + left.get(server.index, 1.0) / server.weight, next(self._ticket), server, server.weight)
            for server in servers
        ]
        heapify(self._heap)

    def first(self) -> Backend:
        """Return the server whose turn is due first, and leave the turn to it."""
        return self._heap[0][2]

    def take(self, avoid: Backend | None = None, bias: float = 0.0) -> Backend:
        """Return the server whose turn it is and set its next one 1/w later, with w = weight / (active + 1)^bias.

        `avoid` loses its turn if it was due, and is returned only if it is alone.
        """
        heap = self._heap
        entry = heappop(heap)
        if entry[2] is avoid and heap:
            passed, entry = entry, heappop(heap)
            self._queue(passed, bias)
        self._now = entry[0]
        self._queue(entry, bias)
        return entry[2]

    def _queue(self, entry: tuple[float, int, Backend, float], bias: float) -> None:
        due, _, server, _ = entry
        weight = server.weight
        pace = weight / (server.active + 1) ** bias if bias else weight
        heappush(self._heap, (due + 1.0 / pace, next(self._ticket), server, weight))

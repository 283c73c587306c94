"""Crews and stocks of spares in many histories at once: who is served and who waits.

One event happens in one history at a time, so a call names each lane (history) at most once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hasim.model.failures import Crew

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

URGENCY = float(1 << 40)  # sets priorities further apart than any number of arrivals


class Line:
    """Units that wait in line in each lane; the lowest key is first, infinity is not there."""

    def __init__(self, users: Ints, lanes: int) -> None:
        self.users = users
        self.keys = np.full((users.size, lanes), np.inf)
        self._came = np.zeros(lanes)

    def clear(self, lanes: Ints) -> None:
        """Nobody waits in these lanes."""
        self.keys[:, lanes] = np.inf
        self._came[lanes] = 0.0

    def join(self, lanes: Ints, units: Ints) -> None:
        """Wait behind those who came before."""
        self._came[lanes] += 1.0
        rows = np.searchsorted(self.users, units)
        self.keys[rows, lanes] = self._came[lanes]

    def leave(self, lanes: Ints, rank: Callable[[Floats], Floats] | None = None) -> tuple[Bools, Ints]:
        """Call the next one in each lane: whether there was one, and which unit."""
        keys = self.keys[:, lanes]
        rows = (keys if rank is None else rank(keys)).argmin(axis=0)
        here = np.isfinite(keys[rows, np.arange(lanes.size)])
        self.keys[rows[here], lanes[here]] = np.inf
        return here, self.users[rows]


class CrewDesk:
    """A repair crew of limited size: repairs begun are finished, the others wait by the discipline."""

    def __init__(self, crew: Crew, users: Ints, priorities: Ints, lanes: int, rng: np.random.Generator) -> None:
        self.size = crew.size
        self.discipline = crew.discipline
        self.busy = np.zeros(lanes, dtype=np.int64)
        self.line = Line(users, lanes)
        self._urgency = np.searchsorted(np.unique(priorities), priorities)[:, None] * URGENCY
        self._rng = rng

    def clear(self, lanes: Ints) -> None:
        """Everyone of the crew is free in these lanes."""
        self.busy[lanes] = 0
        self.line.clear(lanes)

    def ask(self, lanes: Ints, units: Ints) -> Bools:
        """Whether each unit gets somebody at once; the others wait."""
        free = self.busy[lanes] < self.size
        self.busy[lanes[free]] += 1
        wait = ~free
        self.line.join(lanes[wait], units[wait])
        return free

    def done(self, lanes: Ints) -> tuple[Bools, Ints]:
        """Somebody is free again: whether a waiting unit gets them, and which."""
        rank = {"fifo": None, "lifo": _last_first, "priority": self._most_urgent, "random": self._anyone}
        called, units = self.line.leave(lanes, rank[self.discipline])
        self.busy[lanes[~called]] -= 1
        return called, units

    def _most_urgent(self, keys: Floats) -> Floats:
        return keys + self._urgency

    def _anyone(self, keys: Floats) -> Floats:
        return np.where(np.isfinite(keys), self._rng.random(keys.shape), np.inf)


def _last_first(keys: Floats) -> Floats:
    return np.where(np.isfinite(keys), -keys, np.inf)


class Stock:
    """Spares on a shelf: whoever asks for one orders another, and waiting units are served first come first.

    `arrivals` holds when each ordered spare will be there, infinity where nothing is ordered.
    """

    def __init__(self, size: int, users: Ints, lanes: int) -> None:
        self.size = size
        self.shelf = np.full(lanes, size, dtype=np.int64)
        self.arrivals = np.full((min(size, 4), lanes), np.inf)
        self.line = Line(users, lanes)

    def clear(self, lanes: Ints) -> None:
        """The shelf is full in these lanes."""
        self.shelf[lanes] = self.size
        self.arrivals[:, lanes] = np.inf
        self.line.clear(lanes)

    def ask(self, lanes: Ints, units: Ints) -> Bools:
        """Whether each unit gets a spare at once; the others wait. All of them must `order`."""
        there = self.shelf[lanes] > 0
        self.shelf[lanes[there]] -= 1
        wait = ~there
        self.line.join(lanes[wait], units[wait])
        return there

    def order(self, lanes: Ints, arrival: Floats) -> None:
        """Order one spare in each lane, to arrive then."""
        if not lanes.size:
            return
        free = np.isinf(self.arrivals[:, lanes])
        if not free.any(axis=0).all():
            more = np.full((max(self.arrivals.shape[0], 1), self.shelf.size), np.inf)
            self.arrivals = np.concatenate([self.arrivals, more])
            free = np.isinf(self.arrivals[:, lanes])
        self.arrivals[free.argmax(axis=0), lanes] = arrival

    def next_arrival(self, lanes: Ints) -> Floats:
        """When the next spare arrives in each lane."""
        if not self.arrivals.shape[0]:
            return np.full(lanes.size, np.inf)
        return np.asarray(self.arrivals[:, lanes].min(axis=0))

    def arrive(self, lanes: Ints) -> tuple[Bools, Ints]:
        """The next spare arrives: whether a waiting unit takes it, and which; otherwise it goes on the shelf."""
        self.arrivals[self.arrivals[:, lanes].argmin(axis=0), lanes] = np.inf
        taken, units = self.line.leave(lanes)
        self.shelf[lanes[~taken]] += 1
        return taken, units

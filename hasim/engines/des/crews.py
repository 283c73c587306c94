"""What repairs wait for: a crew that is free, a spare on the shelf.

SimPy's own resources know first-come and priority; crews here also work last-come-first and at random, and a
claim is handed over directly, so both queues are spelled out. `claim` and `take` return None when there is no
need to wait, else the event to wait for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
from simpy import Environment, Event

from hasim.model.failures import Crew, Spares


class RepairCrew:
    """A crew of limited size and the queue for it; work begun is finished."""

    def __init__(self, env: Environment, crew: Crew, rng: np.random.Generator) -> None:
        """Everybody is free at first; `rng` is used by the discipline `random` alone."""
        self._env = env
        self._discipline = crew.discipline
        self._rng = rng
        self._free = crew.size
        self._line: list[tuple[int, Event]] = []  # (priority, its turn), in order of arrival

    def claim(self, priority: int = 0) -> Event | None:
        """Ask for somebody; None: somebody came at once."""
        if self._free:
            self._free -= 1
            return None
        turn = self._env.event()
        self._line.append((priority, turn))
        return turn

    def release(self) -> None:
        """Give somebody back, who goes straight to the next in line."""
        if self._line:
            self._line.pop(self._next())[1].succeed()
        else:
            self._free += 1

    def _next(self) -> int:
        match self._discipline:
            case "fifo":
                return 0
            case "lifo":
                return len(self._line) - 1
            case "priority":  # min() takes the first of equals: the one who came first
                return min(range(len(self._line)), key=lambda place: self._line[place][0])
            case "random":
                return int(self._rng.integers(len(self._line)))


class Shelf:
    """A stock of spares: whoever asks for one orders another, and whoever finds none waits in order of arrival.

    So many are always on the shelf or under way, less those waited for (a base-stock policy); with a stock of zero
    each repair waits for the spare that it ordered, or for one ordered before it.
    """

    def __init__(self, env: Environment, spares: Spares, restock: Iterator[float]) -> None:
        """The shelf is full at first; `restock` gives the delivery times."""
        self._env = env
        self._restock = restock
        self._stock = spares.stock
        self._line: deque[Event] = deque()

    def take(self) -> Event | None:
        """Ask for a spare; None: one was there."""
        self._env.process(self._delivery())
        if self._stock:
            self._stock -= 1
            return None
        turn = self._env.event()
        self._line.append(turn)
        return turn

    def _delivery(self) -> Generator[Event, Any, None]:
        yield self._env.timeout(next(self._restock))
        if self._line:
            self._line.popleft().succeed()
        else:
            self._stock += 1

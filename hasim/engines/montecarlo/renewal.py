"""Alternating renewal processes: when units with a clock of their own are down, for many runs at once."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from hasim.model.system import SystemUnit

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CELLS = 1 << 15  # of the table of cycles drawn at once


class Renewal:
    """One unit in a batch of runs: draws its down intervals, run by run, up to any time."""

    def __init__(self, unit: SystemUnit, rng: np.random.Generator, runs: int, new: bool) -> None:
        assert unit.life is not None
        self.life, self.down = unit.life, unit.down
        self.rng = rng
        self.cycle = self.life.mean + self.down.mean
        self.draws = 0
        self._first: list[tuple[Ints, Floats, Floats]] = []
        if new:
            self.falls = self.life.draw(rng, runs)  # when the unit fails next, by run
            return
        # In equilibrium: with the chance of being down, in the midst of a down time; else in the midst of a life.
        ill = np.flatnonzero(rng.random(runs) * self.cycle < self.down.mean)
        self.falls = self.life.residual(rng, runs)
        if ill.size:
            ends = self.down.residual(rng, ill.size)
            self._first.append((ill, np.zeros(ill.size), ends))
            self.falls[ill] = ends + self.life.draw(rng, ill.size)

    def until(self, limit: float) -> list[tuple[Ints, Floats, Floats]]:
        """Down intervals that start before `limit` and were not given before: batches of (run, start, end)."""
        found, self._first = self._first, []
        todo = np.flatnonzero(self.falls < limit)
        while todo.size:
            # Enough cycles for most runs; those that need more take another turn.
            most = limit - float(self.falls[todo].min())
            expected = min(most / self.cycle, CELLS)
            cycles = max(1, min(ceil(expected + 2 * sqrt(expected)) + 1, CELLS // todo.size))
            shape = (todo.size, cycles)
            down = self.down.draw(self.rng, shape)
            starts = self.life.draw(self.rng, shape)
            starts += down
            np.cumsum(starts, axis=1, out=starts)
            # starts[:, i] is when cycle i + 1 begins, after the first; move it one to the right.
            after = self.falls[todo] + starts[:, -1]
            starts[:, 1:] = starts[:, :-1].copy() if cycles > 1 else starts[:, 1:]
            starts[:, 0] = 0.0
            starts += self.falls[todo][:, None]
            early = starts < limit
            self.draws += starts.size
            row, _ = np.nonzero(early)
            begin = starts[early]
            found.append((todo[row], begin, begin + down[early]))
            counts = early.sum(axis=1)
            partly = counts < cycles
            after[partly] = starts[partly, counts[partly]]
            self.falls[todo] = after
            todo = todo[~partly & (after < limit)]
        return found

"""Clusters of overlapping down intervals, and what they did to the services.

While nothing is down every service is up, so only intervals that overlap others, or that take a service down alone,
need a look: about one in a hundred. They are collected until there are enough for one evaluation of the
structure functions on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hasim.engines.montecarlo.book import Book, sums
from hasim.engines.montecarlo.program import Program
from hasim.model.system import System

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ENOUGH = 12_000  # intervals collected before they are evaluated
PAIRS_MAX = 300  # variables up to which every pair is tried
CELLS_MAX = 1 << 23  # of the table of states


@dataclass(frozen=True)
class Intervals:
    """Down intervals: which variable, in which run, from when to when in the run's own time.

    They stand cluster by cluster, `leads` marks the first of each, and inside a cluster by their start. Where runs
    follow one another, all intervals of a cluster are in the time of its first one's run.
    """

    leads: Bools
    variable: Ints
    run: Ints
    start: Floats
    end: Floats


class Clusters:
    """Collects clusters and writes what they did into the book."""

    def __init__(self, system: System, book: Book, *, ticks: bool) -> None:
        """Say with `ticks` that an interval counts only if its variable is up when it starts."""
        self.book = book
        self.ticks = ticks
        self.ignored = 0  # intervals that did not count
        self.variables = system.variables
        services = system.services
        self.services = len(services)
        self.reducible = [i for i, service in enumerate(services) if service.full != service.up]
        exprs = [*(service.up for service in services), *(services[i].full for i in self.reducible)]
        self.program = Program(exprs, system.variables)
        self.single = self.program.weak_points()
        self.alone: Bools = np.asarray(self.single.any(axis=0))
        """Whether each variable, down alone, makes a difference to any service."""
        self.pair = self.program.weak_pairs() if system.variables <= PAIRS_MAX else None
        self.hurts: Bools = np.empty((0, 0), dtype=np.bool_) if self.pair is None else np.asarray(self.pair.any(axis=0))
        """Whether two variables, down together, make a difference to any service."""
        self._pending: list[Intervals] = []
        self._count = 0

    def add(self, found: Intervals) -> None:
        """Take some whole clusters."""
        if not found.start.size:
            return
        self._pending.append(found)
        self._count += found.start.size
        if self._count >= ENOUGH:
            self.flush()

    def flush(self) -> None:
        """Evaluate what was collected: lone intervals and pairs by look-up, larger clusters by a walk."""
        if not self._pending:
            return
        pending, self._pending, self._count = self._pending, [], 0
        leads, variable, run, start, end = (
            np.concatenate([getattr(each, name) for each in pending])
            for name in ("leads", "variable", "run", "start", "end")
        )
        if not self.book.chained:
            leads[1:] |= run[1:] != run[:-1]  # a run ends with everything that was going on
        heads = np.flatnonzero(leads)
        sizes = np.diff(np.append(heads, leads.size))
        lone = heads[sizes == 1]
        lone = lone[self.alone[variable[lone]]]
        self._singles(variable[lone], run[lone], start[lone], end[lone])
        walk = sizes > 1
        if self.pair is not None:
            first = heads[sizes == 2]
            one, two = variable[first], variable[first + 1]
            plain = ~(self.alone[one] | self.alone[two])
            walk[sizes == 2] = ~plain
            first, one, two = first[plain], one[plain], two[plain]
            self.ignored += int(np.count_nonzero(one == two)) if self.ticks else 0
            begin, until = start[first + 1], np.minimum(end[first], end[first + 1])
            met = until > begin  # they do not merely touch
            self.pairs(one[met], two[met], run[first[met]], begin[met], until[met])
        if walk.any():
            cluster = np.cumsum(leads) - 1
            rest = np.flatnonzero(walk[cluster])
            self._walk(cluster[rest], variable[rest], run[rest], start[rest], end[rest])

    def _singles(self, variable: Ints, run: Ints, start: Floats, end: Floats) -> None:
        """Intervals during which nothing else is down."""
        for service in range(self.services):
            bad = np.flatnonzero(self.single[service, variable])
            self.book.outages(service, run[bad], start[bad], end[bad])
            self._note(service, variable[bad][None, :], end[bad] - start[bad])
        for row, service in enumerate(self.reducible):
            poor = np.flatnonzero(self.single[self.services + row, variable] & ~self.single[service, variable])
            self.book.reduced_in(service, run[poor], start[poor], end[poor])

    def pairs(self, one: Ints, two: Ints, run: Ints, start: Floats, end: Floats) -> None:
        """Times during which these two are down and nothing else; two of the same variable mean nothing."""
        assert self.pair is not None
        for service in range(self.services):
            bad = np.flatnonzero(self.pair[service, one, two])
            self.book.outages(service, run[bad], start[bad], end[bad])
            self._note(service, np.stack([one[bad], two[bad]]), end[bad] - start[bad])
        for row, service in enumerate(self.reducible):
            poor = np.flatnonzero(self.pair[self.services + row, one, two] & ~self.pair[service, one, two])
            self.book.reduced_in(service, run[poor], start[poor], end[poor])

    def _note(self, service: int, down: Ints, seconds: Floats) -> None:
        """Add up the time of equal sets of one or two variables before they go into the book as patterns."""
        if not seconds.size:
            return
        number = down[0] if len(down) == 1 else down.min(axis=0) * self.variables + down.max(axis=0)
        total = sums(number, seconds)
        met = np.flatnonzero(total)
        states = np.ones((self.variables, met.size), dtype=np.bool_)
        states[met % self.variables, np.arange(met.size)] = False
        if len(down) == 2:
            states[met // self.variables, np.arange(met.size)] = False
        self.book.patterns(service, states, total[met])

    def _walk(self, cluster: Ints, variable: Ints, run: Ints, start: Floats, end: Floats) -> None:
        if self.ticks:
            counts = ~_while_down(cluster, variable, start, end)
            self.ignored += int(counts.size - np.count_nonzero(counts))
            cluster, variable, run = cluster[counts], variable[counts], run[counts]
            start, end = start[counts], end[counts]
        width = max(1000, CELLS_MAX // (2 * max(1, self.variables)))
        for first, last in _portions(cluster, width):
            part = slice(first, last)
            self._evaluate(cluster[part], variable[part], run[part], start[part], end[part])

    def _evaluate(self, cluster: Ints, variable: Ints, run: Ints, start: Floats, end: Floats) -> None:
        """Walk through the changes of state of all clusters, one column of states after each change."""
        count = start.size
        time = np.concatenate([start, end])
        group = np.concatenate([cluster, cluster])
        order = np.lexsort((time, group))
        time, group = time[order], group[order]
        owner = np.concatenate([run, run])[order]
        change = np.zeros((self.variables, 2 * count), dtype=np.int8)
        change[np.concatenate([variable, variable])[order], np.arange(2 * count)] = np.where(order < count, 1, -1)
        np.cumsum(change, axis=1, out=change)
        # A state lasts until the next change of its cluster; one that lasts no time at all leaves no trace, except
        # that the last of a cluster (everything up) closes what is open.
        until = np.append(np.where(group[1:] == group[:-1], time[1:], np.inf), np.inf)
        kept = np.flatnonzero(until > time)
        time, until, owner = time[kept], until[kept], owner[kept]
        up = change[:, kept] == 0
        held = self.program.run(up)
        for service in range(self.services):
            down = ~held[service]
            before = np.concatenate([[False], down[:-1]])
            starts, ends = np.flatnonzero(down & ~before), np.flatnonzero(before & ~down)
            assert starts.size == ends.size, "a service is down although nothing is"
            self.book.outages(service, owner[starts], time[starts], time[ends])
            bad = np.flatnonzero(down)
            self.book.patterns(service, up[:, bad], until[bad] - time[bad])
        for row, service in enumerate(self.reducible):
            poor = np.flatnonzero(held[service] & ~held[self.services + row])
            self.book.reduced_in(service, owner[poor], time[poor], until[poor])


def _portions(cluster: Ints, width: int) -> list[tuple[int, int]]:
    """Cut a list of intervals into portions of about `width`, between clusters."""
    cuts, size = [0], cluster.size
    while size - cuts[-1] > width:
        at = int(np.searchsorted(cluster, cluster[cuts[-1] + width]))
        if at <= cuts[-1]:  # one cluster is larger than a portion
            at = int(np.searchsorted(cluster, cluster[cuts[-1]], side="right"))
        cuts.append(at)
    cuts.append(size)
    return [(a, b) for a, b in pairwise(cuts) if b > a]


def _while_down(cluster: Ints, variable: Ints, start: Floats, end: Floats) -> Bools:
    """Which intervals start while an earlier one of the same variable, that counted, has not ended."""
    order = np.lexsort((start, variable, cluster))
    c, v, s, e = cluster[order], variable[order], start[order], end[order]
    repeats = np.concatenate([[False], (c[1:] == c[:-1]) & (v[1:] == v[:-1])])
    result = np.zeros(start.size, dtype=np.bool_)
    if not repeats.any():
        return result
    firsts = np.flatnonzero(~repeats)
    sizes = np.diff(np.append(firsts, repeats.size))
    several = firsts[sizes > 1]
    sizes = sizes[sizes > 1]
    busy = e[several].copy()  # until when the variable is down, by group
    for rank in range(1, int(sizes.max())):
        deep = sizes > rank
        at = several[deep] + rank
        asleep = s[at] < busy[deep]
        result[order[at[asleep]]] = True
        busy[deep] = np.where(asleep, busy[deep], e[at])
    return result

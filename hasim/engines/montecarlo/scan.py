"""The scan: draw when each unit is down, sort, and keep the clusters of overlapping intervals.

The route for units that know nothing of one another, with any laws and planned windows. Runs are laid end to end on
one line of time, on which each unit's intervals are drawn already sorted; a stable sort merges such rows quickly. An
interval that starts after all earlier ones have ended (a running maximum) begins a new cluster.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hasim.engines.montecarlo.book import Book, Tally
from hasim.engines.montecarlo.calendar import Calendar, make_calendar
from hasim.engines.montecarlo.clusters import Clusters, Intervals
from hasim.engines.montecarlo.renewal import Renewal
from hasim.model.system import System
from hasim.streams import Streams

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Row = tuple[Ints, Ints, Floats, Floats]  # variable, run, start, end

BATCH = 30_000  # down intervals drawn and sorted at once: what stays in the cache


def run_scan(system: System, runs: int, horizon: float, streams: Streams, *, new: bool) -> Tally:
    """`runs` histories of `horizon` seconds."""
    book = Book(system, runs, horizon, stationary=not new)
    _Scan(system, book, streams, new).run()
    return book.close()


class _Scan:
    """The loop over batches: of several runs each, or of parts of one long run."""

    def __init__(self, system: System, book: Book, streams: Streams, new: bool) -> None:
        self.system = system
        self.book = book
        self.new = new
        self.horizon = book.horizon
        self.rngs = [streams[f"{unit.name}/clock"] for unit in system.units]
        self.rng_calendar = streams["calendar"]
        self.clusters = Clusters(system, book, ticks=False)
        self.calendar = make_calendar(system.windows, book.horizon) if system.windows else None
        rate = sum(1 / (u.life.mean + u.down.mean) for u in system.units if u.life is not None)
        rate += sum(1 / window.every for window in system.windows)
        self.per_run = max(1e-9, rate * book.horizon)

    def run(self) -> None:
        step = int(max(1, min(self.book.runs, BATCH / self.per_run)))
        for first in range(0, self.book.runs, step):
            self._batch(first, min(step, self.book.runs - first))
        self.clusters.flush()

    def _batch(self, first: int, runs: int) -> None:
        """Some runs; if it is one long run, in parts of time, each of which hands its open cluster to the next."""
        renewals = [Renewal(unit, rng, runs, self.new) for unit, rng in zip(self.system.units, self.rngs, strict=True)]
        phases = np.zeros(runs)
        if self.calendar is not None and not self.new:
            phases = self.rng_calendar.random(runs) * self.calendar.period
        parts = max(1, round(self.per_run / BATCH)) if runs == 1 else 1
        edges = np.linspace(0.0, self.horizon, parts + 1)
        open_cluster: list[Row] = []
        for begin, limit in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            rows = open_cluster
            for variable, renewal in enumerate(renewals):
                for run, start, end in renewal.until(limit):
                    self.book.events += start.size + int(np.count_nonzero(end < self.horizon))
                    rows.append((np.full(start.size, variable), run, start, end))
            if self.calendar is not None:
                rows += self._windows(self.calendar, phases, begin, limit)
            open_cluster = self._sort(rows, first, limit if limit < self.horizon else np.inf)

    def _windows(self, calendar: Calendar, phases: Floats, begin: float, limit: float) -> list[Row]:
        """The planned windows that start in this part of the runs (or, in the first one, are going on)."""
        rows: list[Row] = []
        first = self.system.variables - len(self.system.windows)
        for w in range(len(self.system.windows)):
            starts, ends = calendar.spans(w)
            low = np.searchsorted(ends, phases, side="right") if begin == 0 else np.searchsorted(starts, phases + begin)
            high = np.searchsorted(starts, phases + limit)
            counts = np.maximum(high - low, 0)
            run = np.repeat(np.arange(phases.size), counts)
            within = np.arange(run.size) - np.repeat(np.cumsum(counts) - counts, counts)
            index = low[run] + within
            start = np.maximum(starts[index] - phases[run], 0.0)
            rows.append((np.full(run.size, first + w), run, start, ends[index] - phases[run]))
        return rows

    def _sort(self, rows: list[Row], first: int, limit: float) -> list[Row]:
        """Find the clusters; the last is given back if something may still come to it."""
        if not rows:
            return []
        variable, run, start, end = (np.concatenate(each) for each in zip(*rows, strict=True))
        if not start.size:
            return []
        np.minimum(end, self.horizon, out=end)
        offset = run * self.horizon
        begins = start + offset
        order = np.argsort(begins, kind="stable")
        begins = begins[order]
        reach = np.maximum.accumulate((end + offset)[order])
        leads = np.empty(order.size, dtype=np.bool_)
        leads[0] = True
        np.greater(begins[1:], reach[:-1], out=leads[1:])  # windows that touch are one outage
        closed = order.size
        back: list[Row] = []
        if reach[-1] > limit:
            closed = int(np.flatnonzero(leads)[-1])
            rest = order[closed:]
            back = [(variable[rest], run[rest], start[rest], end[rest])]
            order, leads = order[:closed], leads[:closed]
        single = leads.copy()
        single[:-1] &= leads[1:]
        kept = np.flatnonzero(~single | self.clusters.alone[variable[order]])
        order = order[kept]
        self.clusters.add(Intervals(leads[kept], variable[order], run[order] + first, start[order], end[order]))
        return back

"""Lockstep: thousands of histories side by side, each of which takes its next event in every step.

The route for everything that depends on order: crews, spares, failovers, bursts, standbys that do not age. A step
finds the next event of every lane, writes down what the services were until then, and lets the events happen,
array operations all over. A lane whose history is complete takes up the next one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hasim.engines.montecarlo.book import Book, Tally
from hasim.engines.montecarlo.lanes import Lanes
from hasim.engines.montecarlo.program import Program
from hasim.model.system import System
from hasim.streams import Streams

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LANES_MAX = 4096
LANES_MIN = 512  # fewer lanes would not pay for the calls
CELLS_MAX = 1 << 22  # of the clock table
NO_RUN = -1


def lanes_for(system: System, runs: int) -> int:
    """How many histories are carried side by side: half of them, so that lanes done early have more to do."""
    most = min(LANES_MAX, CELLS_MAX // max(1, system.variables))
    return max(1, min(runs, most, max(LANES_MIN, runs // 2)))


def run_lockstep(system: System, runs: int, horizon: float, streams: Streams, *, warm_up: float, new: bool) -> Tally:
    """`runs` histories of `horizon` seconds after a warm-up that is not counted."""
    book = Book(system, runs, horizon, stationary=not new)
    lanes = Lanes(system, lanes_for(system, runs), streams, horizon + warm_up, warm_up, new)
    _Lockstep(system, lanes, book).run()
    book.events = lanes.toggles
    return book.close()


class _Lockstep:
    """The loop over steps."""

    def __init__(self, system: System, lanes: Lanes, book: Book) -> None:
        self.lanes = lanes
        self.book = book
        count = lanes.now.size
        services = system.services
        self.services = len(services)
        # The conditions that differ from plain "up" follow behind the services.
        self.reducible = [i for i, service in enumerate(services) if service.full != service.up]
        exprs = [*(service.up for service in services), *(services[i].full for i in self.reducible)]
        self.program = Program(exprs, system.variables)
        self.rows = np.arange(1, lanes.clock.shape[0] + 1, dtype=np.int16)[:, None]
        self.owner = np.full(count, NO_RUN)  # the run that each lane is carrying out
        self.down = np.zeros((self.services, count), dtype=np.bool_)
        self.since = np.zeros((self.services, count))
        self.reduced = np.zeros((len(self.reducible), book.runs))
        self.begun = 0

    def run(self) -> None:
        self._take_up(np.arange(self.owner.size))
        self.lanes.follow()
        while True:
            times = self.lanes.clock.min(axis=0)
            until = np.minimum(times, self.book.horizon)
            self._write_down(until)
            rings = times < self.book.horizon
            done = np.flatnonzero(~rings & (self.owner != NO_RUN))
            which = self._which(times)
            if done.size:
                self._finish(done)
                if not (self.owner != NO_RUN).any():
                    break
            live = np.flatnonzero(rings)
            self.lanes.now[live] = times[live]
            self.lanes.happen(live, which[live])
            self.lanes.follow()
        for row, service in enumerate(self.reducible):
            self.book.reduced(service, self.reduced[row])

    def _which(self, times: Floats) -> Ints:
        """The clock that rings first in each lane; of several at the same time the last, so that the calendar leads."""
        rings = self.lanes.clock == times
        return np.asarray((rings * self.rows).max(axis=0), dtype=np.int64) - 1

    def _write_down(self, until: Floats) -> None:
        """What the services are from now until then. A state that lasts no time at all leaves no trace."""
        now = self.lanes.now
        lasting = (until > now) & (self.owner != NO_RUN)
        held = self.program.run(self.lanes.up)
        counted = np.where(lasting, until - np.maximum(now, 0.0), 0.0)
        for service in range(self.services):
            down = ~held[service] & lasting
            was_down = self.down[service]
            changed = np.flatnonzero((down != was_down) & lasting)
            if changed.size:
                ends = changed[was_down[changed]]
                self.book.outages(service, self.owner[ends], self.since[service, ends], now[ends])
                self.since[service, changed] = now[changed]
                was_down[changed] = down[changed]
            bad = np.flatnonzero(down & (counted > 0))
            if bad.size:
                self.book.patterns(service, self.lanes.up[:, bad], counted[bad])
        for row, service in enumerate(self.reducible):
            poor = np.flatnonzero(held[service] & ~held[self.services + row] & (counted > 0))
            self.reduced[row, self.owner[poor]] += counted[poor]

    def _finish(self, lanes: Ints) -> None:
        """These histories are complete; the lanes take up the next ones, as far as there are any."""
        for service in range(self.services):
            open_ = lanes[self.down[service, lanes]]
            ends = np.full(open_.size, self.book.horizon)
            self.book.outages(service, self.owner[open_], self.since[service, open_], ends)
        self._take_up(lanes)

    def _take_up(self, lanes: Ints) -> None:
        self.down[:, lanes] = False
        self.owner[lanes] = NO_RUN
        more = min(lanes.size, self.book.runs - self.begun)
        chosen, idle = lanes[:more], lanes[more:]
        self.owner[chosen] = self.begun + np.arange(more)
        self.begun += more
        if chosen.size:
            self.lanes.begin(chosen)
        self.lanes.stop(idle)

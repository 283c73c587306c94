"""The book that a block of histories is written into: outages of every service, and what was down meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hasim.engines.montecarlo.program import Program
from hasim.model.service import SLO
from hasim.model.system import System
from hasim.units import YEAR

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PATTERNS_PENDING_MAX = 60_000  # rows kept before equal patterns are added up
FUZZ = 1e-9  # relative; a run of 365 days holds a window of a year although both were rounded


@dataclass(frozen=True)
class ServiceTally:
    """What a block showed of one service; arrays by run, by outage, by variable or by pattern.

    `durations` holds for each outage the part inside its run; `cut` marks those that a start or an end of the run cut.
    `patterns` are the distinct sets of variables that were down during outages (rows of packed bits) and
    `pattern_s` how long each lasted; `blame_s` is for each variable the time during which it alone, put
    right, would have ended the outage. `yearly` holds the downtimes of those years that had any.
    """

    downtime: Floats
    reduced: Floats
    outages: Ints
    first: Floats
    durations: Floats
    cut: Bools
    patterns: NDArray[np.uint8]
    pattern_s: Floats
    blame_s: Floats
    windows_lost: int
    slo_years_lost: int
    yearly: Floats


@dataclass(frozen=True)
class Tally:
    """What a block of histories showed."""

    runs: int
    events: int
    services: tuple[ServiceTally, ...]


class Book:
    """Outages of the services over `runs` histories of `horizon` seconds, as an engine finds them."""

    def __init__(self, system: System, runs: int, horizon: float, *, stationary: bool, chained: bool = False) -> None:
        self.runs = runs
        self.horizon = horizon
        self.stationary = stationary
        self.chained = chained
        self.events = 0
        self.services = system.services
        self._pages = [_Page(system, i) for i in range(len(system.services))]
        self._reduced = np.zeros((len(system.services), runs))

    def outages(self, service: int, run: Ints, start: Floats, end: Floats) -> None:
        """Write down outages in times of their own runs; what lies outside a run is cut off.

        If runs follow one another (`chained`), what goes on beyond the end of a run belongs to the next.
        """
        for each in self._pieces(run, start, end):
            self._pages[service].outages.append(each)

    def _pieces(self, run: Ints, start: Floats, end: Floats) -> Iterator[tuple[Ints, Floats, Floats]]:
        horizon = self.horizon
        inside = (end > 0) & (run < self.runs)
        if not inside.all():
            run, start, end = run[inside], start[inside], end[inside]
        while run.size:
            over = np.flatnonzero(end > horizon) if self.chained else np.empty(0, dtype=np.int64)
            here = start < horizon
            if here.all():
                yield run, np.maximum(start, 0.0), np.minimum(end, horizon)
            else:
                yield run[here], np.maximum(start[here], 0.0), np.minimum(end[here], horizon)
            over = over[run[over] + 1 < self.runs]
            run, start, end = run[over] + 1, start[over] - horizon, end[over] - horizon

    def reduced(self, service: int, seconds: Floats) -> None:
        """Add the time that each run spent up but degraded; shape (runs,)."""
        self._reduced[service] += seconds

    def reduced_in(self, service: int, run: Ints, start: Floats, end: Floats) -> None:
        """Add times spent up but degraded, in times of their own runs."""
        for number, first, last in self._pieces(run, start, end):
            self._reduced[service] += sums(number, last - first, self.runs)

    def patterns(self, service: int, states: Bools, seconds: Floats) -> None:
        """Write down how long which variables were down during outages; states are (variables, n), true = up."""
        if seconds.size:
            self._pages[service].add_patterns(np.packbits(~states, axis=0).T, seconds)

    def close(self) -> Tally:
        """Add everything up."""
        services = tuple(
            page.tally(self, slo, reduced)
            for page, slo, reduced in zip(
                self._pages, [service.slo for service in self.services], self._reduced, strict=True
            )
        )
        return Tally(self.runs, self.events, services)


class _Page:
    """The page of one service."""

    def __init__(self, system: System, service: int) -> None:
        self.variables = system.variables
        self.program = Program([system.services[service].up], system.variables)
        self.outages: list[tuple[Ints, Floats, Floats]] = []
        self._patterns: list[tuple[NDArray[np.uint8], Floats]] = []
        self._pending = 0

    def add_patterns(self, packed: NDArray[np.uint8], seconds: Floats) -> None:
        self._patterns.append((packed, seconds))
        self._pending += seconds.size
        if self._pending > PATTERNS_PENDING_MAX:
            self._patterns = [self._added_up()]
            self._pending = self._patterns[0][1].size // 2  # many distinct ones: add up less often

    def _added_up(self) -> tuple[NDArray[np.uint8], Floats]:
        width = (self.variables + 7) // 8
        if not self._patterns:
            return np.empty((0, width), dtype=np.uint8), np.empty(0)
        packed = np.concatenate([each for each, _ in self._patterns])
        return distinct(packed, np.concatenate([each for _, each in self._patterns]))

    def tally(self, book: Book, slo: SLO | None, reduced: Floats) -> ServiceTally:
        """Add up the page; the list of outages is not needed afterwards."""
        if self.outages:
            run, start, end = (np.concatenate(each) for each in zip(*self.outages, strict=True))
        else:
            run, start, end = np.empty(0, dtype=np.int64), np.empty(0), np.empty(0)
        length = end - start
        begun = (start > 0) | (not book.stationary)
        first = np.full(book.runs, np.inf)
        np.minimum.at(first, run, start)
        lost, years_lost = 0, 0
        if slo is not None:
            lost, years_lost = _slo_losses(run, start, end, slo.window, slo.budget_s, book.horizon)
        patterns, pattern_s = self._added_up()
        return ServiceTally(
            downtime=sums(run, length, book.runs),
            reduced=reduced,
            outages=np.bincount(run[begun], minlength=book.runs).astype(np.int64),
            first=first,
            durations=length,
            cut=~begun | (end >= book.horizon),
            patterns=patterns,
            pattern_s=pattern_s,
            blame_s=self._blame(patterns, pattern_s),
            windows_lost=lost,
            slo_years_lost=years_lost,
            yearly=by_window(run, start, end, YEAR, book.horizon)[1],
        )

    def _blame(self, patterns: NDArray[np.uint8], seconds: Floats) -> Floats:
        """For each variable, the time during which it was down and its repair alone would have ended the outage."""
        blame = np.zeros(self.variables)
        states = ~np.unpackbits(patterns, axis=1, count=self.variables).T.astype(np.bool_)
        for variable in np.flatnonzero(~states.all(axis=1)):
            rows = np.flatnonzero(~states[variable])
            mended = states[:, rows]
            mended[variable] = True
            blame[variable] = seconds[rows[self.program.run(mended)[0]]].sum()
        return blame


def distinct(packed: NDArray[np.uint8], seconds: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """Distinct rows and the sum of seconds of each, in the order of the rows' bytes."""
    if not seconds.size:
        return packed, seconds
    rows = np.ascontiguousarray(packed)
    keys = rows.view(np.dtype((np.void, rows.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], sums(inverse.ravel(), seconds)


def sums(number: Ints, amounts: Floats, least: int = 0) -> Floats:
    """The sum of the amounts with each number, from zero up; at least `least` of them."""
    return np.asarray(np.bincount(number, weights=amounts, minlength=least), dtype=np.float64)


def windows_in(window: float, horizon: float) -> int:
    """Number of whole windows in a run."""
    return int(horizon / window * (1 + FUZZ))


def by_window(run: Ints, start: Floats, end: Floats, window: float, horizon: float) -> tuple[Ints, Floats]:
    """Number of each window with downtime (run × windows + window) and that downtime; whole windows only."""
    per_run = windows_in(window, horizon)
    keys: list[Ints] = []
    amounts: list[Floats] = []
    number = np.minimum((start / window).astype(np.int64), np.iinfo(np.int64).max // 4)
    while run.size and per_run:
        upto = np.minimum(end, (number + 1) * window)
        inside = number < per_run
        keys.append(run[inside] * per_run + number[inside])
        amounts.append(np.maximum(upto - start, 0.0)[inside])
        more = (end > upto) & inside
        run, start, end, number = run[more], upto[more], end[more], number[more] + 1
    if not keys:
        return np.empty(0, dtype=np.int64), np.empty(0)
    found, weights = np.concatenate(keys), np.concatenate(amounts)
    if found.size and int(found.max()) < 8 * found.size + 100_000:  # a table of all windows is no larger than the list
        table = sums(found, weights)
        key = np.flatnonzero(table)
        return key, table[key]
    key, inverse = np.unique(found, return_inverse=True)
    return key, sums(inverse.ravel(), weights)


def _slo_losses(run: Ints, start: Floats, end: Floats, window: float, budget: float, horizon: float) -> tuple[int, int]:
    """Number of windows over budget, and of years (as many windows as fit into one) with such a window."""
    key, seconds = by_window(run, start, end, window, horizon)
    lost = key[seconds > budget * (1 + FUZZ)]
    per_run, a_year = windows_in(window, horizon), windows_in(window, YEAR)
    years = per_run // a_year if a_year else 0
    if not years:
        return lost.size, 0
    owner, number = lost // per_run, (lost % per_run) // a_year
    whole = number < years
    return lost.size, np.unique(owner[whole] * years + number[whole]).size

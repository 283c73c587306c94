"""Exponential lives: failures tick on one calendar Poisson process, and hardly any of them needs a look.

The route for units that know nothing of one another, with exponential lives and any repair laws, without windows.
Ticks come at the total failure rate; whose tick it is is drawn apart, and only where it matters. A tick of a unit
that is still down is ignored, which is exact because a life has no memory. With G the gap after a tick and R the
repair drawn for it, a down interval overlaps a later one only if R > G, so one comparison of two arrays finds every
place where anything can happen: one tick in fifty. Nothing is sorted. Time is counted in mean gaps.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hasim.engines.montecarlo.book import Book, Tally
from hasim.engines.montecarlo.clusters import Clusters, Intervals
from hasim.model.laws import Exponential, Law
from hasim.model.system import System, SystemUnit
from hasim.streams import Streams

Ints = NDArray[np.int64]
Small = NDArray[np.int16]
Floats = NDArray[np.float64]

BATCH = 1 << 17  # ticks searched at once
PORTION = 1 << 14  # ticks drawn at once: what stays in the cache
LEAST = 1 << 8
ROOM = BATCH + 64
SPAN = 64
CHAINED = 100
"""Runs this many times longer than the longest repair follow one another in one stationary history.

Then hardly anything is going on when one ends and the next begins: runs are all but independent, the variance of
their mean is off by a hundredth at most, and no run needs a beginning of its own. Shorter runs are independent.
"""
ENOUGH = 12_000  # pairs collected before they are evaluated
TABLE_BITS = 12
KINDS_MAX = 2000  # more kinds than this and the table that chooses one does not pay


def ticks_apply(system: System) -> bool:
    """Whether this route is right for the system."""
    if system.windows or system.switches or system.shocks:
        return False
    exponential = all(unit.independent and isinstance(unit.life, Exponential) for unit in system.units)
    return exponential and 0 < len(system.units) <= KINDS_MAX


def run_ticks(system: System, runs: int, horizon: float, streams: Streams, *, new: bool) -> Tally:
    """`runs` histories of `horizon` seconds, laid end to end on one line."""
    longest = max(unit.down.mean * (1 + unit.down.scv) for unit in system.units)
    chained = not new and horizon > CHAINED * longest
    book = Book(system, runs, horizon, stationary=not new, chained=chained)
    _Line(system, book, streams, new).run()
    return book.close()


@dataclass(frozen=True)
class _Kind:
    """Units whose ticks are treated alike: one repair law, and all of them or none a single point of failure."""

    down: Law
    alone: bool
    units: Ints
    rates: Floats


@dataclass(frozen=True)
class _Ticks:
    """Ticks in the order of time, the first at `begin`: the gap after each, the repair, and the code (its kind).

    `looks` marks those whose repair is longer than the gap.
    """

    gaps: Floats
    repairs: Floats
    code: Small
    looks: NDArray[np.bool_]
    begin: float
    inserted: bool = False

    def next_after(self, at: Floats) -> Floats:
        """The time of the first tick after each of these times, which ascend up to the end of the last gap."""
        # Sums of blocks say in which block the answer is; only there single gaps are added up.
        heads = np.arange(0, self.gaps.size, SPAN)
        sums = np.add.reduceat(self.gaps, heads)
        starts = self.begin + np.cumsum(sums) - sums
        block = np.maximum(np.searchsorted(starts, at, side="right") - 1, 0)
        place = heads[block][:, None] + np.arange(SPAN)
        steps = np.where(place < self.gaps.size, self.gaps[np.minimum(place, self.gaps.size - 1)], 0.0)
        times = starts[block][:, None] + np.cumsum(steps, axis=1)
        later = times >= at[:, None]
        found = times[np.arange(at.size), np.where(later.any(axis=1), later.argmax(axis=1), SPAN - 1)]
        return np.where(at <= self.begin, self.begin, found)


@dataclass(frozen=True)
class _Pairs:
    """Clusters of two ticks: the time of the first, the gap, both repairs and both kinds."""

    time: Floats
    gap: Floats
    repair: Floats
    repair_other: Floats
    code: Small
    code_other: Small


class _Choice:
    """Draws numbers 0 … n - 1 with given weights: a table for most, exact comparison where a cell is shared."""

    def __init__(self, weights: Floats) -> None:
        self.edges = np.cumsum(weights / weights.sum())
        self.edges[-1] = 1.0
        cells = 1 << TABLE_BITS
        self._shift = np.uint32(32 - TABLE_BITS)
        low = np.searchsorted(self.edges, np.arange(cells) / cells, side="right")
        high = np.searchsorted(self.edges, np.arange(1, cells + 1) / cells, side="left")
        self._table = low.astype(np.int16)
        self._shared = low != high
        self._any_shared = bool(self._shared.any())

    def draw(self, rng: np.random.Generator, count: int) -> Small:
        if self.edges.size == 1:
            return np.zeros(count, dtype=np.int16)
        word = rng.integers(0, 1 << 32, count, dtype=np.uint32)
        cell = word >> self._shift
        drawn: Small = self._table[cell]
        if self._any_shared:
            # Within a shared cell the rest of the word and 32 bits more decide.
            unsure = np.flatnonzero(self._shared[cell])
            more = rng.integers(0, 1 << 32, unsure.size, dtype=np.uint32)
            point = (word[unsure] + more / 2.0**32) / 2.0**32
            drawn[unsure] = np.searchsorted(self.edges, point, side="right")
        return drawn


class _Line:
    """The loop over batches of ticks along the line of all runs."""

    def __init__(self, system: System, book: Book, streams: Streams, new: bool) -> None:
        self.book = book
        self.clusters = Clusters(system, book, ticks=True)
        self.units = system.units
        self.rng = {name: streams[f"ticks/{name}"] for name in ("gaps", "repairs", "kinds", "units")}
        self.kinds = _kinds(system.units, self.clusters.alone[: len(system.units)])
        rates = np.array([kind.rates.sum() for kind in self.kinds])
        self.rate = float(rates.sum())
        self.whose = _Choice(rates)
        self.which = [_Choice(kind.rates) for kind in self.kinds]
        self.exponential = all(isinstance(kind.down, Exponential) for kind in self.kinds)
        self.means = np.array([kind.down.mean * self.rate for kind in self.kinds])
        by_kind = np.array([kind.alone for kind in self.kinds])
        # Codes that always need a look: kinds, and behind them units that are down when a run begins.
        self.always = np.concatenate([by_kind, self.clusters.alone[: len(system.units)]])
        self.hurts = self.clusters.hurts
        self.period = self.rate * book.horizon  # length of a run in mean gaps
        self.length = self.period * book.runs
        self._initial(streams, new)
        # Room for a batch behind the ticks of a cluster that the batch before left open.
        self.gaps, self.repairs, self.code = np.empty(ROOM), np.empty(ROOM), np.zeros(ROOM, dtype=np.int16)
        self.looks = np.empty(ROOM, dtype=np.bool_)
        self.open = 0
        # Clusters found and not yet evaluated: those of two ticks, and larger ones.
        self.pairs: list[_Pairs] = []
        self.pairs_count = 0
        self.crowds: list[tuple[Ints, Floats, Floats, Floats, Small]] = []
        self.crowds_count = 0

    def _initial(self, streams: Streams, new: bool) -> None:
        """Units that are down when their run begins: as ticks at that very moment, with what is left of a repair."""
        runs: list[Ints] = []
        units: list[Ints] = []
        lengths: list[Floats] = []
        beginnings = 1 if self.book.chained else self.book.runs
        for u, unit in enumerate(() if new else self.units):
            assert unit.life is not None
            rng = streams[f"{unit.name}/start"]
            count = int(rng.binomial(beginnings, unit.down.mean / (unit.life.mean + unit.down.mean)))
            runs.append(rng.choice(beginnings, count, replace=False))
            units.append(np.full(count, u))
            lengths.append(unit.down.residual(rng, count) * self.rate)
        self.first_run = np.concatenate([*runs, np.empty(0, dtype=np.int64)]).astype(np.int64)
        order = np.argsort(self.first_run, kind="stable")
        self.first_run = self.first_run[order]
        self.first_unit = np.concatenate([*units, np.empty(0, dtype=np.int64)]).astype(np.int64)[order]
        self.first_length = np.concatenate([*lengths, np.empty(0)])[order]
        self.first_done = 0

    def run(self) -> None:
        """Batch after batch, up to the end of the line."""
        begin = float(self.rng["gaps"].standard_exponential())  # when the next tick comes
        ticks = 0
        while begin < self.length:
            left = self.length - begin
            begin, inside = self._batch(begin, int(max(LEAST, min(BATCH, left + 3 * left**0.5))))
            ticks += inside
        self._close(begin)
        self._flush_pairs()
        self._flush_crowds()
        self.clusters.flush()
        self.book.events = 2 * (ticks - self.clusters.ignored)

    def _batch(self, begin: float, count: int) -> tuple[float, int]:
        """Draw ticks, the first of them at `begin`, and find their clusters.

        Gives the time of the tick that follows, with which the next batch begins, and how many lie in the line.
        """
        old, size = self.open, self.open + count
        self._make_room(size)
        gaps, repairs, code = self.gaps[:size], self.repairs[:size], self.code[:size]
        looks = self.looks[:size]
        np.greater(repairs[:old], gaps[:old], out=looks[:old])
        for first in range(old, size, PORTION):
            part = slice(first, min(first + PORTION, size))
            self.rng["gaps"].standard_exponential(out=gaps[part])
            self._draw_repairs(repairs[part], code[part])
            np.greater(repairs[part], gaps[part], out=looks[part])
        end = begin + float(gaps[old:].sum())
        inside = count
        if end >= self.length:
            inside = 1 + int(np.searchsorted(begin + np.cumsum(gaps[old:-1]), self.length))
        ticks = _Ticks(gaps, repairs, code, looks, begin - float(gaps[:old].sum()))
        if self.first_done < self.first_run.size and self.first_run[self.first_done] * self.period < end:
            ticks = self._insert(ticks, end)
        self._find(ticks)
        return end, inside

    def _make_room(self, size: int) -> None:
        if size > self.gaps.size:
            more = np.empty(size)
            self.gaps, self.repairs = np.concatenate([self.gaps, more]), np.concatenate([self.repairs, more])
            self.code = np.concatenate([self.code, np.zeros(size, dtype=np.int16)])
            self.looks = np.empty(self.gaps.size, dtype=np.bool_)

    def _draw_repairs(self, repairs: Floats, code: Small) -> None:
        """Draw the kinds of some ticks and repairs for them."""
        rng = self.rng["repairs"]
        several = len(self.kinds) > 1
        code[:] = self.whose.draw(self.rng["kinds"], code.size) if several else 0
        if self.exponential:
            rng.standard_exponential(out=repairs)
            repairs *= self.means[code] if several else self.means[0]
            return
        if several:
            order = np.argsort(code, kind="stable")
            counts = np.bincount(code, minlength=len(self.kinds)).tolist()
            parts = [kind.down.draw(rng, count) for kind, count in zip(self.kinds, counts, strict=True)]
            repairs[order] = np.concatenate(parts)
        else:
            repairs[:] = self.kinds[0].down.draw(rng, repairs.size)
        repairs *= self.rate

    def _insert(self, ticks: _Ticks, end: float) -> _Ticks:
        """Put units that are down when their run begins among the ticks, where that can matter.

        It cannot if the unit is up again before the next tick, alone makes no difference, and no other unit is
        down at that moment. Their code is beyond the kinds: a certain unit, at the start of a run.
        """
        last = int(np.searchsorted(self.first_run * self.period, end))
        chosen = slice(self.first_done, last)
        self.first_done = last
        run, unit, length = self.first_run[chosen], self.first_unit[chosen], self.first_length[chosen]
        at: Floats = np.asarray(run * self.period)
        together = np.concatenate([[False], run[1:] == run[:-1], [False]])
        matters = (length > ticks.next_after(at) - at) | self.clusters.alone[unit]
        matters |= together[1:] | together[:-1]
        if not matters.any():
            return ticks
        at = at[matters]
        times = np.concatenate([[ticks.begin], ticks.begin + np.cumsum(ticks.gaps)])
        place = np.searchsorted(times, at)  # in front of that tick
        times = np.insert(times, place, at)
        own = (len(self.kinds) + unit[matters]).astype(np.int16)
        repairs = np.insert(ticks.repairs, place, length[matters])
        code = np.insert(ticks.code, place, own)
        gaps = np.diff(times)
        return _Ticks(gaps, repairs, code, repairs > gaps, float(times[0]), inserted=True)

    def _find(self, ticks: _Ticks) -> None:
        """Find the clusters among these ticks; the last is kept for the next batch if it goes on."""
        gaps, repairs, looks, size = ticks.gaps, ticks.repairs, ticks.looks, ticks.gaps.size
        special = ticks.inserted or bool(self.always.any())
        if special:
            looks |= self.always[ticks.code] | (ticks.code >= len(self.kinds))
        seeds = np.flatnonzero(looks)
        self.open = 0
        if not seeds.size:
            return
        # How far does each seed reach? Most overlap the next tick only.
        reach = seeds.copy()
        passed = gaps[seeds]
        lasting = repairs[seeds]
        more = np.flatnonzero(lasting > passed)
        while more.size:
            reach[more] += 1
            more = more[reach[more] < size]
            passed[more] += gaps[reach[more]]
            more = more[lasting[more] > passed[more]]
        reach = np.maximum.accumulate(reach)
        starts = np.flatnonzero(np.concatenate([[True], seeds[1:] > reach[:-1]]))
        first, last = seeds[starts], reach[np.append(starts[1:], seeds.size) - 1]
        steps = np.add.reduceat(gaps, seeds)
        times = (ticks.begin + float(gaps[: seeds[0]].sum()) + np.cumsum(steps) - steps)[starts]
        rest = None
        if last[-1] >= size:
            rest, first, last, times = slice(int(first[-1]), size), first[:-1], last[:-1], times[:-1]
        plain = last == first + 1
        if special:
            plain &= ~(self.always[ticks.code[first]] | self.always[ticks.code[np.minimum(first + 1, size - 1)]])
            plain &= ticks.code[first] < len(self.kinds)
            plain &= ticks.code[np.minimum(first + 1, size - 1)] < len(self.kinds)
        if self.clusters.pair is not None:
            self._take_pairs(ticks, first[plain], times[plain])
            first, last, times = first[~plain], last[~plain], times[~plain]
        if first.size:
            self._set_aside(ticks, first, last, times)
        if rest is not None:
            self._keep(ticks, rest)

    def _take_pairs(self, ticks: _Ticks, first: Ints, times: Floats) -> None:
        """Collect clusters of two ticks; nearly all are."""
        second = first + 1
        code = ticks.code
        found = _Pairs(times, ticks.gaps[first], ticks.repairs[first], ticks.repairs[second], code[first], code[second])
        self.pairs.append(found)
        self.pairs_count += first.size
        if self.pairs_count > ENOUGH:
            self._flush_pairs()

    def _flush_pairs(self) -> None:
        """Draw whose the collected pairs of ticks are, and write down those that take something down."""
        if not self.pairs:
            return
        time, gap, ends, other, code, code_other = (
            np.concatenate([getattr(each, field.name) for each in self.pairs]) for field in fields(_Pairs)
        )
        self.pairs, self.pairs_count = [], 0
        one, two = self._units(code), self._units(code_other)
        start = time + gap
        mine = start < self.length
        self.clusters.ignored += int(np.count_nonzero((one == two) & mine))
        hurts = np.flatnonzero(self.hurts[one, two] & mine)
        start, one, two = start[hurts], one[hurts], two[hurts]
        run = (start / self.period).astype(np.int64)
        offset = run * self.period
        end = np.minimum(time[hurts] + ends[hurts], start + other[hurts])
        scale = 1 / self.rate
        start = (start - offset) * scale
        end = (end - offset) * scale
        within = time[hurts] >= offset  # or else the first of the two ended with its run
        if not (self.book.chained or within.all()):
            one, two, run, start, end = one[within], two[within], run[within], start[within], end[within]
        self.clusters.pairs(one, two, run, start, end)

    def _units(self, code: Small) -> Ints:
        """Whose these ticks are, by their kinds."""
        if len(self.kinds) == 1:
            units = self.kinds[0].units
            return np.asarray(units[self.which[0].draw(self.rng["units"], code.size)])
        found = np.empty(code.size, dtype=np.int64)
        for number, choice in enumerate(self.which):
            mine = np.flatnonzero(code == number)
            if mine.size:
                found[mine] = self.kinds[number].units[choice.draw(self.rng["units"], mine.size)]
        return found

    def _keep(self, ticks: _Ticks, rest: slice) -> None:
        """Leave these ticks for the next batch."""
        gaps, repairs, code = ticks.gaps[rest].copy(), ticks.repairs[rest].copy(), ticks.code[rest].copy()
        self.open = gaps.size
        self._make_room(self.open)
        self.gaps[: self.open], self.repairs[: self.open], self.code[: self.open] = gaps, repairs, code

    def _set_aside(self, ticks: _Ticks, first: Ints, last: Ints, times: Floats) -> None:
        """Collect whole clusters, from tick `first` to tick `last` each."""
        sizes = last - first + 1
        heads = np.cumsum(sizes) - sizes
        member = np.arange(int(sizes.sum())) + np.repeat(first - heads, sizes)
        self.crowds.append((sizes, times, ticks.gaps[member], ticks.repairs[member], ticks.code[member]))
        self.crowds_count += member.size
        if self.crowds_count > ENOUGH:
            self._flush_crowds()

    def _close(self, end: float) -> None:
        """The cluster still open at the end of the line is complete as far as it counts."""
        size, self.open = self.open, 0
        if size:
            begin = end - float(self.gaps[:size].sum())
            ticks = _Ticks(self.gaps[:size], self.repairs[:size], self.code[:size], self.looks[:size], begin)
            self._set_aside(ticks, np.array([0]), np.array([size - 1]), np.array([begin]))

    def _flush_crowds(self) -> None:
        """Draw whose the collected ticks are, and hand the clusters over to be evaluated."""
        if not self.crowds:
            return
        sizes, times, gaps, repairs, code = (np.concatenate(each) for each in zip(*self.crowds, strict=True))
        self.crowds, self.crowds_count = [], 0
        heads = np.cumsum(sizes) - sizes
        passed = np.cumsum(gaps) - gaps
        time = passed + np.repeat(times - passed[heads], sizes)
        run = (time / self.period).astype(np.int64)
        unit = self._units(code)
        initial = np.flatnonzero(code >= len(self.kinds))
        if initial.size:
            unit[initial] = code[initial] - len(self.kinds)
            run[initial] = np.rint(time[initial] / self.period).astype(np.int64)
            time[initial] = run[initial] * self.period
        if self.book.chained:
            run = np.repeat(run[heads], sizes)
        start = (time - run * self.period) / self.rate
        end = start + repairs / self.rate
        if not self.book.chained:
            np.minimum(end, self.book.horizon, out=end)
        leads = np.zeros(code.size, dtype=np.bool_)
        leads[heads] = True
        upto = int(np.searchsorted(run, self.book.runs))  # what lies beyond the line does not count
        self.clusters.add(Intervals(leads[:upto], unit[:upto], run[:upto], start[:upto], end[:upto]))


def _kinds(units: tuple[SystemUnit, ...], alone: NDArray[np.bool_]) -> list[_Kind]:
    groups: dict[tuple[Law, bool], list[int]] = {}
    for u, unit in enumerate(units):
        groups.setdefault((unit.down, bool(alone[u])), []).append(u)
    rates = np.array([1 / unit.life.mean for unit in units if unit.life is not None])
    return [_Kind(down, single, np.array(members), rates[members]) for (down, single), members in groups.items()]

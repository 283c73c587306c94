"""Who is active in a part that fails over, in many histories at once.

In each lane (history) a part is in one of three states: a member is active; a failover is going on; or nobody is
active because too few members stand ("dark"). After every change of the units the rules of `hasim.model.system`
are applied to all lanes at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hasim.engines.montecarlo.reserve import Reserve
from hasim.model.system import Switch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NOBODY = -1


class Role:
    """The active member of one part: `active` and `former` are member numbers or NOBODY, shape (lanes,)."""

    def __init__(self, switch: Switch, lanes: int, reserve: Reserve, rng: np.random.Generator) -> None:
        self.switch = switch
        self.active = np.full(lanes, NOBODY)
        self.former = np.full(lanes, NOBODY)
        self.going = np.zeros(lanes, dtype=np.bool_)
        self._all = np.arange(lanes)
        self._reserve = reserve
        self._rng = rng

    def begin(self, lanes: Ints, standing: Bools, new: bool) -> None:
        """Start histories: the first member is active if all is new, else any that stands, if enough do.

        `standing` has a column for each of these lanes.
        """
        self.going[lanes] = False
        self.former[lanes] = NOBODY
        self.active[lanes] = 0 if new else NOBODY
        if not new:
            some = standing.sum(axis=0) >= self.switch.enough
            self.active[lanes[some]] = self._anyone(standing[:, some])

    def finish(self, lanes: Ints, standing: Bools) -> None:
        """The failover of these lanes is over: one of the standing members is active."""
        self.going[lanes] = False
        self.former[lanes] = NOBODY
        self.active[lanes] = self._anyone(standing[:, lanes])

    def follow(self, standing: Bools) -> tuple[Ints, Floats, Ints]:
        """Apply the rules: the lanes where a failover begins, how long it takes, the lanes where it is over."""
        switch = self.switch
        enough = standing.sum(axis=0) >= switch.enough
        has = self.active >= 0
        fine = has & enough & standing[self.active, self._all]
        quiet = fine | ~(has | self.going | enough)  # active and standing, or dark and staying so
        odd = np.flatnonzero(~quiet)
        if not odd.size:
            return odd, np.empty(0), odd
        has, going, enough = has[odd], self.going[odd], enough[odd]
        former = self.former[odd]
        back = going & enough & (former >= 0) & standing[former, odd]
        over = odd[(going & ~enough) | back]
        lost = odd[has]
        starts = [odd[has & enough]]
        dark = odd[~has & ~going & enough]
        self.former[starts[0]] = self.active[starts[0]] if switch.resumes else NOBODY
        self.active[lost] = NOBODY
        self.active[odd[back]] = former[back]
        self.former[over] = NOBODY
        self.going[over] = False
        if switch.regains_at_once:
            self.active[dark] = self._anyone(standing[:, dark])
        else:
            self.former[dark] = NOBODY
            starts.append(dark)
        begun = np.concatenate(starts)
        self.going[begun] = True
        return begun, self._lengths(begun.size), over

    def _lengths(self, count: int) -> Floats:
        failover = self.switch.failover
        which = np.full(count, self._reserve.number[failover.takes])
        if failover.manual is not None:
            uncovered = self._rng.random(count) >= failover.coverage
            which[uncovered] = self._reserve.number[failover.manual]
        return self._reserve.take(which)

    def _anyone(self, standing: Bools) -> Ints:
        """A standing member of each column, any with the same chance."""
        count = np.cumsum(standing, axis=0)
        chosen = np.floor(self._rng.random(standing.shape[1]) * count[-1])
        return np.asarray((count > chosen).argmax(axis=0))

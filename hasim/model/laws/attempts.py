"""The attempts law: a repair that shows only when a supervisor tries the next time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hasim.model.laws.empirical import Empirical
from hasim.model.laws.exponential import Exponential
from hasim.model.laws.fixed import Fixed
from hasim.model.laws.law import AnyLaw, Array, Law, Size, bisected, factor_checked, probabilities, times
from hasim.model.laws.mixture import Mixture
from hasim.model.laws.total import Total
from hasim.protocols.health.schedules import Schedule
from hasim.units import duration_text

MOST_SUMMED: Final = 1 << 16
"""Attempts that are summed one by one; the rest of an endless row is an integral, good to a billionth by then."""
_BLOCK: Final = 1 << 12
Tried = Callable[[int], tuple[Array, npt.NDArray[np.bool_]]]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


class Attempts(Law):
    """Attempts law: until the first attempt of a `schedule` that begins when a `repair` is done, or later.

    Repair and attempts begin with the failure, and know nothing of each other. It is what `down` of a failure with a
    supervisor is made of, and has no name in files.
    """

    schedule: Schedule
    repair: AnyLaw

    @cached_property
    def _moments(self) -> tuple[float, float]:
        """Mean and mean square of what comes after the first attempt could have begun.

        An attempt at x that still fails, with chance P[repair > x], costs the gap to the next one: the mean is the sum
        of gaps times chances, the mean square that of differences of squares. A spread evens everything out over it.
        """
        spread, starts = self.schedule.spread, np.asarray(self.schedule.starts)
        if isinstance(self.repair, Mixture):
            parts = [
                (weight, Attempts(schedule=self.schedule, repair=law)._moments) for weight, law in self.repair.parts
            ]
            mean, square = (math.fsum(weight * each[k] for weight, each in parts) for k in range(2))
            return mean, square
        if not spread and isinstance(self.repair, Fixed | Empirical):
            values = [self.repair.value] if isinstance(self.repair, Fixed) else self.repair.data
            begun = self.schedule.next(np.array(values)) - starts[0]
            return float(np.mean(begun)), float(np.mean(begun**2))
        sums = np.array([spread / 2.0, spread**2 / 3.0])
        gaps = np.array(self.schedule.following) - starts
        if self.schedule.period is None:
            sums += self._of_gaps(starts, gaps) + self._of_waiting()
        else:
            sums += self._of_gaps(starts[:-1], gaps[:-1]) + self._of_the_endless(self.schedule.period)
        return float(sums[0]), float(sums[1])

    def _of_gaps(self, at: Array, gap: Array) -> Array:
        failed, moment = self._failed(at)
        costs = 2.0 * (moment - self.schedule.starts[0] * failed) + gap * failed
        return np.array([gap @ failed, gap @ costs])

    def _failed(self, at: Array) -> Array:
        """The chance that the attempts at these times fail, and the mean of their times where they do."""
        spread = self.schedule.spread
        if not spread:
            chance = self.repair.survival(at)
            return np.stack([chance, at * chance])
        return np.asarray((integrals(self.repair, at + spread) - integrals(self.repair, at))[:2] / spread)

    def _of_the_endless(self, period: float) -> Array:
        """Attempts one by one while that matters, and the rest by the trapezoidal rule, as the integral it is near."""
        sums, at = np.zeros(2), self.schedule.starts[-1]
        for block in range(MOST_SUMMED // _BLOCK):
            begins = at + period * np.arange(block * _BLOCK, (block + 1) * _BLOCK, dtype=np.float64)
            sums += self._of_gaps(begins, np.full(_BLOCK, period))
            if self._failed(begins[-1:])[0, 0] < 1e-6:
                break
        end = float(begins[-1]) + period
        half = self._of_gaps(np.array([end]), np.array([period])) / 2.0
        mean, square = self._beyond(end + self.schedule.spread / 2.0)
        rest = np.array([mean, square - 2.0 * self.schedule.starts[0] * mean + period * mean])
        return np.asarray(sums + half + rest)

    def _beyond(self, t: float) -> Array:
        """∫ P[repair > x] dx and ∫ 2 x P[repair > x] dx from t on."""
        repair = self.repair
        done = integrals(repair, np.array([t]))[:2, 0]
        return np.maximum([repair.mean - done[0], repair.mean**2 * (1.0 + repair.scv) - 2.0 * done[1]], 0.0)

    def _of_waiting(self) -> Array:
        """Once the supervisor has given up, the repair itself is waited for."""
        given_up, spread, first = self.schedule.given_up, self.schedule.spread, self.schedule.starts[0]
        mean, square = self._beyond(given_up)
        if spread:
            # Averages over the spread: ∫ I = [t I - ∫ x S], ∫ K = [t K - ∫ x² S].
            ends = np.array([given_up, given_up + spread])
            done = integrals(self.repair, ends)
            inner = np.diff(ends * done[:2] - done[1:])[:, 0] / spread
            total = np.array([self.repair.mean, self.repair.mean**2 * (1.0 + self.repair.scv)])
            mean, square = np.maximum(total - np.array([1.0, 2.0]) * inner, 0.0)
        return np.array([mean, square - 2.0 * first * mean])

    @property
    def mean(self) -> float:
        """Mean time until that attempt begins, in seconds."""
        return self.schedule.starts[0] + self._moments[0]

    @property
    def scv(self) -> float:
        if self.mean == 0:
            return 0.0
        return max(self._moments[1] - self._moments[0] ** 2, 0.0) / self.mean**2

    def _begin(self, repair: Array, late: Array | float) -> Array:
        """The attempts that succeed, by when the repairs are done and by how much their rows of attempts are late."""
        return late + self.schedule.next(repair - late)

    def _late(self, rng: np.random.Generator, size: Size) -> Array | float:
        return self.schedule.spread * rng.random(size) if self.schedule.spread else 0.0

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        return self._begin(self.repair.draw(rng, size), self._late(rng, size))

    def survival(self, t: npt.ArrayLike) -> Array:
        asked, schedule, spread = times(t), self.schedule, self.schedule.spread
        if spread:
            known = np.isfinite(asked)
            return np.where(known, self._spread_out(np.where(known, asked, 0.0)), np.where(asked > 0, 0.0, 1.0))
        return self.repair.survival(np.where(asked >= schedule.given_up, asked, schedule.begun(asked)))

    def _spread_out(self, t: Array) -> Array:
        """Of all rows of attempts a share has begun its last one, or given up, and the others only the one before."""
        schedule, spread = self.schedule, self.schedule.spread
        over, last = t >= schedule.given_up, schedule.begun(t)
        since = np.clip(t - np.where(over, schedule.given_up, last), 0.0, spread)  # of `spread`: how many rows have
        before = schedule.begun(np.where(over, schedule.starts[-1], t - spread))
        newer = np.where(over, since * self.repair.survival(t), self._between(np.maximum(last, 0.0), last + since))
        older = np.where(before < 0, spread - since, self._between(np.maximum(before, 0.0) + since, before + spread))
        return np.where(last < 0, 1.0, (newer + older) / spread)

    def _between(self, low: Array, high: Array) -> Array:
        return np.asarray((integrals(self.repair, np.maximum(high, low)) - integrals(self.repair, low))[0])

    def quantile(self, p: npt.ArrayLike) -> Array:
        asked = probabilities(p)
        high = self.schedule.next(self.repair.quantile(asked)) + self.schedule.spread
        if not self.schedule.spread:
            return high
        first = self.schedule.starts[0]
        return bisected(self, asked, np.full_like(high, first), np.maximum(high, first))

    def length_biased(self, rng: np.random.Generator, size: Size) -> Array:
        # The time is a sum of four: until the first attempt, the delay of the row, the first gap, the other gaps. As in
        # a total, one of them is chosen by its mean, and all is drawn with that one length-biased.
        if self.mean == 0:
            return np.zeros(size)
        first = self.schedule.starts[0]
        gap = (self.schedule.following[0] - first) * self._failed(np.array([first]))[0, 0]
        means = np.array([first, self.schedule.spread / 2.0, gap, 0.0])
        rest = self.mean - means.sum()
        means[3] = rest if rest > 1e-12 * self.mean else 0.0
        chosen = np.searchsorted(np.cumsum(means / means.sum())[:-1], rng.random(size), side="right")
        drawn = np.empty(chosen.shape)
        for index, draw in enumerate((self.draw, self._biased_late, self._biased_gap, self._biased_rest)):
            here = chosen == index
            count = int(np.count_nonzero(here))
            if count:
                drawn[here] = draw(rng, count)
        return drawn

    def _biased_late(self, rng: np.random.Generator, count: int) -> Array:
        return self._begin(self.repair.draw(rng, count), self.schedule.spread * np.sqrt(rng.random(count)))

    def _biased_gap(self, rng: np.random.Generator, count: int) -> Array:
        """All alike, given that the first attempt fails."""

        def tried(size: int) -> tuple[Array, npt.NDArray[np.bool_]]:
            repair, late = self.repair.draw(rng, size), self._late(rng, size)
            return self._begin(repair, late), repair > late + self.schedule.starts[0]

        return _kept(tried, count)

    def _biased_rest(self, rng: np.random.Generator, count: int) -> Array:
        """In proportion to the gaps after the first, which are together at most `most` times the repair."""
        ends = self.schedule.following
        most = max([1.0, *((after - ends[0]) / at for at, after in pairwise(ends) if at > 0)])

        def tried(size: int) -> tuple[Array, npt.NDArray[np.bool_]]:
            repair, late = self.repair.length_biased(rng, size), self._late(rng, size)
            begun = self._begin(repair, late)
            return begun, rng.random(size) * most * repair < begun - late - ends[0]

        return _kept(tried, count)

    def scaled(self, factor: float) -> Attempts:
        return Attempts(schedule=self.schedule.scaled(factor_checked(factor)), repair=self.repair.scaled(factor))

    def text(self) -> str:
        return f"({self.repair.text()}) and on to the next attempt, {self.schedule.text()}"

    def to_plain(self) -> dict[str, Any]:
        """All that the law is; a file says the `supervisor` of a failure instead, and reads no such law."""
        schedule = self.schedule
        end = {"given_up": schedule.given_up} if schedule.period is None else {"period": schedule.period}
        return {
            "attempts": {
                "starts": [duration_text(start) for start in schedule.starts],
                **{name: duration_text(time) for name, time in end.items()},
                "spread": duration_text(schedule.spread),
                "repair": self.repair.to_plain(),
            }
        }


def _kept(tried: Tried, count: int) -> Array:
    """Draw until there are so many that are kept."""
    found: list[Array] = []
    missing = count
    while missing > 0:
        drawn, keep = tried(min(2 * missing + 64, 1 << 20))
        found.append(drawn[keep][:missing])
        missing -= found[-1].size
    return np.concatenate(found) if found else np.empty(0)


def integrals(law: Law, t: Array) -> Array:
    """∫ x^k P[law > x] dx from 0 to each `t` >= 0 for k = 0, 1, 2; of the shape (3, *t.shape)."""
    if isinstance(law, Fixed):
        return _powers(np.minimum(t, law.mean))
    if isinstance(law, Exponential):
        from scipy.special import gammainc

        scale = law.mean
        rows = [math.factorial(k) * scale ** (k + 1) * gammainc(k + 1, t / scale) for k in range(3)]
        return np.asarray(rows, dtype=np.float64)
    if isinstance(law, Mixture):
        return np.asarray(sum(weight * integrals(part, t) for weight, part in law.parts))
    if isinstance(law, Empirical):
        data = np.sort(np.asarray(law.data))
        below = np.concatenate([np.zeros((3, 1)), np.cumsum(_powers(data), axis=1)], axis=1)
        index = np.searchsorted(data, t)
        return np.asarray((below[:, index] + (data.size - index) * _powers(t)) / data.size)
    if isinstance(law, Total):
        return _after_a_while(law, t)
    return _by_quadrature(law, t)


def _powers(t: Array) -> Array:
    return np.stack([t, t**2 / 2.0, t**3 / 3.0])


def _after_a_while(law: Total, t: Array) -> Array:
    """Of fixed times and one random one: the whole until then, and what is shifted by it."""
    _ = law.survival(0.0)  # refuses several random ones by name
    while_fixed = math.fsum(part.mean for part in law.laws if isinstance(part, Fixed))
    random = [part for part in law.laws if not isinstance(part, Fixed)]
    early = _powers(np.minimum(t, while_fixed))
    if not random:
        return early
    zero, one, two = integrals(random[0], np.maximum(t - while_fixed, 0.0))
    return np.asarray(
        early + np.stack([zero, one + while_fixed * zero, two + 2.0 * while_fixed * one + while_fixed**2 * zero])
    )


def _by_quadrature(law: Law, t: Array) -> Array:
    """By Gauss and Legendre between quantiles, so near to one another that the survival function is smooth there."""
    breaks, below = _table(law)
    within = np.clip(t, 0.0, breaks[-1])
    piece = np.clip(np.searchsorted(breaks, within, side="right") - 1, 0, breaks.size - 2)
    return np.asarray(below[:, piece] + _pieces(law, breaks[piece], within))


def _pieces(law: Law, low: Array, high: Array) -> Array:
    half = (high - low)[..., None] / 2.0
    x = low[..., None] + half * (1.0 + _NODES)
    weighed = half * _WEIGHTS * law.survival(x)
    return np.stack([np.sum(weighed * x**k, axis=-1) for k in range(3)])


@lru_cache(maxsize=64)
def _table(law: Law) -> tuple[Array, Array]:
    """Points between which the survival function is smooth, and the integrals up to each."""
    tails = 10.0 ** -np.arange(2.0, 16.0)
    levels = np.concatenate([[0.0], tails[::-1], np.linspace(0.05, 0.95, 19), 1.0 - tails, [1.0]])
    found = law.quantile(levels)
    breaks = np.unique(np.concatenate([[0.0], found[np.isfinite(found)]]))
    for _ in range(1000):  # tails beyond all quantiles of floats, up to where nothing is left of the mean
        end = float(breaks[-1])
        if not end or end * float(law.survival(end)) <= 1e-16 * law.mean:
            break
        breaks = np.append(breaks, 2.0 * end)
    pieces = _pieces(law, breaks[:-1], breaks[1:])
    return breaks, np.concatenate([np.zeros((3, 1)), np.cumsum(pieces, axis=1)], axis=1)

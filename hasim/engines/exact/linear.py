"""Linear algebra of Markov chains that keeps all digits of small probabilities.

Availability chains are stiff: repairs in minutes beside failures in years, and the states of interest have
probabilities of 1e-10. Subtraction would lose them, so nothing here subtracts. Small chains are solved by GTH
elimination (Grassmann, Taksar & Heyman 1985; O'Cinneide 1993 for its componentwise accuracy). Large ones are solved by
Gauss-Seidel sweeps from the likely states to the unlikely ones: where repair is much faster than failure each sweep
gains the ratio of the two, three digits or so, and every component is a sum of positive terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hasim.errors import CannotModel

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

DENSE_MAX = 900  # states up to which elimination on a full matrix takes less than a second


SWEEPS_MAX = 20_000
TOLERANCE = 1e-14  # largest relative change of any component in the last sweep


@dataclass(frozen=True)
class Rates:
    """Transition rates among n states, as parallel arrays; `order` is a sweep order, likely states first."""

    n: int
    source: Ints
    target: Ints
    rate: Floats
    order: Ints

    def within(self, kept: NDArray[np.bool_]) -> Rates:
        """The transitions among some states, which are numbered anew in the same order."""
        number = np.cumsum(kept) - 1
        inner = kept[self.source] & kept[self.target]
        order = number[self.order[kept[self.order]]]
        return Rates(int(kept.sum()), number[self.source[inner]], number[self.target[inner]], self.rate[inner], order)

    def leaving(self) -> Floats:
        """Total rate out of each state, to itself not counted."""
        moves = self.source != self.target
        return _summed(self.source[moves], self.rate[moves], self.n)


def _summed(places: Ints, amounts: Floats, n: int) -> Floats:
    """The sum of the amounts at each of n places."""
    return np.asarray(np.bincount(places, weights=amounts, minlength=n), dtype=float)


def stationary(rates: Rates) -> Floats:
    """Stationary distribution; all states must communicate, and state 0 must be a likely one."""
    if rates.n == 1:
        return np.ones(1)
    pi = _gth(rates) if rates.n <= DENSE_MAX else _swept_stationary(rates)
    return np.asarray(pi / pi.sum())


def _matrix(rates: Rates) -> Floats:
    matrix = np.zeros((rates.n, rates.n))
    np.add.at(matrix, (rates.source, rates.target), rates.rate)
    np.fill_diagonal(matrix, 0.0)
    return matrix


def _gth(rates: Rates) -> Floats:
    matrix = _matrix(rates)
    for last in range(rates.n - 1, 0, -1):
        matrix[:last, last] /= matrix[last, :last].sum()
        matrix[:last, :last] += np.outer(matrix[:last, last], matrix[last, :last])
    pi = np.zeros(rates.n)
    pi[0] = 1.0
    for state in range(1, rates.n):
        pi[state] = pi[:state] @ matrix[:state, state]
    return pi


def _swept_stationary(rates: Rates) -> Floats:
    """Inflow equals outflow in every state but the first, whose weight is set to one."""
    rest = np.arange(rates.n) != 0
    inner = rates.within(rest)
    from_first = (rates.source == 0) & (rates.target != 0)
    inflow = _summed(rates.target[from_first] - 1, rates.rate[from_first], rates.n - 1)
    weights = _sweep(inner.target, inner.source, inner.rate, rates.leaving()[rest], inflow, inner.order)
    return np.insert(weights, 0, 1.0)


def first_passage(rates: Rates, absorbing: NDArray[np.bool_], start: dict[int, float]) -> float:
    """Mean time from a start distribution to the first absorbing state; state 0 must be a likely one.

    By cycles: with h the mean time until absorption or the return to state 0, and g the chance that it is absorption,
    the time from state 0 is h/g (renewal argument). Both are solved without state 0, where sweeps converge fast, and
    no large number is the difference of two larger ones.
    """
    kept = ~absorbing
    kept[0] = False
    inner = rates.within(kept)
    leaving = rates.leaving()
    lost_rate = _summed(rates.source, rates.rate * absorbing[rates.target], rates.n)
    if inner.n:
        out = leaving[kept]
        time = _sweep(inner.source, inner.target, inner.rate, out, np.ones(inner.n), inner.order)
        lost = _sweep(inner.source, inner.target, inner.rate, out, lost_rate[kept], inner.order)
    else:
        time = lost = np.zeros(0)
    h, g = np.zeros(rates.n), np.zeros(rates.n)
    h[kept], g[kept] = time, lost
    first = (rates.source == 0) & (rates.target != 0) & ~absorbing[rates.target]
    onward, weight = rates.target[first], rates.rate[first]
    h[0] = (1 + weight @ h[onward]) / leaving[0]
    g[0] = (lost_rate[0] + weight @ g[onward]) / leaving[0]
    whole = h[0] / g[0]
    return float(
        sum(share * (whole if state == 0 else h[state] + (1 - g[state]) * whole) for state, share in start.items())
    )


def _sweep(rows: Ints, columns: Ints, values: Floats, diagonal: Floats, right: Floats, order: Ints) -> Floats:
    """Solve diagonal·x - values·x = right by Gauss-Seidel in the given order; everything is non-negative."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import splu

    n = len(diagonal)
    place = np.empty(n, dtype=np.intp)
    place[order] = np.arange(n)
    moves = rows != columns
    rows, columns, values = place[rows[moves]], place[columns[moves]], values[moves]
    # Scaled to a unit diagonal: rates span ten powers of ten.
    values = values / diagonal[order][rows]
    known = right[order] / diagonal[order]
    earlier = columns < rows
    every = np.arange(n)
    lower = coo_matrix(
        (np.concatenate([-values[earlier], np.ones(n)]),
         (np.concatenate([rows[earlier], every]), np.concatenate([columns[earlier], every]))),
        shape=(n, n),
    ).tocsc()  # fmt: skip
    upper = coo_matrix((values[~earlier], (rows[~earlier], columns[~earlier])), shape=(n, n)).tocsr()
    # A triangular matrix in its own order factors into itself.
    triangle = splu(lower, permc_spec="NATURAL", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    x = np.zeros(n)
    for _ in range(SWEEPS_MAX):
        new = triangle.solve(known + upper @ x)
        change = np.max(np.abs(new - x) / np.maximum(np.abs(new), np.finfo(float).tiny))
        x = new
        if change < TOLERANCE:
            return np.asarray(x[place])
    raise CannotModel(
        f"a chain of {n} states",
        "its equations did not converge: failure is about as fast as repair",
        "use ha.estimate",
    )

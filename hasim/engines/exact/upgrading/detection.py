"""How long a bad release stays unnoticed: a number, or a law whose expectations are integrals of its survival.

For a nonnegative T and any increasing g with g(0) = 0, E[g(T)] = ∫ g'(t) P(T > t) dt. So E[∫ x dt until T] is ∫ x(t)
P(T > t) dt, and no density is needed: laws with atoms and laws of records do as well as smooth ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, share, zero_or_more
from hasim.model.laws import Empirical, Mixture
from hasim.model.laws.law import Law

Detect = ArrayLike | Law
"""The time to detect: seconds, an array of them, or a law."""

_GRID: Final = 64  # pieces of equal chance: the integrand is smooth within each, and atoms are their ends
_POINTS: Final = 20


def mean_detection(detect: Detect) -> Floats:
    """Return the mean time to detect in seconds, as an array; ModelError unless it is zero or more, and finite."""
    return zero_or_more(detect.mean if isinstance(detect, Law) else detect, "detect")


def bad_errors(bad: ArrayLike, errors: ArrayLike) -> Floats:
    """Return p e, the share of all requests that fail while a release of unknown goodness is exposed to all of them."""
    return np.asarray(share(bad, "bad") * share(errors, "errors"))


def survival_between(
    law: Law, edges: Sequence[float] | Floats, weight: Callable[[Floats], Floats] | None = None
) -> Floats:
    """Return ∫ w(t) P(T > t) dt over each interval between neighbouring `edges` (n + 1 ascending seconds), shape (n,).

    `weight` w is a polynomial of low degree, by default 1. Gauss and Legendre's rule on pieces that end where the law
    may jump or bend: at the edges, at quantiles, and at all values of a law of records.
    """
    ends = np.asarray(edges, dtype=np.float64)
    cuts = np.unique(np.concatenate([ends, _bends(law, float(ends[0]), float(ends[-1]))]))
    nodes, weights = np.polynomial.legendre.leggauss(_POINTS)
    half = np.diff(cuts) / 2.0
    at = cuts[:-1, None] + half[:, None] * (1.0 + nodes)
    heights = law.survival(at) if weight is None else law.survival(at) * weight(at)
    upto = np.concatenate([[0.0], np.cumsum(half * (heights @ weights))])
    return np.asarray(np.diff(upto[np.searchsorted(cuts, ends)]))


def _bends(law: Law, low: float, high: float) -> Floats:
    found = _own_bends(law)
    if high > 0:  # between quantiles a law may still change by orders of magnitude, as in a tail
        found = np.concatenate([found, np.geomspace(high * 1e-6, high, 40)])
    return np.asarray(found[(found > low) & (found < high)])


def _own_bends(law: Law) -> Floats:
    if isinstance(law, Empirical):
        return np.asarray(law.data, dtype=np.float64)
    if isinstance(law, Mixture):  # a part may be rarer than any quantile shows
        return np.concatenate([_own_bends(part) for _, part in law.parts])
    return law.quantile(np.concatenate([np.geomspace(1e-9, 1e-2, 15), np.arange(1, _GRID + 1) / _GRID]))

"""Means over good and bad releases that were played separately, put together by the chance of a bad one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from hasim.model.laws import Empirical, Law, Mixture
from hasim.results.estimate import Estimate, Unit
from hasim.results.intervals import clopper_pearson
from hasim.units import s

Floats = NDArray[np.float64]
Strata = Sequence[tuple[float, Floats]]
"""Weights, which add up to 1, and the values found with each."""

VALUES_MAX: Final = 100
"""So many values stand for those of one stratum in a law that a model file holds."""

LEAST_S: Final = 1e-6
"""Times are written in whole microseconds; shorter ones are none."""


def mean_over(strata: Strata, level: float, unit: Unit = "seconds", lowest: float = 0.0) -> Estimate:
    """Return the stratified mean with Student's interval: variances of the strata add up by their squared weights.

    Degrees of freedom are those of Satterthwaite (Biometrics Bulletin 2, 1946). No end lies below `lowest`.
    """
    value = math.fsum(weight * float(values.mean()) for weight, values in strata)
    parts = [weight**2 * float(values.var(ddof=1)) / len(values) for weight, values in strata if len(values) > 1]
    variance = math.fsum(parts)
    if variance <= 0:
        return Estimate(value, value, value, level, "all runs alike", standard_error=0.0, unit=unit)
    sizes = [len(values) for _, values in strata if len(values) > 1]
    freedom = variance**2 / sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
    reach = float(stdtrit(freedom, 0.5 + level / 2)) * math.sqrt(variance)
    low = min(max(value - reach, lowest), value)
    return Estimate(value, low, value + reach, level, "stratified mean", None, math.sqrt(variance), unit)


def chance_over(strata: Strata, level: float) -> Estimate:
    """Return the stratified share of values above zero; its interval adds Clopper and Pearson's of each stratum.

    Each holds at 1 - (1 - level)/strata, so that all hold together at `level` (Bonferroni).
    """
    inner = 1.0 - (1.0 - level) / len(strata)
    value = low = high = variance = 0.0
    for weight, values in strata:
        hits, count = int(np.count_nonzero(values > 0)), len(values)
        share = hits / count
        bottom, top = clopper_pearson(hits, count, inner)
        value, low, high = value + weight * share, low + weight * bottom, high + weight * top
        variance += weight**2 * share * (1 - share) / count
    low, high = min(low, value), min(max(high, value), 1.0)
    return Estimate(min(value, 1.0), low, high, level, "Clopper–Pearson by stratum", None, math.sqrt(variance), "share")


def mean_if_any(strata: Strata, level: float) -> Estimate | None:
    """Return the mean of the values above zero, a ratio of two stratified means; None if there are none."""
    chance = math.fsum(weight * float((values > 0).mean()) for weight, values in strata)
    if chance == 0:
        return None
    ratio = math.fsum(weight * float(values.mean()) for weight, values in strata) / chance
    residues = [(weight, (values - ratio * (values > 0)) / chance) for weight, values in strata]
    spread = mean_over(residues, level, lowest=-math.inf)
    reach = (spread.high - spread.low) / 2
    low = max(ratio - reach, 0.0)
    return Estimate(ratio, low, ratio + reach, level, "ratio", None, spread.standard_error, "seconds")


def law_of(strata: Strata) -> Law | None:
    """Return the law of the values above zero, with the chances of the strata; None if there are none.

    Each stratum is an empirical law of at most `VALUES_MAX` values: the means of as many equal shares of its sorted
    values, so that the mean of the law is that of the values.
    """
    found: list[tuple[float, Law]] = []
    chance = math.fsum(weight * float((values > 0).mean()) for weight, values in strata)
    for weight, values in strata:
        above = values[values > 0]
        if above.size and weight > 0:
            share = weight * above.size / len(values) / chance
            found.append((share, Empirical(data=tuple(map(s, _condensed(above).tolist())))))
    if not found:
        return None
    return found[0][1] if len(found) == 1 else Mixture(parts=tuple(found))


def _condensed(values: Floats) -> Floats:
    """At most `VALUES_MAX` values with the same mean: those of the quantile function over equal steps."""
    ordered = np.sort(values)
    steps = min(len(ordered), VALUES_MAX)
    grown = np.concatenate([[0.0], np.cumsum(ordered)])
    edges = np.linspace(0.0, len(ordered), steps + 1)
    sums = np.interp(edges, np.arange(len(ordered) + 1), grown)
    return np.asarray(np.maximum(np.round(np.diff(sums) / (len(ordered) / steps), 6), LEAST_S))

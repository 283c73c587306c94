"""How sure are we? Confidence intervals for rates, shares, quantiles and the downtime of rare, long outages.

Each function states its source and the coverage to expect. Intervals are plain pairs (low, high); a level
of 0.95 leaves 2.5 % on either side. An infinite end means: the data say nothing about that side.

**The hard one is downtime.** Outages are few and the long ones carry the total, so the textbook intervals
promise 95 % and hold far less. Measured coverage of the true unavailability by nominal 95 % intervals, and
in brackets the median of the upper end over the truth; lognormal outages with coefficient of variation 2,
Poisson in number, spread over 1000 replicas (10 000 repetitions, at the end 6 000 and 2 000; standard
error 0.1 to 0.5 %):

| expected outages | t on replicas | Fay–Feuer gamma        | stretched gamma (ours) |
|------------------|---------------|------------------------|------------------------|
| 3                | 0.635 [1.5]   | 0.762 [2.4]            | 0.989 [26]             |
| 10               | 0.771 [1.6]   | 0.884 [2.3]            | 0.955 [3.5]            |
| 30               | 0.850 [1.5]   | 0.935 [1.9]            | 0.954 [2.1]            |
| 100              | 0.896 [1.3]   | 0.957 [1.5]            | 0.962 [1.6]            |
| 400              | 0.938 [1.2]   | 0.968 [1.3]            | 0.968 [1.3]            |

"Ours" is `unavailability_interval`: the gamma interval of Fay and Feuer, whose upper end is moved away from
the estimate, on the log scale, by the ratio of Student's to the normal quantile. The degrees of freedom are
Kish's effective number of outages, (Σd)²/Σd²: the variance is itself estimated from that many. The lower
end needs no stretch: skewed totals miss there in 1 % of cases. With exponential outages it holds 98, 97 and
97 % at 10, 30 and 100 outages, with coefficient of variation 4 it holds 91, 91 and 92 %. When outages come
in bursts (geometric, two on average) or on a schedule (gamma, shape 4) it holds 95 to 98 % where the
Poisson variance alone holds 85 to 99 %. A mixture where one outage in ten is 300 times longer defeats every
method that has not seen a long one yet (64 % at 10 outages): give `longest_repair_mean`, and it holds 99 %.
"""

from __future__ import annotations

import math
from bisect import bisect_left

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hasim.results.estimate import Estimate

Interval = tuple[float, float]

FEW_OUTAGES = 10
"""Below so many outages an unavailability comes with a caution: unseen long outages may dominate it."""

MANY_OUTAGES = 100
"""From so many outages on, the variance between replicas is trusted over the Poisson assumption."""

REPLICAS_MIN = 20
"""Fewer replicas than this say too little about the variance between them."""

# ------------------------------------------------------------------------------------------- rates, means


def zero_outage_bound(exposure: float, level: float = 0.95) -> float:
    """Return the largest rate that would still show no event in `exposure` with probability 1 - level.

    One-sided and exact for a Poisson process: -ln(1 - level)/exposure, at 95 % the rule of three,
    3.0/exposure. Source: Hanley & Lippman-Hand, JAMA 249 (1983).
    """
    return -math.log1p(-level) / exposure


def garwood(count: int, exposure: float, level: float = 0.95) -> Interval:
    """Return the exact interval of a Poisson rate from `count` events in `exposure` (any unit of time).

    Covers at least the level, and more for small counts. No event gives the one-sided (0, 3.0/exposure),
    which is shorter than the two-sided 3.7/exposure and costs 1 %: coverage 93.8 % where 3.0 events are
    expected. Source: Garwood, Biometrika 28 (1936).
    """
    from scipy.special import gammainccinv, gammaincinv

    if count == 0:
        return 0.0, zero_outage_bound(exposure, level)
    tail = (1 - level) / 2
    return float(gammaincinv(count, tail)) / exposure, float(gammainccinv(count + 1, tail)) / exposure


def t_interval(samples: ArrayLike, level: float = 0.95) -> Interval:
    """Return Student's interval for the mean of independent samples, shape (n,).

    Exact for normal samples, good when the mean rests on 100 events or more; below, skewed samples get 50
    to 90 % where 95 % is promised (table above). Fewer than two samples give (-∞, ∞).
    """
    x = np.asarray(samples, dtype=np.float64)
    if x.size < 2:
        return -math.inf, math.inf
    half = _student(x.size - 1, level) * float(x.std(ddof=1)) / math.sqrt(x.size)
    return float(x.mean()) - half, float(x.mean()) + half


# ----------------------------------------------------------------------------------------- skewed totals


def gamma_interval(weights: ArrayLike, level: float = 0.95, largest: float | None = None) -> Interval:
    """Return the Fay–Feuer interval of the expected total of Poisson events, weighted by outage duration.

    Divide by the exposure to get an unavailability. With equal weights it is Garwood's interval; `largest`
    is the heaviest event thought possible, by default the heaviest seen. Coverage: second column of the
    table above. Source: Fay & Feuer, Statistics in Medicine 16 (1997).
    """
    d = np.asarray(weights, dtype=np.float64)
    heaviest = max(float(d.max(initial=0.0)), largest or 0.0)
    return _gamma(float(d.sum()), float(d @ d), heaviest, level)


def stretched_gamma_interval(
    total: float, variance: float, heaviest: float, effective: float, level: float = 0.95
) -> Interval:
    """Return the gamma interval of a total, stretched because its variance is itself an estimate.

    `variance` is that of the total, `heaviest` the heaviest single event, `effective` the number of events
    the variance rests on: Kish's (Σd)²/Σd². Coverage: third column of the table above.
    """
    from scipy.special import ndtri

    low, high = _gamma(total, variance, heaviest, level)
    if total <= 0:
        return low, high
    stretch = _student(max(effective, 1.0), level) / float(ndtri(0.5 + level / 2))
    return low, total * (high / total) ** stretch


def _gamma(total: float, variance: float, heaviest: float, level: float) -> Interval:
    """Match gamma laws by mean and variance: one for the low end, one with an event more for the high."""
    from scipy.special import gammainccinv, gammaincinv

    tail = (1 - level) / 2
    low = total
    if variance > 0:
        low = variance / total * float(gammaincinv(total**2 / variance, tail)) if total > 0 else 0.0
    total, variance = total + heaviest, variance + heaviest**2
    high = variance / total * float(gammainccinv(total**2 / variance, tail)) if variance > 0 else total
    return low, high


def ratio_interval(numerators: ArrayLike, denominators: ArrayLike, level: float = 0.95) -> Interval:
    """Return the interval of a ratio of means, like mean outage = downtime / outages; both (n,), ≥ 0.

    The delta method gives the variance of Σ numerators - ratio × Σ denominators from the residuals; the
    shape is the stretched gamma, because the long outage is rare here too. Pairs are replicas, or
    (duration, 1) for each outage. Coverage for the mean of 3, 10, 30, 100, 400 lognormal outages
    (coefficient of variation 2): 95, 94, 95, 95, 96 %. Fewer than two pairs that are not zero give (0, ∞).
    Source of the variance: Cochran, Sampling Techniques (1977), §6.
    """
    x = np.asarray(numerators, dtype=np.float64)
    y = np.asarray(denominators, dtype=np.float64)
    seen = (x > 0) | (y > 0)
    x, y = x[seen], y[seen]
    events, total = float(y.sum()), float(x.sum())
    if x.size < 2 or events == 0:
        return 0.0, math.inf
    if total == 0:
        return 0.0, 0.0
    residuals = x - total / events * y
    variance = float(residuals @ residuals) * x.size / (x.size - 1)
    if variance <= (1e-12 * total) ** 2:  # all outages alike but for rounding
        return total / events, total / events
    effective = total**2 / float(x @ x)
    heaviest = float(residuals.max()) + total / events  # one more outage, as long as the worst excess seen
    low, high = stretched_gamma_interval(total, variance, heaviest, effective, level)
    return low / events, high / events


# ------------------------------------------------------------------------------------ shares, quantiles


def wilson(hits: int, n: int, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a probability from `hits` in `n` independent trials.

    Average coverage is very near the level; for probabilities close to 0 or 1 it dips to 83 %.
    Source: Wilson, JASA 22 (1927); recommended by Brown, Cai & DasGupta, Statistical Science 16 (2001).
    """
    from scipy.special import ndtri

    if n == 0:
        return 0.0, 1.0
    z2 = float(ndtri(0.5 + level / 2)) ** 2
    share = hits / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    return low, 1.0 if hits == n else min(1.0, middle + half)


def clopper_pearson(hits: int, n: int, level: float = 0.95) -> Interval:
    """Return the exact interval of a probability from `hits` in `n` independent trials.

    Covers at least the level, and more for few hits. No hit (or no miss) gives the one-sided bound, at 95 %
    about 3/n: there the coverage is at least 93 %. Source: Clopper & Pearson, Biometrika 26 (1934).
    """
    from scipy.special import betaincinv

    if n == 0:
        return 0.0, 1.0
    if hits == 0:
        return 0.0, -math.expm1(math.log1p(-level) / n)
    if hits == n:
        return math.exp(math.log1p(-level) / n), 1.0
    tail = (1 - level) / 2
    return float(betaincinv(hits, n - hits + 1, tail)), float(betaincinv(hits + 1, n - hits, 1 - tail))


def proportion_interval(hits: int, n: int, level: float = 0.95) -> Interval:
    """Return Wilson's interval, or Clopper and Pearson's when there are fewer than 5 hits or 5 misses.

    Coverage is 95 % on average over all probabilities and never below 91 %.
    """
    exact = min(hits, n - hits) < 5
    return clopper_pearson(hits, n, level) if exact else wilson(hits, n, level)


def quantile_interval(
    ordered: ArrayLike, p: float, level: float = 0.95, lowest: float = 0.0, highest: float = math.inf
) -> Interval:
    """Return the interval of the p-quantile between two order statistics of ascending samples, shape (n,).

    Free of any law: it covers at least the level, also when samples are tied (most years have no downtime).
    Too few samples for an end give `lowest` or `highest`, the limits of what is possible: p99 needs 368
    samples for a finite upper end at 95 %. Source: David & Nagaraja, Order Statistics (2003), §7.1.
    """
    from scipy.special import bdtr

    x = np.asarray(ordered, dtype=np.float64)
    n, tail = x.size, (1 - level) / 2
    # The number of samples below the quantile is binomial(n, p): cut its tails.
    ranks = range(n + 1)
    first = bisect_left(ranks, True, key=lambda k: bool(bdtr(k, n, p) > tail)) if n else 0
    last = bisect_left(ranks, True, key=lambda k: bool(bdtr(k, n, p) >= 1 - tail)) if n else 0
    low = float(x[first - 1]) if first >= 1 else lowest
    high = float(x[last]) if last < n else highest
    return low, high


def _student(freedom: float, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))


# -------------------------------------------------------------------------------------------- estimates


def rate_estimate(count: int, exposure: float, level: float = 0.95) -> Estimate:
    """Return events per unit of `exposure` with Garwood's interval."""
    low, high = garwood(count, exposure, level)
    error = math.sqrt(count) / exposure if count else None
    return Estimate(count / exposure, low, high, level, "Garwood", int(count), error)


def proportion_estimate(hits: int, n: int, level: float = 0.95) -> Estimate:
    """Return the share of `n` trials that hit, with the interval of `proportion_interval`."""
    if n == 0:
        raise ValueError("a share needs at least one trial, got none")
    low, high = proportion_interval(hits, n, level)
    method = "Clopper–Pearson" if min(hits, n - hits) < 5 else "Wilson"
    share = hits / n
    error = math.sqrt(share * (1 - share) / n) if 0 < hits < n else None
    return Estimate(share, low, high, level, method, int(hits), error, unit="share")


def quantile_estimate(ordered: ArrayLike, p: float, level: float = 0.95) -> Estimate:
    """Return the p-quantile of ascending samples that are zero or more, with its order-statistic interval."""
    x = np.asarray(ordered, dtype=np.float64)
    if x.size == 0:
        raise ValueError("a quantile needs at least one sample, got none")
    low, high = quantile_interval(x, p, level)
    value = float(x[min(max(math.ceil(p * x.size) - 1, 0), x.size - 1)])
    return Estimate(value, min(low, value), max(high, value), level, "order statistics", unit="seconds")


def mean_outage_estimate(
    downtimes: ArrayLike, outages: ArrayLike, level: float = 0.95, unseen_s: float = 0.0
) -> Estimate | None:
    """Return the mean outage in seconds from each replica's downtime and outages; None without an outage.

    `unseen_s` is downtime that longer outages may have in store (`unseen_downtime`); it raises the upper end.
    """
    x, y = np.asarray(downtimes, dtype=np.float64), np.asarray(outages, dtype=np.float64)
    events = float(y.sum())
    if events == 0:
        return None
    low, high = ratio_interval(x, y, level)
    value = float(x.sum()) / events
    # They may differ from the value by rounding when all outages are alike.
    low, high = min(low, value), max(high, value) + unseen_s / events
    return Estimate(value, low, high, level, "ratio, stretched gamma", int(events), unit="seconds")


def unavailability_interval(
    downtime_per_replica: ArrayLike,
    outages_total: int,
    durations: ArrayLike,
    exposure: float,
    *,
    level: float = 0.95,
    longest_repair_mean: float | None = None,
) -> tuple[Estimate, str | None]:
    """Return the unavailability seen in `exposure` with the interval that holds its level, and a caution.

    `downtime_per_replica` (replicas,), `durations` (outages,) and `exposure` (of all replicas together) are
    in seconds. `longest_repair_mean` is an upper limit of the mean outage, such as the longest mean repair
    (length biased where an outage begins in the middle of a repair).

    - From 100 outages, in 20 replicas or more: stretched gamma with the variance between replicas, which is
      right whether outages come alone, in bursts or on a schedule.
    - Below: the larger of that and the Poisson variance Σd². When `longest_repair_mean` is given, one more
      outage of that length is thought possible, and the end is at most Garwood's rate times it.
    - No downtime: U ≤ 3.0/exposure × longest_repair_mean, and U ≤ P[a replica has an outage] ≤ 3.0/replicas.

    The caution is a sentence when fewer than 10 outages were seen, else None. Coverage: table of this module.
    """
    x = np.asarray(downtime_per_replica, dtype=np.float64)
    d = np.asarray(durations, dtype=np.float64)
    total, count = float(x.sum()), max(int(outages_total), d.size, int(np.count_nonzero(x)))
    caution = few_outages_caution(count)
    if total == 0:
        return _no_downtime(count, x.size, exposure, level, longest_repair_mean), caution
    value = min(total / exposure, 1.0)
    d = d if d.size and float(d.max()) > 0 else x  # durations were not kept
    variance, effective, method = _variance_of_total(x, d, count)
    heaviest = float(d.max())
    low, high = stretched_gamma_interval(total, variance, heaviest, effective, level)
    if longest_repair_mean is not None and count < MANY_OUTAGES:
        one_more = _gamma(total, variance, max(heaviest, longest_repair_mean), level)[1]
        limit = garwood(count, 1.0, (1 + level) / 2)[1] * max(longest_repair_mean, total / count)
        high = max(total, min(max(high, one_more), limit))
    unseen = unseen_downtime(d, count, level, longest_repair_mean)
    if unseen:
        high, method = high + unseen, f"{method}; with room for longer ones, unseen"
    low, high = min(low / exposure, value), min(max(high / exposure, value), 1.0)
    error = math.sqrt(variance) / exposure
    return Estimate(value, low, high, level, method, count, error, unit="share"), caution


def unseen_downtime(durations: ArrayLike, count: int, level: float, longest_repair_mean: float | None) -> float:
    """Return the seconds of downtime that outages longer than any seen may have in store.

    Many short outages look like a safe estimate while the rare long ones, which may carry most of the downtime,
    have not come yet. None in the time observed bounds their rate (rule of three). Zero if outages as long as the
    longest mean repair were seen, or so few outages that their interval already leaves that room.
    """
    d = np.asarray(durations, dtype=np.float64)
    if longest_repair_mean is None or count < MANY_OUTAGES or float(d.max(initial=0.0)) >= longest_repair_mean:
        return 0.0
    return zero_outage_bound(1.0, level) * longest_repair_mean


def few_outages_caution(count: int) -> str | None:
    """Return the sentence that goes with numbers resting on fewer than 10 outages, else None."""
    if count >= FEW_OUTAGES:
        return None
    if count == 0:
        return "no outage was seen: the unavailability has an upper bound only; run longer, or use ha.solve"
    outages = "outage was" if count == 1 else "outages were"
    return (
        f"only {count} {outages} seen: an interval from so few cannot know of rare, longer outages; "
        "run longer, or use ha.solve"
    )


def _no_downtime(count: int, replicas: int, exposure: float, level: float, longest: float | None) -> Estimate:
    high, method = 1.0, "no outage seen"
    if replicas:
        high = clopper_pearson(0, replicas, level)[1]  # a replica without downtime is up all the time
        method = "no outage seen, share of replicas"
    if longest is not None and (bound := garwood(count, exposure, level)[1] * longest) < high:
        high, method = bound, "no outage seen, 3.0/T × longest mean repair"
    return Estimate(0.0, 0.0, high, level, method, count, unit="share")


def _variance_of_total(x: NDArray[np.float64], d: NDArray[np.float64], count: int) -> tuple[float, float, str]:
    """Return the variance of the total downtime, the effective number of events behind it, and the method."""
    total = float(x.sum())
    alone = float(d @ d)  # outages come one by one: compound Poisson
    if x.size < REPLICAS_MIN:
        return alone, float(d.sum()) ** 2 / alone, "gamma, stretched; Poisson outages"
    between, effective = x.size * float(x.var(ddof=1)), total**2 / float(x @ x)
    if count >= MANY_OUTAGES:
        return between, effective, "gamma, stretched; between replicas"
    effective = min(effective, float(d.sum()) ** 2 / alone)
    return max(between, alone), effective, "gamma, stretched; Poisson outages or between replicas"

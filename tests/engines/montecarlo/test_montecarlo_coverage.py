"""Intervals hold what they promise: 95 % of them cover the exact value.

Measured with 1000 repetitions of 100 runs each for problem P1 (2 of 3, exponential), in percent; standard error 0.7:

| outages expected | unavailability | outages a year | mean outage |
|------------------|----------------|----------------|-------------|
| 3                | 98.8           | 99.1           | 89.1        |
| 10               | 98.6           | 98.2           | 96.8        |
| 30               | 97.7           | 95.5           | 97.7        |
| 100              | 97.0           | 94.7           | 97.4        |
| 300              | 96.2           | 95.0           | 96.8        |

With few outages the intervals are wide rather than wrong, and below ten a warning comes with them. A repetition
without any outage, 5 % of them in the first line, has no mean outage and counts as missed.
"""

from __future__ import annotations

from typing import Any

import pytest
from montecarlo_models import HEAD, HOUR, MODELS, truth

from hasim.engines.montecarlo import estimate
from hasim.model.load import loads

QUANTITIES = ("unavailability", "outages_per_year", "mean_outage_s")


def covered(over: str, repetitions: int, first_seed: int = 1000) -> dict[str, int]:
    """How many of the intervals for P1, from 100 runs of this length, cover the exact value."""
    cluster = loads(HEAD + MODELS["P1"])
    known = truth("P1")
    exact = {
        "unavailability": known["unavailability"],
        "outages_per_year": known["outage_frequency_per_year"],
        "mean_outage_s": known["mean_outage_duration_hours"] * HOUR,
    }
    hits = dict.fromkeys(QUANTITIES, 0)
    for seed in range(first_seed, first_seed + repetitions):
        figures: Any = estimate(cluster, over=over, runs=100, seed=seed).services["cluster"]
        for name in QUANTITIES:
            interval = getattr(figures, name)
            hits[name] += interval is not None and interval.covers(exact[name])
    return hits


def binomial_bounds(repetitions: int, share: float, tail: float) -> tuple[int, int]:
    """Numbers of hits outside of which a true share would fall with probability `tail` on either side."""
    from scipy.stats import binom

    return int(binom.ppf(tail, repetitions, share)), int(binom.ppf(1 - tail, repetitions, share))


def test_intervals_cover_as_often_as_they_promise() -> None:
    # 300 outages expected. 200 repetitions tell 95 % from less than 89 %.
    low, _ = binomial_bounds(200, 0.95, 1e-3)
    hits = covered("5.88y", 200)
    assert all(count >= low for count in hits.values()), hits


def test_many_short_outages_do_not_hide_that_a_long_one_may_come() -> None:
    # A process that restarts in a minute, on a host whose repair takes a day and is needed once in 2000 years.
    text = """
topology: {hosts: [h]}
failures: {host: {mtbf: 2000y, mttr: 24h}, p: {mtbf: 30d, mttr: 1m}}
parts: {p: {kind: unit, on: h}}
up: [p]
"""
    exact = 24 / (2000 * 8760 + 24) + 1 / (30 * 1440 + 1)
    missed = 0
    for seed in range(40):
        figures = estimate(loads(HEAD + text), over="1y", runs=400, seed=seed).services["cluster"]
        assert figures.unavailability is not None
        missed += not figures.unavailability.covers(exact)
    # Four runs in five see no repair of the host at all.
    assert missed <= binomial_bounds(40, 0.05, 1e-3)[1]


@pytest.mark.slow
def test_coverage_is_within_two_percent_of_the_promise() -> None:
    # 93 to 97 % is the claim; a coverage of just that may be off in 1000 repetitions by chance, 1 in 1000.
    low = binomial_bounds(1000, 0.93, 1e-3)[0]
    high = binomial_bounds(1000, 0.97, 1e-3)[1]
    hits = covered("5.88y", 1000)
    assert all(low <= count <= high for count in hits.values()), hits


@pytest.mark.slow
@pytest.mark.parametrize("over", ["21d", "71d", "0.58y"])
def test_few_outages_make_wide_intervals_and_not_wrong_ones(over: str) -> None:
    low = binomial_bounds(1000, 0.93, 1e-3)[0]
    hits = covered(over, 1000)
    assert hits["unavailability"] >= low and hits["outages_per_year"] >= low, hits

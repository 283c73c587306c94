"""Waits between attempts: bounds by hand, and the laws that the jitter is said to have."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hasim.clients import (
    Backoff,
    ConstantBackoff,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FullJitter,
    NoBackoff,
)
from hasim.streams import Streams

TIMES = {"base": "10ms", "cap": "200ms"}
BOUNDS = [0.010, 0.020, 0.040, 0.080, 0.160, 0.200, 0.200]
ALMOST_ONE = math.nextafter(1.0, 0.0)


def test_waits_without_jitter_are_the_declared_ones() -> None:
    assert [ExponentialBackoff(**TIMES).delay(n, 0.0, 0.7) for n in range(1, 8)] == pytest.approx(
        BOUNDS, rel=1e-12, abs=0
    )
    assert [ConstantBackoff(wait="3s").delay(n, 3.0, 0.7) for n in (1, 2, 50)] == [3.0, 3.0, 3.0]
    assert [NoBackoff().delay(n, 0.0, 0.7) for n in (1, 2, 50)] == [0.0, 0.0, 0.0]


def test_a_factor_other_than_two_grows_by_that_factor() -> None:
    tripling = ExponentialBackoff(base="10ms", cap="10s", factor=3)
    assert [tripling.delay(n, 0.0, 0.0) for n in (1, 2, 3, 4)] == pytest.approx(
        [0.01, 0.03, 0.09, 0.27], rel=1e-12, abs=0
    )


@pytest.mark.parametrize("attempt", range(1, 8))
def test_jitter_reaches_from_its_least_to_its_bound(attempt: int) -> None:
    bound = BOUNDS[attempt - 1]
    full, equal = FullJitter(**TIMES), EqualJitter(**TIMES)
    assert full.delay(attempt, 0.0, 0.0) == 0.0
    assert full.delay(attempt, 0.0, ALMOST_ONE) == pytest.approx(bound, rel=1e-12, abs=0)
    assert equal.delay(attempt, 0.0, 0.0) == pytest.approx(bound / 2, rel=1e-12, abs=0)
    assert equal.delay(attempt, 0.0, ALMOST_ONE) == pytest.approx(bound, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("previous", "least", "most"), [(0.0, 10, 30), (0.010, 10, 30), (0.05, 10, 150), (0.2, 10, 200)]
)
def test_decorrelated_jitter_goes_by_the_last_wait_alone(previous: float, least: float, most: float) -> None:
    backoff = DecorrelatedJitter(**TIMES)
    for attempt in (1, 2, 9):
        assert backoff.delay(attempt, previous, 0.0) == pytest.approx(least / 1e3, rel=1e-12, abs=0)
        assert backoff.delay(attempt, previous, ALMOST_ONE) == pytest.approx(most / 1e3, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("backoff", "law"),
    [
        (FullJitter(**TIMES), stats.uniform(0.0, 0.040)),
        (EqualJitter(**TIMES), stats.uniform(0.020, 0.020)),
        (DecorrelatedJitter(**TIMES), stats.uniform(0.010, 0.140)),
    ],
    ids=["full", "equal", "decorrelated"],
)
def test_the_third_wait_after_one_of_50_ms_is_uniform(backoff: Backoff, law: stats.rv_continuous) -> None:
    waits = [backoff.delay(3, 0.050, u) for u in Streams(1)["jitter"].random(5000)]
    # Kolmogorov and Smirnov: a right law falls below this once in ten thousand seeds.
    assert stats.kstest(waits, law.cdf).pvalue > 1e-4


def test_the_second_decorrelated_wait_has_the_mean_of_its_recursion() -> None:
    # s1 = U(b, 3b) has mean 2b; s2 = U(b, 3 s1) has mean (b + 3 × 2b)/2 = 3.5 b, while the cap is out of reach.
    backoff = DecorrelatedJitter(base="10ms", cap="10s")
    rng = Streams(2)["decorrelated"]
    seconds = []
    for _ in range(20_000):
        first = backoff.delay(1, 0.0, rng.random())
        seconds.append(backoff.delay(2, first, rng.random()))
    standard_error = np.std(seconds, ddof=1) / math.sqrt(len(seconds))
    assert abs(np.mean(seconds) - 0.035) < 4 * standard_error  # 6 in 100 000 seeds exceed it


@pytest.mark.parametrize("attempt", [64, 1024, 1025, 5000, 10**6])
def test_the_thousandth_wait_is_the_cap_and_no_overflow(attempt: int) -> None:
    assert ExponentialBackoff(**TIMES).delay(attempt, 0.2, 0.5) == 0.2
    assert FullJitter(**TIMES).delay(attempt, 0.2, 0.5) == pytest.approx(0.1, rel=1e-12, abs=0)

"""Arrivals are Poisson: as many as the rate's integral says, spread as the rate says, independent in gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hasim.errors import ModelError
from hasim.waiting import poisson_arrivals, poisson_chunks
from hasim.waiting.arrivals import Shape

DAY = [(0.0, 0.0), (10.0, 50.0), (15.0, 50.0), (40.0, 5.0), (41.0, 400.0), (60.0, 0.0)]


def integral(points: list[tuple[float, float]], shape: Shape, until: NDArray[np.float64]) -> NDArray[np.float64]:
    """The expected arrivals from the first row to each time, by a fine sum with the midpoint rule (exact for lines)."""
    times, rates = np.array(points).T
    # Beyond the last row its rate holds.
    edges = np.unique(np.concatenate([times, until]))
    middles = (edges[1:] + edges[:-1]) / 2
    at = np.interp(middles, times, rates) if shape == "linear" else rates[np.searchsorted(times, middles) - 1]
    total = np.concatenate([[0.0], np.cumsum(at * np.diff(edges))])
    return np.asarray(total[np.searchsorted(edges, until)])


@pytest.mark.parametrize("shape", ["linear", "constant"])
@pytest.mark.parametrize("chunk", [7, 1_000_000])
def test_by_the_clock_of_expected_arrivals_the_gaps_are_exponential(shape: Shape, chunk: int) -> None:
    rng = np.random.default_rng(31)
    gaps = []
    for _ in range(20):
        times = np.concatenate(list(poisson_chunks(DAY, rng, 3.0, 70.0, shape, chunk)))
        assert np.all(np.diff(times) >= 0) and times[0] >= 3.0 and times[-1] < 70.0
        start = integral(DAY, shape, np.array([3.0]))[0]
        gaps.append(np.diff(np.concatenate([[start], integral(DAY, shape, times)])))
    found = np.concatenate(gaps)
    assert found.size > 20_000
    assert stats.kstest(found, "expon").pvalue > 1e-4
    # Neighbours are independent: a rank correlation has a standard error of 1/√n.
    assert abs(stats.spearmanr(found[:-1], found[1:]).statistic) < 4.5 / math.sqrt(found.size)


@pytest.mark.parametrize("shape", ["linear", "constant"])
def test_numbers_have_the_mean_and_the_variance_of_a_poisson_law(shape: Shape) -> None:
    rng = np.random.default_rng(32)
    counts = np.array([poisson_arrivals(DAY, rng, 5.0, 20.0, shape).size for _ in range(4000)])
    mean = float(integral(DAY, shape, np.array([20.0]))[0] - integral(DAY, shape, np.array([5.0]))[0])
    assert abs(counts.mean() - mean) < 4.5 * math.sqrt(mean / 4000)
    # The variance of a sample variance of a Poisson law is close to 2 mean²/n.
    assert abs(counts.var(ddof=1) - mean) < 4.5 * mean * math.sqrt(2 / 4000)


def test_a_single_number_is_a_constant_rate_and_beyond_the_profile_the_last_one_holds() -> None:
    bare = poisson_arrivals(30.0, np.random.default_rng(33), 100.0, 200.0)
    row = poisson_arrivals([(0.0, 30.0)], np.random.default_rng(33), 100.0, 200.0)
    assert np.array_equal(bare, row)
    assert abs(bare.size - 3000) < 4.5 * math.sqrt(3000)


def test_a_rate_of_zero_and_a_window_of_no_length_bring_nobody() -> None:
    rng = np.random.default_rng(34)
    assert poisson_arrivals(0.0, rng, 0.0, 1e6).size == 0
    assert poisson_arrivals(1e6, rng, 5.0, 5.0).size == 0


def test_no_piece_is_much_larger_than_asked_for() -> None:
    # A Poisson number of mean at most 500 exceeds 500 + 6√500 with a probability of 1e-8.
    sizes = [piece.size for piece in poisson_chunks(DAY, np.random.default_rng(35), 0.0, 60.0, "linear", 500)]
    assert max(sizes) < 500 + 6 * math.sqrt(500)
    assert sum(sizes) > 4000


REFUSED = [
    (([(0.0, -1.0)], 0.0, 1.0), "rate_points: got a rate of -1.0"),
    (([(1.0, 1.0), (0.0, 1.0)], 1.0, 2.0), "rate_points: got rows out of order"),
    (([(5.0, 1.0)], 0.0, 9.0), "start: got 0.0, but the first rate holds from 5.0 on"),
    (([1.0, 2.0, 3.0], 0.0, 9.0), "rate_points: got shape (3,)"),
    ((1.0, 9.0, 0.0), "end: got 9.0 to 0.0"),
    ((1.0, 0.0, math.inf), "end: got 0.0 to inf"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_a_wrong_profile_is_refused_by_name(given: tuple[object, float, float], said: str) -> None:
    points, start, end = given
    with pytest.raises(ModelError) as refusal:
        poisson_arrivals(points, np.random.default_rng(1), start, end)  # type: ignore[arg-type]
    assert str(refusal.value).startswith(said)

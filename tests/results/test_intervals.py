"""Intervals against tables, textbooks and exact sums over all outcomes; nothing is drawn here."""

import math

import numpy as np
import pytest
from scipy import stats

from hasim.results import intervals
from hasim.results.intervals import (
    clopper_pearson,
    gamma_interval,
    garwood,
    mean_outage_estimate,
    proportion_estimate,
    proportion_interval,
    quantile_estimate,
    quantile_interval,
    rate_estimate,
    ratio_interval,
    stretched_gamma_interval,
    t_interval,
    unavailability_interval,
    wilson,
    zero_outage_bound,
)

YEAR = 365 * 86400.0

# ---------------------------------------------------------------------------------------------- rates


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # Exact 95 % limits of a Poisson mean: Ulm, Am. J. Epidemiology 131 (1990), and any chi-square table.
    [
        (1, 0.02532, 5.572),
        (2, 0.2422, 7.225),
        (5, 1.623, 11.668),
        (10, 4.795, 18.390),
        (100, 81.364, 121.627),
    ],
)
def test_garwood_gives_the_limits_of_the_tables(count: int, low: float, high: float) -> None:
    assert garwood(count, 1.0) == pytest.approx((low, high), rel=3e-4)
    assert garwood(count, 250.0) == pytest.approx((low / 250, high / 250), rel=3e-4)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("count", [1, 7, 1_000_000])
def test_garwood_is_two_chi_square_quantiles(count: int, level: float) -> None:
    tail = (1 - level) / 2
    expected = stats.chi2.ppf(tail, 2 * count) / 2, stats.chi2.isf(tail, 2 * count + 2) / 2
    assert garwood(count, 1.0, level) == pytest.approx(expected, rel=1e-9)


def test_no_event_gives_the_rule_of_three() -> None:
    assert zero_outage_bound(1.0) == pytest.approx(2.9957, abs=1e-4)
    assert garwood(0, 10.0) == (0.0, zero_outage_bound(10.0))
    assert math.exp(-zero_outage_bound(1.0, 0.99)) == pytest.approx(0.01)


def test_garwood_covers_every_rate_but_those_just_above_the_rule_of_three() -> None:
    counts = np.arange(200)
    low, high = np.array([garwood(int(k), 1.0) for k in counts]).T
    for mean in np.linspace(0.05, 60, 1200):
        coverage = stats.poisson.pmf(counts, mean)[(low <= mean) & (mean <= high)].sum()
        assert coverage >= (0.938 if 2.99 < mean < 3.69 else 0.95), mean


def test_a_rate_comes_with_its_count_and_standard_error() -> None:
    rate = rate_estimate(25, 5.0)
    assert (rate.value, rate.events, rate.standard_error) == (5.0, 25, 1.0)
    assert rate_estimate(0, 5.0).standard_error is None


# ---------------------------------------------------------------------------------------------- shares


def test_wilson_gives_the_textbook_limits() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_clopper_and_pearson_give_the_textbook_limits() -> None:
    # Newcombe, table I, method 5.
    assert clopper_pearson(81, 263) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    assert clopper_pearson(15, 148) == pytest.approx((0.0578, 0.1617), abs=5e-5)
    assert clopper_pearson(1, 29) == pytest.approx((0.0009, 0.1776), abs=5e-5)


def test_no_hit_gives_a_bound_and_all_hits_its_mirror_image() -> None:
    low, high = clopper_pearson(0, 1000)
    assert low == 0.0
    assert (1 - high) ** 1000 == pytest.approx(0.05)
    assert clopper_pearson(1000, 1000) == pytest.approx((1 - high, 1.0))
    assert wilson(30, 30)[1] == 1.0
    assert clopper_pearson(0, 0) == wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("hits", [0, 4, 96, 100])
def test_few_hits_or_misses_take_the_exact_interval(hits: int) -> None:
    assert proportion_interval(hits, 100) == clopper_pearson(hits, 100)
    assert proportion_estimate(hits, 100).method == "Clopper–Pearson"


@pytest.mark.parametrize("hits", [5, 50, 95])
def test_many_hits_take_wilson(hits: int) -> None:
    assert proportion_interval(hits, 100) == wilson(hits, 100)
    assert proportion_estimate(hits, 100).method == "Wilson"


@pytest.mark.parametrize("n", [10, 50, 300])
def test_shares_are_covered_as_documented(n: int) -> None:
    hits = np.arange(n + 1)
    low, high = np.array([proportion_interval(int(k), n) for k in hits]).T
    shares = np.linspace(0.0005, 0.5, 1000)
    covered = [stats.binom.pmf(hits, n, p)[(low <= p) & (p <= high)].sum() for p in shares]
    assert min(covered) > 0.91
    assert np.mean(covered) > 0.95


# ------------------------------------------------------------------------------------- means, quantiles


def test_t_interval_gives_the_textbook_limits() -> None:
    samples = np.array([4.9, 5.1, 5.3, 4.7, 5.0])
    assert t_interval(samples) == pytest.approx((5 - 2.776 * 0.1, 5 + 2.776 * 0.1), abs=1e-4)


def test_one_sample_says_nothing_about_the_mean() -> None:
    assert t_interval([3.0]) == (-math.inf, math.inf)
    assert ratio_interval([3.0], [1.0]) == (0.0, math.inf)


def test_the_interval_of_a_median_lies_between_the_ranks_of_the_tables() -> None:
    # David & Nagaraja, table of ranks for the median: n = 10 → 2 and 9, n = 20 → 6 and 15.
    assert quantile_interval(np.arange(1, 11), 0.5) == (2.0, 9.0)
    assert quantile_interval(np.arange(1, 21), 0.5) == (6.0, 15.0)


@pytest.mark.parametrize("n", [5, 30, 1000, 20_000])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.99])
def test_quantiles_are_covered_with_the_least_ranks_that_suffice(n: int, p: float) -> None:
    low, high = quantile_interval(np.arange(1, n + 1), p)
    below = stats.binom(n, p)
    assert below.cdf(low - 1) <= 0.025 if low else below.cdf(0) > 0.025
    assert below.cdf(low) > 0.025  # the next rank would cut too much
    if math.isfinite(high):
        assert below.sf(high - 1) <= 0.025
        assert below.sf(high - 2) > 0.025
    else:
        assert below.sf(n - 1) > 0.025


def test_the_upper_end_of_p99_takes_368_samples() -> None:
    assert quantile_interval(np.arange(367), 0.99)[1] == math.inf
    assert quantile_interval(np.arange(368), 0.99)[1] == 367


def test_years_without_downtime_give_a_quantile_of_zero() -> None:
    downtime = np.array([0.0] * 990 + [100.0] * 10)
    assert quantile_interval(downtime, 0.5) == (0.0, 0.0)
    assert quantile_estimate(downtime, 0.5).value == 0.0
    assert quantile_estimate(downtime, 0.999).value == 100.0


# ------------------------------------------------------------------------------------------- downtime


def test_equal_outages_make_the_gamma_interval_garwood() -> None:
    for count in (1, 4, 50):
        assert gamma_interval(np.ones(count)) == pytest.approx(garwood(count, 1.0), rel=1e-9)


def test_the_gamma_interval_is_that_of_fay_and_feuer() -> None:
    weights = np.array([0.5, 0.5, 2.0, 4.0])
    y, v, m = weights.sum(), (weights**2).sum(), weights.max()
    low = v / (2 * y) * stats.chi2.ppf(0.025, 2 * y**2 / v)
    y, v = y + m, v + m**2
    high = v / (2 * y) * stats.chi2.ppf(0.975, 2 * y**2 / v)
    assert gamma_interval(weights) == pytest.approx((low, high))
    assert gamma_interval(weights, largest=20.0)[1] > 2 * high


def test_the_stretch_is_large_for_few_outages_and_gone_for_many() -> None:
    for effective, factor in ((1.0, 12.706 / 1.960), (1e9, 1.0)):
        plain = gamma_interval([1.0, 1.0, 1.0])
        low, high = stretched_gamma_interval(3.0, 3.0, 1.0, effective)
        assert low == plain[0]
        assert math.log(high / 3) == pytest.approx(math.log(plain[1] / 3) * factor, rel=1e-3)


def test_the_ratio_has_the_variance_of_the_delta_method() -> None:
    rng = np.random.default_rng(5)
    outages = rng.poisson(30, 400)
    downtime = np.array([rng.exponential(60, k).sum() for k in outages])
    low, high = ratio_interval(downtime, outages)
    ratio = downtime.sum() / outages.sum()
    residuals = downtime - ratio * outages
    half = 1.96 * residuals.std(ddof=1) / math.sqrt(400) / outages.mean()
    assert low == pytest.approx(ratio - half, abs=0.1 * half)
    assert ratio + half <= high < ratio + 1.3 * half  # with one more long outage thought possible


def test_the_mean_of_equal_outages_is_known_sharply() -> None:
    mean = mean_outage_estimate(np.full(30, 0.1), np.ones(30))
    assert mean is not None
    assert mean.value == pytest.approx(0.1)
    assert mean.high - mean.low < 1e-9
    assert mean_outage_estimate([0.0], [0]) is None


def test_no_outage_bounds_the_unavailability_by_the_longest_repair() -> None:
    years = 1000 * YEAR
    seen, caution = unavailability_interval(np.zeros(1000), 0, [], years, longest_repair_mean=7200.0)
    assert (seen.value, seen.low) == (0.0, 0.0)
    assert seen.high == pytest.approx(2.9957 / years * 7200, rel=1e-4)
    assert caution is not None
    assert "upper bound" in caution


def test_no_outage_of_unknown_length_bounds_the_share_of_replicas_with_any() -> None:
    seen, _ = unavailability_interval(np.zeros(1000), 0, [], 1000 * YEAR)
    assert seen.high == pytest.approx(clopper_pearson(0, 1000)[1])
    assert unavailability_interval([], 0, [], YEAR)[0].high == 1.0


def test_few_outages_come_with_a_caution_and_ten_without() -> None:
    for count, words in ((1, "only 1 outage was seen"), (9, "only 9 outages were seen")):
        _, caution = unavailability_interval(np.ones(count), count, np.ones(count), 1e6)
        assert caution is not None
        assert words in caution
    assert unavailability_interval(np.ones(10), 10, np.ones(10), 1e6)[1] is None


def test_the_longest_repair_limits_what_few_outages_leave_open() -> None:
    downtime, seen = np.zeros(1000), np.array([60.0, 100.0])
    downtime[:2] = seen
    free, _ = unavailability_interval(downtime, 2, seen, 1e9)
    held, _ = unavailability_interval(downtime, 2, seen, 1e9, longest_repair_mean=300.0)
    assert held.value == free.value == 160 / 1e9
    assert gamma_interval(seen, largest=300.0)[1] / 1e9 <= held.high
    assert held.high <= garwood(2, 1e9, 0.975)[1] * 300 < free.high


def test_from_a_hundred_outages_the_replicas_tell_the_variance() -> None:
    # 40 replicas with 5 outages of 1 s each, always together: 40 bursts, not 200 outages.
    downtime = np.zeros(1000)
    downtime[:40] = 5.0
    seen, _ = unavailability_interval(downtime, 200, np.ones(200), 1000.0)
    assert "between replicas" in seen.method
    assert seen.standard_error == pytest.approx(math.sqrt(1000 * downtime.var(ddof=1)) / 1000)
    assert seen.standard_error > 2 * math.sqrt(200) / 1000


def test_a_single_long_history_takes_outages_as_poisson() -> None:
    seen, _ = unavailability_interval([200.0], 200, np.ones(200), 1e6)
    assert "Poisson" in seen.method
    assert seen.standard_error == pytest.approx(math.sqrt(200) / 1e6)


@pytest.mark.parametrize("downtime", [np.full(50, 10.0), np.r_[np.zeros(49), 10.0], np.full(50, 1e-100)])
def test_an_unavailability_stays_a_share(downtime: np.ndarray) -> None:
    for outages, durations in ((50, downtime), (0, []), (5000, np.full(5000, 0.1))):
        seen, _ = unavailability_interval(downtime, outages, durations, 500.0)
        assert 0 <= seen.low <= seen.value <= seen.high <= 1


def test_higher_levels_give_wider_intervals() -> None:
    for interval in (
        lambda level: garwood(3, 1.0, level),
        lambda level: wilson(3, 10, level),
        lambda level: clopper_pearson(3, 10, level),
        lambda level: t_interval([1.0, 2.0, 4.0], level),
        lambda level: gamma_interval([1.0, 2.0, 4.0], level),
        lambda level: ratio_interval([1.0, 2.0, 4.0], [1, 1, 1], level),
        lambda level: intervals.quantile_interval(np.arange(100.0), 0.5, level),
    ):
        (low, high), (lower, higher) = interval(0.9), interval(0.99)
        assert lower < low < high < higher

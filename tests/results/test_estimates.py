"""An estimate keeps its order, prints honest digits and turns into valid JSON."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasim.results import Estimate


@pytest.mark.parametrize(
    ("value", "low", "high"), [(math.nan, 0, 1), (0.5, math.nan, 1), (0.5, 0, math.nan), (2, 0, 1), (0, 1, 2)]
)
def test_disorder_and_nan_are_refused(value: float, low: float, high: float) -> None:
    with pytest.raises(ValueError, match="low ≤ value ≤ high"):
        Estimate(value, low, high)


@pytest.mark.parametrize("level", [0.0, 1.1, math.nan])
def test_a_level_is_a_probability(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        Estimate(1, 0, 2, level=level)


def test_a_standard_error_is_no_nan() -> None:
    with pytest.raises(ValueError, match="standard error"):
        Estimate(1, 0, 2, standard_error=math.nan)


def test_an_exact_number_is_its_own_interval() -> None:
    exact = Estimate.exact(0.999)
    assert (exact.low, exact.high, exact.level, exact.method) == (0.999, 0.999, 1.0, "exact")
    assert exact.is_exact
    assert exact.covers(0.999)
    assert not exact.covers(0.9991)


def test_an_interval_covers_its_ends() -> None:
    estimate = Estimate(2, 1, 3)
    assert [estimate.covers(x) for x in (0.99, 1, 2, 3, 3.01)] == [False, True, True, True, False]


def test_numpy_numbers_become_plain_ones() -> None:
    estimate = Estimate(np.float64(2), np.float32(1), np.int64(3), events=np.int64(4))
    assert [type(x) for x in (estimate.value, estimate.low, estimate.high)] == [float] * 3
    assert type(estimate.events) is int
    json.dumps(estimate.to_json(), allow_nan=False)


def test_json_names_the_parts_and_replaces_infinity() -> None:
    assert Estimate(2, 1, math.inf, method="t").to_json() == {
        "value": 2.0,
        "low": 1.0,
        "high": None,
        "level": 0.95,
        "method": "t",
    }
    assert "method" not in Estimate(2, 1, 3).to_json()


def test_the_complement_swaps_the_ends() -> None:
    up = Estimate(0.01, 0.005, 0.03, events=7, standard_error=0.004).complement()
    assert (up.value, up.low, up.high) == (0.99, 0.97, 0.995)
    assert (up.events, up.standard_error) == (7, 0.004)


def test_scaling_moves_everything_but_the_level() -> None:
    yearly = Estimate(2, 1, 3, standard_error=0.5).scaled(10, "seconds")
    assert yearly == Estimate(20, 10, 30, standard_error=5.0)
    assert yearly.unit == "seconds"
    with pytest.raises(ValueError, match="positive"):
        yearly.scaled(-1)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.9998712, 0.99981, 0.99992, unit="share"), "99.98712 % (99.981 … 99.992)"),
        (Estimate(0.9998712, 0.99981, 0.99992, 0.99, unit="share"), "99.98712 % (99.981 … 99.992 at 99 %)"),
        (Estimate.exact(0.99987123456, "share"), "99.98712 % (exact)"),
        (Estimate.exact(1 - 1.234e-9, "share"), "99.9999998766 % (exact)"),
        (Estimate.exact(1.0, "share"), "100 % (exact)"),
        (Estimate(1, 0.9997, 1, unit="share"), "≥ 99.970 %"),
        (Estimate(0, 0, 3e-4, unit="share"), "≤ 0.030 %"),
        (Estimate(0, 0, 2.9957, unit="per year"), "≤ 3.0 a year"),
        (Estimate(0, 0, 7200, unit="seconds"), "≤ 2 h"),
        (Estimate(1 - 1e-7, 1 - 1e-4, 1 - 2e-9, unit="share"), "99.999990 % (99.9900 … 99.9999998)"),
        (Estimate(2.134, 1.8, 2.6, unit="per year"), "2.13 a year (1.80 … 2.60)"),
        (Estimate(2134.4, 1800, 2600), "2134 (1800 … 2600)"),
        (Estimate(2.3e-6, 1e-6, 4e-6), "2.3e-06 (1e-06 … 4e-06)"),
        (Estimate(134.2, 100.3, 200.1, unit="seconds"), "2m 14s (1m 40s … 3m 20s)"),
        (Estimate(134.2, 0, math.inf, unit="seconds"), "2m 14s (0 s … ∞)"),
        (Estimate(5, -math.inf, math.inf), "5.000 (-∞ … ∞)"),
        (Estimate.exact(2.34567), "2.346 (exact)"),
        (Estimate.exact(0.0), "0 (exact)"),
    ],
)
def test_digits_are_those_the_interval_supports(estimate: Estimate, text: str) -> None:
    assert str(estimate) == text


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_only_perfection_prints_as_perfect(a: float, b: float, c: float) -> None:
    low, value, high = sorted((a, b, c))
    printed = str(Estimate(value, low, high, unit="share")).partition(" (")[0]
    if value < 1 - 1e-13 and not printed.startswith("≤"):
        assert float(printed.partition(" ")[0]) < 100


@given(st.lists(st.floats(allow_nan=False), min_size=3, max_size=3), st.sampled_from(["", "per year", "seconds"]))
def test_every_estimate_prints_and_becomes_json(numbers: list[float], unit: str) -> None:
    low, value, high = sorted(numbers)
    if unit == "seconds" and low < 0:
        low, value, high = sorted(abs(x) for x in numbers)
    estimate = Estimate(value, low, high, unit=unit)  # type: ignore[arg-type]
    assert str(estimate)
    json.dumps(estimate.to_json(), allow_nan=False)

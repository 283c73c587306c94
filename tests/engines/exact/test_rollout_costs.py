"""What a rollout costs: formulas agree with published values, with plain simulation, and at their limits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hasim as ha
from hasim.engines.exact.upgrading import (
    all_at_once_cost,
    blue_green_cost,
    budget_share,
    canary_cost,
    canary_detection,
    detection_power,
    error_budget,
    requests_needed,
    rolling_capacity,
    rolling_cost,
    rolling_cost_by_count,
    rolling_length,
    safe_releases,
    staged_cost,
    window_cost,
)

Floats = NDArray[np.float64]
Exposure = Callable[[Floats], Floats]

DATA = json.loads((Path(__file__).parents[2] / "data" / "rollout_costs.json").read_text(encoding="utf-8"))
BAD, ERRORS, DETECT = DATA["bad"], DATA["errors"], 60.0 * DATA["detect_min"]
RELEASES = 200_000
STANDARD_ERRORS = 4.5

LAWS = [
    ha.Exponential(mean="10m"),
    ha.Fixed(value="7m"),
    ha.Lognormal(mean="30m", median="3m"),
    ha.Uniform(low="1m", high="20m"),
    ha.Mixture(parts=((0.85, ha.Fixed(value="4m")), (0.15, ha.Exponential(mean="8h")))),
    ha.Empirical.measured([30.0, 30.0, 400.0, 1700.0, 1800.0, 9000.0]),
]


def law_id(law: object) -> str:
    return type(law).__name__


# ------------------------------------------------------------------------------------- published values


def minutes(name: str) -> dict[str, float]:
    return {key: 60.0 * value for key, value in DATA["costs_min"][name].items() if isinstance(value, int | float)}


def test_the_published_costs() -> None:
    window, once, blue = minutes("maintenance window"), minutes("all at once"), minutes("blue-green")
    late, early = minutes("rolling, noticed after it"), minutes("rolling, noticed within it")
    assert window_cost(BAD, ERRORS, DETECT, window["rollback"], window["window"]) == pytest.approx(
        window["cost"], abs=3
    )
    assert all_at_once_cost(BAD, ERRORS, DETECT, once["rollback"]) == pytest.approx(once["cost"], abs=0.3)
    assert blue_green_cost(BAD, ERRORS, DETECT, blue["rollback"]) == pytest.approx(blue["cost"], abs=0.3)
    for rolling in (late, early):
        found = rolling_cost(BAD, ERRORS, DETECT, rolling["rollback"], rolling["length"])
        assert found == pytest.approx(rolling["cost"], abs=0.3)


@pytest.mark.parametrize("by", ["time", "count"])
def test_the_published_costs_of_canaries(by: Any) -> None:
    given = DATA["costs_min"][f"canary by {by}"]
    then = minutes("rolling, noticed within it")
    last = rolling_cost(BAD, ERRORS, DETECT, then["rollback"], then["length"])
    stages = [(given["share"], 60.0 * given["bake"])]
    found = canary_cost(BAD, ERRORS, DETECT, 60.0 * given["rollback"], stages, last, by)
    assert found / 60.0 == pytest.approx(given["cost"], abs=0.005)
    expected = 1.0 if by == "time" else DATA["canary_by_count_notices"]
    assert canary_detection(DETECT, stages, by) == pytest.approx(expected, abs=0.005)


def test_the_published_sizes_of_samples() -> None:
    for row in DATA["requests_an_arm"]:
        assert requests_needed(row["before"], row["after"]) == pytest.approx(row["requests"], rel=0.005)
    assert requests_needed(0.5, 0.5 + 1e-3) / (0.5 / 1e-6) == pytest.approx(6.18, abs=0.005)


def test_the_published_error_budget() -> None:
    given = DATA["error_budget_min"]
    assert error_budget(given["promised"], given["days"] * 86400.0) == pytest.approx(60.0 * given["budget"])
    assert safe_releases(43.2, 0.999) == 60.0 and safe_releases(43.3, 0.999) == 59.0
    assert safe_releases(43.2, 0.999, spent=60.0 * 21.6) == 30.0 and safe_releases(1.0, 0.999, spent=1e6) == 0.0
    assert np.array_equal(safe_releases([0.0, 2592.0, 2600.0], 0.999), [math.inf, 1.0, 0.0])
    assert budget_share([0.0, 259.2], 0.999) == pytest.approx([0.0, 0.1])
    assert np.array_equal(budget_share([0.0, 1.0], 1.0), [0.0, math.inf])


# ------------------------------------------------------------- plain simulation: release after release


def ramp(length: float) -> Exposure:
    return lambda t: np.minimum(t / length, 1.0)


def stairs(length: float, steps: int) -> Exposure:
    return lambda t: np.minimum(np.floor(t / length * steps) + 1, steps) / steps


def played(
    exposure: Exposure, found: Floats, rollback: float, rng: np.random.Generator, back: Exposure | None = None
) -> Floats:
    """What each release of a fleet costs, with p = 0.3 and e = 0.4, its exposure added up over a fine grid of time.

    `back` gives the mean exposure during the rollback, by that when it was noticed; by default all stays.
    """
    grid = np.concatenate([np.linspace(0.0, 4000.0, 40_001), np.geomspace(4001.0, 1e7, 20_000)])
    middle = (grid[1:] + grid[:-1]) / 2
    spent = np.concatenate([[0.0], np.cumsum(exposure(middle) * np.diff(grid))])
    reached = exposure(np.maximum(found - 1e-9, 0.0))
    staying = reached if back is None else back(reached)
    bad = rng.random(found.size) < 0.3
    return np.asarray(bad * 0.4 * (np.interp(found, grid, spent) + staying * rollback))


def agrees(expected: Floats, seen: Floats) -> None:
    error = float(seen.std() / math.sqrt(seen.size))
    assert float(expected) == pytest.approx(float(seen.mean()), abs=STANDARD_ERRORS * error, rel=1e-9)


@pytest.mark.parametrize("law", LAWS, ids=law_id)
@pytest.mark.parametrize("length", [60.0, 1500.0])
def test_a_rolling_update_costs_what_releases_show(law: Any, length: float) -> None:
    rng = np.random.default_rng(1)
    found = law.draw(rng, RELEASES)
    agrees(rolling_cost(0.3, 0.4, law, 600.0, length), played(ramp(length), found, 600.0, rng))
    agrees(rolling_cost(0.3, 0.4, law, 600.0, length, steps=7), played(stairs(length, 7), found, 600.0, rng))
    evenly, in_steps = (lambda x: x / 2), (lambda x: x**2 / 2)
    agrees(rolling_cost(0.3, 0.4, law, 600.0, length, back="evenly"), played(ramp(length), found, 600.0, rng, evenly))
    agrees(
        rolling_cost(0.3, 0.4, law, 600.0, length, back="in_steps"), played(ramp(length), found, 600.0, rng, in_steps)
    )


@pytest.mark.parametrize("law", LAWS, ids=law_id)
def test_a_law_costs_the_mean_of_its_values(law: Any) -> None:
    rng = np.random.default_rng(2)
    found = law.draw(rng, RELEASES)
    for steps in (None, 1, 5):
        for back in ("at_once", "evenly", "in_steps"):
            each = rolling_cost(0.3, 0.4, found, 600.0, 900.0, steps=steps, back=back)  # type: ignore[arg-type]
            agrees(rolling_cost(0.3, 0.4, law, 600.0, 900.0, steps=steps, back=back), each)  # type: ignore[arg-type]
    stages = [(0.01, 100.0), (0.0, 50.0), (0.3, 400.0)]
    agrees(staged_cost(0.3, 0.4, law, 600.0, stages), staged_cost(0.3, 0.4, found, 600.0, stages))
    bake = [(0.3, 400.0)]  # of several, each would draw anew
    agrees(canary_cost(0.3, 0.4, law, 600.0, bake, 9.0), canary_cost(0.3, 0.4, found, 600.0, bake, 9.0))


def test_the_rollback_step_by_step_is_a_sum_over_steps() -> None:
    for found in (0.0, 5.0, 250.0, 299.0, 1e4):
        step = min(max(math.ceil(found / 60.0), 1), 5)
        before = sum(k / 5 * min(max(found - (k - 1) * 60.0, 0.0), 60.0) for k in range(1, 5)) + max(found - 240.0, 0.0)
        evenly = sum(600.0 / step * k / 5 for k in range(1, step + 1))
        in_steps = sum(600.0 / 5 * k / 5 for k in range(1, step + 1))
        for back, during in (("at_once", 600.0 * step / 5), ("evenly", evenly), ("in_steps", in_steps)):
            cost = rolling_cost(0.3, 0.4, found, 600.0, 300.0, steps=5, back=back)  # type: ignore[arg-type]
            assert cost == pytest.approx(0.12 * (before + during), rel=1e-12)


def noticed_by_count(exposure: Exposure, rng: np.random.Generator) -> Floats:
    """When 600 s worth of full exposure of bad luck has come: the hazard x(t)/600, added up."""
    grid = np.concatenate([np.linspace(0.0, 4000.0, 40_001), np.linspace(4001.0, 60_000.0, 50_000)])
    hazard = np.concatenate([[0.0], np.cumsum(exposure((grid[1:] + grid[:-1]) / 2) * np.diff(grid) / 600.0)])
    return np.asarray(np.interp(rng.standard_exponential(RELEASES), hazard, grid))


@pytest.mark.parametrize("length", [60.0, 900.0, 3000.0])
def test_a_rolling_update_that_is_counted_costs_what_releases_show(length: float) -> None:
    rng = np.random.default_rng(3)
    found = noticed_by_count(ramp(length), rng)
    agrees(rolling_cost_by_count(0.3, 0.4, 600.0, 700.0, length), played(ramp(length), found, 700.0, rng))


def test_a_canary_that_is_counted_costs_what_releases_show() -> None:
    """Two stages, then all at once; the count goes on from one to the next: an exponential law does not remember."""
    rng = np.random.default_rng(4)
    stages = [(0.05, 900.0), (0.3, 600.0)]

    def exposure(t: Floats) -> Floats:
        return np.select([t < 900.0, t < 1500.0], [0.05, 0.3], 1.0)

    found = noticed_by_count(exposure, rng)
    last = all_at_once_cost(0.3, 0.4, 600.0, 700.0)
    agrees(canary_cost(0.3, 0.4, 600.0, 700.0, stages, last, "count"), played(exposure, found, 700.0, rng))
    assert canary_detection(600.0, stages, "count") == pytest.approx(float((found < 1500.0).mean()), abs=0.005)


def test_a_canary_by_time_costs_what_releases_show() -> None:
    rng = np.random.default_rng(5)
    law = ha.Lognormal(mean="20m", median="5m")
    costs = np.zeros(RELEASES)
    going = rng.random(RELEASES) < 0.3
    for share, bake in [(0.01, 300.0), (0.1, 600.0)]:
        found = law.draw(rng, RELEASES)
        costs += going * 0.4 * share * (np.minimum(found, bake) + 700.0 * (found <= bake))
        going &= found > bake
    costs += going * 0.4 * (law.draw(rng, RELEASES) + 700.0)
    last = all_at_once_cost(0.3, 0.4, law, 700.0)
    agrees(canary_cost(0.3, 0.4, law, 700.0, [(0.01, 300.0), (0.1, 600.0)], last), costs)


def test_one_test_in_five_misses_and_one_in_twenty_cries_wolf() -> None:
    rng = np.random.default_rng(6)
    n = int(requests_needed(0.2, 0.22))
    for after in (0.2, 0.21, 0.22):
        seen = rng.binomial(n, after, 100_000) / n - rng.binomial(n, 0.2, 100_000) / n
        noise = math.sqrt((0.2 * 0.8 + after * (1 - after)) / n)
        alarms = float((seen > 1.644854 * noise).mean())
        assert detection_power(0.2, after, n) == pytest.approx(alarms, abs=0.01)
    assert 0.8 <= detection_power(0.2, 0.22, n) < 0.8001
    assert detection_power([0.1, 0.0], [0.1, 1.0], 50) == pytest.approx([0.05, 1.0])


# -------------------------------------------------------------------------------------------- the limits


def all_costs(bad: float = 0.05, errors: float = 0.5, detect: float = 600.0, rollback: float = 300.0) -> dict[str, Any]:
    stages = [(0.05, 1800.0), (0.5, 300.0)]
    last = rolling_cost(bad, errors, detect, rollback, 1200.0)
    return {
        "window": window_cost(bad, errors, detect, rollback, 60.0) - 60.0,
        "once": all_at_once_cost(bad, errors, detect, rollback, restart=0.0),
        "rolling": rolling_cost(bad, errors, detect, rollback, 1200.0),
        "stairs": rolling_cost(bad, errors, detect, rollback, 1200.0, steps=4),
        "counted": rolling_cost_by_count(bad, errors, max(detect, 1e-9), rollback, 1200.0),
        "blue": blue_green_cost(bad, errors, detect, rollback),
        "canary": canary_cost(bad, errors, detect, rollback, stages, last),
        "canary, counted": canary_cost(bad, errors, max(detect, 1e-9), rollback, stages, last, "count"),
        "staged": staged_cost(bad, errors, detect, rollback, stages),
    }


def test_good_releases_and_harmless_ones_cost_nothing() -> None:
    assert all(abs(cost) < 1e-12 for cost in all_costs(bad=0.0).values())
    assert all(abs(cost) < 1e-12 for cost in all_costs(errors=0.0).values())


def test_cost_is_in_proportion_to_the_chance_of_a_bad_release() -> None:
    few, many = all_costs(bad=0.05), all_costs(bad=0.4)
    assert all(many[name] == pytest.approx(8 * few[name], rel=1e-9) for name in few)


def test_who_notices_at_once_pays_for_the_rollback_of_what_is_exposed() -> None:
    costs = all_costs(detect=0.0)
    assert costs["rolling"] == 0.0 and costs["stairs"] == pytest.approx(0.025 * 300.0 / 4)
    assert costs["counted"] == pytest.approx(0.0, abs=1e-4)
    assert costs["once"] == costs["blue"] == costs["window"] == pytest.approx(0.025 * 300.0)
    assert costs["canary"] == costs["staged"] == pytest.approx(0.025 * 300.0 * 0.05)


def test_who_notices_very_late_pays_as_if_all_had_been_exposed_from_the_start() -> None:
    once = all_costs(detect=1e12)["once"]
    assert all(cost == pytest.approx(once, rel=1e-6) for cost in all_costs(detect=1e12).values())


def test_many_steps_are_a_ramp_and_one_is_all_at_once() -> None:
    found = np.array([0.0, 1.0, 300.0, 599.0, 600.0, 601.0, 5000.0])
    for back in ("at_once", "evenly", "in_steps"):
        many = rolling_cost(0.3, 0.4, found, 100.0, 600.0, steps=1_000_000, back=back)  # type: ignore[arg-type]
        ramp_cost = rolling_cost(0.3, 0.4, found, 100.0, 600.0, back=back)  # type: ignore[arg-type]
        assert many == pytest.approx(ramp_cost, abs=1e-3)
        one = rolling_cost(0.3, 0.4, found, 100.0, 600.0, steps=1, back=back)  # type: ignore[arg-type]
        assert one == pytest.approx(all_at_once_cost(0.3, 0.4, found, 100.0))
    for length in (0.0, 1e-9):
        assert rolling_cost(0.3, 0.4, 50.0, 100.0, length) == pytest.approx(all_at_once_cost(0.3, 0.4, 50.0, 100.0))
        assert rolling_cost(0.3, 0.4, LAWS[0], 100.0, length, steps=3) == pytest.approx(0.12 * 700.0)
        assert rolling_cost(0.3, 0.4, LAWS[0], 100.0, length) == pytest.approx(0.12 * 700.0)
        assert rolling_cost_by_count(0.3, 0.4, 50.0, 100.0, length) == pytest.approx(0.12 * 150.0)


def test_a_staircase_is_a_plan_of_stages() -> None:
    found = np.array([0.0, 50.0, 100.0, 101.0, 299.9, 300.0, 1e5])
    stages = [(k / 4, 100.0) for k in range(1, 4)]
    expected = rolling_cost(0.3, 0.4, found, 70.0, 400.0, steps=4)
    assert staged_cost(0.3, 0.4, found, 70.0, stages) == pytest.approx(expected, rel=1e-12)
    assert rolling_cost(0.3, 0.4, 0.3, 70.0, 1.0, steps=10) == pytest.approx(0.12 * (0.3 * 0.3 - 3 / 100 + 21.0))
    for law in LAWS:
        expected = rolling_cost(0.3, 0.4, law, 70.0, 400.0, steps=4)
        assert staged_cost(0.3, 0.4, law, 70.0, stages) == pytest.approx(expected, rel=1e-9)


def test_a_fixed_law_is_a_number() -> None:
    for found in (1.0, 90.0, 300.0, 4000.0):
        law = ha.Fixed(value=ha.s(found))
        for steps in (None, 1, 3):
            for back in ("at_once", "evenly", "in_steps"):
                more: dict[str, Any] = {"steps": steps, "back": back}
                expected = rolling_cost(0.3, 0.4, found, 70.0, 300.0, **more)
                assert rolling_cost(0.3, 0.4, law, 70.0, 300.0, **more) == pytest.approx(expected, rel=1e-9)
        assert blue_green_cost(0.3, 0.4, law, 5.0) == pytest.approx(blue_green_cost(0.3, 0.4, found, 5.0))
        stages = [(0.1, 90.0), (0.5, 200.0)]
        expected = canary_cost(0.3, 0.4, found, 70.0, stages, 3.0)
        assert canary_cost(0.3, 0.4, law, 70.0, stages, 3.0) == pytest.approx(expected, rel=1e-9)


def test_a_rare_value_is_not_overlooked() -> None:
    law = ha.Mixture(parts=((0.995, ha.Exponential(mean="4s")), (0.005, ha.Fixed(value="1h"))))
    cost = rolling_cost(1.0, 1.0, law, 0.0, 1e5)  # E[T²]/(2L)
    assert cost == pytest.approx((0.995 * 2 * 4.0**2 + 0.005 * 3600.0**2) / 2e5, rel=1e-9)


def test_clocks_that_begin_anew_do_not_matter_to_an_exponential_law() -> None:
    law, stages = ha.Exponential(mean="10m"), [(0.02, 300.0), (0.2, 900.0)]
    anew = canary_cost(0.3, 0.4, law, 70.0, stages, all_at_once_cost(0.3, 0.4, law, 70.0))
    assert staged_cost(0.3, 0.4, law, 70.0, stages) == pytest.approx(anew, rel=1e-12)


def test_a_canary_of_everybody_is_all_at_once() -> None:
    for by in ("time", "count"):
        last = all_at_once_cost(0.3, 0.4, 600.0, 70.0)
        whole = canary_cost(0.3, 0.4, 600.0, 70.0, [(1.0, 1e9)], 123.0, by)  # type: ignore[arg-type]
        assert whole == pytest.approx(last)
        nobody = canary_cost(0.3, 0.4, 600.0, 70.0, [(0.0, 300.0), (0.5, 0.0)], last, by)  # type: ignore[arg-type]
        assert nobody == pytest.approx(last)
    counted = canary_cost(0.3, 0.4, 600.0, 70.0, [(1.0, 200.0)], all_at_once_cost(0.3, 0.4, 600.0, 70.0), "count")
    assert counted == pytest.approx(all_at_once_cost(0.3, 0.4, 600.0, 70.0)), "an exponential law does not remember"


def test_bad_requests_until_enough_are_counted_do_not_depend_on_the_canary() -> None:
    """With no time for the rollback, canaries of any size and rollouts of any length cost p e/θ."""
    for share in (0.001, 0.05, 1.0):
        assert canary_cost(0.3, 0.4, 600.0, 0.0, [(share, 1e9)], 1e9, "count") == pytest.approx(0.12 * 600.0)
    assert rolling_cost_by_count(0.3, 0.4, 600.0, 0.0, [1.0, 1e3, 1e6]) == pytest.approx(0.12 * 600.0)


def test_arrays_broadcast() -> None:
    bad, found = np.array([[0.1], [0.2]]), np.array([10.0, 100.0, 1000.0])
    assert rolling_cost(bad, 0.4, found, 70.0, 300.0).shape == (2, 3)
    assert rolling_cost(bad, 0.4, LAWS[0], [1.0, 2.0], 300.0).shape == (2, 2)
    assert staged_cost(bad, 0.4, found, 70.0, [(0.1, 5.0)]).shape == (2, 3)
    assert canary_cost(bad, 0.4, found, 70.0, [(0.1, 5.0)], 1.0).shape == (2, 3)
    assert rolling_cost(0.3, 0.4, found, 70.0, 300.0, steps=[1, 2, 3]).shape == (3,)


# ------------------------------------------------------------------------------------- length, capacity


def test_length_and_capacity_of_a_rolling_update() -> None:
    assert rolling_length(10, 1, 0, 20.0, 10.0, 5.0) == 350.0
    assert rolling_length(10, 2, 1, 20.0, 10.0, 5.0) == 4 * 35.0
    assert np.array_equal(rolling_length([1, 3, 4], 3, 0, 30.0), [30.0, 30.0, 60.0])
    assert np.array_equal(rolling_capacity([4, 10], [1, 0]), [0.75, 1.0])


# ------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: window_cost(1.5, 0.5, 1.0, 1.0, 1.0), "bad: got 1.5; give a share from 0 to 1"),
        (lambda: window_cost(0.5, 0.5, 1.0, 1.0, -1.0), "window: got -1"),
        (lambda: all_at_once_cost(0.5, -0.1, 1.0, 1.0), "errors: got -0.1"),
        (lambda: all_at_once_cost(0.5, 0.1, 1.0, 1.0, math.inf), "restart: got inf"),
        (lambda: blue_green_cost(0.5, 0.1, 1.0, math.nan), "switch: got nan"),
        (lambda: blue_green_cost(0.5, 0.1, "1m", 1.0), "detect: got '1m'; give a number"),
        (lambda: rolling_cost(0.5, 0.1, -1.0, 1.0, 1.0), "detect: got -1"),
        (lambda: rolling_cost(0.5, 0.1, 1.0, 1.0, 1.0, steps=0), "steps: got 0"),
        (lambda: rolling_cost(0.5, 0.1, 1.0, 1.0, 1.0, back="evenlly"), "back: got 'evenlly'.*did you mean 'evenly'"),
        (lambda: rolling_cost(0.5, 0.1, LAWS[0], 1.0, [1.0, 2.0]), "length: got an array"),
        (lambda: rolling_cost(0.5, 0.1, LAWS[0], 1.0, 1.0, steps=[1, 2]), "steps: got an array"),
        (lambda: rolling_cost_by_count(0.5, 0.1, 0.0, 1.0, 1.0), "detect: got 0"),
        (lambda: rolling_length(4, 0, 0, 1.0), "surge: got 0, and 0 unavailable"),
        (lambda: rolling_capacity(4, 5), "unavailable: got 5; there are only 4"),
        (lambda: canary_cost(0.5, 0.1, 1.0, 1.0, [], 1.0), r"stages: got \[\]"),
        (lambda: canary_cost(0.5, 0.1, 1.0, 1.0, [(0.1, 1.0), (2.0, 1.0)], 1.0), r"stages\[1\]: got 2; the share"),
        (lambda: canary_cost(0.5, 0.1, 1.0, 1.0, [(0.1, -1.0)], 1.0), r"stages\[0\]: got -1; a stage lasts"),
        (lambda: canary_cost(0.5, 0.1, 1.0, 1.0, [0.1], 1.0), r"stages\[0\]: got 0.1; a stage is"),
        (lambda: canary_cost(0.5, 0.1, 1.0, 1.0, [(0.1, 1.0)], 1.0, "counts"), "by: got 'counts'.*'count'"),
        (lambda: canary_cost(0.5, 0.1, LAWS[0], 1.0, [(0.1, 1.0)], 1.0, "count"), "detect: got a law"),
        (lambda: canary_detection(0.0, [(0.1, 1.0)], "count"), "detect: got 0"),
        (lambda: staged_cost(0.5, 0.1, 1.0, 1.0, "abc"), "stages: got 'abc'"),
        (lambda: requests_needed(0.1, 0.1), "after: got a share that is equal"),
        (lambda: requests_needed(0.1, 0.2, power=0.01), "power: got 0.01"),
        (lambda: requests_needed(0.1, 0.2, false_alarms=0.0), "false_alarms: got 0"),
        (lambda: detection_power(0.1, 0.2, 0), "requests: got 0"),
        (lambda: error_budget(1.1), "promised: got 1.1"),
        (lambda: error_budget(0.9, 0.0), "window: got 0"),
        (lambda: safe_releases(-1.0, 0.9), "cost: got -1"),
    ],
)
def test_what_is_no_rollout_is_named(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        call()

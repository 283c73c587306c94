"""The verb `estimate`: what it refuses, repeats, interrupts, and says of itself."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from montecarlo_models import HEAD, MODELS

from hasim.engines.montecarlo import estimate
from hasim.engines.montecarlo import plan as plan_module
from hasim.errors import CannotModel, ModelError
from hasim.faults import Crash
from hasim.model.cluster import Cluster
from hasim.model.load import loads
from hasim.results import Sample


def cluster(text: str) -> Cluster:
    return loads(HEAD + MODELS.get(text, text))


def same(one: Sample, other: Sample) -> bool:
    """Bit for bit the same but for what it cost."""
    arrays = ("downtime_s", "outages", "outage_durations_s", "first_outage_s")
    alike = all(
        np.array_equal(getattr(one, field)[name], getattr(other, field)[name])
        for field in arrays
        for name in one.services
    )
    plain = [{**each.to_json(), "cpu_s": 0} for each in (one, other)]
    return alike and plain[0] == plain[1] and one.warnings == other.warnings


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that there are many of them."""
    monkeypatch.setattr(plan_module, "BLOCK_TOGGLES", 1 << 14)
    monkeypatch.setattr(plan_module, "LOCKSTEP_TOGGLES", 1 << 14)
    monkeypatch.setattr(plan_module, "LOCKSTEP_RUNS", (1 << 7, 1 << 9))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("over", "0s", "longer than nothing"),
        ("over", 30, "needs a unit"),
        ("over", "1 month", "30d"),
        ("runs", 0, "from 1 to"),
        ("runs", 2.5, "whole number"),
        ("runs", True, "whole number"),
        ("start", "stedy", "did you mean 'steady'"),
        ("level", 95, "between 0 and 1"),
        ("level", 1.0, "between 0 and 1"),
        ("seed", -1, "zero or more"),
        ("seed", "7", "zero or more"),
    ],
)
def test_a_wrong_argument_is_named(field: str, value: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        estimate(cluster("P1"), **{"runs": 10, field: value})
    assert caught.value.problems[0].path == field


def test_scripted_faults_are_refused_by_name() -> None:
    with pytest.raises(CannotModel, match=r"scripted faults.*use ha\.simulate"):
        estimate(cluster("P1").during(Crash("u-1", at="1s", lasting="1s")), runs=10)  # type: ignore[arg-type]


@pytest.mark.parametrize("problem", ["P1", "P3", "P4"])
def test_one_seed_gives_one_result_whoever_computes_it(problem: str, small_blocks: None) -> None:
    alone = estimate(cluster(problem), runs=1_000, seed=3)
    assert same(alone, estimate(cluster(problem), runs=1_000, seed=3))
    for workers in (1, 3):
        with ThreadPoolExecutor(workers) as pool:
            assert same(alone, estimate(cluster(problem), runs=1_000, seed=3, executor=pool))
    other = estimate(cluster(problem), runs=1_000, seed=4)
    assert not np.array_equal(alone.downtime_s["cluster"], other.downtime_s["cluster"])


def test_processes_give_the_same_as_no_processes() -> None:
    general = MODELS["P1"].replace("10h", "{lognormal: {mean: 10h, sigma: 1.0}}")
    alone = estimate(cluster(general), over="20y", runs=6_000, seed=3)
    with ProcessPoolExecutor(2) as pool:
        assert same(alone, estimate(cluster(general), over="20y", runs=6_000, seed=3, executor=pool))


def test_a_seed_that_was_not_given_is_drawn_and_kept() -> None:
    first = estimate(cluster("P1"), runs=50)
    second = estimate(cluster("P1"), runs=50)
    assert first.seed != second.seed
    assert same(first, estimate(cluster("P1"), runs=50, seed=first.seed))


def test_the_blocks_cover_every_run_once(small_blocks: None) -> None:
    seen: list[tuple[int, int]] = []
    sample = estimate(cluster("P1"), runs=1_001, seed=3, progress=lambda done, total: seen.append((done, total)))
    assert sample.runs == 1_001
    assert len(seen) > 3
    assert seen[-1] == (1_001, 1_001)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


@pytest.mark.parametrize("problem", ["P1", "P3"])
def test_every_block_has_its_own_luck(problem: str, small_blocks: None) -> None:
    ends: list[int] = []
    down = estimate(cluster(problem), runs=1_000, seed=3, progress=lambda done, _: ends.append(done)).downtime_s[
        "cluster"
    ]
    first, second = down[: ends[0]], down[ends[0] : 2 * ends[0]]
    assert first.any() and not np.array_equal(first, second)


def test_an_interruption_keeps_the_blocks_that_are_complete(small_blocks: None) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 400:
            raise KeyboardInterrupt

    whole = estimate(cluster("P1"), runs=2_000, seed=3)
    part = estimate(cluster("P1"), runs=2_000, seed=3, progress=stop)
    assert 400 <= part.runs < 2_000
    assert part.warnings[0] == f"interrupted after {part.runs} of 2000 runs"
    assert np.array_equal(part.downtime_s["cluster"], whole.downtime_s["cluster"][: part.runs])


def test_an_interruption_before_the_first_block_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[estimate.__module__], "run_block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        estimate(cluster("P1"), runs=10, seed=3)


def test_no_outage_seen_gives_a_bound_and_never_certainty() -> None:
    figures = estimate(cluster("P2"), over="30d", runs=20, seed=1).services["cluster"]
    assert figures.unavailability is not None and figures.outages_per_year is not None
    assert figures.unavailability.value == 0 < figures.unavailability.high
    assert figures.availability is not None and figures.availability.low < 1
    # The rule of three, 3.0 events in the time observed.
    assert np.isclose(figures.outages_per_year.high, -np.log(0.05) / (20 * 30 / 365))
    assert figures.mean_outage_s is None and figures.mttf_s is None
    assert str(figures.availability).startswith("≥")


def test_a_result_says_by_which_route_and_what_it_assumes() -> None:
    assert "route ticks" in estimate(cluster("P1"), runs=10, seed=1).warnings[-1]
    by_event = estimate(cluster("P3"), runs=10, seed=1)
    assert "route lockstep" in by_event.warnings[-1] and "warm-up" in by_event.warnings[-1]
    lonely = estimate(
        cluster("parts: {a: {kind: unit}, b: {kind: unit}}\nfailures: {a: {mtbf: 9h, mttr: 1h}}\nup: [a, b]"),
        runs=10,
        seed=1,
    )
    assert any("b never fails by itself" in warning for warning in lonely.warnings)
    new = estimate(cluster("P1"), runs=10, seed=1, start="new")
    assert any("first 365 d" in warning or "first 1 y" in warning for warning in new.warnings)


def test_the_figures_fit_together_and_are_plain_json() -> None:
    text = MODELS["P4"].replace("up: [p]", "services: {p: {up: [p], slo: {availability: 99.9%, window: 30d}}}")
    sample = estimate(cluster(text), runs=4_000, seed=2)
    figures = sample.services["p"]
    plain = json.loads(json.dumps(sample.to_json(), allow_nan=False))
    assert plain["engine"] == "estimate" and plain["runs"] == 4_000
    down = sample.downtime_s["p"]
    assert figures.unavailability is not None
    assert np.isclose(figures.unavailability.value, down.sum() / (4_000 * sample.horizon_s))
    assert sample.outage_durations_s["p"].sum() == pytest.approx(down.sum())
    assert figures.no_outage is not None
    assert figures.no_outage.value == pytest.approx(np.isinf(sample.first_outage_s["p"]).mean())
    assert figures.downtime_quantiles["p99"].value == pytest.approx(np.sort(down)[int(np.ceil(0.99 * 4_000)) - 1])
    assert sum(blame.share for blame in figures.blame) == pytest.approx(1)
    assert figures.slo_kept is not None and figures.slo_kept_year is not None
    assert figures.slo_kept_year.value < figures.slo_kept.value < 1
    assert {cut.units for cut in figures.cuts} == {("p (failover)",), ("p-1", "p-2")}
    assert sum(cut.share for cut in figures.cuts) >= 1 - 1e-9


def test_the_time_to_the_first_outage_is_given_only_when_every_run_saw_one() -> None:
    short = estimate(cluster("P4"), over="60d", runs=400, seed=2, start="new").services["cluster"]
    assert short.mttf_s is None
    long = estimate(cluster("P4"), over="6y", runs=400, seed=2, start="new").services["cluster"]
    assert long.mttf_s is not None and long.mttf_s.covers(2000 * 3600.0)
    assert long.interval_unavailability is not None and long.outages_in_horizon is not None

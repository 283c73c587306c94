"""What releases cost, measured: against closed forms, against itself by another way, and against a year that is played.

Bounds on random figures are 4.5 standard errors, which chance exceeds once in 150 000 times.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from math import sqrt
from typing import Any

import numpy as np
import pytest

import hasim as ha
from hasim.results.estimate import Estimate
from hasim.studies import one_release
from hasim.studies.one_release import Cost, loads_of, missing_times, play_release, steps_of, trial_of
from hasim.studies.strata import chance_over, law_of, mean_if_any, mean_over

ERRORS = 4.5
WEEK = 7 * 86400.0
START_UP = 20.0
BAD = ha.Release(bad="20%", errors="30%")
SOON = ha.Detection(takes="10m")


def model(upgrade: Any, every: str = "7d", rate: float | None = 20.0, required: int = 2, **more: Any) -> ha.Cluster:
    serving = ha.Serving(takes="10ms", slots=4, start_up={"fixed": "20s"})
    given: dict[str, Any] = {
        "topology": {"hosts": ["h1", "h2", "h3"]},
        "failures": {"host": {"mtbf": "1000h", "mttr": "2h"}},
        "parts": {
            "lb": ha.Balancer(to="api", check=ha.Check()),
            "api": ha.Pool(replicas=3, on=["h1", "h2", "h3"], required=required, serving=serving),
        },
        "loads": {} if rate is None else {"users": ha.Load(rate=rate, clients=ha.Clients(timeout="5s"))},
        "upgrades": {"weekly": {"upgrade": upgrade, "every": every}},
        "up": ["lb", "api"],
    }
    return ha.Cluster(name="x", **{**given, **more})


def costs(cluster: ha.Cluster, bad: bool, runs: int, **change: Any) -> list[Cost]:
    from dataclasses import replace

    trial = replace(trial_of(cluster, cluster.upgrades["weekly"], loads_of(cluster, None)), **change)
    return [play_release(trial, bad, seed) for seed in range(runs)]


def mean_and_error(values: Any) -> tuple[float, float]:
    found = np.asarray(values, dtype=np.float64)
    return float(found.mean()), float(found.std(ddof=1)) / sqrt(len(found))


# ----------------------------------------------------------------------------------------- closed forms


def test_without_loads_a_release_costs_what_its_exposure_says() -> None:
    """One after another, 20 s each: the share of ready pods that are new is 1/2, then 1, until it is noticed."""
    detection = ha.Detection(takes={"fixed": "3d"})
    cluster = model(ha.Rolling("api", surge=0, unavailable=1, release=BAD, detection=detection), rate=None)
    for cost in costs(cluster, True, 3):
        there, back = 0.5 * START_UP + (3 * 86400 - START_UP), 0.5 * START_UP + START_UP
        assert cost.missing == pytest.approx((6 * START_UP, 0.0, 0.0))
        assert cost.outage_s == cost.by_errors_s == pytest.approx(0.3 * (there + back))
    for cost in costs(cluster, False, 3):
        assert cost.missing == pytest.approx((3 * START_UP, 0.0, 0.0))
        assert cost.outage_s == 0 and cost.ended and not cost.late


def test_a_bad_version_that_nobody_notices_lasts_until_the_next_release() -> None:
    cluster = model(ha.Rolling("api", surge=0, unavailable=1, release=BAD), every="2d", rate=None)
    (cost,) = costs(cluster, True, 1)
    assert cost.outage_s == pytest.approx(0.3 * (2 * 86400 - 1.5 * START_UP))


def test_while_too_few_are_ready_the_part_is_down_and_nothing_else_is_counted() -> None:
    """All servers at once: down while they start; afterwards the balancer has to find them, by its checks."""
    cluster = model(ha.AllAtOnce("api"))
    found = ha.calibrate(cluster, runs=12, seed=1)
    figures = found.releases["weekly"]
    assert figures.missing_s.value >= figures.down_s.value >= START_UP
    assert figures.outage_s is not None and figures.outage_s.high < START_UP
    measured = found.cluster.upgrades["weekly"].measured
    assert measured is not None and measured.missing[2] == START_UP
    assert figures.cost_s.value == pytest.approx(measured.cost_s(tolerated=1), abs=1e-4)


def test_good_and_bad_releases_are_put_together_by_the_declared_chance() -> None:
    detection = ha.Detection(takes={"fixed": "1h"})
    upgrade = ha.Rolling("api", surge=0, unavailable=1, release=BAD, detection=detection)
    found = ha.calibrate(model(upgrade, rate=None), runs=10, seed=1)
    figures = found.releases["weekly"]
    assert (figures.good_runs, figures.bad_runs) == (5, 5)
    assert figures.missing_s.value == pytest.approx(3 * START_UP * (0.8 + 0.2 * 2))
    assert figures.chance.value == pytest.approx(0.2)
    assert figures.cost_s.value == pytest.approx(0.2 * 0.3 * (3600 + START_UP))


# -------------------------------------------------------------------------- two ways to the same number


def test_errors_by_exposure_are_the_failed_requests_that_were_counted() -> None:
    cluster = model(ha.Rolling("api", surge=1, unavailable=0, release=BAD, detection=ha.Detection(takes="1m")))
    by_exposure = costs(cluster, True, 12)
    counted = costs(cluster, True, 12, errors_alone=False)
    assert all(cost.by_errors_s > 0 for cost in by_exposure) and all(cost.by_errors_s == 0 for cost in counted)
    apart, error = mean_and_error([a.outage_s - b.outage_s for a, b in zip(by_exposure, counted, strict=True)])
    assert abs(apart) <= ERRORS * error


def test_a_rollback_that_was_brought_forward_costs_what_it_would_have_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    detection = ha.Detection(takes={"fixed": "12m"}, rollback="human", decide={"fixed": "8m"})
    cluster = model(ha.Rolling("api", surge=0, unavailable=1, release=BAD, detection=detection), rate=10.0)
    shortened = {alone: costs(cluster, True, 4, errors_alone=alone) for alone in (True, False)}
    monkeypatch.setattr(one_release, "_brought_forward", lambda trial, upgrade, log: (upgrade, 0.0))
    whole = {alone: costs(cluster, True, 4, errors_alone=alone) for alone in (True, False)}
    for one, other in zip(shortened[True], whole[True], strict=True):
        # The clock starts when a balancer has found the first new server, and it looks every two seconds.
        assert one.by_errors_s == pytest.approx(other.by_errors_s, abs=0.3 * 3 * 2.0)
        assert one.missing == pytest.approx(other.missing, abs=2.0)
    # The share of errors before the rollback is counted over half of the settle time, here 300 requests or so.
    error = sqrt(0.3 * 0.7 / (10.0 * 15.0)) * 18 * 60
    for one, other in zip(shortened[False], whole[False], strict=True):
        assert abs(one.outage_s - other.outage_s) <= ERRORS * error


@pytest.mark.parametrize("clock", ["time", "exposure"])
def test_days_until_it_is_noticed_are_counted_on_either_clock(clock: Any) -> None:
    detection = ha.Detection(takes={"fixed": "2d"}, clock=clock)
    cluster = model(ha.Rolling("api", surge=0, unavailable=1, release=BAD, detection=detection), rate=5.0)
    (cost,) = costs(cluster, True, 1)
    # Until it is noticed it is met for two days, less what the rollout takes on the clock of time; a rollback follows.
    assert 2 * 86400 - 4 * START_UP < cost.by_errors_s / 0.3 < 2 * 86400 + 4 * START_UP


def test_an_analysis_that_lives_on_requests_gets_them() -> None:
    steps = [{"share": "20%", "bake": "2m"}]
    detection = ha.Detection(takes={"fixed": "2d"})
    upgrade = ha.Canary("api", steps=steps, analysis=ha.Analysis(), release=BAD, detection=detection, unavailable=0)
    for cost in costs(model(upgrade), True, 3):
        assert cost.ended and cost.by_errors_s < 0.3 * 5 * 60  # far from two days: it was turned down


def test_where_clients_try_again_what_still_fails_is_counted() -> None:
    detection = ha.Detection(takes={"fixed": "4m"})
    canary = ha.Canary("api", steps=[{"share": "10%", "bake": "10m"}], release=BAD, unavailable=0, detection=detection)
    plain, trying = (
        model(canary, loads={"users": ha.Load(rate=20, clients=clients)})
        for clients in (ha.Clients(timeout="5s"), ha.Clients(timeout="5s", retry=ha.Retry(attempts=3)))
    )
    assert trial_of(plain, plain.upgrades["weekly"], loads_of(plain, None)).errors_alone
    assert not trial_of(trying, trying.upgrades["weekly"], loads_of(trying, None)).errors_alone
    errors = [cost.by_errors_s for cost in costs(plain, True, 3)]
    assert errors == pytest.approx([0.3 * 0.1 * 240] * 3, rel=0.1)
    # Of three attempts each fails at the canary with a chance of 3 %: hardly one of its errors comes through.
    assert max(cost.outage_s for cost in costs(trying, True, 3)) < 0.25 * min(errors)


# ------------------------------------------------------------------------------- a year that is played


def test_a_year_of_releases_that_is_played_is_what_was_predicted() -> None:
    upgrade = ha.Rolling("api", surge=0, unavailable=1, release=BAD, detection=ha.Detection(takes="40m"))
    cluster = model(upgrade, every="12h", rate=None).replace("failures", {})
    found = ha.calibrate(cluster, runs=300, seed=3).releases["weekly"]
    run = ha.simulate(cluster, over="365d", seed=5)
    missing, outage = [], []
    for log in list(run.upgrades.values())[:-1]:  # the last one may be cut off
        steps = steps_of(log, log.until_s)
        missing.append(float(missing_times(steps, 3).sum()))
        outage.append(0.3 * log.exposure_s if log.bad else 0.0)
    assert len(missing) == 729
    for played, predicted in ((missing, found.missing_s), (outage, found.cost_s)):
        mean, error = mean_and_error(played)
        assert predicted.standard_error is not None
        assert abs(mean - predicted.value) <= ERRORS * sqrt(error**2 + predicted.standard_error**2)
    assert found.down_s.value == 0


def test_requests_of_a_played_day_fail_as_was_predicted() -> None:
    """Releases every half hour, played with all requests in the same run, and single ones from the calibration."""
    release = ha.Release(bad="40%", errors="30%")
    upgrade = ha.Rolling("api", surge=0, unavailable=1, release=release, detection=ha.Detection(takes="3m"))
    cluster = model(upgrade, every="30m", rate=10.0).replace("failures", {})
    found = ha.calibrate(cluster, runs=60, seed=3, level=0.9).releases["weekly"]
    failed = []
    for seed in range(2):
        run = ha.simulate(cluster, over="8h", seed=seed)
        assert run.requests is not None
        lost = run.requests.arrived_s[run.requests.outcome != 0]
        failed += (np.histogram(lost, bins=np.arange(0.0, 8 * 3600 + 1, 1800.0))[0] / 10.0).tolist()
    mean, error = mean_and_error(failed)
    assert found.cost_s.standard_error is not None
    assert abs(mean - found.cost_s.value) <= ERRORS * sqrt(error**2 + found.cost_s.standard_error**2)


def test_solve_and_estimate_agree_on_what_was_measured() -> None:
    upgrade = ha.Recreate("api", release=BAD, detection=SOON)
    cluster = ha.calibrate(model(upgrade, every="20h", rate=None), runs=40, seed=2).cluster
    exact = ha.solve(cluster).services["cluster"]
    batches = [ha.estimate(cluster, over="60d", runs=400, seed=seed).services["cluster"] for seed in range(12)]
    for quantity in ("unavailability", "outages_per_year", "mean_outage_s"):
        mean, error = mean_and_error([getattr(each, quantity).value for each in batches])
        assert abs(mean - getattr(exact, quantity).value) <= ERRORS * error
    for blame in exact.blame[:3]:
        seen = [next((b.share for b in each.blame if b.unit == blame.unit), 0.0) for each in batches]
        mean, error = mean_and_error(seen)
        assert abs(mean - blame.share) <= ERRORS * error
    assert {blame.unit for blame in exact.blame[:2]} == {"weekly: all of api (planned)", "weekly (releases)"}


# ----------------------------------------------------------------------------------------- the result


def test_one_seed_gives_one_result_whoever_plays_the_runs() -> None:
    cluster = model(ha.Rolling("api", release=BAD, detection=SOON), rate=5.0)
    told: list[tuple[int, int]] = []
    here = ha.calibrate(cluster, runs=6, seed=9, progress=lambda done, total: told.append((done, total)))
    with ProcessPoolExecutor(2) as executor:
        there = ha.calibrate(cluster, runs=6, seed=9, executor=executor)
    assert here.cluster == there.cluster and str(here) == str(there)
    assert told == [(done, 6) for done in range(1, 7)]
    assert ha.calibrate(cluster, runs=6, seed=10).cluster != here.cluster


def test_what_was_found_is_the_cluster_with_measures_and_reads_back() -> None:
    found = ha.calibrate(model(ha.Rolling("api", release=BAD, detection=SOON), rate=5.0), runs=8, seed=1)
    assert ha.loads(found.cluster.to_yaml()) == found.cluster
    measured = found.cluster.upgrades["weekly"].measured
    assert measured is not None and measured.outage is not None
    assert (measured.runs, measured.seed, measured.load, measured.rate) == (8, 1, "users", 5.0)
    assert found.releases["weekly"].outage_s is not None
    assert measured.outage.mean == pytest.approx(found.releases["weekly"].outage_s.value, abs=1e-5)
    assert found.cluster.replace("upgrades.weekly.measured", None) == model(
        ha.Rolling("api", release=BAD, detection=SOON), rate=5.0
    )


def test_a_calibration_shows_itself() -> None:
    upgrade = ha.Rolling("api", release=BAD, detection=SOON)
    found = ha.calibrate(model(upgrade, slo={"availability": "99.9%"}), runs=6, seed=1)
    frame = found.to_frame()
    assert frame.loc[("weekly", "cost_s"), "value"] == found.releases["weekly"].cost_s.value
    quantities = {"missing_s", "down_s", "chance", "outage_s", "cost_s", "server_hours", "a_month_s", "budget_share"}
    assert set(frame.loc["weekly"].index) == quantities
    share = found.releases["weekly"].budget_share
    assert share is not None
    assert share.value == pytest.approx(found.releases["weekly"].a_month_s.value / (0.001 * 30 * 86400))
    for said in (str(found), found._repr_html_()):
        assert "weekly" in said and "full-outage equivalent" in said and "only 3 bad releases were played" in said
    assert found.to_json()["releases"]["weekly"]["cost_s"]["value"] == found.releases["weekly"].cost_s.value


def test_safe_releases_are_what_the_budget_leaves_after_hardware() -> None:
    found = ha.calibrate(model(ha.Recreate("api", release=BAD, detection=SOON), rate=None), runs=20, seed=1)
    hardware = ha.solve(found.cluster.replace("upgrades", {})).services["cluster"].unavailability
    assert hardware is not None
    month, cost = 30 * 86400, found.releases["weekly"].cost_s.value
    assert found.safe_releases("99.9%") == int((0.001 - hardware.value) * month / cost)
    assert found.safe_releases("99.9%", "weekly", spent="20m", window="60d") == int((5184.0 - 1200.0) / cost)
    assert found.safe_releases("99.9999%") == 0
    with pytest.raises(ha.ModelError, match="say what is promised"):
        found.safe_releases()
    with pytest.raises(ha.ModelError, match="releases are weekly"):
        found.safe_releases("99%", "daily")


def test_warnings_tell_of_releases_that_hold_up_the_next() -> None:
    endless = ha.Release(bad="50%", errors="10%", never_ready=1.0)
    found = ha.calibrate(model(ha.Rolling("api", release=endless), every="1d", rate=None), runs=6, seed=1)
    assert any("3 of 6 never came to an end" in said for said in found.warnings)
    late = ha.Detection(takes={"fixed": "2d"})
    found = ha.calibrate(model(ha.Rolling("api", release=BAD, detection=late), every="1d", rate=None), runs=6, seed=1)
    assert any("3 of 6 took longer than from one to the next" in said for said in found.warnings)
    assert any("no load was played" in said for said in found.notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"runs": 3}, "runs: got 3"),
        ({"runs": True}, "runs: got True"),
        ({"level": 1.5}, "level: got 1.5"),
        ({"seed": -1}, "seed: got -1"),
        ({"load": 3}, "load: got 3; give loads"),
        ({"load": ha.Load(rate=3, to="nowhere")}, r"load\[0\]\.to"),
        ({"load": [ha.Load(rate=3), ha.Load(rate=4)]}, "load: two loads have one name"),
        ({"executor": 3}, "executor: got 3"),
        ({"progress": 3}, "progress: got 3"),
    ],
)
def test_wrong_arguments_are_refused_by_name(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        ha.calibrate(model(ha.Rolling("api")), **change)


def test_what_has_no_calendar_is_refused() -> None:
    for wrong in (3, None, "x"):
        with pytest.raises(ha.ModelError, match="takes a Cluster"):
            ha.calibrate(wrong)  # type: ignore[arg-type]
    with pytest.raises(ha.ModelError, match="has no planned releases"):
        ha.calibrate(model(ha.Rolling("api")).replace("upgrades", {}))


# --------------------------------------------------------------------------------- means over strata


def test_means_over_strata_are_those_of_a_textbook() -> None:
    one, other = np.array([1.0, 2.0, 3.0]), np.array([10.0, 14.0])
    found = mean_over([(0.9, one), (0.1, other)], 0.95)
    assert found.value == pytest.approx(0.9 * 2 + 0.1 * 12)
    assert found.standard_error == pytest.approx(sqrt(0.81 * 1 / 3 + 0.01 * 8 / 2))
    alike = mean_over([(1.0, np.array([2.0, 2.0]))], 0.95)
    assert (alike.low, alike.high, alike.method) == (2.0, 2.0, "all runs alike")


def coverage(truth: float, found: list[Estimate]) -> float:
    return sum(each.covers(truth) for each in found) / len(found)


def test_intervals_over_strata_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    means, chances, ratios = [], [], []
    for _ in range(600):
        good = rng.exponential(2.0, 60) * (rng.random(60) < 0.5)
        bad = rng.exponential(100.0, 60)
        strata = [(0.9, good), (0.1, bad)]
        means.append(mean_over(strata, 0.9))
        chances.append(chance_over(strata, 0.9))
        ratio = mean_if_any(strata, 0.9)
        assert ratio is not None
        ratios.append(ratio)
    truth = 0.9 * 0.5 * 2 + 0.1 * 100
    # Skewed values cost some coverage; 4.5 standard errors of 600 repetitions at 0.9 are 0.055.
    assert coverage(truth, means) > 0.9 - 0.055
    assert coverage(0.9 * 0.5 + 0.1, chances) > 0.9 - 0.055
    assert coverage(truth / 0.55, ratios) > 0.9 - 0.055


def test_the_law_of_outages_keeps_their_mean_and_their_weights() -> None:
    rng = np.random.default_rng(1)
    good = rng.exponential(2.0, 333) * (rng.random(333) < 0.3)
    bad = rng.lognormal(3.0, 2.0, 417)
    strata = [(0.95, good), (0.05, bad)]
    law = law_of(strata)
    exact = mean_if_any(strata, 0.95)
    assert law is not None and exact is not None
    assert law.mean == pytest.approx(exact.value, rel=1e-6)
    assert law_of([(1.0, np.zeros(5))]) is None and mean_if_any([(1.0, np.zeros(5))], 0.95) is None
    drawn = law.draw(np.random.default_rng(2), 4000)
    assert abs(float(np.mean(drawn > 5.0)) - float(law.survival(5.0))) < ERRORS * 0.5 / sqrt(4000)


def test_a_window_that_is_rolled_back_costs_two_windows_and_what_failed_in_between() -> None:
    """No pod changes while a window is open, and yet requests are played until it closes."""
    window = ha.Window("api", lasting="10m", release=BAD, detection=SOON)
    found = costs(model(window, rate=5.0), bad=True, runs=12)
    played = [sum(cost.missing[1:]) + cost.outage_s for cost in found]  # two of three members are required
    expected = 600.0 + 0.3 * 600.0 + 600.0
    mean, error = mean_and_error(played)
    assert abs(mean - expected) < ERRORS * error

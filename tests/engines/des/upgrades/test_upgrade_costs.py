"""What upgrades cost when they are played is what the closed forms say, strategy by strategy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from upgrade_scenes import (
    STANDARD_ERRORS,
    agrees,
    bad,
    counted,
    exponential,
    exposure_until,
    failed,
    happens,
    noticed,
    only,
    play,
    scene,
)

import hasim as ha
from hasim.engines.exact.upgrading import (
    all_at_once_cost,
    blue_green_cost,
    canary_cost,
    canary_detection,
    requests_needed,
    rolling_cost,
    staged_cost,
    window_cost,
)
from hasim.model.upgrades import Upgrade

N, START = 6, 10.0  # pods, and seconds until one is ready
LENGTH = N * START  # of a rolling update that takes one pod after the other, and of the way back
ONE_BY_ONE = partial(ha.Rolling, "api", surge=1, unavailable=0)

FOUND = (0.5, 7.0, 25.0, 44.0, 58.0, 83.0, 200.0)  # seconds, before the rollout is through and after

# ---------------------------------------------------------------------- exposure, which has no noise


@pytest.mark.parametrize("found", FOUND)
def test_a_rolling_update_exposes_a_staircase(found: float) -> None:
    run = play(scene(N, START), ONE_BY_ONE(release=bad(), detection=noticed(found)), over=600)
    expected = rolling_cost(1.0, 1.0, found, LENGTH, LENGTH, steps=N, back="in_steps")
    assert only(run).exposure_s == pytest.approx(float(expected), abs=1e-2)
    assert only(run).detect_s == pytest.approx(found, abs=1e-6) and only(run).outcome == "rolled back"


@pytest.mark.parametrize("mean", [15.0, 60.0])
def test_a_rolling_update_costs_the_mean_over_a_law(mean: float) -> None:
    upgrade = ONE_BY_ONE(release=bad(), detection=noticed(exponential(mean)))
    seen = [only(play(scene(N, START), upgrade, over=3600, seed=seed)).exposure_s for seed in range(250)]
    agrees(float(rolling_cost(1.0, 1.0, exponential(mean), LENGTH, LENGTH, steps=N, back="in_steps")), seen)


@pytest.mark.parametrize("found", [5.0, 90.0])
@pytest.mark.parametrize("decided", [0.0, 12.0])
def test_blue_green_exposes_all_until_it_is_switched_back(found: float, decided: float) -> None:
    detection = noticed(found)
    if decided:
        detection = noticed(found, rollback="human", decide={"fixed": ha.s(decided)})
    run = play(
        scene(N, START), ha.BlueGreen("api", keep="10m", release=bad(), detection=detection), ha.Load(rate=1), over=600
    )
    assert only(run).exposure_s == pytest.approx(float(blue_green_cost(1.0, 1.0, found, decided)), abs=1e-6)


STAGES = [(0.1, 40.0), (0.1, 20.0), (0.5, 30.0)]
STEPS = [{"share": share, "bake": ha.s(bake)} for share, bake in STAGES]


@pytest.mark.parametrize("found", [5.0, 39.0, 45.0, 75.0, 89.0, 200.0])
def test_a_canary_exposes_its_stages_and_then_all(found: float) -> None:
    """Pods that start at once, so that nothing is between the stages, and all follow when they are over."""
    run = play(
        scene(10), ha.Canary("api", steps=STEPS, release=bad(), detection=noticed(found)), ha.Load(rate=1), over=600
    )
    assert only(run).exposure_s == pytest.approx(float(staged_cost(1.0, 1.0, found, 0.0, STAGES)), abs=1e-3)


def test_a_canary_that_people_decide_about_goes_on_meanwhile() -> None:
    """Within one stage that is p e c (T_d + R)."""
    detection = noticed(10.0, rollback="human", decide={"fixed": "25s"})
    run = play(scene(10), ha.Canary("api", steps=STEPS, release=bad(), detection=detection), ha.Load(rate=1), over=600)
    expected = canary_cost(1.0, 1.0, 10.0, 25.0, STAGES, 0.0)
    assert only(run).exposure_s == pytest.approx(float(expected), abs=1e-6)
    late = noticed(10.0, rollback="human", decide={"fixed": "45s"})  # the second stage is as large as the first
    run = play(scene(10), ha.Canary("api", steps=STEPS, release=bad(), detection=late), ha.Load(rate=1), over=600)
    assert only(run).exposure_s == pytest.approx(0.1 * 55.0, abs=1e-6)


COUNTED: dict[str, Callable[..., Upgrade]] = {
    "rolling": ONE_BY_ONE,
    "blue-green": partial(ha.BlueGreen, "api", keep="10h"),
    "canary": partial(ha.Canary, "api", steps=STEPS),
    "all at once": partial(ha.AllAtOnce, "api"),
}


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_counted_spends_as_much_before_it_is_noticed_whatever_the_strategy(name: str) -> None:
    """The bad requests before that are p e/θ: a smaller canary does not spend fewer of them, it takes longer."""
    upgrade = COUNTED[name](release=bad(), detection=noticed(exponential(30.0), clock="exposure"))
    spent = []
    for seed in range(150):
        log = only(play(scene(N, START), upgrade, ha.Load(rate=0.01), over=7200, seed=seed))
        assert log.noticed_s is not None
        spent.append(exposure_until(log, log.noticed_s))
    agrees(30.0, spent)


def test_a_canary_that_counts_notices_as_many_as_it_should() -> None:
    """The rate is θ c while a stage lasts: d = 1 - Π exp(-θ c B); all at once follows, with pods that start at once."""
    upgrade = ha.Canary("api", steps=STEPS, release=bad(), detection=noticed(exponential(40.0), clock="exposure"))
    within, spent, bakes = 0, [], sum(bake for _, bake in STAGES)
    for seed in range(250):
        log = only(play(scene(10), upgrade, ha.Load(rate=0.01), over=1800, seed=seed))
        assert log.noticed_s is not None
        within += log.noticed_s < log.began_s + bakes
        spent.append(log.exposure_s)
    happens(float(canary_detection(40.0, STAGES, "count")), within, 250)
    last = all_at_once_cost(1.0, 1.0, 40.0, 0.0)
    agrees(float(canary_cost(1.0, 1.0, 40.0, 0.0, STAGES, last, "count")), spent)


def test_a_canary_that_goes_by_the_clock_notices_as_many_as_it_should() -> None:
    upgrade = ha.Canary("api", steps=STEPS, release=bad(), detection=noticed(exponential(60.0)))
    runs = [only(play(scene(10), upgrade, ha.Load(rate=0.01), over=1800, seed=seed)) for seed in range(200)]
    within = sum(log.noticed_s is not None and log.noticed_s < log.began_s + 90.0 for log in runs)
    happens(float(canary_detection(exponential(60.0), STAGES)), within, 200)
    last = all_at_once_cost(1.0, 1.0, exponential(60.0), 0.0)
    agrees(float(canary_cost(1.0, 1.0, exponential(60.0), 0.0, STAGES, last)), [log.exposure_s for log in runs])


# ------------------------------------------------------------------------------ requests that failed

RATE = 60.0
ERRORS = 0.4


def costs(expected: float, cluster: ha.Cluster, upgrade: Upgrade) -> None:
    """So many seconds of full outage are so many failed requests, which come as a Poisson process."""
    run = play(cluster, upgrade, ha.Load(rate=RATE), over=300)
    counted(RATE * float(expected), failed(run))


@pytest.mark.parametrize("found", [25.0, 83.0])
def test_requests_that_fail_in_a_rolling_update(found: float) -> None:
    expected = rolling_cost(1.0, ERRORS, found, LENGTH, LENGTH, steps=N, back="in_steps")
    costs(expected, scene(N, START), ONE_BY_ONE(release=bad(1.0, ERRORS), detection=noticed(found)))


def test_requests_that_fail_in_blue_green() -> None:
    detection = noticed(30.0, rollback="human", decide={"fixed": "15s"})
    upgrade = ha.BlueGreen("api", keep="10m", release=bad(1.0, ERRORS), detection=detection)
    costs(blue_green_cost(1.0, ERRORS, 30.0, 15.0), scene(N, START), upgrade)


def test_requests_that_fail_in_a_canary() -> None:
    upgrade = ha.Canary("api", steps=STEPS, release=bad(1.0, ERRORS), detection=noticed(75.0))
    costs(staged_cost(1.0, ERRORS, 75.0, 0.0, STAGES), scene(10), upgrade)


@pytest.mark.parametrize("strategy", [ha.Recreate, ha.AllAtOnce])
def test_requests_that_fail_when_everything_is_recreated(strategy: type[Upgrade]) -> None:
    """Nothing runs for as long as a start takes; the way back is another restart, which the errors wait for."""
    detection = noticed(30.0, rollback="human", decide={"fixed": "15s"})
    upgrade = strategy("api", at="20s", release=bad(1.0, ERRORS), detection=detection)
    expected = all_at_once_cost(1.0, ERRORS, 30.0, 15.0, START) + START
    costs(float(expected), scene(N, START, {"retries": 0}), upgrade)


def test_requests_that_fail_in_a_window() -> None:
    """The way back is another window."""
    detection = noticed(30.0, rollback="human", decide={"fixed": "15s"})
    window = partial(ha.Window, "api", lasting="40s", work="5s", detection=detection)
    expected = window_cost(1.0, ERRORS, 30.0, 15.0, 40.0) + 40.0
    costs(float(expected), scene(N, START), window(release=bad(1.0, ERRORS)))
    costs(40.0, scene(N, START), ha.Window("api", lasting="40s", work="5s"))
    costs(60.0, scene(N, START), ha.Window("api", lasting="40s", work="50s"))  # it overruns


# ----------------------------------------------------------------- strategies side by side, same luck

P, T_D, POOL, UP, BAKE, WINDOW = 0.5, 20.0, 5, 4.0, 30.0, 10.0
LOAD = 4.0


def canary_then_rolling() -> float:
    """A canary for a while, then a rolling update beside it, whose way back goes over what it has reached."""
    law, pods = exponential(T_D), POOL + 1
    stages = [(1 / POOL, BAKE), *((k / pods, UP) for k in range(1, pods))]
    cost = float(staged_cost(P, ERRORS, law, 0.0, stages))
    edges = BAKE + UP * np.arange(pods + 1)
    for k in range(1, pods):  # the canary goes at once, then k of the pool, each as long as a start takes
        within = law.survival(edges[k]) - (law.survival(edges[k + 1]) if k < POOL else 0.0)
        cost += P * ERRORS * float(within) * UP * k * (k + 1) / 2 / POOL
    return cost


def failed_by_rate(run: ha.Run) -> float:
    return failed(run) / LOAD


def was_bad(run: ha.Run) -> bool:
    return only(run).bad


def test_strategies_compared_cost_what_they_should_and_share_their_luck() -> None:
    same = {"release": bad(P, ERRORS), "detection": noticed(exponential(T_D))}
    cluster, load, law = scene(POOL, UP), ha.Load(rate=LOAD, lasting="5m"), exponential(T_D)
    models = {
        "window": cluster.during(ha.Window("api", lasting=ha.s(WINDOW), **same), load),
        "rolling": cluster.during(ha.Rolling("api", surge=1, unavailable=0, **same), load),
        "blue-green": cluster.during(ha.BlueGreen("api", keep="1h", **same), load),
        "canary": cluster.during(
            ha.Canary(
                "api", steps=[{"share": 1 / POOL, "bake": ha.s(BAKE)}], surge=1, unavailable=0, **same
            ),
            load,
        ),
    }  # fmt: skip
    expected = {
        "window": float(window_cost(P, ERRORS, law, 0.0, WINDOW)) + P * WINDOW,
        "rolling": float(rolling_cost(P, ERRORS, law, POOL * UP, POOL * UP, steps=POOL, back="in_steps")),
        "blue-green": float(blue_green_cost(P, ERRORS, law, 0.0)),
        "canary": canary_then_rolling(),
    }
    found = ha.compare(models, of={"cost": failed_by_rate, "bad": was_bad}, over="6m", runs=160, seed=3)
    samples = dict(zip(found.names, found.samples["cost"], strict=True))
    luck = found.samples["bad"]
    assert (luck == luck[0]).all()
    happens(P, int(luck[0].sum()), 160)
    for name, cost in expected.items():
        agrees(cost, samples[name])
    for name in ("window", "rolling", "canary"):
        apart = samples[name] - samples["blue-green"]
        agrees(expected[name] - expected["blue-green"], apart)
        alone = samples[name].var(ddof=1) + samples["blue-green"].var(ddof=1)
        assert apart.var(ddof=1) < 0.7 * alone, f"{name}: pairs save nothing"
        difference = found.difference(name, "blue-green", "cost")
        mean = difference.mean
        reach = (mean.high - mean.low) / 2
        assert abs(mean.value - (expected[name] - expected["blue-green"])) <= reach * STANDARD_ERRORS / 1.96


# -------------------------------------------------------------------------------- automatic analysis

BEFORE, AFTER, RUNS = 0.1, 0.3, 300
ARM = int(requests_needed(BEFORE, AFTER))


def turned_down(release: ha.Release) -> int:
    """How often the analysis turns a canary down that gets half of the requests, `ARM` of them on average."""
    rate = 40.0
    steps = [{"share": 0.5, "bake": ha.s(2 * ARM / rate)}]
    upgrade = ha.Canary("api", at="1s", steps=steps, release=release, analysis=ha.Analysis())
    noise = ha.ErrorAnswers("api", share=BEFORE, at="0s", lasting="1h")
    load = ha.Load(rate=rate, lasting="10s")
    runs = [only(play(scene(4), upgrade, noise, load, over=12, seed=seed)) for seed in range(RUNS)]
    return sum(log.outcome == "rolled back" for log in runs)


def alarms(after: float) -> float:
    """How often the test says so, with as many requests in either arm as chance wants."""
    rng = np.random.default_rng(1)
    counts = rng.poisson(ARM, (2, 200_000))
    wrong = rng.binomial(counts, np.array([[BEFORE], [after]])) / counts
    noise = np.sqrt((wrong * (1 - wrong) / counts).sum(axis=0))
    return float((wrong[1] - wrong[0] > 1.6448536 * noise).mean())


def test_an_analysis_notices_four_bad_releases_of_five() -> None:
    share = 1.0 - (1.0 - AFTER) / (1.0 - BEFORE)  # errors on top of those that the old version has, too
    times = turned_down(bad(1.0, share))
    happens(alarms(AFTER), times, RUNS)
    happens(0.8, times, RUNS)


def test_an_analysis_turns_down_one_good_release_of_twenty() -> None:
    times = turned_down(ha.Release())
    happens(alarms(BEFORE), times, RUNS)
    happens(0.05, times, RUNS)


def test_a_release_is_bad_as_often_as_it_should_be() -> None:
    upgrade = ha.AllAtOnce("api", release=bad(0.15, 0.5))
    happens(0.15, sum(only(play(scene(1), upgrade, over=1, seed=seed)).bad for seed in range(400)), 400)

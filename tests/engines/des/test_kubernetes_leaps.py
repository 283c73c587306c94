"""Calm is leapt over: nothing that happens afterwards can tell, and nothing that is to come is passed over."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from kubernetes_toys import WEB, Ending, deployed, facts, play, times, toy
from scipy.stats import kstest

import hasim as ha
from hasim.engines.des.kubernetes.stillness import QUIET_S, Stillness
from hasim.protocols.reconcile.node_laws import not_ready
from hasim.protocols.reconcile.node_lifecycle import NodeLifecycle

DAY = 86400.0
SOON = 0.05
ROUND_TRIPS = 0.02


def daily_crashes(count: int, seed: int, minutes: float) -> list[ha.Crash]:
    """A crash of n-1 a day, at any time, for so long and up to a minute more."""
    chance = np.random.default_rng(seed)
    at = DAY * np.arange(count) + chance.uniform(1000, 80000, count)
    lasting = chance.uniform(60 * minutes, 60 * minutes + 60, count)
    return [ha.Crash("n-1", at=f"{a}s", lasting=f"{b}s") for a, b in zip(at, lasting, strict=True)]


def test_after_days_of_calm_a_crash_is_noticed_after_the_same_law() -> None:
    cluster = toy("web: {kind: workload, replicas: 1, start: {fixed: 5s}}", nodes=(2, 1))
    law, delays = not_ready(NodeLifecycle()), []
    for seed in range(2):
        run = play(cluster, *daily_crashes(60, seed, 1.1), over="60d", seed=seed)
        tainted, noticed = times(run, "node tainted"), times(run, "node not ready")
        delays += list(np.subtract(noticed, times(run, "fault begun")))
        assert np.subtract(tainted, noticed) == pytest.approx([5.0] * 60, abs=ROUND_TRIPS)
    assert law.low <= min(delays) and max(delays) <= law.high + ROUND_TRIPS
    assert kstest(delays, law.cdf).pvalue > 0.001
    assert kstest(np.array(delays) + 2.0, law.cdf).pvalue < 0.001


def test_evictions_come_in_their_time_though_calm_was_leapt_over_before_and_after() -> None:
    run = play(toy(WEB), *daily_crashes(8, 1, 15), over="8d")
    tainted, deleted = times(run, "node tainted"), times(run, "pod deleted")
    assert deleted
    for at in deleted:
        assert min(abs(at - 300 - other) for other in tainted) < SOON
    ending = Ending(run, deployed("web", 6))
    assert len(ending.ready) == 6 == len(ending.pods) and not ending.unready and not ending.tainted


def test_a_node_that_stays_away_for_a_week_is_noticed_once_and_comes_back() -> None:
    run = play(toy(WEB), ha.Crash("n-1", at="1d", lasting="7d"), over="10d")
    (noticed,), (tainted,), (deleted,), (ready,) = (
        times(run, kind) for kind in ("node not ready", "node tainted", "pod deleted", "node ready")
    )
    assert 40 <= noticed - DAY <= 55 + SOON and deleted - tainted == pytest.approx(300, abs=SOON)
    assert 0 < ready - 8 * DAY < 5 + SOON
    assert run.downtime_s("web") == pytest.approx(deleted - DAY + 5, abs=SOON)


def test_a_container_that_ran_for_days_is_started_again_at_once() -> None:
    web = "web: {kind: workload, replicas: 1, start: {fixed: 5s}, crash: {fixed: 2d}}"
    run = play(toy(web, nodes=(1,)), over="9d")
    crashed = times(run, "container crashed")
    assert len(crashed) == 4 and np.diff(crashed) == pytest.approx([2 * DAY + 5] * 3)
    assert run.downtime_s("web") == pytest.approx(4 * 5, abs=4 * SOON)


def test_after_a_leap_the_rest_of_the_calm_is_lived_through(monkeypatch: pytest.MonkeyPatch) -> None:
    # Leaps in a row would undo what each leaves for the beats to meet the fault at any phase.
    leaps: list[tuple[float, float]] = []
    leap_over = Stillness.leap_over

    def noted(still: Stillness, by: float) -> None:
        leaps.append((still.env.now - by, still.env.now))
        leap_over(still, by)

    monkeypatch.setattr(Stillness, "leap_over", noted)
    web = "web: {kind: workload, replicas: 1, start: {fixed: 5s}}"
    play(toy(web, nodes=(2, 1)), *daily_crashes(10, 3, 1.1), over="10d")
    assert len(leaps) >= 10
    assert all(begun - ended > QUIET_S for (_, ended), (begun, _) in pairwise(leaps))
    assert sum(ended - begun for begun, ended in leaps) > 0.9 * 10 * DAY


def test_what_waits_is_not_passed_over() -> None:
    # A pod that fits nowhere waits for days, and is placed when there is room.
    web = "web: {kind: workload, replicas: 2, required: 2, start: {fixed: 5s}, cpu: 3000}"
    run = play(toy(web, nodes=(2,)), ha.Crash("n-1", at="6h", lasting="1h"), over="8h")
    (bound,) = times(run, "pod bound")
    assert 0 < bound - 7 * 3600 < 15


def test_half_a_small_zone_that_is_lost_is_left_alone_and_found_again() -> None:
    cluster = toy("web: {kind: workload, replicas: 4, start: {fixed: 5s}}", nodes=(5, 1))
    run = play(cluster, *(ha.Crash(f"n-{i}", at="1h", lasting="1h") for i in (1, 2, 3)), over="3h", seed=3)
    assert len(facts(run, "node not ready")) == len(facts(run, "node ready")) == 3
    assert max(times(run, "node ready")) < 2 * 3600 + 5 + SOON


@pytest.mark.slow
def test_a_month_of_failures_is_played_in_moments_and_counts_what_closed_forms_say() -> None:
    failing = {"host": {"mtbf": "10d", "mttr": {"fixed": "2h"}}}
    web = "web: {kind: workload, replicas: 6, required: 6, start: {fixed: 5s}}"
    cluster = toy(web, nodes=(6,)).replace("failures", failing)
    downs = []
    for seed in range(4):
        run = play(cluster, over="60d", seed=seed)
        downs += [up - down for down, up in run.down("web") if not run_control_trouble(run, down, up)]
    # Each crash of a node costs a grace with its luck, a pass, the toleration, and a start.
    law = not_ready(NodeLifecycle()).later(5 + 300 + 5)
    alone = [down for down in downs if down < law.high + SOON]
    assert len(alone) > 100 and len(alone) > 0.9 * len(downs), "the others overlap"
    assert kstest(alone, law.cdf).pvalue > 0.001


def run_control_trouble(run: ha.Run, start: float, end: float) -> bool:
    """Whether a leader was missing, or had just been, in that time."""
    rows = [row for part in ("kcm", "scheduler", "apiserver") for row in run.down(part)]
    return any(row[0] < end and row[1] > start - 120 for row in rows)

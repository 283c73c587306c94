"""A node is lost: when it is noticed, when its pods are driven off and replaced, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from kubernetes_toys import Ending, deployed, facts, play, times, toy
from scipy.stats import kstest

import hasim as ha
from hasim.protocols.reconcile.node_laws import not_ready, tainted_at
from hasim.protocols.reconcile.node_lifecycle import NodeLifecycle

ROUND_TRIPS = 0.02  # a renewal, a pass and its writes take some milliseconds each, of which the laws know nothing


def delays_until_not_ready(settings: str, runs: int, count: int) -> list[float]:
    """From crashes of n-1 at random moments to its being noticed, in a few histories of many crashes each."""
    cluster = toy("web: {kind: workload, replicas: 1, start: {fixed: 5s}}", nodes=(2, 1), more=settings)
    delays: list[float] = []
    for seed in range(runs):
        chance = np.random.default_rng(seed)
        at = 130.0 * np.arange(count) + chance.uniform(10, 30, count)  # whole numbers of passes and renewals
        lasting = chance.uniform(60, 70, count)
        crashes = [ha.Crash("n-1", at=f"{a}s", lasting=f"{b}s") for a, b in zip(at, lasting, strict=True)]
        run = play(cluster, *crashes, over=f"{130 * count}s", seed=seed)
        noticed = times(run, "node not ready", "n-1")
        assert len(noticed) == count
        delays += list(np.subtract(noticed, at))
    return delays


@pytest.mark.parametrize(("settings", "version"), [("", "1.34"), (", node_lifecycle: {version: '1.31'}", "1.31")])
def test_a_crashed_node_is_noticed_after_the_law_of_passes(settings: str, version: str) -> None:
    law = not_ready(NodeLifecycle(version=version))
    delays = np.array(delays_until_not_ready(settings, runs=3, count=50))
    assert (law.low, law.high) == ((40, 55) if version == "1.34" else (30, 45))
    assert law.low <= delays.min() and delays.max() <= law.high + ROUND_TRIPS
    assert kstest(delays, law.cdf).pvalue > 0.001
    assert kstest(delays + 2.0, law.cdf).pvalue < 0.001, "there are enough of them to tell 2 s"


def test_the_pods_of_a_crashed_node_leave_the_endpoints_when_it_is_noticed() -> None:
    run = play(toy(), ha.Crash("n-1", at="1m", lasting="20m"))
    (noticed,) = times(run, "node not ready")
    unready = facts(run, "pod unready", until=400)
    assert [fact.detail["node"] for fact in unready] == ["n-1"]
    assert all(0 <= fact.at - noticed < ROUND_TRIPS for fact in unready)
    (endpoints,) = facts(run, "endpoints", "web", until=400)
    assert endpoints.detail["pods"] == 5 and 0 < endpoints.at - noticed < ROUND_TRIPS


def test_its_pods_are_deleted_after_their_toleration_and_replaced_elsewhere() -> None:
    deleted, back = [], []
    for seed in range(16):
        at = float(np.random.default_rng(seed).uniform(60, 120))
        run = play(toy(), ha.Crash("n-1", at=f"{at}s", lasting="20m"), over="8m", seed=seed)
        (tainted,) = times(run, "node tainted")
        (gone,) = times(run, "pod deleted")
        assert gone - tainted == pytest.approx(300, abs=ROUND_TRIPS)
        (bound,) = facts(run, "pod bound")
        assert bound.detail["node"] != "n-1"
        assert 0 < bound.at - gone < ROUND_TRIPS
        ((down, up),) = run.down("web")
        assert down == pytest.approx(at)
        assert 5 <= up - gone < 5 + 2 * ROUND_TRIPS
        deleted.append(gone - at)
        back.append(up - at)
    # crash → deletion: a grace with its luck, one more pass, and the toleration
    law = not_ready(NodeLifecycle()).later(5 + 300)
    assert np.mean(deleted) == pytest.approx(law.mean, abs=4 * np.sqrt(law.variance / len(deleted)))
    assert law.mean == pytest.approx(352, abs=1)
    assert kstest(deleted, law.cdf).pvalue > 0.001


def test_the_deleted_pod_stays_terminating_until_its_node_is_back() -> None:
    run = play(toy(), ha.Crash("n-1", at="1m", lasting="20m"))
    (gone,) = facts(run, "pod gone")
    assert 1260 <= gone.at < 1261 and gone.detail["node"] == "n-1"


def test_a_host_that_is_back_before_eviction_starts_its_pods_in_place() -> None:
    for lasting in ("20s", "4m"):  # before and after it is noticed
        run = play(toy(), ha.Crash("n-1", at="1m", lasting=lasting), over="15m")
        assert not facts(run, "pod deleted") and not facts(run, "pod created") and not facts(run, "pod bound")
        ((down, up),) = run.down("web")
        back = times(run, "fault ended")[0]
        assert down == 60 and 5 <= up - back < 5 + ROUND_TRIPS
        ready = facts(run, "pod ready")
        assert [fact.detail["node"] for fact in ready] == ["n-1"]
        assert Ending(run, deployed("web", 6)).endpoints == {"web": 6}


def test_a_host_that_is_back_at_once_says_that_its_pods_are_not_ready_yet() -> None:
    run = play(toy(), ha.Crash("n-1", at="1m", lasting="2s"), over="5m")
    (unready,) = facts(run, "pod unready")
    assert 62 < unready.at < 62 + ROUND_TRIPS
    assert [fact.detail["pods"] for fact in facts(run, "endpoints")] == [5, 6]


@pytest.mark.parametrize("seed", range(6))
def test_several_nodes_of_a_zone_are_tainted_ten_seconds_apart(seed: int) -> None:
    lost = 4
    cluster = toy("web: {kind: workload, replicas: 10, start: {fixed: 5s}}", nodes=(8, 2))
    at = float(np.random.default_rng(seed).uniform(60, 120))
    crash = [ha.Crash(f"n-{i}", at=f"{at}s", lasting="30m") for i in range(1, lost + 1)]
    run = play(cluster, *crash, over="6m", seed=seed)
    tainted = times(run, "node tainted")
    assert len(tainted) == lost
    assert np.diff(tainted) == pytest.approx([10.0] * (lost - 1), abs=ROUND_TRIPS)
    first = tainted_at(NodeLifecycle(), 1, lost, 8)
    assert first is not None and first.low <= tainted[0] - at <= first.high + ROUND_TRIPS


def test_the_last_of_several_is_tainted_as_late_as_the_law_says() -> None:
    lost, delays = 3, []
    cluster = toy("web: {kind: workload, replicas: 1, start: {fixed: 5s}}", nodes=(8, 1))
    for seed in range(30):
        at = float(np.random.default_rng(seed).uniform(20, 60))
        crash = [ha.Crash(f"n-{i}", at=f"{at}s", lasting="10m") for i in range(1, lost + 1)]
        run = play(cluster, *crash, over="140s", seed=seed)
        delays.append(times(run, "node tainted")[lost - 1] - at)
    law = tainted_at(NodeLifecycle(), lost, lost, 8)
    assert law is not None
    assert kstest(delays, law.cdf).pvalue > 0.001
    # 47.5 s with its luck and one more pass, 10 s from node to node; the first of three has the freshest lease to beat
    assert law.mean == pytest.approx(45 + 5 + 2.5 + 20 - 2.5, abs=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_a_small_zone_that_has_lost_most_of_its_nodes_loses_no_pods(seed: int) -> None:
    cluster = toy("web: {kind: workload, replicas: 10, start: {fixed: 5s}}", nodes=(8, 4))
    crash = [ha.Crash(f"n-{i}", at="1m", lasting="50m") for i in range(1, 7)]
    run = play(cluster, *crash, over="40m", seed=seed)
    assert len(facts(run, "node not ready")) == 6
    # Those noticed in an earlier pass than the rest may get the one token there is before the zone is found so bad.
    tainted = facts(run, "node tainted")
    assert len(tainted) <= 1 and all(fact.at < 60 + 60 + ROUND_TRIPS for fact in tainted)
    assert {fact.detail["node"] for fact in facts(run, "pod deleted")} <= {fact.subject for fact in tainted}


def test_a_large_zone_that_has_lost_most_of_its_nodes_is_emptied_slowly() -> None:
    cluster = toy("web: {kind: workload, replicas: 1, start: {fixed: 5s}}", nodes=(52, 4))
    crash = [ha.Crash(f"n-{i}", at="1m", lasting="50m") for i in range(1, 31)]
    run = play(cluster, *crash, over="12m")
    tainted = times(run, "node tainted")
    assert len(facts(run, "node not ready")) == 30
    assert np.diff(tainted[2:]) == pytest.approx([100.0] * (len(tainted) - 3), abs=ROUND_TRIPS)
    assert 5 <= len(tainted) <= 8


def test_when_nobody_can_be_reached_nobody_is_evicted_and_nothing_has_moved_when_all_are_back() -> None:
    cut = ha.Partition(*(f"n-{i}" for i in range(1, 7)), at="1m", lasting="20m")
    run = play(toy(), cut, over="30m")
    assert len(facts(run, "node not ready")) == 6
    assert not facts(run, "pod deleted") and not facts(run, "pod created")
    assert len(run.down("web")) == 1  # the endpoints are empty, though every pod serves
    ending = Ending(run, deployed("web", 6))
    assert ending.endpoints == {"web": 6} and not ending.unready and not ending.tainted
    assert ending.ready == set(deployed("web", 6))


def test_evictions_go_on_when_one_zone_can_be_reached_again() -> None:
    everybody = ha.Partition(*(f"n-{i}" for i in range(1, 7)), at="1m", lasting="10m")
    most = ha.Partition(*(f"n-{i}" for i in range(1, 5)), at="30s", lasting="40m")
    run = play(toy(), everybody, most, over="30m")
    assert not facts(run, "pod deleted", until=660 + 300)
    ready = times(run, "node ready", until=900)
    assert len(ready) == 2 and max(ready) < 660 + 60
    # Whoever is silent gets a whole grace more when the zone is back: all clocks of silence began anew.
    after = times(run, "node tainted", since=660)
    assert len(after) == 4 and min(after) >= min(ready)
    ending = Ending(run, deployed("web", 6))
    assert ending.endpoints["web"] == 6
    assert {ending.pods[name] for name in ending.ready - set(deployed("web", 6))} <= {"n-5", "n-6"}


def test_a_leader_and_a_node_lost_together_cost_a_takeover_and_a_whole_grace() -> None:
    sums = []
    for seed in range(12):
        at = float(np.random.default_rng(seed).uniform(60, 120))
        both = [ha.Crash(what, at=f"{at}s", lasting="20m") for what in ("kcm-1", "n-1")]
        run = play(toy(), *both, over="4m", seed=seed)
        taken = facts(run, "leading", since=at)
        (noticed,) = times(run, "node not ready")
        assert len(taken) == 1 and taken[0].subject != "kcm-1"
        assert 50 <= noticed - taken[0].at < 50 + ROUND_TRIPS
        sums.append(noticed - at)
    assert min(sums) > 13 + 50 and max(sums) < 23.8 + 50 + ROUND_TRIPS
    assert np.mean(sums) == pytest.approx(16.5 + 50, abs=3 * 1.5 / np.sqrt(len(sums)))


def test_a_new_leader_lets_tolerations_begin_anew() -> None:
    run = play(
        toy(),
        ha.Crash("n-1", at="1m", lasting="40m"),
        ha.Crash("kcm-1", at="5m", lasting="30m"),
        over="20m",
    )
    (taken,) = times(run, "leading", since=1)
    (gone,) = times(run, "pod deleted")
    assert 300 < gone - taken < 400


def test_one_node_alone_is_noticed_but_its_pods_stay() -> None:
    cluster = toy("web: {kind: workload, replicas: 2, required: 1, start: {fixed: 5s}}", nodes=(1,))
    run = play(cluster, ha.Crash("n-1", at="1m", lasting="10m"), over="15m")
    assert len(facts(run, "node not ready")) == 1
    assert not facts(run, "node tainted") and not facts(run, "pod deleted")
    assert run.down("web")[0, 1] == pytest.approx(660 + 5, abs=0.1)

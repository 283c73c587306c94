"""Pods: where they are put, when they wait, in which order they come, and how their containers are started again."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from kubernetes_toys import Ending, deployed, facts, ordinals, play, times, toy

import hasim as ha

SOON = 0.05
DB = "web: {kind: workload, controller: stateful_set, replicas: 3, required: 3, start: {fixed: 10s}%s}"
LOST = ha.Crash("n-1", at="1m", lasting="20m")


# ------------------------------------------------------------------- containers that crash


def crashes(restart: str = "", over: str = "25m", crash: str = "1s") -> list[float]:
    web = f"web: {{kind: workload, replicas: 1, start: {{fixed: 1s}}, crash: {{fixed: {crash}}}{restart}}}"
    return times(play(toy(web, nodes=(1,)), over=over), "container crashed")


def test_a_container_that_always_crashes_is_started_again_after_longer_and_longer_waits() -> None:
    # Each crash is the wait, a start of 1 s and a life of 1 s after the one before. It crashed before the beginning.
    gaps = np.diff(crashes(over="40m")) - 2.0
    whole = [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
    assert gaps[-4:] == pytest.approx([300.0] * 4)
    first = whole.index(pytest.approx(gaps[0]))
    assert gaps[: len(whole) - first] == pytest.approx(whole[first : first + len(gaps)])
    since_first = np.cumsum(whole[:7])
    assert since_first.tolist() == [0, 10, 30, 70, 150, 310, 610]


def test_a_container_that_runs_for_less_than_ten_minutes_is_no_better_than_one_that_never_ran() -> None:
    waits = np.diff(crashes(crash="100s", over="60m")) - 101.0
    assert waits[:7] == pytest.approx([0, 10, 20, 40, 80, 160, 300])


def test_ten_minutes_of_running_begin_the_waits_anew() -> None:
    at = np.array(crashes(crash="601s", over="90m"))
    assert np.diff(at) == pytest.approx([602.0] * (len(at) - 1)), "each of them at once"


def test_a_supervisor_may_be_another() -> None:
    web = ", restart: {kind: crash_loop, first: 1s, cap: 4s}"
    gaps = np.diff(crashes(web, over="2m")) - 2.0
    assert gaps[-5:] == pytest.approx([4.0] * 5)


def test_a_pod_that_crashes_leaves_the_endpoints_and_comes_back() -> None:
    web = "web: {kind: workload, replicas: 3, required: 3, start: {fixed: 5s}, crash: {fixed: 3m}}"
    run = play(toy(web), over="4m")
    crashed = times(run, "container crashed")
    assert len(crashed) == 3
    ((down, up),) = run.down("web")
    assert down == pytest.approx(crashed[0]) and up == pytest.approx(crashed[0] + 5, abs=SOON)
    assert [fact.detail["pods"] for fact in facts(run, "endpoints")][-1] == 3
    assert not facts(run, "pod created"), "it is the same pod"


def test_a_frozen_node_crashes_nobody_and_takes_no_time_off_anybodys_life() -> None:
    web = "web: {kind: workload, replicas: 1, start: {fixed: 5s}, crash: {fixed: 3m}}"
    plain = play(toy(web, nodes=(1,)), over="5m")
    frozen = play(toy(web, nodes=(1,)), ha.Pause("n-1", at="1m", lasting="30s"), over="5m")
    assert times(frozen, "container crashed")[0] == pytest.approx(times(plain, "container crashed")[0] + 30)
    assert frozen.down("web")[0].tolist() == [60, 90]


# ------------------------------------------------------------------------------- StatefulSets


def test_a_stateful_pod_on_a_dead_node_is_not_replaced_before_the_node_is_back() -> None:
    run = play(toy(DB % ""), LOST, over="30m")
    (deleted,), (gone,), (created,) = times(run, "pod deleted"), times(run, "pod gone"), times(run, "pod created")
    assert 400 < deleted < 430 and 1260 < gone < 1260 + SOON and gone < created < gone + SOON
    ((down, up),) = run.down("web")
    assert down == 60 and up == pytest.approx(created + 10, abs=SOON)


def test_there_are_never_two_of_an_ordinal() -> None:
    for seed in range(6):
        chance = np.random.default_rng(seed)
        hosts = chance.permutation(6)[:3] + 1
        faults = [
            ha.Crash(f"n-{host}", at=f"{chance.uniform(60, 600)}s", lasting=f"{chance.uniform(60, 900)}s")
            for host in hosts
        ]
        run = play(toy(DB % ""), *faults, over="40m", seed=seed)
        assert Ending(run, ordinals("web", 3)).ready == set(ordinals("web", 3))  # it would object to two of a name


def test_a_stateful_set_that_lost_everything_comes_back_in_order() -> None:
    hosts = [ha.Crash(f"n-{i}", at="1m", lasting="10m") for i in (1, 2, 3)]
    run = play(toy(DB % ", apart: true", nodes=(3,)), *hosts, over="25m")
    # All three hosts were gone, so nobody was evicted; all three start in place, at once.
    assert not facts(run, "pod created")
    assert run.down("web")[-1, 1] == pytest.approx(660 + 10, abs=SOON)


def test_ordinals_are_made_one_after_another() -> None:
    three = "web: {kind: workload, controller: stateful_set, replicas: 3, required: 3, start: {fixed: 10s}, cpu: 3000}"
    # Those of n-1 and n-2 wait for their nodes, then the lower comes first and the higher when that one is ready.
    lost = [ha.Crash(f"n-{i}", at="1m", lasting="20m") for i in (1, 2)]
    run = play(toy(three, nodes=(4,)), *lost, over="30m")
    created = facts(run, "pod created")
    assert [fact.subject for fact in created] == sorted(fact.subject for fact in created)
    assert len(created) == 2
    first, second = created
    (ready,) = times(run, "pod ready", first.subject, until=second.at)
    assert ready <= second.at < ready + SOON


def test_a_broken_pod_holds_up_the_higher_ordinals() -> None:
    # web-0 is on a dead node and stays terminating; web-2, which fails later, is not made anew before.
    run = play(
        toy(DB % ", apart: true", nodes=(2, 2)),
        ha.Crash("n-1", at="1m", lasting="40m"),
        ha.Crash("n-3", at="2m", lasting="15m"),
        over="60m",
    )
    created = facts(run, "pod created")
    assert [fact.subject for fact in created] == sorted(fact.subject for fact in created)
    assert Ending(run, ordinals("web", 3)).ready == set(ordinals("web", 3))


def test_whoever_takes_a_dead_node_away_lets_its_stateful_pods_come_back() -> None:
    remedy = {"symptom": "node not ready", "action": "drain and replace", "check": "10s", "after": "2m"}
    healed = toy(DB % "").replace("remedies", {"replace": {"of": "nodes", "remedy": remedy, "takes": {"fixed": "5m"}}})
    run = play(healed, LOST, over="30m")
    (noticed,), (gone,) = times(run, "node not ready"), times(run, "pod gone")
    assert times(run, "node joined") == [pytest.approx(1260, abs=SOON)], "when its host is back"
    assert 120 - SOON <= gone - noticed <= 130 + SOON
    assert run.down("web")[-1, 1] == pytest.approx(gone + 10, abs=2)
    assert Ending(run, ordinals("web", 3)).ready == set(ordinals("web", 3))


# ------------------------------------------------------------------------------------ placement


def homes(run: ha.Run, began: int) -> Counter[str]:
    """How many pods each node has got since the beginning."""
    return Counter(fact.detail["node"] for fact in facts(run, "pod bound"))


def test_pods_that_stand_apart_never_share_a_node_and_wait_for_one() -> None:
    web = "web: {kind: workload, replicas: 4, required: 4, start: {fixed: 5s}, apart: true}"
    run = play(toy(web, nodes=(2, 2)), LOST, over="30m")
    (created,), (bound,) = times(run, "pod created"), facts(run, "pod bound")
    assert created < 430 and bound.detail["node"] == "n-1", "there is no other"
    assert 1260 < bound.at < 1275
    assert run.down("web")[0].tolist() == pytest.approx([60, bound.at + 5], abs=SOON)
    roomy = play(toy(web, nodes=(3, 2)), LOST, over="30m")
    (bound,) = facts(roomy, "pod bound")
    assert bound.at < 430 and bound.detail["node"] != "n-1"


def test_pods_that_must_spread_over_zones_wait_for_their_zone() -> None:
    web = "web: {kind: workload, replicas: 6, required: 6, start: {fixed: 5s}, spread: zone%s}"
    zone = ha.Crash("c", at="1m", lasting="20m")
    hard = play(toy(web % ", must_spread: true"), zone, over="30m")
    assert len(facts(hard, "pod created")) == 2
    assert min(times(hard, "pod bound")) > 1260, "one more elsewhere would be a skew of two"
    assert homes(hard, 6).keys() <= {"n-5", "n-6"}
    soft = play(toy(web % ""), zone, over="30m")
    assert max(times(soft, "pod bound")) < 460


def test_pods_spread_over_zones_by_themselves() -> None:
    # Where they were at the beginning is told by where they are lost.
    web = "web: {kind: workload, replicas: 6, required: 6, start: {fixed: 5s}, spread: zone}"
    for zone in "abc":
        run = play(toy(web), ha.Crash(zone, at="1m", lasting="20m"), over="4m")
        assert len(facts(run, "pod unready")) == 2


def test_pods_that_are_larger_than_every_node_wait_for_ever() -> None:
    web = "web: {kind: workload, replicas: 2, required: 1, start: {fixed: 5s}, cpu: 5000}"
    run = play(toy(web), over="30m")
    assert run.down("web").tolist() == [[0, 1800]]
    assert not facts(run, "pod bound")


def test_a_pod_that_fits_nowhere_is_placed_when_a_node_is_free() -> None:
    web = "web: {kind: workload, replicas: 2, required: 2, start: {fixed: 5s}, cpu: 3000}"
    run = play(toy(web, nodes=(2,)), LOST, over="30m")
    ((down, up),) = run.down("web")
    (bound,) = facts(run, "pod bound")
    assert down == 60 and up == pytest.approx(bound.at + 5, abs=SOON)
    assert bound.detail["node"] == "n-1" and 1260 < bound.at < 1275


def test_who_has_priority_is_placed_first() -> None:
    web = "web: {kind: workload, replicas: 2, required: 2, start: {fixed: 5s}, cpu: 2000}"
    low = "low: {kind: workload, replicas: 2, required: 2, start: {fixed: 5s}, cpu: 2000, priority: -5}"
    high = "high: {kind: workload, replicas: 2, required: 2, start: {fixed: 5s}, cpu: 2000, priority: 5}"
    cluster = toy(low, web, high, nodes=(4,))
    lost = [ha.Crash(f"n-{i}", at="1m", lasting="40m") for i in (1, 2)]
    run = play(cluster, *lost, ha.Crash("scheduler", at="1m", lasting="9m"), over="20m")
    order = [fact.subject.split("-")[0] for fact in facts(run, "pod bound")]
    ranks = {"high": 0, "web": 1, "low": 2}
    assert all(ranks[a] <= ranks[b] for a, b in pairwise(order))


def test_a_workload_without_pods_needs_none() -> None:
    web = "web: {kind: workload, replicas: 0, required: 0, start: {fixed: 5s}}"
    run = play(toy(web), LOST, over="10m")
    assert not len(run.down("web")) and not facts(run, "pod created") and not facts(run, "endpoints")


def test_a_workload_of_which_none_must_serve_is_always_up() -> None:
    web = "web: {kind: workload, replicas: 2, required: 0, start: {fixed: 5s}}"
    run = play(toy(web, nodes=(1,)), LOST, over="10m")
    assert not len(run.down("web"))


def test_no_more_pods_than_a_node_takes() -> None:
    web = "web: {kind: workload, replicas: 6, required: 6, start: {fixed: 5s}, cpu: 0}"
    run = play(toy(web, nodes=(2,), more=", pods: 3"), LOST, over="30m")
    assert len(facts(run, "pod created")) == 3 and min(times(run, "pod bound")) > 1260
    assert run.down("web")[-1, 1] < 1280


def test_a_pod_stops_in_its_time_and_its_place_is_taken_then() -> None:
    # n-1 is silent for its kubelet alone: its pod stops when that is back, for 20 of the 30 s that it may.
    web = "web: {kind: workload, replicas: 2, required: 1, start: {fixed: 5s}, stop: {fixed: 20s}, cpu: 3000}"
    kubelets = "kubelet: {kind: pool, replicas: 2, on: ALL_NODES}"
    cluster = toy(web, nodes=(2,), parts=kubelets, more=", kubelets: kubelet")
    run = play(cluster, ha.Crash("kubelet-1", at="1m", lasting="10m"), over="20m")
    (gone,), (bound,) = times(run, "pod gone"), times(run, "pod bound")
    assert gone == pytest.approx(660 + 20, abs=SOON) and gone < bound < gone + 1 + SOON
    slow_web = web.replace("stop: {fixed: 20s}", "stop: {fixed: 20m}, grace: 45s")
    slow = toy(slow_web, nodes=(2,), parts=kubelets, more=", kubelets: kubelet")
    (gone,) = times(play(slow, ha.Crash("kubelet-1", at="1m", lasting="10m"), over="20m"), "pod gone")
    assert gone == pytest.approx(660 + 45, abs=SOON), "it is killed at the end of its grace"


def test_pods_may_tolerate_a_silent_node_for_longer_or_not_at_all() -> None:
    for seconds in (0, 30, 900):
        web = f"web: {{kind: workload, replicas: 6, required: 6, start: {{fixed: 5s}}, evict_after: {seconds}s}}"
        run = play(toy(web), ha.Crash("n-1", at="1m", lasting="28m"), over="29m")
        (tainted,), (deleted,) = times(run, "node tainted"), times(run, "pod deleted")
        assert deleted - tainted == pytest.approx(seconds, abs=SOON)


# -------------------------------------------------------------------------- machines that come

GROWING = (
    ", autoscaler: {name: spare, min_nodes: 0, max_nodes: 3, cpu: 4000, unneeded: 5m, after_add: 5m}"
    ", provisioning: {fixed: 2m}"
)


def test_machines_are_added_for_pods_that_fit_nowhere_and_given_back_when_not_needed() -> None:
    web = "web: {kind: workload, replicas: 4, required: 4, start: {fixed: 5s}, cpu: 3000}"
    run = play(toy(web, nodes=(2, 2), more=GROWING), LOST, over="60m")
    (created,) = times(run, "pod created", until=600)
    joined = facts(run, "node joined")
    assert [fact.subject for fact in joined] == ["spare-1"]
    assert 120 <= joined[0].at - created <= 120 + 10 + SOON, "a scan and the time that a machine takes"
    bound = facts(run, "pod bound")[0]
    assert bound.detail["node"] == "spare-1" and joined[0].at < bound.at < joined[0].at + 5
    assert run.down("web")[0, 1] == pytest.approx(bound.at + 5, abs=SOON)
    # n-1 is back at 21 minutes, and the machine is three quarters full: it stays.
    assert not facts(run, "node removed")


def test_a_machine_that_is_little_used_is_emptied_and_given_back() -> None:
    web = "web: {kind: workload, replicas: 7, required: 6, start: {fixed: 5s}, cpu: 1900}"
    run = play(toy(web, nodes=(2, 2), more=GROWING), LOST, over="90m")
    joined, removed = times(run, "node joined"), times(run, "node removed")
    assert len(joined) == len(removed) == 1
    assert removed[0] > 1260 + 300
    ending = Ending(run, deployed("web", 7))
    assert len(ending.ready) == 7 and ending.endpoints["web"] == 7 and not ending.going
    assert "spare-1" not in {ending.pods[name] for name in ending.ready}


def test_a_machine_of_the_same_name_can_come_again() -> None:
    web = "web: {kind: workload, replicas: 7, required: 6, start: {fixed: 5s}, cpu: 1900}"
    again = [ha.Crash("n-1", at=f"{m}m", lasting="20m") for m in (1, 70)]
    leaders = ha.Crash("kcm", at="55m", lasting="1m")  # the next has no memory of the numbers
    run = play(toy(web, nodes=(2, 2), more=GROWING), *again, leaders, over="120m")
    assert [fact.subject for fact in facts(run, "node joined")] == ["spare-1", "spare-1"]
    ending = Ending(run, deployed("web", 7))
    assert len(ending.ready) == 7 and not ending.unready


def test_no_more_machines_than_there_may_be() -> None:
    web = "web: {kind: workload, replicas: 30, required: 1, start: {fixed: 5s}, cpu: 3000}"
    run = play(toy(web, nodes=(2,), more=GROWING), over="30m")
    assert len(facts(run, "node joined")) == 3
    assert len(facts(run, "pod bound")) == 3


def test_a_machine_that_does_not_come_in_time_is_given_up_and_does_not_come() -> None:
    late = GROWING.replace("cpu: 4000,", "cpu: 4000, provision: 5m,").replace("{fixed: 2m}", "{fixed: 8m}")
    web = "web: {kind: workload, replicas: 3, required: 1, start: {fixed: 5s}, cpu: 3000}"
    run = play(toy(web, nodes=(2,), more=late), over="30m")
    assert not facts(run, "node joined") and not facts(run, "pod bound")
    asked, back = times(run, "machine asked for"), times(run, "machine given back")
    # The first was asked for before the run began. A scan sees that it is alone, another that it has been for too long.
    assert 300 < back[1] - asked[0] <= 300 + 2 * 10 + SOON


# --------------------------------------------------------------------------------- performance


@pytest.mark.slow
def test_a_thousand_pods_on_twenty_nodes_survive_an_hour_of_failures() -> None:
    web = "web: {kind: workload, replicas: 1000, required: 900, start: {fixed: 5s}, cpu: 50}"
    crashed = [ha.Crash(f"n-{i}", at=f"{5 * i}m", lasting="15m") for i in range(1, 8)]
    run = play(toy(web, nodes=(7, 7, 6)), *crashed, over="70m")
    ending = Ending(run, deployed("web", 1000))
    assert len(ending.ready) == 1000 and ending.endpoints["web"] == 1000

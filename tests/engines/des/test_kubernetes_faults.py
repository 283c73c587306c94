"""Scripted faults on nodes: what each looks like from the API, and that all is as declared when they are over."""

from __future__ import annotations

import numpy as np
import pytest
from kubernetes_toys import WEB, Ending, deployed, facts, ordinals, play, times, toy

import hasim as ha
from hasim.errors import CannotModel
from hasim.faults import Fault

SOON = 0.05
RESEND = 12.8  # what a cut link has held up comes through with the next attempt of the kernel, after so long at most
BACK = RESEND + 7.0 + 5.0  # … or with the next renewal, after 7 s, and is seen by a pass
NODES = [f"n-{i}" for i in range(1, 7)]


def nothing_moved(run: ha.Run) -> bool:
    return not facts(run, "pod deleted") and not facts(run, "pod created")


# ---------------------------------------------------------------------------- one kind after another


def test_a_paused_node_is_noticed_like_a_dead_one_and_serves_at_once_when_it_goes_on() -> None:
    run = play(toy(WEB), ha.Pause("n-1", at="1m", lasting="3m"), over="15m")
    (noticed,) = times(run, "node not ready")
    assert 100 <= noticed <= 115 + SOON
    ((down, up),) = run.down("web")
    assert down == 60 and 240 < up < 240 + SOON, "its first word is that its pods are ready"
    assert nothing_moved(run)


def test_a_short_pause_is_down_time_and_nothing_else() -> None:
    run = play(toy(WEB), ha.Pause("n-1", at="1m", lasting="20s"), over="5m")
    assert run.down("web").tolist() == [[60, 80]]
    assert not facts(run, "node not ready") and not facts(run, "endpoints")


def test_pauses_that_overlap_end_with_the_last() -> None:
    run = play(toy(WEB), ha.Pause("n-1", at="1m", lasting="20s"), ha.Pause("n-1", at="70s", lasting="20s"), over="5m")
    assert run.down("web").tolist() == [[60, 90]]


def test_a_node_that_is_cut_off_serves_on_until_it_leaves_the_endpoints() -> None:
    run = play(toy(WEB), ha.Partition("n-1", at="1m", lasting="3m"), over="15m")
    (noticed,), (ready,) = times(run, "node not ready"), times(run, "node ready")
    ((down, up),) = run.down("web")
    assert noticed <= down < noticed + SOON
    assert 240 < ready < 240 + BACK and 240 < up < 240 + 60 + SOON, "its watch is back after 30 s, and as much again"
    assert nothing_moved(run)


def test_a_short_cut_goes_unnoticed() -> None:
    run = play(toy(WEB), ha.Partition("n-1", at="1m", lasting="20s"), over="5m")
    assert not len(run.down("web")) and not facts(run, "node not ready")


@pytest.mark.parametrize(("src", "dst"), [("n-1", "apiserver"), ("apiserver", "n-1")])
def test_one_way_that_is_cut_is_enough_to_look_dead_if_it_is_the_way_there(src: str, dst: str) -> None:
    run = play(toy(WEB), ha.OneWay(src, dst, at="1m", lasting="3m"), over="15m")
    if src == "n-1":
        assert len(facts(run, "node not ready")) == 1
    else:  # renewals get there, and nobody hears that they did
        assert not facts(run, "node not ready")
    assert nothing_moved(run)
    assert Ending(run, deployed("web", 6)).endpoints.get("web", 6) == 6


def test_a_lossy_link_costs_resends_and_no_node() -> None:
    run = play(toy(WEB), ha.Loss("n-1", "apiserver", share="30%", at="1m", lasting="20m"), over="25m")
    assert not facts(run, "node not ready") and not len(run.down("web"))


def test_a_slow_link_delays_and_loses_nothing() -> None:
    web = "web: {kind: workload, replicas: 6, required: 6, start: {fixed: 5s}, crash: {fixed: 8m}}"
    run = play(toy(web), ha.SlowLink("n-1", "apiserver", extra="2s", at="1m", lasting="20m"), over="9m")
    assert not facts(run, "node not ready")
    crashed = {fact.detail["node"]: fact.at for fact in facts(run, "container crashed")}
    unready = {fact.detail["node"]: fact.at for fact in facts(run, "pod unready")}
    assert unready["n-1"] - crashed["n-1"] == pytest.approx(2, abs=SOON)
    assert unready["n-2"] - crashed["n-2"] == pytest.approx(0, abs=SOON)


def test_news_over_a_link_that_recovers_stay_in_order() -> None:
    # What was sent while the link was slow arrives before what is sent when it is not: pods do not come back to life.
    slow = [ha.SlowLink(node, "apiserver", extra="4s", at="1m", lasting="7m") for node in NODES]
    run = play(toy(WEB), *slow, ha.Crash("n-1", at="70s", lasting="20m"), over="30m")
    ending = Ending(run, deployed("web", 6))
    assert len(ending.ready) == 6 and ending.endpoints["web"] == 6 and not ending.unready


def test_a_link_slower_than_everybodys_patience_looks_like_a_cut_and_heals() -> None:
    run = play(toy(WEB), ha.SlowLink("n-1", "apiserver", extra="30s", at="1m", lasting="10m"), over="25m")
    ending = Ending(run, deployed("web", 6))
    assert len(ending.ready) == 6 and not ending.unready and not ending.tainted


def test_a_zone_crashes_and_comes_back() -> None:
    run = play(toy(WEB), ha.Crash("a", at="1m", lasting="3m"), over="15m")
    assert {fact.subject for fact in facts(run, "node not ready")} == {"n-1", "n-2"}
    assert run.down("web")[0].tolist() == [60, pytest.approx(245, abs=SOON)]
    assert nothing_moved(run)


def test_loss_of_power_takes_nodes_and_control_plane_at_once_and_all_comes_back() -> None:
    everything = ha.PowerLoss("cp-1", "cp-2", "cp-3", *NODES, at="1m", lasting="10m")
    run = play(toy(WEB), everything, over="20m")
    assert run.down("apiserver").tolist() == [[60, 660]]
    assert run.down("web")[0].tolist() == [60, pytest.approx(665, abs=SOON)]
    assert nothing_moved(run)
    ending = Ending(run, deployed("web", 6))
    assert not ending.unready and ending.endpoints.get("web", 6) == 6


def test_a_cut_between_the_control_plane_and_all_nodes_moves_nothing() -> None:
    run = play(toy(WEB), ha.Partition("cp-1", "cp-2", "cp-3", at="1m", lasting="20m"), over="30m")
    assert len(facts(run, "node not ready")) == 6
    assert not facts(run, "stopped leading"), "the control plane is together with its store"
    assert nothing_moved(run)
    assert Ending(run, deployed("web", 6)).endpoints["web"] == 6


def test_a_control_node_that_is_cut_off_costs_a_takeover() -> None:
    run = play(toy(WEB), ha.Partition("cp-1", at="1m", lasting="20m"), over="25m")
    stopped = facts(run, "stopped leading")
    assert {fact.subject for fact in stopped} == {"kcm-1", "scheduler-1"}
    assert all(60 + 10 <= fact.at <= 60 + 12 + SOON for fact in stopped)
    assert not facts(run, "node not ready") and nothing_moved(run)


def test_a_paused_leader_holds_up_what_it_was_about_to_do_and_another_takes_over() -> None:
    run = play(toy(WEB), ha.Pause("kcm-1", at="1m", lasting="3m"), ha.Crash("n-1", at="50s", lasting="20m"), over="30m")
    (taken,) = [fact for fact in facts(run, "leading", since=1) if fact.subject.startswith("kcm")]
    assert taken.subject != "kcm-1" and 73 <= taken.at <= 84
    (noticed,) = times(run, "node not ready")
    assert noticed == pytest.approx(taken.at + 50, abs=SOON), "and no other, though the old one believes its old clock"
    ending = Ending(run, deployed("web", 6))
    assert len(ending.ready) == 6 and not ending.going


def test_paused_api_servers_are_silent_and_go_on() -> None:
    run = play(toy(WEB), ha.Pause("apiserver", at="1m", lasting="2m"), over="10m")
    assert len(facts(run, "stopped leading")) == 2
    assert not facts(run, "node not ready", until=180)
    assert not len(run.down("web"))
    ending = Ending(run, deployed("web", 6))
    assert not ending.unready and ending.endpoints.get("web", 6) == 6


@pytest.mark.parametrize(
    "fault", [ha.DiskStall("n-1", at="1m", lasting="1m"), ha.ClockSkew("n-1", rate=2, at="1m", lasting="1m")]
)
def test_what_nodes_do_not_have_is_refused_by_name(fault: Fault) -> None:
    with pytest.raises(CannotModel, match="n-1 runs pods"):
        play(toy(WEB), fault, over="5m")


def test_a_zone_with_nodes_and_members_is_slowed_where_there_are_disks() -> None:
    cluster = toy(WEB, etcd=", raft: {}")
    run = play(cluster, ha.SlowDisk("cp-1", extra="20ms", at="1m", lasting="1m"), over="3m")
    assert not len(run.down("web"))


MIXED = """
hasim: 1
name: servers, pods and a control plane on the same hosts
topology:
  zones:
    a: {hosts: [cp-1, n-1]}
    b: {hosts: [n-2]}
parts:
  api: {kind: pool, replicas: 1, on: [cp-1]}
  kcm: {kind: elected, replicas: 2, on: [cp-1, n-2], lease: {}, needs: api}
  shop: {kind: pool, replicas: 2, on: [n-1, n-2], serving: {takes: 10ms}}
  web: {kind: workload, replicas: 2, required: 2, start: {fixed: 5s}}
kubernetes: {api: api, controllers: kcm, scheduler: kcm, nodes: [n-1, n-2]}
loads: {users: {rate: 5, to: shop}}
up: [web]
"""


@pytest.mark.parametrize(
    "fault",
    [
        ha.Stop("a", at="1m", lasting="1m"),
        ha.Stop("a", at="1m", lasting="1m", notice="5s"),
        ha.SlowServer("a", factor=3, at="1m", lasting="1m"),
        ha.Drain("a", at="1m", lasting="1m"),
        ha.ErrorAnswers("a", share="50%", at="1m", lasting="1m"),
        ha.SlowDisk("a", extra="5ms", at="1m", lasting="1m"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_faults_of_servers_leave_the_pods_beside_them_alone(fault: Fault) -> None:
    run = play(ha.loads(MIXED), fault, over="4m")
    assert not len(run.down("web")) and not facts(run, "node not ready") and not len(run.down("api"))


# ------------------------------------------------------------------- everything, in any order

BOTH = (
    "web: {kind: workload, replicas: 6, required: 4, start: {fixed: 5s}, cpu: 500}",
    "db: {kind: workload, controller: stateful_set, replicas: 3, required: 2, start: {fixed: 10s}, apart: true}",
)
AGENTS = ", kubelets: kubelet"
KUBELETS = "kubelet: {kind: pool, replicas: 6, on: ALL_NODES}"
PODS = [*deployed("web", 6), *ordinals("db", 3)]


def a_fault(chance: np.random.Generator) -> Fault:
    """Any fault there is for a node, an agent or a piece of the control plane, over by 20 minutes."""
    at = float(chance.uniform(30, 700))
    when = {"at": f"{at}s", "lasting": f"{min(float(chance.exponential(240)) + 1, 1150 - at)}s"}
    node = str(chance.choice(NODES))
    control = str(chance.choice(["kcm-1", "kcm-2", "scheduler-1", "cp-1", "cp-2", "cp-3", "kcm", "scheduler"]))
    far = str(chance.choice(["apiserver", "kcm-1"]))
    return [
        lambda: ha.Crash(node, **when),
        lambda: ha.Crash(str(chance.choice(["a", "b", "c"])), **when),
        lambda: ha.Crash(f"kubelet-{chance.integers(1, 7)}", **when),
        lambda: ha.Crash(control, **when),
        lambda: ha.Crash("apiserver", **when),
        lambda: ha.Crash("etcd", **when),
        lambda: ha.PowerLoss(node, str(chance.choice(["cp-1", "cp-2"])), **when),
        lambda: ha.Pause(node, **when),
        lambda: ha.Pause(str(chance.choice(["kcm-1", "cp-1", "scheduler-2", "c", "apiserver"])), **when),
        lambda: ha.Partition(*chance.choice(NODES, 3, replace=False).tolist(), **when),
        lambda: ha.Partition(str(chance.choice(["a", "cp-1", "cp-2"])), **when),
        lambda: ha.OneWay(node, "apiserver", **when),
        lambda: ha.OneWay("apiserver", node, **when),
        lambda: ha.Loss(far, "apiserver" if far != "apiserver" else node, share="40%", **when),
        lambda: ha.SlowLink(node, "apiserver", extra=f"{chance.exponential(4)}s", **when),
    ][chance.integers(15)]()


def healed(seed: int, *, controllers: str = "lease: {}", scheduler: str = "lease: {}") -> None:
    chance = np.random.default_rng(seed)
    faults = [a_fault(chance) for _ in range(chance.integers(1, 6))]
    cluster = toy(*BOTH, parts=KUBELETS, more=AGENTS, up="[web, db]", controllers=controllers, scheduler=scheduler)
    run = play(cluster, *faults, over="45m", seed=seed)
    ending = Ending(run, PODS)  # it objects to pods that are bound twice, or have a name that is taken
    failed = {fact.subject for fact in facts(run, "pod failed")}
    there = ending.pods.keys() - failed
    said = f"seed {seed}: {faults}"
    assert there == ending.ready, said
    assert len([name for name in there if name.startswith("web")]) == 6, said
    assert {name for name in there if name.startswith("db")} == set(ordinals("db", 3)), said
    assert not ending.going and not ending.unready and not ending.tainted, said
    assert ending.endpoints.get("web", 6) == 6 and ending.endpoints.get("db", 3) == 3, said
    for name in ("web", "db", "kcm", "scheduler", "apiserver"):
        down = run.down(name)
        assert not len(down) or down[-1, 1] < 2400, f"{name} is still down, {said}"


@pytest.mark.parametrize("seed", range(24))
def test_when_all_faults_are_over_everything_is_as_declared(seed: int) -> None:
    healed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 400))
def test_when_all_faults_are_over_everything_is_as_declared_at_length(seed: int) -> None:
    healed(seed)


@pytest.mark.parametrize("seed", range(4))
def test_when_all_act_everything_is_as_declared_too_in_the_end(seed: int) -> None:
    healed(seed, controllers="leader_elect: false", scheduler="leader_elect: false")


# ----------------------------------------------------------------------------------- replaying


def test_the_same_seed_gives_the_same_trace_and_another_gives_another() -> None:
    faults = [a_fault(np.random.default_rng(i)) for i in (1, 2, 3)]
    cluster = toy(*BOTH, parts=KUBELETS, more=AGENTS)
    first, again, other = (play(cluster, *faults, seed=seed) for seed in (5, 5, 6))
    assert first.trace == again.trace
    assert first.trace != other.trace


def test_a_part_that_has_nothing_to_do_with_it_changes_nothing() -> None:
    alone = play(toy(WEB), ha.Crash("n-1", at="1m", lasting="20m"))
    beside = play(toy(WEB, parts="other: {kind: pool, replicas: 3}"), ha.Crash("n-1", at="1m", lasting="20m"))
    assert alone.trace == beside.trace

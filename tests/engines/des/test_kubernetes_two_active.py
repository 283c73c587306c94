"""Nobody is elected, and all act at once: what the store's refusals save, and what they do not."""

from __future__ import annotations

from collections import Counter

import pytest
from kubernetes_toys import Ending, deployed, facts, play, times, toy

import hasim as ha

ALL_ACT = "leader_elect: false"
FULL = "web: {kind: workload, replicas: 12, required: 1, start: {fixed: 5s}, cpu: 1300}"  # three fit on a node


def backlog(seed: int, scheduler: str) -> ha.Run:
    """Four pods wait for a scheduler, and each of four nodes has room for one."""
    lost = [ha.Crash(f"n-{i}", at="1m", lasting="40m") for i in (1, 2)]
    cluster = toy(FULL, nodes=(6,), scheduler=scheduler)
    return play(cluster, *lost, ha.Crash("scheduler", at="1m", lasting="9m"), over="14m", seed=seed)


@pytest.fixture(scope="module")
def backlogs() -> list[ha.Run]:
    return [backlog(seed, ALL_ACT) for seed in range(16)]


def test_schedulers_that_all_act_bind_no_pod_twice(backlogs: list[ha.Run]) -> None:
    for run in backlogs:
        Ending(run, deployed("web", 12))  # it would say so
        refused = [fact for fact in facts(run, "conflict") if fact.subject.startswith("scheduler")]
        assert len(refused) >= 2, "of three who try one pod two are refused"
        assert all(fact.detail["over"].startswith("Pod ") for fact in refused)


def test_schedulers_that_all_act_may_fill_a_node_twice_and_its_kubelet_refuses(backlogs: list[ha.Run]) -> None:
    failed = [fact for run in backlogs for fact in facts(run, "pod failed")]
    assert failed and {fact.detail["why"] for fact in failed} == {"OutOfcpu"}
    for run in backlogs:
        ready = Ending(run, deployed("web", 12)).ready
        assert len(ready) == 12, "what was refused is replaced"
        assert len(facts(run, "pod created")) == 4 + len(facts(run, "pod failed"))


def test_one_scheduler_never_overfills_a_node() -> None:
    for seed in range(8):
        run = backlog(seed, "lease: {}")
        assert not facts(run, "pod failed")
        assert len(facts(run, "pod created")) == len(facts(run, "pod bound")) == 4


def test_controllers_that_all_act_make_each_pod_that_is_missing_and_delete_the_surplus() -> None:
    web = "web: {kind: workload, replicas: 12, required: 12, start: {fixed: 5s}, cpu: 100}"
    most: Counter[int] = Counter()
    for seed in range(6):
        run = play(toy(web, controllers=ALL_ACT), ha.Crash("n-1", at="1m", lasting="40m"), over="12m", seed=seed)
        deleted = times(run, "pod deleted")
        created = facts(run, "pod created")
        makers = {fact.subject.split("-")[3] for fact in created}
        most[len(makers)] += 1
        assert len(created) > 2, "two were lost"
        # The oscillation is over with a second, and the count is right.
        assert max(fact.at for fact in created) < deleted[0] + 1
        ending = Ending(run, deployed("web", 12))
        assert len(ending.ready) == 12 == len(ending.pods) - 2, "two are on the dead node, terminating"
        assert ending.endpoints["web"] == 12
        assert [fact for fact in facts(run, "conflict") if fact.subject.startswith("kcm")]
    assert most[3] >= 5, "all three make what is missing"


def test_duplicates_are_as_many_as_there_are_controllers_for_a_moment() -> None:
    web = "web: {kind: workload, replicas: 40, required: 1, start: {fixed: 5s}, cpu: 100}"
    run = play(toy(web, nodes=(4,), controllers=ALL_ACT), ha.Crash("n-1", at="1m", lasting="40m"), over="10m")
    there, peak = 40, 40
    for fact in run.trace:
        there += {"pod created": 1, "pod gone": -1, "pod deleted": -1}.get(fact.kind, 0)
        there += fact.kind == "pod gone" and fact.subject in times_deleted(run)
        peak = max(peak, there)
    lost = len(facts(run, "pod unready"))
    assert lost == 10
    assert 40 < peak <= 40 + 2 * lost, "at most thrice what was missing, where three make it"


def times_deleted(run: ha.Run) -> set[str]:
    return {fact.subject for fact in facts(run, "pod deleted")}


def test_one_controller_makes_just_what_is_missing() -> None:
    web = "web: {kind: workload, replicas: 40, required: 1, start: {fixed: 5s}, cpu: 100}"
    run = play(toy(web, nodes=(4,)), ha.Crash("n-1", at="1m", lasting="40m"), over="10m")
    assert len(facts(run, "pod created")) == len(facts(run, "pod deleted")) == len(facts(run, "pod bound")) == 10


def test_stateful_sets_have_no_duplicates_whoever_acts() -> None:
    db = "web: {kind: workload, controller: stateful_set, replicas: 6, required: 6, start: {fixed: 5s}}"
    run = play(toy(db, controllers=ALL_ACT), ha.Crash("n-1", at="1m", lasting="10m"), over="20m")
    created = [fact.subject for fact in facts(run, "pod created")]
    assert len(created) == len(set(created)) == 1, "a name is free once"
    refused = [fact for fact in facts(run, "conflict") if fact.detail["why"] == "exists"]
    assert len(refused) >= 2
    assert run.down("web")[-1, 1] < 700

"""Nodes that are drained: evictions ask the budgets of workloads, and nobody else does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kubernetes_toys import Deed, Ending, deployed, facts, play, times, toy

import hasim as ha
from hasim.engines.des.kubernetes.world import KubernetesWorld
from hasim.protocols.api import Change
from hasim.protocols.reconcile.objects import Node, Pod

SOON = 0.1
NEVER = ha.Release(bad=1.0, never_ready=1.0)


def web(budget: str, more: str = "", replicas: int = 6) -> str:
    given = f", budget: {{{budget}}}" if budget else ""
    return f"web: {{kind: workload, replicas: {replicas}, required: 1, start: {{fixed: 20s}}, cpu: 500{given}{more}}}"


def serving() -> tuple[Deed, list[tuple[float, int]]]:
    """A deed that notes how many pods are ready and stay, after every change."""
    seen: list[tuple[float, int]] = []

    def begin(kubernetes: KubernetesWorld) -> None:
        def changed(_: Change) -> None:
            seen.append((kubernetes.env.now, sum(pod.serves for pod in kubernetes.api.store.all(Pod))))

        kubernetes.listeners.append(changed)

    return Deed(0.0, begin), seen


def on(node: str, at: float) -> Deed:
    """The pods of a node at a time."""
    return Deed(at, lambda kubernetes: sorted(p.name for p in kubernetes.api.store.all(Pod) if p.node == node))


def story(run: ha.Run, *kinds: str) -> list[tuple[str, str]]:
    return [(fact.kind, fact.subject) for fact in run.trace if getattr(fact, "kind", "") in kinds]


def test_nodes_are_emptied_go_away_and_come_back_one_after_another() -> None:
    deed, seen = serving()
    empty = on("n-1", 850)
    run = play(toy(web("min_available: 5")), deed, empty, ha.DrainNodes("n-1", "n-2", at="10m", away="5m"), over="1h")
    steps = story(run, "cordoned", "drained", "node not ready", "node ready", "uncordoned")
    one = ["cordoned", "drained", "node not ready", "node ready", "uncordoned"]
    assert steps == [*((kind, "n-1") for kind in one), *((kind, "n-2") for kind in one)]
    assert empty.found == [[]]
    assert min(count for _, count in seen) == 5
    (log,) = run.upgrades.values()
    assert log.outcome == "rolled out" and log.ready[-1].tolist() == [0, 2] and log.strategy == "drain nodes"
    away = np.array(run.down("n-1"))
    assert np.diff(away).tolist() == [[300.0]]
    ending = Ending(run, deployed("web", 6))
    assert len(ending.ready) == 6 == len(ending.pods)


def test_without_a_budget_all_pods_of_a_node_go_at_once() -> None:
    deed, seen = serving()
    run = play(toy(web("", replicas=12)), deed, ha.DrainNodes("n-1", at="10m"))
    assert min(count for _, count in seen) == 10
    assert not facts(run, "eviction refused")
    ((cordoned, drained, uncordoned),) = zip(
        *(times(run, k) for k in ("cordoned", "drained", "uncordoned")), strict=True
    )
    assert cordoned < drained < cordoned + 1 + SOON and drained < uncordoned < drained + SOON
    assert not facts(run, "node not ready")


def test_evictions_from_one_budget_get_in_each_others_way_and_are_tried_again() -> None:
    run = play(toy(web("min_available: 1", replicas=12)), ha.DrainNodes("n-1", at="10m"))
    deleted = times(run, "pod deleted")
    assert len(deleted) == 2 and 0.5 <= deleted[1] - deleted[0] <= 1.2
    assert any(fact.subject == "kubernetes/api" for fact in facts(run, "conflict"))
    assert not facts(run, "eviction refused")


def test_a_budget_of_all_pods_holds_a_drain_for_ever() -> None:
    run = play(toy(web("min_available: 6")), ha.DrainNodes("n-1", "n-2", at="10m", away="5m"), over="30d")
    assert [fact.subject for fact in facts(run, "eviction refused")] == ["n-1"], "the first is told"
    assert not facts(run, "drained") and story(run, "cordoned", "uncordoned") == [("cordoned", "n-1")]
    (log,) = run.upgrades.values()
    assert log.outcome == "under way"
    (said,) = (warning for warning in run.warnings if warning.startswith("drain nodes: n-1"))
    assert "never will: 6 of its 6 pods must stay" in said
    refused = int(said.rsplit("; ", 1)[1].split()[0].replace(",", ""))
    assert refused == pytest.approx((30 * 86400 - 600) / 5, abs=30), "once in 5 s, in calm that is leapt over, too"
    assert any("never allows an eviction of its 6 pods" in warning for warning in run.warnings)


def test_a_node_that_is_not_empty_in_time_is_given_up_and_the_next_has_its_turn() -> None:
    text = web("min_available: 6")
    run = play(toy(text), ha.DrainNodes("n-1", "n-2", at="10m", away="5m", timeout="3m"))
    assert times(run, "drain timed out") == pytest.approx([780, 960], abs=6)
    assert story(run, "cordoned", "uncordoned") == [
        ("cordoned", "n-1"), ("uncordoned", "n-1"), ("cordoned", "n-2"), ("uncordoned", "n-2"),
    ]  # fmt: skip
    assert not facts(run, "node not ready") and len(run.down("n-1")) == 0
    assert sum("was not empty in time" in warning for warning in run.warnings) == 2


def test_a_crash_counts_against_the_budget() -> None:
    # n-6 has fallen, and its pod is missed until it runs elsewhere, after about 6 minutes.
    deed, seen = serving()
    crash = ha.Crash("n-6", at="9m", lasting="30m")
    run = play(toy(web("max_unavailable: 1")), deed, crash, ha.DrainNodes("n-1", at="10m"), over="1h")
    (drained,), created = times(run, "drained"), times(run, "pod created")
    assert facts(run, "eviction refused")
    assert drained > min(created) + 20, "its successor has to be ready first"
    assert min(count for _, count in seen) == 5


def test_a_rollout_does_not_ask_and_what_it_takes_is_missing_for_drains() -> None:
    deed, seen = serving()
    cluster = toy(web("min_available: 5", ", surge: 0, unavailable: 3"))
    run = play(cluster, deed, ha.Rolling("web", at="598s"), ha.DrainNodes("n-1", at="10m"), over="1h")
    assert min(count for _, count in seen) == 3, "the budget says 5"
    assert run.upgrades["rolling"].outcome == run.upgrades["drain nodes"].outcome == "rolled out"
    (drained,), (ended,) = times(run, "drained"), times(run, "rolled out", "web")
    assert facts(run, "eviction refused") or drained < ended


def test_pods_that_never_get_ready_hold_a_drain_unless_they_may_always_go() -> None:
    # A rollout that hangs: 5 of 6 old pods are left, and 3 new ones that are not ready. Too few for the budget.
    bad = ha.Rolling("web", at="5m", release=NEVER)
    drain = ha.DrainNodes("a", at="10m")
    held = play(toy(web('min_available: "100%"')), bad, drain, over="1d")
    assert held.upgrades["drain nodes"].outcome == "under way"
    unready = play(toy(web("min_available: 6, unhealthy: AlwaysAllow")), bad, drain, over="1d")
    went = {fact.subject for fact in facts(unready, "pod deleted", since=600)}
    assert all(name.startswith("web-2-") for name in went) and len(went) >= 1
    assert not {fact.subject for fact in facts(held, "pod deleted", since=600)}


def test_pods_of_a_daemon_set_stay() -> None:
    agent = "agent: {kind: workload, controller: daemon_set, required: 3, start: {fixed: 5s}}"
    here = on("n-1", 610)
    run = play(toy(web(""), agent), here, ha.DrainNodes("n-1", at="10m", away="5m"))
    (pods,) = here.found
    assert len(pods) == 1 and pods[0].startswith("agent-")  # type: ignore[index, arg-type]
    assert facts(run, "drained")


def test_all_at_once_or_to_stay() -> None:
    drain = ha.DrainNodes("n-1", "n-2", at="10m", away="2m", one_by_one=False, then="stay cordoned")
    nodes = Deed(1700, lambda kubernetes: [n.name for n in kubernetes.api.store.all(Node) if n.unschedulable])
    run = play(toy(web("max_unavailable: 1")), drain, nodes)
    assert times(run, "cordoned") == pytest.approx([600, 600], abs=SOON) and not facts(run, "uncordoned")
    assert nodes.found == [["n-1", "n-2"]]
    assert run.down("n-1").tolist() == run.down("n-2").tolist() and np.diff(run.down("n-1")).tolist() == [[120.0]]
    assert times(run, "drained")[0] < times(run, "drained")[1] == pytest.approx(run.down("n-1")[0, 0], abs=SOON)


@pytest.mark.parametrize("part", ["apiserver", "etcd"])
def test_a_drain_goes_on_when_the_api_is_back(part: str) -> None:
    crash = ha.Crash(part, at="601s", lasting="2m")
    drain = ha.DrainNodes("n-1", "n-2", at="600s", away="1m")
    run = play(toy(web("max_unavailable: 1", replicas=12)), crash, drain, over="1h")
    assert run.upgrades["drain nodes"].outcome == "rolled out"
    assert all(at > 720 for at in times(run, "drained"))
    ending = Ending(run, deployed("web", 12))
    assert len(ending.ready) == 12


def test_what_comes_after_a_drain_waits_for_it() -> None:
    drain = ha.DrainNodes("a", at="5m", away="3m", name="reboot")
    run = play(toy(web("max_unavailable: 1")), drain, ha.Rolling("web", at="1m", after="reboot"), over="1h")
    ended = run.upgrades["reboot"].ended_s
    assert ended is not None and run.upgrades["rolling"].began_s == pytest.approx(ended + 60)


def test_drain_budget_crash_and_rollout_together_come_to_rest() -> None:
    for seed in range(3):
        faults: list[Any] = [ha.Crash(f"n-{3 + seed}", at="11m", lasting="12m")]
        rolled = ha.Rolling("web", at="605s", surge=2, unavailable=1)
        run = play(
            toy(web("min_available: 8", replicas=10)),
            *faults,
            rolled,
            ha.DrainNodes("a", "b", at="10m", away="2m"),
            over="3h",
            seed=seed,
        )
        assert {log.outcome for log in run.upgrades.values()} == {"rolled out"}
        ending = Ending(run, deployed("web", 10))
        assert len(ending.ready) == 10 == len(ending.pods) and not ending.unready
        assert all(name.startswith("web-2-") for name in ending.ready)

"""Drains: a node is emptied as far as budgets allow, and what holds that up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maintaining import Kubectl, cluster, crash, evict, ready
from reconciling import Copy, Reconciling

from hasim.errors import ModelError
from hasim.protocols.api import Bind, Change, Create, Delete, Done, Patch, Refused
from hasim.protocols.reconcile.daemon_sets import DaemonSetController
from hasim.protocols.reconcile.deployments import DeploymentController
from hasim.protocols.reconcile.disruption import DisruptionController, Evict, Verdict, desired_healthy
from hasim.protocols.reconcile.draining import Drain, DrainStep, cordon
from hasim.protocols.reconcile.objects import (
    DaemonSet,
    Deployment,
    Node,
    Pod,
    PodDisruptionBudget,
    PodTemplate,
    StatefulSet,
)
from hasim.protocols.reconcile.replica_sets import ReplicaSetController
from hasim.protocols.reconcile.stateful_sets import StatefulSetController

V1 = PodTemplate("web", cpu=1000)
V2 = PodTemplate("web", revision=2, cpu=1000)
NEVER = 1e9


class Running:
    """A cluster that runs an app, with a budget if one is given, and the fewest of its pods that ever served."""

    def __init__(self, app: Deployment | StatefulSet, nodes: int = 3, drains: float = 1.0, **bounds: Any) -> None:
        self.starts: float | None = 2.0
        self.drains = drains
        self.world: Reconciling = cluster(nodes, lambda pod: self.starts, lambda pod: self.drains)
        self.world.add(DeploymentController())
        self.world.add(ReplicaSetController("kcm"))
        self.world.add(StatefulSetController())
        self.world.add(DaemonSetController("kcm"))
        self.world.add(DisruptionController())
        self.world.create(app)
        if bounds:
            self.world.create(PodDisruptionBudget("budget", "web", **bounds))
        self.settle(60.0)
        self.least = ready(self.world, "web")
        self.world.watch.append(self._look)

    def _look(self, change: Change) -> None:
        self.least = min(self.least, ready(self.world, "web"))

    def settle(self, seconds: float = 200.0) -> list[int]:
        """Let time go by; how many pods serve on each node then."""
        self.world.run(self.world.now + seconds)
        serving = [pod.node for pod in self.world.pods() if pod.serves]
        return [serving.count(node.name) for node in self.world.store.all(Node)]

    def drain(self, *nodes: str, **how: Any) -> Kubectl:
        return Kubectl(self.world, Drain(nodes, **how))


def web(replicas: int, **fields: Any) -> Deployment:
    return Deployment("web", replicas, V1, **fields)


# ----------------------------------------------------------------------------------------- one that ends


def test_without_a_budget_all_pods_go_at_once() -> None:
    running = Running(web(6), drains=7.5)
    assert running.settle() == [2, 2, 2]
    begun = running.world.now
    kubectl = running.drain("n1")
    assert running.settle() == [0, 3, 3]
    assert (kubectl.outcomes, running.least) == (["drained"], 4)
    # Looked for every second from the eviction on: gone after 7.5 s, seen after 8.
    assert kubectl.ended_at == begun + 8.0
    node = running.world.store.get(Node, "n1")
    assert node is not None and node.unschedulable


def test_with_a_budget_one_goes_after_another_at_most_every_five_seconds() -> None:
    running = Running(web(6), max_unavailable=1)
    begun = running.world.now
    kubectl = running.drain("n1")
    running.settle()
    assert [(at - begun, code) for at, _, code in kubectl.verdicts] == [(0, 201), (0, 429), (5, 201)]
    assert (kubectl.outcomes, running.least) == (["drained"], 5)
    assert kubectl.ended_at == begun + 6.0


def test_an_empty_node_needs_no_more_than_the_cordon() -> None:
    running = Running(web(0))
    kubectl = running.drain("n1", "n2")
    running.settle(0.0)
    assert kubectl.outcomes == ["drained", "drained"]
    assert [node.unschedulable for node in running.world.store.all(Node)] == [True, True, False]
    assert isinstance(running.world.do(cordon("n1", on=False)), Done)
    assert [node.unschedulable for node in running.world.store.all(Node)] == [False, True, False]


def test_pods_of_daemon_sets_stay_and_failed_ones_do_not() -> None:
    running = Running(web(3))
    running.world.create(DaemonSet("log", PodTemplate("log")))
    running.settle()
    (daemon,) = [pod for pod in running.world.pods("log") if pod.node == "n1"]
    kubectl = running.drain("n1")
    running.settle(20.0)
    assert kubectl.outcomes == ["drained"]
    assert [pod.name for pod in running.world.pods() if pod.node == "n1"] == [daemon.name]
    failed = replace(daemon, phase="Failed")
    drain = Drain(["n1"])
    step = drain.plan(Copy(Node("n1", unschedulable=True), DaemonSet("log", PodTemplate("log")), failed), 0.0)
    assert step.requests == (Evict(daemon.name),)


def test_a_pod_with_an_ordinal_waits_for_its_name() -> None:
    running = Running(StatefulSet("web", 3, V1), drains=30.0, max_unavailable=1)
    kubectl = running.drain("n1")
    begun = running.world.now
    running.settle(29.9)
    assert ready(running.world) == 2
    running.settle(10.0)
    assert ready(running.world) == 3
    assert kubectl.ended_at == begun + 30.0  # the pod of that name that is there now is another


# --------------------------------------------------------------------------------------- several nodes


def test_all_nodes_are_cordoned_first_and_emptied_one_after_another() -> None:
    running = Running(web(4), nodes=4, max_unavailable=1)
    assert running.settle() == [1, 1, 1, 1]
    kubectl = running.drain("n1", "n2", "n3")
    running.settle(0.5)
    assert [node.unschedulable for node in running.world.store.all(Node)] == [True, True, True, False]
    assert kubectl.outcomes == ["draining", "waiting", "waiting"]
    assert running.settle() == [0, 0, 0, 4]
    assert (kubectl.outcomes, running.least) == (["drained"] * 3, 3)


def test_what_finds_no_place_stops_the_drain_of_the_next_node() -> None:
    """Two nodes with room for four pods each: the pods of the first have nowhere to go, and the budget knows."""
    running = Running(web(8), nodes=2, max_unavailable=4)
    assert running.settle() == [4, 4]
    kubectl = running.drain("n1", "n2")
    running.settle(1e4)
    assert kubectl.outcomes == ["drained", "draining"]
    assert ready(running.world) == running.least == 4
    running.world.create(Node("n3"))
    running.settle(1e3)
    running.world.create(Node("n4"))
    assert running.settle(1e3) == [0, 0, 4, 4]
    assert (kubectl.outcomes, running.least) == (["drained", "drained"], 4)


def test_two_who_drain_at_once_share_one_budget() -> None:
    running = Running(web(6), nodes=4, max_unavailable=1)
    both = [running.drain(name) for name in ("n1", "n2")]
    running.settle()
    assert [kubectl.outcomes for kubectl in both] == [["drained"], ["drained"]]
    assert running.least == 5


def test_a_node_that_fails_does_not_keep_the_next_from_its_turn() -> None:
    running = Running(web(3), nodes=4, min_available=2)
    running.world.create(PodDisruptionBudget("second", "web", max_unavailable=3))
    kubectl = running.drain("n1", "n4")
    running.settle()
    assert running.world.store.get(Node, "n1") is not None
    assert kubectl.outcomes == ["failed", "drained"]  # two budgets cover the pod of n1, and n4 has none
    assert running.least == 3


# ------------------------------------------------------------------------------------------ what holds it


@pytest.mark.parametrize(("replicas", "bounds"), [(3, {"min_available": 3}), (1, {"min_available": 1})])
def test_a_budget_that_wants_all_pods_blocks_a_drain_for_ever(replicas: int, bounds: dict[str, Any]) -> None:
    running = Running(web(replicas), **bounds)
    node = next(pod.node for pod in running.world.pods())
    assert node is not None
    kubectl = running.drain(node)
    running.settle(1e5)
    assert kubectl.outcomes == ["draining"]
    assert {code for _, _, code in kubectl.verdicts} == {429}
    assert len(kubectl.verdicts) == pytest.approx(1e5 / 5, abs=1)
    assert running.least == replicas
    running.world.change(PodDisruptionBudget, "budget", min_available=replicas - 1)
    running.settle()
    assert kubectl.outcomes == ["drained"]


def test_percents_that_round_up_to_all_pods_block_it_too() -> None:
    for bounds, outcome in (({"min_available": "70%"}, "draining"), ({"max_unavailable": "1%"}, "drained")):
        running = Running(web(3), **bounds)
        kubectl = running.drain("n1")
        running.settle()
        assert kubectl.outcomes == [outcome]


def test_a_budget_over_pods_that_never_get_ready_blocks_it_unless_its_policy_lets_them_go() -> None:
    for unhealthy, outcome in (("IfHealthyBudget", "draining"), ("AlwaysAllow", "drained")):
        running = Running(web(3), max_unavailable=1, unhealthy=unhealthy)
        for pod in running.world.active()[:2]:
            running.world.change(Pod, pod.name, ready_at=None)
        running.settle(1.0)
        kubectl = running.drain(running.world.active()[0].node or "")
        running.settle()
        assert kubectl.outcomes == [outcome]


def test_after_its_timeout_a_node_is_given_up_and_stays_cordoned() -> None:
    running = Running(web(3), min_available=3)
    begun = running.world.now
    kubectl = running.drain("n1", timeout=12.0)
    running.settle()
    assert kubectl.outcomes == ["timed out"]
    assert kubectl.ended_at == begun + 15.0  # it is noticed with the next try
    assert [at - begun for at, *_ in kubectl.verdicts] == [0, 5, 10]
    node = running.world.store.get(Node, "n1")
    assert node is not None and node.unschedulable


def test_a_pod_that_does_not_go_holds_it_until_the_timeout() -> None:
    running = Running(web(3), drains=NEVER)
    begun = running.world.now
    kubectl, patient = running.drain("n1", timeout=12.0), running.drain("n2")
    running.settle()
    assert (kubectl.outcomes, kubectl.ended_at) == (["timed out"], begun + 12.0)
    assert patient.outcomes == ["draining"]


def test_each_node_has_a_timeout_of_its_own() -> None:
    running = Running(web(6), min_available=6)
    begun = running.world.now
    kubectl = running.drain("n1", "n2", timeout=10.0)
    running.settle()
    assert (kubectl.outcomes, kubectl.ended_at) == (["timed out", "timed out"], begun + 20.0)


def test_a_pod_without_an_owner_stops_it_unless_it_is_forced() -> None:
    running = Running(web(3))
    running.world.create(Pod("bare", V1, node="n1"))
    running.settle()
    assert running.drain("n1").outcomes == ["waiting"]
    running.settle()
    assert running.least == 3
    kubectl = running.drain("n1", force=True)
    running.settle()
    assert kubectl.outcomes == ["drained"]
    assert running.world.store.get(Pod, "bare") is None
    assert [node.unschedulable for node in running.world.store.all(Node)] == [True, False, False]


def test_a_pod_that_came_after_the_list_was_made_stays() -> None:
    """A scheduler that does not know of the cordon yet."""
    running = Running(web(3), drains=5.0)
    kubectl = running.drain("n1")
    running.settle(1.0)
    running.world.do(Create(Pod("late", V1, owner="elsewhere")))
    assert isinstance(running.world.do(Bind(Pod, "late", "n1")), Done)
    assert running.settle() == [1, 2, 1]
    assert kubectl.outcomes == ["drained"]


# -------------------------------------------------------------------------------------- what it is told


def test_the_steps_one_by_one() -> None:
    pods = [Pod(name, V1, owner="web-1", node="n1", phase="Running", ready_at=0.0) for name in ("a", "b", "c", "d")]
    store = Copy(Node("n1"), *pods, Pod("x", V1, owner="web-1", node="n2"))
    drain = Drain(["n1"])
    assert drain.plan(store, 0.0) == DrainStep((Patch(Node, "n1", (("unschedulable", True),)),))
    assert drain.plan(store, 0.0) == DrainStep()  # not before the answer
    drain.answered(cordon("n1"), Done(Node("n1", unschedulable=True)), 0.1)
    assert drain.plan(store, 0.1) == DrainStep(tuple(Evict(pod.name) for pod in pods))
    assert drain.plan(store, 0.2) == DrainStep()
    drain.answered(Evict("a"), Verdict(201), 0.3)
    drain.answered(Evict("b"), Verdict(429), 0.5)
    drain.answered(Evict("c"), Verdict(404), 0.5)
    drain.answered(Evict("d"), Verdict(201), 0.5)
    assert drain.plan(store, 0.5) == DrainStep((), 1.0)
    store.hear(Change(pods[0], None))
    assert drain.plan(store, 1.5) == DrainStep((), 1.0)
    store.hear(Change(None, replace(pods[3], created=9.0)))  # another pod of the same name
    assert drain.plan(store, 2.5) == DrainStep((), 3.0)
    assert drain.plan(store, 5.5) == DrainStep((Evict("b"),))
    drain.answered(Evict("b"), Verdict(404), 5.6)
    assert drain.plan(store, 5.6) == DrainStep()
    assert drain.ended
    assert drain.outcomes == {"n1": "drained"}
    drain.answered(Evict("b"), Verdict(429), 9.0)  # comes late, and changes nothing
    assert drain.plan(store, 99.0) == DrainStep()


@pytest.mark.parametrize("reply", [None, Verdict(403), Verdict(500)])
def test_an_eviction_that_fails_for_good_is_not_tried_again_but_the_others_are(reply: Verdict | None) -> None:
    pods = [Pod(name, V1, owner="web-1", node="n1", phase="Running", ready_at=0.0) for name in ("a", "b")]
    store = Copy(Node("n1", unschedulable=True), *pods)
    drain = Drain(["n1"])
    assert len(drain.plan(store, 0.0).requests) == 2
    drain.answered(Evict("a"), reply, 0.0)
    drain.answered(Evict("b"), Verdict(429), 0.0)
    assert drain.plan(store, 5.0) == DrainStep((Evict("b"),))
    drain.answered(Evict("b"), Verdict(201), 5.0)
    store.hear(Change(pods[1], None))
    assert drain.plan(store, 5.0) == DrainStep()
    assert drain.outcomes == {"n1": "failed"}


def test_a_cordon_that_fails_spoils_it_all() -> None:
    for reply in (None, Refused("not found")):
        drain, store = Drain(["n1", "n2"]), Copy(Node("n1"), Node("n2"))
        assert len(drain.plan(store, 0.0).requests) == 2
        drain.answered(cordon("n1"), reply, 0.0)
        drain.answered(cordon("n2"), Done(Node("n2", unschedulable=True)), 0.0)
        assert drain.plan(store, 0.0) == DrainStep()
        assert drain.outcomes == {"n1": "failed", "n2": "failed"}
    drain = Drain(["n1", "unknown"])
    assert drain.plan(Copy(Node("n1")), 0.0) == DrainStep()
    assert drain.ended


def test_a_timeout_is_more_than_nothing() -> None:
    with pytest.raises(ModelError, match=r"^timeout: got 0; more than 0 seconds"):
        Drain(["n1"], timeout=0)
    assert Drain([]).ended


# ------------------------------------------------------------------------- what holds on every way there


def test_a_crash_during_a_drain_costs_the_budget_and_holds_the_drain_up() -> None:
    running = Running(web(4), nodes=4, max_unavailable=1)
    running.starts = 20.0
    crash(running.world, running.world.active()[3])
    kubectl = running.drain("n1")
    begun = running.world.now
    running.settle(15.0)
    assert {code for _, _, code in kubectl.verdicts} <= {201, 429}
    assert running.least == 2  # the crash, and an eviction before the controller had heard of it
    running.settle()
    assert kubectl.outcomes == ["drained"]
    kubectl = running.drain("n2")
    running.settle(0.005)
    first = [code for _, _, code in kubectl.verdicts]
    crash(running.world, next(pod for pod in running.world.active() if pod.node == "n4"))
    running.settle(300.0)
    assert kubectl.outcomes == ["drained"]
    assert first.count(201) == 1
    assert begun < (kubectl.ended_at or 0.0)


@settings(max_examples=40, deadline=None)
@given(
    replicas=st.integers(1, 7),
    bound=st.one_of(st.integers(0, 7), st.sampled_from(["0%", "30%", "50%", "100%"])),
    least=st.booleans(),
    starts=st.floats(0.1, 20.0),
    drains=st.floats(0.0, 20.0),
    turns=st.lists(st.tuples(st.floats(0.0, 30.0), st.sampled_from(["n1", "n2", "n3"])), min_size=1, max_size=3),
)
def test_drains_end_exactly_if_the_budget_ever_allows_an_eviction(
    replicas: int, bound: int | str, least: bool, starts: float, drains: float, turns: list[tuple[float, str]]
) -> None:
    """Several at once, some of one node, with room elsewhere; and never fewer pods than the budget wants."""
    bounds = {"min_available" if least else "max_unavailable": bound}
    running = Running(web(replicas), nodes=5, drains=drains, **bounds)
    running.starts = starts
    desired = desired_healthy(PodDisruptionBudget("", "", **bounds), replicas)
    here = {pod.node for pod in running.world.pods()}
    drained = []
    for pause, name in turns:
        drained.append((name in here, running.drain(name)))
        running.settle(pause)
    running.settle(1500.0)
    if desired < replicas:
        assert all(kubectl.outcomes == ["drained"] for _, kubectl in drained)
        assert not {pod.node for pod in running.world.pods()} & {name for _, name in turns}
        assert ready(running.world) == replicas
    else:
        assert all(kubectl.outcomes == ["draining" if held else "drained"] for held, kubectl in drained)
    assert running.least >= min(desired, replicas)


def test_evicting_by_hand_is_what_a_drain_does() -> None:
    running = Running(web(3), max_unavailable=1)
    name = running.world.pods()[0].name
    assert evict(running.world, name).code == 201
    found = running.world.store.get(Pod, name)
    assert found is not None and found.deleted == running.world.now
    assert isinstance(running.world.do(Delete(Pod, name, force=True)), Done)
    assert evict(running.world, name).code == 404

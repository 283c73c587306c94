"""The pod collector and the endpoints: what is removed by force, when, and who gets traffic."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconciling import Copy, Kubelets, Reconciling

from hasim.errors import ModelError
from hasim.protocols.api import Change, Create, Delete, Done, Refused, Update
from hasim.protocols.reconcile.controller import NOTHING
from hasim.protocols.reconcile.endpoints import EndpointsController
from hasim.protocols.reconcile.objects import OUT_OF_SERVICE, Endpoints, Node, Pod, PodTemplate, ReplicaSet, Taint
from hasim.protocols.reconcile.pod_gc import PodCollector
from hasim.protocols.reconcile.replica_sets import ReplicaSetController

WEB = PodTemplate("web")
GIVEN_UP = (Taint(OUT_OF_SERVICE, "NoExecute"),)


def pod(name: str, **fields: Any) -> Pod:
    return Pod(name, fields.pop("template", WEB), **{"node": "n1", "phase": "Running", "ready_at": 1.0, **fields})


def collected(collector: PodCollector, now: float, *things: Any) -> list[str]:
    plan = collector.plan("", Copy(*things), now)
    assert plan.again is None
    requests = [each for together in plan.batches for each in together]
    assert all(isinstance(each, Delete) and each.force for each in requests)
    return [each.name for each in requests if isinstance(each, Delete)]


# --------------------------------------------------------------------------------- the collector


def test_the_collector_looks_every_twenty_seconds_whatever_happens() -> None:
    collector = PodCollector()
    assert collector.period == 20.0
    assert list(collector.keys(Change(None, pod("a")), Copy())) == []
    assert collector.plan("", Copy(), 0.0) == NOTHING


def test_pods_of_a_node_that_is_gone_are_in_quarantine_for_forty_seconds() -> None:
    collector, pods = PodCollector(), [pod("a"), pod("b", deleted=2.0), pod("c", node=None), pod("d", node="n2")]
    for now, doomed in ((100.0, []), (120.0, []), (139.9, []), (140.0, ["a", "b"])):
        assert collected(collector, now, Node("n2"), *pods) == doomed
    # What is left of them, or comes late, is in quarantine again.
    assert collected(collector, 160.0, Node("n2"), *pods) == []
    assert collected(collector, 200.0, Node("n2"), *pods) == ["a", "b"]


def test_a_node_that_comes_back_ends_the_quarantine() -> None:
    collector = PodCollector()
    for now, nodes in ((0.0, []), (20.0, [Node("n1")]), (40.0, []), (60.0, [])):
        assert collected(collector, now, pod("a"), *nodes) == []
    assert collected(collector, 80.0, pod("a")) == ["a"]


@pytest.mark.parametrize(
    ("node", "deleted", "doomed"),
    [
        (Node("n1", ready="Unknown", taints=GIVEN_UP), 1.0, ["a"]),
        (Node("n1", ready="False", taints=GIVEN_UP), 1.0, ["a"]),
        (Node("n1", ready="True", taints=GIVEN_UP), 1.0, []),
        (Node("n1", ready="Unknown", taints=GIVEN_UP), None, []),
        (Node("n1", ready="Unknown"), 1.0, []),
    ],
)
def test_only_terminating_pods_of_unready_nodes_out_of_service_go(
    node: Node, deleted: float | None, doomed: list[str]
) -> None:
    assert collected(PodCollector(), 0.0, node, pod("a", deleted=deleted)) == doomed


def test_terminating_pods_on_no_node_go() -> None:
    assert collected(PodCollector(), 0.0, pod("a", node=None, deleted=1.0), pod("b", node=None)) == ["a"]


def test_failed_pods_beyond_the_limit_go_evicted_ones_first_and_then_the_oldest() -> None:
    node = Node("n1")
    pods = [
        pod("a-young", phase="Failed", created=9.0),
        pod("old-b", phase="Failed", created=1.0),
        pod("old-a", phase="Failed", created=1.0),
        pod("evicted", phase="Failed", created=8.0, reason="Evicted"),
        pod("running", created=0.0),
    ]
    ranked = ["evicted", "old-a", "old-b", "a-young"]
    for limit in range(1, 6):
        assert collected(PodCollector(limit), 0.0, node, *pods) == ranked[: max(4 - limit, 0)]
    assert collected(PodCollector(0), 0.0, node, *pods) == []
    many = [pod(f"p{n}", phase="Failed") for n in range(12_503)]
    assert len(collected(PodCollector(), 0.0, node, *many)) == 3


def test_a_pod_is_doomed_once_for_several_reasons() -> None:
    collector = PodCollector(1)
    pods = [pod(name, phase="Failed", deleted=1.0) for name in "ab"]
    collected(collector, 0.0, *pods)
    assert sorted(collected(collector, 40.0, *pods)) == ["a", "b"]


def test_a_limit_below_nothing_is_named() -> None:
    with pytest.raises(ModelError, match=r"^failed_max: got -1; at least 0"):
        PodCollector(-1)


@pytest.mark.parametrize("removed", [300.0, 307.0, 319.5, 1e6 + 0.1])
def test_the_collector_of_a_world_removes_what_a_dead_node_leaves(removed: float) -> None:
    """A pass every 20 s; the first to see the node missing begins the quarantine, the third ends it."""
    world = Reconciling()
    Kubelets(world, drains=lambda pod: None if pod.node == "n1" else 1.0)
    world.create(*(Node(name) for name in ("n1", "n2", "n3")), ReplicaSet("web-1", 6, WEB))
    world.add(ReplicaSetController("kcm"))
    loop = world.add(PodCollector())
    world.run(107.0)
    for name in [each.name for each in world.pods() if each.node == "n1"]:
        world.do(Delete(Pod, name))
    world.run(removed)
    assert (len(world.pods()), len(world.active())) == (8, 6)
    passes = loop.syncs
    world.do(Delete(Node, "n1"))
    world.run(removed + 61.0)
    # Two that were terminating, and one of those that replaced them.
    gone = [at for at, change in world.changes if change.after is None and change.key[0] is Pod and at > removed]
    assert gone == [gone[0]] * 3
    assert gone[0] == pytest.approx(0.01 + 20.0 * (passes + 2))
    assert 40.0 <= gone[0] - removed <= 60.1


# --------------------------------------------------------------------------------- the endpoints


def test_endpoints_are_the_pods_that_serve_in_the_order_of_their_names() -> None:
    api = PodTemplate("api")
    pods = [
        pod("c"),
        pod("a"),
        pod("b", ready_at=None),
        pod("d", deleted=3.0),
        pod("e", template=api),
        pod("f", template=PodTemplate("web", revision=2)),
    ]
    controller = EndpointsController()
    assert controller.plan("web", Copy(*pods), 0.0).batches == ((Create(Endpoints("web", ("a", "c", "f"))),),)
    assert controller.plan("api", Copy(*pods), 0.0).batches == ((Create(Endpoints("api", ("e",))),),)


def test_endpoints_are_written_only_when_they_change_and_over_what_was_seen() -> None:
    controller = EndpointsController()
    written = Endpoints("web", ("a",), version=41)
    assert controller.plan("web", Copy(written, pod("a")), 0.0) == NOTHING
    assert controller.plan("web", Copy(written), 0.0).batches == ((Update(Endpoints("web", (), version=41)),),)
    assert controller.plan("web", Copy(pod("a", ready_at=None)), 0.0) == NOTHING
    assert controller.plan("web", Copy(), 0.0) == NOTHING
    assert controller.plan("web", Copy(Endpoints("web")), 0.0) == NOTHING


def test_endpoints_are_looked_at_for_their_pods_and_for_what_others_write() -> None:
    keys = EndpointsController().keys
    moved = Change(pod("a"), pod("a", template=PodTemplate("api")))
    assert list(keys(moved, Copy())) == ["web", "api"]
    for change in (Change(None, pod("a")), Change(pod("a"), pod("a")), Change(pod("a"), None)):
        assert list(keys(change, Copy())) == ["web"]
    assert list(keys(Change(Endpoints("web"), None), Copy())) == ["web"]
    assert list(keys(Change(None, Node("web")), Copy())) == []


def test_of_two_controllers_that_write_at_once_one_is_refused_and_tries_again() -> None:
    world = Reconciling(latency=0.005)
    Kubelets(world)
    loops = [world.add(EndpointsController(), delay) for delay in (0.01, 0.0101)]
    world.create(*(Pod(f"p{n}", WEB) for n in range(3)))
    world.run(60.0)
    replies = [reply for loop in loops for _, _, reply in loop.asked]
    assert any(isinstance(reply, Refused) for reply in replies)
    assert any(isinstance(reply, Done) for reply in replies)
    found = world.store.get(Endpoints, "web")
    assert found is not None
    assert found.pods == ("p0", "p1", "p2")


@settings(max_examples=60, deadline=None)
@given(
    delays=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
    latency=st.sampled_from([0.0, 0.2]),
    sizes=st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(0, 6)), min_size=1, max_size=8),
    lost=st.lists(st.booleans(), max_size=30),
)
def test_endpoints_end_as_the_pods_that_serve(
    delays: tuple[float, float], latency: float, sizes: list[tuple[float, int]], lost: list[bool]
) -> None:
    """With late caches, two writers and answers that get lost."""
    world = Reconciling(latency)
    Kubelets(world)
    world.create(ReplicaSet("web-1", 2, WEB))
    world.add(ReplicaSetController("kcm"))
    loops = [world.add(EndpointsController(), delay) for delay in delays]
    losses = iter(lost)
    world.lose = lambda request: next(losses, False)
    for pause, replicas in sizes:
        world.change(ReplicaSet, "web-1", replicas=replicas)
        world.run(world.now + pause)
    world.run(world.now + 200.0)
    found = world.store.get(Endpoints, "web")
    assert (found.pods if found else ()) == tuple(sorted(each.name for each in world.active()))
    assert len(world.active()) == sizes[-1][1]
    asked = sum(len(loop.asked) for loop in loops)
    world.run(world.now + 200.0)
    assert sum(len(loop.asked) for loop in loops) == asked


def test_an_unready_pod_is_out_of_the_endpoints_as_soon_as_news_of_it_arrives() -> None:
    world = Reconciling()
    Kubelets(world)
    world.create(ReplicaSet("web-1", 3, WEB))
    world.add(ReplicaSetController("kcm"))
    world.add(EndpointsController(), delay=0.4)
    world.run(50.0)
    first = world.pods()[0].name
    world.change(Pod, first, ready_at=None)
    world.run(60.0)
    at, change = world.changes[-1]
    assert at == pytest.approx(50.4)
    assert first not in change.after.pods
    assert len(change.after.pods) == 2

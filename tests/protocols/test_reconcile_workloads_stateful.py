"""StatefulSets: one after another, one of each ordinal, and what holds them up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconciling import Copy, Kubelets, Reconciling

from hasim.protocols.api import Change, Create, Delete, Refused, Request, Update
from hasim.protocols.reconcile.controller import NOTHING
from hasim.protocols.reconcile.objects import Node, Pod, PodTemplate, ReplicaSet, StatefulSet, Taint
from hasim.protocols.reconcile.pod_gc import PodCollector
from hasim.protocols.reconcile.stateful_sets import StatefulSetController

V1 = PodTemplate("db")
V2 = PodTemplate("db", revision=2)
V3 = PodTemplate("db", revision=3)


def db(replicas: int, **fields: Any) -> StatefulSet:
    return StatefulSet("db", replicas, fields.pop("template", V1), settled=fields.pop("settled", V1), **fields)


def pod(ordinal: int, template: PodTemplate = V1, **fields: Any) -> Pod:
    """A pod of the set that serves, unless fields say otherwise."""
    how = {"node": "n1", "phase": "Running", "ready_at": 0.0, **fields}
    return Pod(f"db-{ordinal}", template, owner="db", **how)


def coming(ordinal: int, template: PodTemplate = V1) -> Pod:
    return pod(ordinal, template, phase="Pending", ready_at=None)


def going(ordinal: int, template: PodTemplate = V1) -> Pod:
    return pod(ordinal, template, deleted=1.0)


def failed(ordinal: int) -> Pod:
    return pod(ordinal, phase="Failed", ready_at=None)


def create(ordinal: int, template: PodTemplate = V1) -> Request:
    return Create(Pod(f"db-{ordinal}", template, owner="db", created=7.0))


def delete(ordinal: int) -> Request:
    return Delete(Pod, f"db-{ordinal}")


def planned(*things: Any) -> list[Request]:
    plan = StatefulSetController().plan("db", Copy(*things), 7.0)
    assert plan.again is None
    return [request for together in plan.batches for request in together]


class Playing:
    """A set that runs: its controller, and kubelets that take a second for everything."""

    def __init__(self, stateful_set: StatefulSet, latency: float = 0.0, delay: float = 0.01) -> None:
        self.world = Reconciling(latency)
        self.starts: Callable[[Pod], float | None] = lambda pod: 1.0
        self.unreachable: set[str] = set()
        Kubelets(self.world, lambda pod: self.starts(pod), self._drains)  # noqa: PLW0108 `starts` is set later
        self.world.create(stateful_set)
        self.loop = self.world.add(StatefulSetController(), delay)
        self.settle()

    def _drains(self, pod: Pod) -> float | None:
        return None if pod.node in self.unreachable else 1.0

    def settle(self, seconds: float = 200.0) -> list[tuple[str, int]]:
        """Let time go by; the names of the pods that serve then, and their revisions."""
        self.world.run(self.world.now + seconds)
        return sorted((each.name, each.template.revision) for each in self.world.pods() if each.serves)

    def write(self, **fields: Any) -> None:
        self.world.change(StatefulSet, "db", **fields)

    def story(self, since: int = 0) -> list[str]:
        """What happened to the pods: "+0" came, "-0" was deleted, in order."""
        told = []
        for _, (before, after) in self.world.changes[since:]:
            if isinstance(after or before, Pod):
                ordinal = (after or before).name.removeprefix("db-")
                if before is None:
                    told.append(f"+{ordinal}")
                elif before.deleted is None and (after is None or after.deleted is not None):
                    told.append(f"-{ordinal}")
        return told


# ------------------------------------------------------------------------------------- in order


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([], [create(0)]),
        ([pod(0)], [create(1)]),
        ([coming(0)], []),
        ([going(0)], []),
        ([pod(0), coming(1), pod(2)], []),
        ([pod(0), pod(2)], [create(1)]),
        ([pod(0), going(1), pod(2)], []),
        ([pod(0), failed(1)], [delete(1)]),
        ([coming(0), failed(1)], []),
        ([replace(failed(0), deleted=1.0)], []),
        ([pod(0), pod(1), pod(2)], []),
        # Too many: the highest goes, once all below the limit are ready and all others too many are, too.
        ([pod(0), pod(1), pod(2), pod(3), pod(4)], [delete(4)]),
        ([pod(0), pod(1), pod(2), pod(3), coming(4)], [delete(4)]),
        ([pod(0), pod(1), pod(2), coming(3), pod(4)], [delete(4)]),
        ([pod(0), pod(1), pod(2), coming(3), coming(4)], []),
        ([pod(0), pod(1), pod(2), pod(3), going(4)], []),
        ([pod(0), pod(1), coming(2), pod(3)], []),
        ([pod(0), pod(2), pod(3)], [create(1)]),
    ],
)
def test_the_next_step_in_order(pods: list[Pod], expected: list[Request]) -> None:
    assert planned(db(3), *pods) == expected


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([], [create(0), create(1), create(2)]),
        ([coming(0), going(1)], [create(2)]),
        ([failed(0), pod(1)], [delete(0), create(2)]),
        ([replace(failed(0), deleted=1.0), pod(1)], [create(2)]),
        ([pod(0), coming(1), pod(2), coming(3), going(4), pod(5)], [delete(5), delete(3)]),
    ],
)
def test_in_parallel_all_is_done_at_once(pods: list[Pod], expected: list[Request]) -> None:
    assert planned(db(3, parallel=True), *pods) == expected


def test_in_parallel_pods_are_created_with_a_slow_start() -> None:
    plan = StatefulSetController().plan("db", Copy(db(2000, parallel=True)), 7.0)
    assert [len(each) for each in plan.batches] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 500, 489]


@pytest.mark.parametrize(
    ("pods", "ordered", "parallel"),
    [
        ([pod(0), pod(1), pod(2)], [delete(2)], [delete(2)]),
        ([pod(0), pod(1), going(2)], [], []),
        ([pod(0), pod(1), coming(2, V2)], [], []),
        ([pod(0), pod(1), going(2, V2)], [], []),
        ([pod(0), pod(1)], [create(2, V2)], [create(2, V2)]),
        ([pod(0), pod(1), pod(2, V2)], [delete(1)], [delete(1)]),
        ([pod(0), pod(1, V2), pod(2)], [delete(2)], [delete(2)]),
        ([pod(0), coming(1), pod(2, V2)], [], [delete(1)]),  # a broken old pod: only in order it holds all up
        ([coming(0), pod(1), pod(2)], [], [delete(2)]),
        ([pod(0), failed(1), pod(2, V2)], [delete(1)], [delete(1)]),
        ([pod(0), pod(1), pod(2), pod(3)], [delete(3)], [delete(3), delete(2)]),
    ],
)
def test_a_new_template_takes_the_highest_pod_first_and_waits_for_its_successor(
    pods: list[Pod], ordered: list[Request], parallel: list[Request]
) -> None:
    assert planned(db(3, template=V2), *pods) == ordered
    assert planned(db(3, template=V2, parallel=True), *pods) == parallel


def test_pods_below_the_partition_keep_and_get_the_settled_template() -> None:
    def half(*pods: Pod, partition: int = 2) -> list[Request]:
        return planned(db(4, template=V2, partition=partition), *pods)

    assert half(pod(0), pod(1), pod(2), pod(3)) == [delete(3)]
    assert half(pod(0), pod(1), pod(2, V2), pod(3, V2)) == []
    assert half(pod(0), pod(2, V2), pod(3, V2)) == [create(1, V1)]
    assert half(pod(0), pod(1), pod(3, V2)) == [create(2, V2)]
    assert half(pod(0), pod(1), pod(2), pod(3), partition=4) == half(pod(0), pod(1), pod(2), pod(3), partition=9) == []
    assert half(partition=0) == [create(0, V2)]


def test_what_is_not_a_pod_of_the_set_is_left_alone() -> None:
    strays = [
        Pod("db-0", V1),
        Pod("db-1", V1, owner="other"),
        *(Pod(f"db-{text}", V1, owner="db") for text in ("x", "01", "-1", "", "٣", "1-0")),
    ]
    assert planned(db(0, settled=V1), *strays) == []
    assert planned(db(1), *strays[1:]) == [create(0)]
    keys = StatefulSetController().keys
    cache = Copy(db(1), ReplicaSet("web-1", 1, V1))
    assert list(keys(Change(None, pod(5)), cache)) == ["db"]
    assert list(keys(Change(db(1), None), cache)) == ["db"]
    for other in (Pod("web-1-a-1", V1, owner="web-1"), ReplicaSet("web-1", 1, V1), strays[0]):
        assert list(keys(Change(None, other), cache)) == []
    assert StatefulSetController().plan("gone", cache, 0.0) == NOTHING


def test_the_template_is_settled_when_all_pods_have_it_and_serve() -> None:
    first = db(2, settled=None)
    assert planned(first) == [Update(replace(first, settled=V1)), create(0)]
    rolling = db(2, template=V2)
    for pods in ([pod(0), pod(1, V2)], [pod(0, V2), coming(1, V2)], [pod(0, V2), pod(1, V2), going(2)]):
        assert not any(isinstance(each, Update) for each in planned(rolling, *pods))
    assert planned(rolling, pod(0, V2), pod(1, V2)) == [Update(replace(rolling, settled=V2))]


# ----------------------------------------------------------------------------------- as it runs


def test_pods_come_up_one_after_another_and_go_from_the_top() -> None:
    playing = Playing(db(3, settled=None))
    assert playing.settle() == [("db-0", 1), ("db-1", 1), ("db-2", 1)]
    times = [at for at, change in playing.world.changes if change.before is None and change.key[0] is Pod]
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))
    playing.write(replicas=0)
    playing.settle()
    assert playing.story() == ["+0", "+1", "+2", "-2", "-1", "-0"]
    assert playing.world.pods() == []


def test_a_rollout_goes_from_the_highest_ordinal_down_one_at_a_time() -> None:
    playing = Playing(db(3))
    begun = len(playing.world.changes)
    playing.write(template=V2)
    assert playing.settle() == [("db-0", 2), ("db-1", 2), ("db-2", 2)]
    assert playing.story(begun) == ["-2", "+2", "-1", "+1", "-0", "+0"]
    found = playing.world.store.get(StatefulSet, "db")
    assert found is not None
    assert found.settled == V2


def test_a_canary_stays_behind_its_partition_even_when_pods_die() -> None:
    playing = Playing(db(4))
    playing.write(template=V2, partition=3)
    assert playing.settle() == [("db-0", 1), ("db-1", 1), ("db-2", 1), ("db-3", 2)]
    playing.loop.crash()
    playing.loop = playing.world.add(StatefulSetController())
    playing.world.do(Delete(Pod, "db-1"))
    playing.world.do(Delete(Pod, "db-3"))
    assert playing.settle() == [("db-0", 1), ("db-1", 1), ("db-2", 1), ("db-3", 2)]
    playing.write(partition=0)
    assert playing.settle() == [(f"db-{n}", 2) for n in range(4)]


def test_one_broken_pod_blocks_the_rollout_and_the_way_back_until_it_is_deleted() -> None:
    playing = Playing(db(3))
    playing.starts = lambda pod: None if pod.template == V2 else 1.0
    playing.write(template=V2)
    serving = [("db-0", 1), ("db-1", 1)]
    assert playing.settle() == serving
    playing.write(template=V1)
    assert playing.settle() == serving
    playing.write(template=V3, replicas=5)
    assert playing.settle() == serving
    playing.world.do(Delete(Pod, "db-2"))
    assert playing.settle() == [(f"db-{n}", 3) for n in range(5)]


def test_in_parallel_a_broken_pod_does_not_block_the_way_back() -> None:
    playing = Playing(db(3, parallel=True))
    playing.starts = lambda pod: None if pod.template == V2 else 1.0
    playing.write(template=V2)
    assert playing.settle() == [("db-0", 1), ("db-1", 1)]
    playing.write(template=V1)
    assert playing.settle() == [(f"db-{n}", 1) for n in range(3)]


@pytest.mark.parametrize("parallel", [False, True])
def test_a_pod_on_a_node_that_nobody_reaches_is_not_replaced(parallel: bool) -> None:
    playing = Playing(db(3, parallel=parallel))
    node = playing.world.pods()[1].node
    assert node is not None
    playing.unreachable.add(node)
    playing.world.do(Delete(Pod, "db-1"))  # as its eviction would
    assert playing.settle(1e5) == [("db-0", 1), ("db-2", 1)]
    playing.world.do(Delete(Pod, "db-1", force=True))
    assert playing.settle() == [("db-0", 1), ("db-1", 1), ("db-2", 1)]


@pytest.mark.parametrize("how", ["node deleted", "out of service"])
def test_the_collector_frees_the_ordinal_of_a_node_that_is_given_up(how: str) -> None:
    playing = Playing(db(3))
    world = playing.world
    world.create(*(Node(name) for name in ("n1", "n2", "n3")))
    world.add(PodCollector())
    playing.settle(100.0)
    node = world.pods()[1].node
    assert node is not None
    playing.unreachable.add(node)
    world.change(Node, node, ready="Unknown")
    world.do(Delete(Pod, "db-1"))
    assert len(playing.settle(1000.0)) == 2
    if how == "node deleted":
        world.do(Delete(Node, node))
    else:
        world.change(Node, node, taints=(Taint("node.kubernetes.io/out-of-service", "NoExecute"),))
    begun = world.now
    assert len(playing.settle(100.0)) == 3
    back = max(each.created for each in world.pods()) - begun
    low, high = (40.0, 60.2) if how == "node deleted" else (0.0, 20.2)
    assert low <= back <= high


def test_failed_pods_are_deleted_and_made_again() -> None:
    playing = Playing(db(2))
    begun = len(playing.world.changes)
    playing.world.change(Pod, "db-0", phase="Failed", ready_at=None)
    assert playing.settle() == [("db-0", 1), ("db-1", 1)]
    assert playing.story(begun) == ["-0", "+0"]


@settings(max_examples=60, deadline=None)
@given(
    parallel=st.booleans(),
    delay=st.floats(0.0, 0.9),
    latency=st.sampled_from([0.0, 0.3]),
    edits=st.lists(st.tuples(st.floats(0.0, 5.0), st.sampled_from([V1, V2]), st.integers(0, 4), st.integers(0, 9))),
    fails=st.lists(st.booleans(), max_size=30),
)
def test_two_controllers_at_once_never_have_two_pods_of_an_ordinal_and_come_to_rest(
    parallel: bool,
    delay: float,
    latency: float,
    edits: list[tuple[float, PodTemplate, int, int]],
    fails: list[bool],
) -> None:
    """Whatever is written, refused, deleted by hand and seen late; in order there is one move at a time."""
    playing = Playing(db(2, parallel=parallel), latency, delay)
    world = playing.world
    world.add(StatefulSetController(), delay / 2 + 0.05)
    failures = iter(fails)
    world.refuse = lambda request: Refused("forbidden") if next(failures, False) else None
    for pause, template, replicas, victim in edits:
        playing.write(template=template, replicas=replicas)
        if world.store.get(Pod, f"db-{victim}") is not None:
            world.do(Delete(Pod, f"db-{victim}"))
        world.run(world.now + pause)
    found = world.store.get(StatefulSet, "db")
    assert found is not None
    expected = [(f"db-{n}", found.template.revision) for n in range(found.replicas)]
    assert playing.settle(600.0) == expected
    found = world.store.get(StatefulSet, "db")
    assert found is not None
    assert found.settled == found.template
    # Where it rests, it asks for nothing more.
    syncs = playing.loop.syncs
    playing.settle()
    assert playing.loop.syncs == syncs

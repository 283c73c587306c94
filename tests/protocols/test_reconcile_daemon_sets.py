"""DaemonSets: one pod a node, which nodes those are, and how one template gives way to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maintaining import Machines, crash, vanish
from reconciling import Copy, Loop, Reconciling

from hasim.errors import ModelError
from hasim.protocols.api import Change, Create, Delete, Done, Refused, Request
from hasim.protocols.reconcile.controller import NOTHING, Plan
from hasim.protocols.reconcile.daemon_sets import DaemonSetController, daemon_bounds, daemon_template, place_for
from hasim.protocols.reconcile.objects import (
    NOT_READY,
    UNREACHABLE,
    UNSCHEDULABLE,
    DaemonSet,
    Node,
    Pod,
    PodTemplate,
    Taint,
)
from hasim.protocols.reconcile.pod_gc import PodCollector
from hasim.protocols.reconcile.shares import rounded_up
from hasim.protocols.reconcile.taint_eviction import TaintEviction

V1 = PodTemplate("log")
V2 = PodTemplate("log", revision=2)
OLD, NEW = daemon_template(V1), daemon_template(V2)


def log(**fields: Any) -> DaemonSet:
    return DaemonSet("log", fields.pop("template", V2), **fields)


def nodes(count: int) -> list[Node]:
    return [Node(f"n{number}", created=float(number)) for number in range(1, count + 1)]


def pod(name: str, node: str, template: PodTemplate = OLD, **fields: Any) -> Pod:
    """A pod of the set that serves, unless fields say otherwise."""
    how = {"phase": "Running", "ready_at": 0.0, **fields}
    return Pod(name, template, owner="log", node=node, **how)


def planned(*things: Any, now: float = 100.0) -> Plan:
    return DaemonSetController("kcm").plan("log", Copy(*things), now)


def asked(plan: Plan) -> tuple[list[str], list[str]]:
    """The nodes that get a pod, and the pods that are deleted."""
    requests = [request for together in plan.batches for request in together]
    created = [request.thing.node for request in requests if isinstance(request, Create)]
    return created, [request.name for request in requests if isinstance(request, Delete)]


class Playing:
    """A set that runs on so many nodes, and the fewest nodes that had an available pod since it was settled."""

    def __init__(self, daemon_set: DaemonSet, count: int, latency: float = 0.0, delay: float = 0.01) -> None:
        self.world = Reconciling(latency)
        self.starts: Callable[[Pod], float | None] = lambda pod: 1.0
        self.drains = 1.0
        Machines(self.world, lambda pod: self.starts(pod), lambda pod: self.drains)  # noqa: PLW0108 `starts` is set later
        self.world.create(daemon_set, *nodes(count))
        self.loop: Loop = self.world.add(DaemonSetController("kcm"), delay)
        self.settle()
        self.least, self.most = count, count
        self.world.watch.append(self._look)

    def settle(self, seconds: float = 300.0) -> list[tuple[str, int]]:
        """Let time go by; the node and the revision of each pod that serves then."""
        self.world.run(self.world.now + seconds)
        return sorted((each.node or "", each.template.revision) for each in self.world.pods() if each.serves)

    def write(self, **fields: Any) -> None:
        self.world.change(DaemonSet, "log", **fields)

    def available(self) -> int:
        """On how many nodes a pod is available."""
        found = self.world.store.get(DaemonSet, "log")
        least = 0.0 if found is None else found.min_ready
        ready = [(each.node, each.ready_at) for each in self.world.active()]
        return len({node for node, at in ready if at is not None and self.world.now - at >= least - 1e-9})

    def _look(self, change: Change) -> None:
        self.least = min(self.least, self.available())
        self.most = max(self.most, len(self.world.active()))


# ------------------------------------------------------------------------------------------ the bounds


@pytest.mark.parametrize(
    ("given", "of", "pods"),
    [(1, 10, 1), (0, 10, 0), (7, 3, 7), ("10%", 10, 1), ("10%", 11, 2), ("1%", 1, 1), ("0%", 9, 0), ("100%", 9, 9)],
)
def test_shares_are_rounded_up(given: int | str, of: int, pods: int) -> None:
    assert rounded_up(given, of, "x") == pods


@pytest.mark.parametrize("given", [-1, True, "3", "2.5%", "101%", "-5%", "", None])
def test_what_is_neither_a_number_nor_a_share_is_named(given: Any) -> None:
    with pytest.raises(ModelError, match=r"^max_surge: got "):
        daemon_bounds(log(max_surge=given), 3)
    with pytest.raises(ModelError, match=r"^max_unavailable: got "):
        daemon_bounds(log(max_unavailable=given), 3)


@pytest.mark.parametrize(("count", "bounds"), [(0, (0, 0)), (1, (0, 1)), (9, (0, 3)), (10, (0, 3)), (11, (0, 4))])
def test_both_bounds_of_a_daemon_set_are_rounded_up(count: int, bounds: tuple[int, int]) -> None:
    """A Deployment rounds what may be unavailable down, and would not move at all here on one node."""
    assert daemon_bounds(log(max_unavailable="30%"), count) == bounds
    assert daemon_bounds(log(max_unavailable=0, max_surge="30%"), count) == bounds[::-1]


def test_exactly_one_of_the_bounds_is_set() -> None:
    assert daemon_bounds(log(), 5) == (0, 1)
    for fields in ({"max_unavailable": 0}, {"max_unavailable": "0%", "max_surge": "0%"}):
        with pytest.raises(ModelError, match=r"^max_unavailable: got 0, and 0 for max_surge"):
            planned(log(**fields))
    with pytest.raises(ModelError, match=r"^max_surge: got '5%', and 1 for max_unavailable; one of the two is 0"):
        planned(log(max_surge="5%"))


# ----------------------------------------------------------------------------------------- which nodes


@pytest.mark.parametrize(
    ("taints", "runs", "keeps"),
    [
        ([], True, True),
        ([(NOT_READY, "NoExecute")], True, True),
        ([(UNREACHABLE, "NoExecute")], True, True),
        ([(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")], False, True),
        ([(UNREACHABLE, "NoSchedule")], False, True),
        ([(UNSCHEDULABLE, "NoSchedule")], True, True),
        ([("gpu", "NoSchedule")], False, True),
        ([("gpu", "NoExecute")], False, False),
    ],
)
def test_taints_say_where_pods_go_and_where_they_stay(taints: list[tuple[str, Any]], runs: bool, keeps: bool) -> None:
    node = Node("n1", taints=tuple(Taint(key, effect) for key, effect in taints))
    assert place_for(V1, node) == (runs, keeps)
    assert place_for(V1, replace(node, unschedulable=True)) == (runs, keeps)
    assert place_for(replace(V1, tolerates=()), node) == (runs, keeps)


def test_tolerations_of_the_template_count() -> None:
    node = Node("n1", taints=(Taint("gpu", "NoSchedule"), Taint("gpu", "NoExecute")))
    for seconds, runs in ((None, True), (60.0, False)):
        assert place_for(replace(V1, tolerates=(("gpu", seconds),)), node) == (runs, True)


def test_pods_of_a_daemon_set_stay_for_ever_where_others_would_not() -> None:
    playing = Playing(log(template=V1), 3)
    playing.world.add(TaintEviction())
    for key in (NOT_READY, UNREACHABLE):
        at = playing.world.now
        playing.world.change(Node, "n2", ready="Unknown", taints=(Taint(key, "NoExecute", at),))
        assert playing.settle(1e6) == [("n1", 1), ("n2", 1), ("n3", 1)]
    playing.world.change(Node, "n2", taints=(Taint("gpu", "NoExecute", playing.world.now),))
    assert playing.settle() == [("n1", 1), ("n3", 1)]


def test_nodes_come_and_go() -> None:
    playing = Playing(log(template=V1), 2)
    playing.world.add(PodCollector())
    playing.world.create(Node("n9"), Node("n8", unschedulable=True), Node("n7", taints=(Taint("x", "NoSchedule"),)))
    assert playing.settle(10.0) == [("n1", 1), ("n2", 1), ("n8", 1), ("n9", 1)]
    playing.world.do(Delete(Node, "n1"))
    assert playing.settle() == [("n2", 1), ("n8", 1), ("n9", 1)]
    playing.world.change(Node, "n7", taints=())
    assert playing.settle(10.0) == [("n2", 1), ("n7", 1), ("n8", 1), ("n9", 1)]
    syncs = playing.loop.syncs
    playing.world.change(Node, "n7", ready="False", cpu=1)
    playing.settle(10.0)
    assert playing.loop.syncs == syncs


def test_a_set_that_is_gone_leaves_no_trace() -> None:
    playing = Playing(log(template=V1), 2)
    playing.world.do(Delete(DaemonSet, "log"))
    playing.settle(10.0)
    assert playing.loop.controller.plan("log", playing.loop.cache, 1e9) == NOTHING
    assert list(playing.loop.controller.keys(Change(None, pod("x", "n1")), playing.loop.cache)) == []


# ------------------------------------------------------------------------------------------ one pod each


@pytest.mark.parametrize("surge", [0, 1])
def test_every_node_gets_its_pod_with_a_slow_start(surge: int) -> None:
    plan = planned(log(max_surge=surge, max_unavailable=1 - surge), *nodes(7))
    assert [len(together) for together in plan.batches] == [1, 2, 4]
    made = plan.batches[0][0].thing  # type: ignore[union-attr]
    assert made == Pod("log-kcm-1", NEW, owner="log", node="n1", created=100.0)


def test_of_two_pods_of_a_node_the_older_stays() -> None:
    two = [pod("b", "n1", NEW, created=5.0), pod("a", "n1", NEW, created=9.0)]
    for fields in ({}, {"max_unavailable": 0, "max_surge": 1}):
        assert asked(planned(log(**fields), *nodes(1), *two)) == ([], ["a"])


def test_a_pod_that_is_going_holds_its_place_unless_there_is_surge() -> None:
    going = pod("a", "n1", NEW, deleted=1.0)
    assert asked(planned(log(), *nodes(1), going)) == ([], [])
    assert asked(planned(log(max_unavailable=0, max_surge=1), *nodes(1), going)) == (["n1"], [])
    failed = replace(going, phase="Failed")
    assert asked(planned(log(), *nodes(1), failed)) == (["n1"], [])


def test_a_failed_pod_is_replaced_ever_more_slowly() -> None:
    playing = Playing(log(template=V1), 1)
    begun = playing.world.now
    deletions: list[float] = []

    def watch(change: Change) -> None:
        if change.before is None:
            playing.world.after(0.1, lambda: crash(playing.world, change.after))
        elif change.after is None:
            deletions.append(playing.world.now - begun)

    playing.world.watch.append(watch)
    crash(playing.world, playing.world.pods()[0])
    playing.settle(5000.0)
    gaps = [round(later - sooner) for sooner, later in pairwise(deletions)]
    assert gaps[:4] == [1, 2, 4, 8]
    assert gaps[-1] == 900
    assert deletions[0] < 0.1
    playing.write(template=V2)  # another spec has failed at nothing yet
    deletions.clear()
    playing.settle(1.0)
    assert len(deletions) == 1


def test_a_failure_long_ago_is_forgotten() -> None:
    playing = Playing(log(template=V1), 1)
    for pause in (0.5, 2000.0, 0.0):
        crash(playing.world, playing.world.active()[0])
        assert playing.settle(10.0) == [("n1", 1)]
        playing.settle(pause)
    assert {wait for wait, _ in playing.loop.controller._failures.values()} == {1.0}  # type: ignore[attr-defined]


@pytest.mark.parametrize("surge", [0, 1])
def test_a_node_with_several_pods_of_one_version_counts_in_a_rollout_and_is_left_alone(surge: int) -> None:
    """Its failed pod is left for a second, since one has just been deleted, and the other has come meanwhile."""
    daemon_set = log(max_surge=surge, max_unavailable=1 - surge)
    failed, old = pod("a", "n1", NEW, phase="Failed", ready_at=None), pod("c", "n2")
    controller = DaemonSetController("kcm")
    assert "a" in asked(controller.plan("log", Copy(daemon_set, *nodes(1), failed), 100.0))[1]
    controller.answered("log", Delete(Pod, "a"), None)
    controller.answered("log", Create(pod("log-kcm-1", "n1")), None)
    again, other = replace(failed, name="b"), pod("d", "n1", NEW)
    plan = controller.plan("log", Copy(daemon_set, *nodes(2), again, other, old), 100.5)
    assert (asked(plan), plan.again) == (([], []), 1.0)
    assert asked(controller.plan("log", Copy(daemon_set, *nodes(2), again, other, old), 101.5))[1] == ["b"]


def test_a_quota_costs_back_off_and_no_more() -> None:
    playing = Playing(log(template=V1), 0)
    playing.world.refuse = lambda request: Refused("forbidden") if isinstance(request, Create) else None
    playing.world.create(*nodes(6))
    playing.settle(30.0)
    assert len(playing.loop.asked) == playing.loop.syncs - 1 < 20  # one creation a try, no more
    playing.world.refuse = lambda request: None
    assert len(playing.settle(100.0)) == 6


def test_an_answer_that_is_lost_counts_as_a_failure_and_may_make_a_pod_too_many() -> None:
    playing = Playing(log(template=V1), 0)
    playing.world.lose = lambda request: playing.world.now < 310.0
    playing.world.create(*nodes(4))
    assert len(playing.settle(5.0)) == len(playing.world.pods()) == 4 < playing.most
    playing.write(template=V2)
    assert playing.settle(100.0) == [(f"n{number}", 2) for number in range(1, 5)]


def test_two_instances_make_two_pods_and_one_of_them_goes() -> None:
    """Expectations are the memory of one process: the second knows nothing of what the first has asked for."""
    playing = Playing(log(template=V1), 0)
    playing.world.add(DaemonSetController("other"))
    playing.world.create(*nodes(3))
    assert [node for node, _ in playing.settle()] == ["n1", "n2", "n3"]
    assert playing.most == 6
    assert len(playing.world.pods()) == 3


# ------------------------------------------------------------------------------------------- a rollout


def test_old_pods_go_before_their_successors_come() -> None:
    playing = Playing(log(template=V1), 3)
    playing.write(template=V2)
    assert playing.settle() == [("n1", 2), ("n2", 2), ("n3", 2)]
    assert (playing.least, playing.most) == (2, 3)


def test_with_surge_no_node_is_ever_without() -> None:
    playing = Playing(log(template=V1, max_unavailable=0, max_surge=2, min_ready=5.0), 5)
    playing.write(template=V2)
    assert [revision for _, revision in playing.settle()] == [2] * 5
    assert (playing.least, playing.most) == (5, 7)


@pytest.mark.parametrize(("count", "unavailable"), [(6, 1), (6, 2), (7, 3), (5, "50%"), (4, 9)])
def test_a_rollout_takes_as_many_waves_as_the_bound_goes_into_the_nodes(count: int, unavailable: int | str) -> None:
    playing = Playing(log(template=V1, max_unavailable=unavailable, min_ready=20.0), count)
    playing.settle()
    playing.drains = 4.0
    playing.starts = lambda pod: 10.0
    begun = playing.world.now
    playing.write(template=V2)
    playing.settle(1000.0)
    ended = max(each.ready_at or 0.0 for each in playing.world.pods())
    waves = ceil(count / rounded_up(unavailable, count, ""))
    assert 34.0 * waves - 20.0 <= ended - begun <= 34.5 * waves - 20.0


def test_old_pods_that_are_not_available_go_at_once_and_count_all_the_same() -> None:
    sick = [pod(name, node, ready_at=None) for name, node in (("a", "n1"), ("b", "n2"))]
    well = [pod(name, node) for name, node in (("c", "n3"), ("d", "n4"))]
    assert asked(planned(log(), *nodes(4), *sick, *well)) == ([], ["a", "b"])
    assert asked(planned(log(max_unavailable=2), *nodes(4), *sick, *well)) == ([], ["a", "b"])
    assert asked(planned(log(max_unavailable=3), *nodes(4), *sick, *well)) == ([], ["a", "b", "c"])


def test_nodes_without_an_available_pod_count_whatever_the_reason() -> None:
    well = [pod(name, node) for name, node in (("c", "n3"), ("d", "n4"))]
    for reason in (
        pod("a", "n1", NEW, ready_at=None),
        pod("a", "n1", NEW, deleted=3.0),
        pod("a", "n1", NEW, ready_at=95.0),  # not long enough
        pod("a", "gone", NEW, ready_at=None),
    ):
        things = (*nodes(4)[2:], Node("n1"), *well, reason, *([pod("x", "n1", NEW)] if reason.node == "gone" else []))
        assert asked(planned(log(min_ready=10.0), *things)) == ([], []), reason
        assert asked(planned(log(min_ready=10.0, max_unavailable=2), *things)) == ([], ["c"]), reason


def test_what_is_missing_comes_before_the_rollout() -> None:
    old = [pod("b", "n2"), pod("c", "n3")]
    assert asked(planned(log(max_unavailable=3), *nodes(3), *old)) == (["n1"], [])


def test_nothing_is_done_until_what_was_asked_for_is_seen() -> None:
    controller, cache = DaemonSetController("kcm"), Copy(log(), *nodes(2), pod("a", "n1"), pod("b", "n2"))
    assert asked(controller.plan("log", cache, 100.0)) == ([], ["a"])
    assert controller.plan("log", cache, 101.0) == Plan(again=299.0)
    assert list(controller.keys(Change(pod("a", "n1"), pod("a", "n1", deleted=101.0)), cache)) == ["log"]
    assert asked(controller.plan("log", cache, 101.0)) == ([], ["a"])  # it may not be seen, but it is expected no more


def test_a_bad_rollout_stops_after_what_may_be_unavailable() -> None:
    for unavailable in (1, 2):
        playing = Playing(log(template=V1, max_unavailable=unavailable), 5)
        playing.starts = lambda pod: None if pod.template == NEW else 1.0
        playing.write(template=V2)
        assert [revision for _, revision in playing.settle()] == [1] * (5 - unavailable)
        playing.write(template=V1)  # and the way back: broken pods go at once
        assert [revision for _, revision in playing.settle(10.0)] == [1] * 5


def test_a_bad_rollout_with_surge_costs_nothing() -> None:
    playing = Playing(log(template=V1, max_unavailable=0, max_surge=2), 5)
    playing.starts = lambda pod: None if pod.template == NEW else 1.0
    playing.write(template=V2)
    assert [revision for _, revision in playing.settle()] == [1] * 5
    assert len(playing.world.active()) == 7
    playing.write(template=V1)
    assert [revision for _, revision in playing.settle(10.0)] == [1] * 5
    assert len(playing.world.active()) == 5 == playing.least


@pytest.mark.parametrize(
    ("old", "new", "deleted"),
    [
        ({}, {"ready_at": None}, []),
        ({}, {"ready_at": 95.0}, []),  # not long enough
        ({}, {"ready_at": 90.0}, ["old"]),
        ({"ready_at": None}, {"ready_at": None}, ["old"]),
        ({"ready_at": 95.0}, {"ready_at": None}, []),  # ready is enough to stay
    ],
)
def test_beside_its_successor_an_old_pod_stays_while_it_is_needed(
    old: dict[str, Any], new: dict[str, Any], deleted: list[str]
) -> None:
    daemon_set = log(max_unavailable=0, max_surge=1, min_ready=10.0)
    plan = planned(daemon_set, *nodes(1), pod("old", "n1", **old), pod("new", "n1", NEW, **new))
    assert asked(plan) == ([], deleted)
    assert plan.again == (5.0 if 95.0 in (old.get("ready_at"), new.get("ready_at")) else None)


def test_with_surge_an_old_pod_that_is_not_available_is_replaced_outside_the_bound() -> None:
    surge = log(max_unavailable=0, max_surge=1)
    sick = [pod("a", "n1", ready_at=None), pod("b", "n2", ready_at=None)]
    assert asked(planned(surge, *nodes(4), *sick, pod("c", "n3"), pod("d", "n4"))) == (["n1", "n2", "n3"], [])


def test_with_surge_a_pod_that_should_no_longer_be_there_waits_until_enough_others_are() -> None:
    surge = log(max_unavailable=0, max_surge=1)
    closed = Node("n1", taints=(Taint("x", "NoSchedule"),))
    there, here = pod("a", "n1"), pod("b", "n2", NEW)
    assert asked(planned(surge, closed, *nodes(2)[1:], there, replace(here, ready_at=None))) == ([], [])
    assert asked(planned(surge, closed, *nodes(2)[1:], there, here)) == ([], ["a"])
    assert asked(planned(surge, closed, *nodes(2)[1:], replace(there, ready_at=None), here)) == ([], ["a"])


def test_with_surge_a_pod_of_a_node_that_is_gone_holds_the_rollout_up() -> None:
    surge = log(max_unavailable=0, max_surge=1)
    lost = pod("a", "gone")
    assert asked(planned(surge, *nodes(2)[1:], pod("b", "n2"), lost)) == ([], [])
    assert asked(planned(surge, *nodes(2)[1:], pod("b", "n2"))) == (["n2"], [])


# ------------------------------------------------------------------------- what holds on every way there


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 7),
    unavailable=st.one_of(st.integers(1, 4), st.sampled_from(["10%", "34%", "50%", "100%"])),
    surging=st.booleans(),
    delay=st.floats(0.0, 2.0),
    latency=st.sampled_from([0.0, 0.3]),
    min_ready=st.sampled_from([0.0, 3.0]),
    starts=st.lists(st.floats(0.0, 6.0), min_size=1, max_size=5),
    back=st.none() | st.floats(0.0, 20.0),
)
def test_no_more_nodes_are_without_than_may_be_and_it_ends(
    count: int,
    unavailable: int | str,
    surging: bool,
    delay: float,
    latency: float,
    min_ready: float,
    starts: list[float],
    back: float | None,
) -> None:
    """With caches that lag, nagged with looks that nothing calls for, and with a change of mind on the way."""
    bounds = {"max_unavailable": 0, "max_surge": unavailable} if surging else {"max_unavailable": unavailable}
    playing = Playing(log(template=V1, min_ready=min_ready, **bounds), count, latency, delay)
    playing.starts = lambda pod: starts[int(pod.name.rpartition("-")[2]) % len(starts)] if back is None else starts[0]
    for number in range(60):
        playing.world.after(number * 0.37, lambda: playing.loop.enqueue("log"))
    playing.write(template=V2)
    if back is not None:
        playing.settle(back)
        playing.write(template=V1)
    allowed = rounded_up(unavailable, count, "")
    assert [revision for _, revision in playing.settle(600.0)] == [2 if back is None else 1] * count
    assert len(playing.world.pods()) == count
    assert playing.least >= count - (0 if surging else allowed)
    assert playing.most <= count + (allowed if surging else 0)


@settings(max_examples=60, deadline=None)
@given(
    surging=st.booleans(),
    delay=st.sampled_from([0.0, 0.4]),
    events=st.lists(
        st.tuples(
            st.floats(0.0, 3.0),
            st.sampled_from(["fail", "vanish", "unready", "roll", "node", "taint"]),
            st.integers(0, 9),
        ),
        max_size=12,
    ),
)
def test_whatever_happens_every_node_ends_up_with_one_pod_of_what_was_written_last(
    surging: bool, delay: float, events: list[tuple[float, str, int]]
) -> None:
    playing = Playing(log(template=V1, max_surge=int(surging), max_unavailable=int(not surging)), 3, delay=delay)
    for pause, what, number in events:
        playing.settle(pause)
        pods = playing.world.active()
        each = pods[number % len(pods)] if pods else None
        if what == "roll":
            playing.write(template=replace(V1, revision=1 + number % 3))
        elif what == "node":
            if playing.world.store.get(Node, f"x{number}") is None:
                playing.world.create(Node(f"x{number}"))
        elif what == "taint":
            playing.world.change(Node, f"n{1 + number % 3}", taints=(Taint("x", "NoExecute"),) if number < 5 else ())
        elif each is not None and what == "fail":
            crash(playing.world, each)
        elif each is not None and what == "vanish":
            vanish(playing.world, each)
        elif each is not None:
            playing.world.change(Pod, each.name, ready_at=None)
    playing.settle(1200.0)
    daemon_set = playing.world.store.get(DaemonSet, "log")
    assert daemon_set is not None
    expected = [node.name for node in playing.world.store.all(Node) if place_for(daemon_set.template, node).runs]
    for each in playing.world.active():  # one that somebody marked unready stays so, and holds a rollout up
        playing.world.change(Pod, each.name, phase="Running", ready_at=playing.world.now)
    assert playing.settle(1200.0) == sorted((name, daemon_set.template.revision) for name in expected)
    syncs = playing.loop.syncs
    playing.settle(5000.0)
    assert playing.loop.syncs == syncs


def test_requests_name_pods_of_the_set_only() -> None:
    stranger = Pod("s", V1, owner="other", node="n1")
    requests: list[Request] = [r for batch in planned(log(), *nodes(1), stranger).batches for r in batch]
    assert [type(request) for request in requests] == [Create]
    controller = DaemonSetController("kcm")
    assert list(controller.keys(Change(None, stranger), Copy(log()))) == []
    controller.answered("log", Delete(Pod, "s"), Done(stranger))
